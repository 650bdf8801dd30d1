"""PromQL for the questions that come again: rates, shares, quantiles. Each selects the chosen jobs and instances.

Names are written without their prefix ``pilotdht_``, so that a slip in it is impossible; a name that the code does not
have is found by the tests.
"""

from __future__ import annotations

PREFIX = "pilotdht_"
SELECTED = 'job=~"$job",instance=~"$instance"'
WINDOW = "$__rate_interval"


def name(metric: str) -> str:
    """Return the full name of a metric; those of other makers are written in full and kept."""
    return metric if metric.startswith(("process_", "python_", "up", "ALERTS", "scrape_")) else PREFIX + metric


def series(metric: str, where: str = "") -> str:
    """Return a selector of the chosen nodes."""
    return f"{name(metric)}{{{SELECTED}{',' + where if where else ''}}}"


def summed(inner: str, by: str = "") -> str:
    """Return a sum, kept apart by labels."""
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def total(metric: str, by: str = "", where: str = "") -> str:
    """Return a gauge added up over nodes."""
    return summed(series(metric, where), by)


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Return how fast a counter grows a second, added up over nodes."""
    return summed(f"rate({series(metric, where)}[{WINDOW}])", by)


def events(metric: str, by: str, where: str = "") -> str:
    """Return rates of what seldom happens; where nothing ever did, a line at zero says so."""
    return f'{rate(metric, by, where)} or label_replace(vector(0), "{by}", "nothing so far", "", "")'


def share(part: str, whole: str) -> str:
    """Return ``part / whole``; nothing of nothing is nothing."""
    return f"({part}) / clamp_min({whole}, 1e-9)"


def quantile(level: float, metric: str, by: str = "", where: str = "") -> str:
    """Return a quantile of a histogram over nodes; no value while nothing is observed."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({level}, {rate(metric + '_bucket', labels, where)})"


def mean(metric: str, where: str = "") -> str:
    """Return the mean of what a histogram observed."""
    return share(rate(metric + "_sum", where=where), rate(metric + "_count", where=where))
