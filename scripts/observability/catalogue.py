"""All metrics of a daemon: asked of a real one that is alone, so that none can be forgotten or invented."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from prometheus_client import disable_created_metrics
from prometheus_client.metrics_core import Metric

from pilotdht import Config, Node
from pilotdht.daemon.metrics import DaemonMetrics

_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One metric."""

    name: str
    """As it is written in PromQL; without ``_bucket`` and the like for histograms."""
    kind: str
    """``counter``, ``gauge``, ``histogram`` or ``info``."""
    text: str
    """What it tells."""
    labels: tuple[str, ...]
    """Names of its labels, in their order."""
    values: dict[str, tuple[str, ...]]
    """Values of each label, as far as they are fixed in the code."""

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its time series."""
        return (self.name,) if self.kind != "histogram" else tuple(self.name + end for end in _SUFFIXES["histogram"])


def catalogue() -> dict[str, Described]:
    """Return every metric by name, in the order in which they are served."""
    return asyncio.run(_catalogue())


async def _catalogue() -> dict[str, Described]:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    async with Node(replace(Config.local(), start_timeout_s=0.0)) as node:
        DaemonMetrics(node.registry, version="any")
        found = [_described(family) for family in node.registry.collect()]
    return {one.name: one for one in found}


def _described(family: Metric) -> Described:
    kind = "gauge" if family.name.endswith("_info") else family.type
    name = family.name + _SUFFIXES["counter"][0] if family.type == "counter" else family.name
    if family.type == "info":
        name, kind = family.name + "_info", "gauge"
    labels = tuple(getattr(family, "_labelnames", ()))
    values = {
        label: tuple(dict.fromkeys(sample.labels[label] for sample in family.samples if label in sample.labels))
        for label in labels
    }
    if not labels and family.samples:
        labels = tuple(label for label in family.samples[0].labels if label != "le")
    return Described(name=name, kind=kind, text=family.documentation.rstrip(".") + ".", labels=labels, values=values)
