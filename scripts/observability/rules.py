"""Recording and alert rules. Every duration can be scaled: the same rules, an hour turned into a minute, are tried out.

The committed files have scale 1. ``render(scale=1 / 60)`` makes every window and every ``for`` sixty times shorter, but
no window shorter than :data:`SHORTEST_S`, as a rate needs two samples: what ``scripts/observe`` and the tests evaluate
is what runs in production, only quicker.

Each alert has a section of the same name in ``docs/runbooks.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

RUNBOOKS = "docs/runbooks.md"
"""Where the links of alerts lead: from the root of the checkout, as the pages have no fixed address on the web."""

SHORTEST_S = 4.0
"""Shortest window, in seconds: with a scrape each second a rate has enough samples even when one is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A figure that is computed once and used often."""

    record: str
    """Its name: level, metric and operation, as Prometheus recommends."""
    expr: str
    """PromQL; ``<5m>`` and the like are windows that scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that somebody should look at."""

    name: str
    """Begins with ``Pilotdht``."""
    expr: str
    """PromQL; windows as above."""
    lasts_s: float
    """For how long it must hold, in seconds."""
    severity: str
    """``critical``: now; ``warning``: today; ``info``: when there is time."""
    summary: str
    """One line, with templates of Prometheus."""
    means: str
    """What it means for those who use the mesh."""


_LOOKUPS = 'operation=~"find_node|get_record|get_entries"'

RECORDINGS: tuple[Recording, ...] = (
    Recording(
        record="job:pilotdht_dht_lookups:failure_ratio",
        expr=(
            f'sum by (job) (rate(pilotdht_dht_operations_total{{{_LOOKUPS},result="failed"}}[<5m>]))'
            f" / clamp_min(sum by (job) (rate(pilotdht_dht_operations_total{{{_LOOKUPS}}}[<5m>])), 1e-9)"
        ),
    ),
    Recording(
        record="job:pilotdht_dht_lookup_seconds:p95",
        expr=(
            "histogram_quantile(0.95, sum by (job, le) "
            f"(rate(pilotdht_dht_operation_duration_seconds_bucket{{{_LOOKUPS}}}[<5m>])))"
        ),
    ),
    Recording(
        record="job:pilotdht_tunnel_handshakes:failure_ratio",
        expr=(
            'sum by (job) (rate(pilotdht_tunnel_handshakes_total{side="out",result!="ok"}[<5m>]))'
            ' / clamp_min(sum by (job) (rate(pilotdht_tunnel_handshakes_total{side="out"}[<5m>])), 1e-9)'
        ),
    ),
    Recording(
        record="job:pilotdht_road_links:relayed_ratio",
        expr=('sum by (job) (pilotdht_road_links{road="relayed"}) / clamp_min(sum by (job) (pilotdht_road_links), 1)'),
    ),
    Recording(
        record="instance:pilotdht_tunnel_packets:loss_ratio",
        expr=(
            "rate(pilotdht_tunnel_lost_packets_total[<5m>])"
            " / clamp_min(rate(pilotdht_tunnel_sent_datagrams_total[<5m>]), 1e-9)"
        ),
    ),
    Recording(
        record="instance:pilotdht_loop_lag_seconds:p99",
        expr=("histogram_quantile(0.99, sum by (job, instance, le) (rate(pilotdht_loop_lag_seconds_bucket[<5m>])))"),
    ),
    Recording(
        record="job:pilotdht_broadcast:copies_per_message",
        expr=(
            "sum by (job) (rate(pilotdht_broadcast_duplicates_total[<5m>]))"
            " / clamp_min(sum by (job) (rate(pilotdht_broadcast_received_total[<5m>])), 1e-9)"
        ),
    ),
    Recording(
        record="job:pilotdht_broadcast_delay_seconds:p95",
        expr=("histogram_quantile(0.95, sum by (job, le) (rate(pilotdht_broadcast_delay_seconds_bucket[<5m>])))"),
    ),
    Recording(
        record="instance:pilotdht_relay_bytes:used_ratio",
        expr=("rate(pilotdht_relay_forwarded_bytes_total[<5m>]) / clamp_min(pilotdht_relay_limit_bytes_per_second, 1)"),
    ),
)
"""Computed once, used by alerts and for looking back."""

_MINUTE = 60.0

ALERTS: tuple[Alert, ...] = (
    Alert(
        name="PilotdhtNodeDown",
        expr='up{job=~".*pilotdht.*"} == 0',
        lasts_s=2 * _MINUTE,
        severity="critical",
        summary="{{ $labels.instance }} does not answer",
        means="Its metrics cannot be read. Peers hold it for dead within seconds, if it is.",
    ),
    Alert(
        name="PilotdhtNodesMissing",
        expr='absent(up{job=~".*pilotdht.*"})',
        lasts_s=10 * _MINUTE,
        severity="critical",
        summary="no node is watched at all",
        means="Prometheus knows of no node: whatever happens, no other alert can tell.",
    ),
    Alert(
        name="PilotdhtNodeAlone",
        expr="pilotdht_node_joined == 0",
        lasts_s=5 * _MINUTE,
        severity="critical",
        summary="{{ $labels.instance }} knows no other node",
        means="It runs, and can neither find anybody nor be found.",
    ),
    Alert(
        name="PilotdhtMeshCut",
        expr=(
            "max by (job) (pilotdht_dht_mesh_size) > 4 * min by (job) (pilotdht_dht_mesh_size > 0)"
            " and max by (job) (pilotdht_dht_mesh_size) > 20"
        ),
        lasts_s=15 * _MINUTE,
        severity="warning",
        summary="nodes disagree on how large the mesh is",
        means="Some see four times as many nodes as others: the mesh may be in two parts.",
    ),
    Alert(
        name="PilotdhtLookupsFail",
        expr="job:pilotdht_dht_lookups:failure_ratio > 0.05",
        lasts_s=10 * _MINUTE,
        severity="critical",
        summary="{{ $value | humanizePercentage }} of lookups fail",
        means="Names and addresses are not found although they exist.",
    ),
    Alert(
        name="PilotdhtLookupsSlow",
        expr="job:pilotdht_dht_lookup_seconds:p95 > 3",
        lasts_s=10 * _MINUTE,
        severity="warning",
        summary="lookups take {{ $value | humanizeDuration }} (p95)",
        means="Dialling somebody new takes seconds.",
    ),
    Alert(
        name="PilotdhtHandshakesFail",
        expr=(
            "job:pilotdht_tunnel_handshakes:failure_ratio > 0.5"
            ' and sum by (job) (rate(pilotdht_tunnel_handshakes_total{side="out"}[<5m>])) > 0.05'
        ),
        lasts_s=10 * _MINUTE,
        severity="warning",
        summary="{{ $value | humanizePercentage }} of dialled tunnels fail",
        means="Peers are found and not reached.",
    ),
    Alert(
        name="PilotdhtPacketsLost",
        expr=(
            "instance:pilotdht_tunnel_packets:loss_ratio > 0.1"
            " and rate(pilotdht_tunnel_sent_datagrams_total[<5m>]) > 10"
        ),
        lasts_s=15 * _MINUTE,
        severity="warning",
        summary="{{ $labels.instance }} loses {{ $value | humanizePercentage }} of its packets",
        means="Tunnels are slow: what is lost is sent again.",
    ),
    Alert(
        name="PilotdhtMostlyRelayed",
        expr="job:pilotdht_road_links:relayed_ratio > 0.5 and sum by (job) (pilotdht_road_links) > 10",
        lasts_s=30 * _MINUTE,
        severity="info",
        summary="{{ $value | humanizePercentage }} of links go through relays",
        means="Direct roads are not found; relays carry what they need not.",
    ),
    Alert(
        name="PilotdhtFlood",
        expr='sum by (job, instance) (rate(pilotdht_net_dropped_total{reason="rate"}[<5m>])) > 100',
        lasts_s=5 * _MINUTE,
        severity="warning",
        summary="{{ $labels.instance }} throws {{ $value | humanize }} datagrams a second away",
        means="One network sends more than its share. The node holds out, but honest nodes there are limited too.",
    ),
    Alert(
        name="PilotdhtHandlerErrors",
        expr="increase(pilotdht_net_handler_failures_total[<15m>]) > 0",
        lasts_s=0,
        severity="warning",
        summary="{{ $labels.instance }} has a bug",
        means="A handler of a datagram raised an error. The node goes on; the peer got no answer.",
    ),
    Alert(
        name="PilotdhtLoopSlow",
        expr="instance:pilotdht_loop_lag_seconds:p99 > 0.5",
        lasts_s=5 * _MINUTE,
        severity="warning",
        summary="{{ $labels.instance }} is {{ $value | humanizeDuration }} late",
        means="Everything that the node does waits as long; above a second its groups hold it for dead.",
    ),
    Alert(
        name="PilotdhtStoreFull",
        expr="pilotdht_dht_record_bytes / pilotdht_dht_store_limit_bytes > 0.9",
        lasts_s=30 * _MINUTE,
        severity="warning",
        summary="the store of {{ $labels.instance }} is {{ $value | humanizePercentage }} full",
        means="It gives up records that are far from it, and refuses others.",
    ),
    Alert(
        name="PilotdhtMembersFail",
        expr='sum by (job) (increase(pilotdht_gossip_member_changes_total{change="failed"}[<5m>])) > 0',
        lasts_s=0,
        severity="info",
        summary="members of groups stopped answering",
        means="Programs were told that peers are gone.",
    ),
    Alert(
        name="PilotdhtFalseAlarms",
        expr="avg by (job) (increase(pilotdht_gossip_flaps_total[<30m>])) > 3",
        lasts_s=5 * _MINUTE,
        severity="warning",
        summary="members are held for dead and are not",
        means="Programs drop peers that are well: somebody's line or processor is overloaded.",
    ),
    Alert(
        name="PilotdhtMessagesLost",
        expr=(
            "sum by (job, instance) (increase(pilotdht_broadcast_skipped_total[<15m>])"
            " + increase(pilotdht_broadcast_missed_total[<15m>])) > 0"
        ),
        lasts_s=0,
        severity="warning",
        summary="{{ $labels.instance }} gave messages to a group up",
        means="Readers there have a gap.",
    ),
    Alert(
        name="PilotdhtMessagesSlow",
        expr="job:pilotdht_broadcast_delay_seconds:p95 > 5",
        lasts_s=10 * _MINUTE,
        severity="warning",
        summary="messages to groups take {{ $value | humanizeDuration }} (p95)",
        means="Members hear late; or a clock is wrong.",
    ),
    Alert(
        name="PilotdhtRelayFull",
        expr=(
            "pilotdht_relay_attached / clamp_min(pilotdht_relay_attached_limit, 1) > 0.9"
            " or pilotdht_relay_channels / clamp_min(pilotdht_relay_channels_limit, 1) > 0.9"
            " or instance:pilotdht_relay_bytes:used_ratio > 0.9"
        ),
        lasts_s=10 * _MINUTE,
        severity="warning",
        summary="{{ $labels.instance }} relays {{ $value | humanizePercentage }} of what it may",
        means="Nodes behind NATs are turned away soon, or crawl.",
    ),
    Alert(
        name="PilotdhtDescriptors",
        expr='process_open_fds{job=~".*pilotdht.*"} / process_max_fds{job=~".*pilotdht.*"} > 0.8',
        lasts_s=10 * _MINUTE,
        severity="warning",
        summary="{{ $labels.instance }} has {{ $value | humanizePercentage }} of its descriptors open",
        means="Soon no program can connect to the daemon.",
    ),
)
"""What somebody is told of."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def shown(seconds: float) -> str:
    """Return a duration as Prometheus writes it."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def scaled(expr: str, scale: float) -> str:
    """Return an expression with its windows, written ``<5m>``, as long as ``scale`` makes them."""
    head, *parts = expr.split("<")
    for part in parts:
        window, separator, rest = part.partition(">")
        if separator and window[:-1].isdigit() and window[-1:] in _UNITS:
            seconds = int(window[:-1]) * _UNITS[window[-1]] * scale
            head += shown(seconds if scale == 1 else max(SHORTEST_S, seconds)) + rest
        else:
            head += "<" + part
    return head


def recording_rules(*, scale: float = 1.0) -> str:
    """Return the file of recording rules."""
    rules = [{"record": rule.record, "expr": scaled(rule.expr, scale)} for rule in RECORDINGS]
    return _file("pilotdht-figures", rules)


def alert_rules(*, scale: float = 1.0) -> str:
    """Return the file of alert rules."""
    rules = [
        {
            "alert": alert.name,
            "expr": scaled(alert.expr, scale),
            "for": shown(alert.lasts_s * scale),
            "labels": {"severity": alert.severity},
            "annotations": {
                "summary": alert.summary,
                "description": alert.means,
                "runbook_url": f"{RUNBOOKS}#{alert.name.lower()}",
            },
        }
        for alert in ALERTS
    ]
    return _file("pilotdht-alerts", rules)


def _file(group: str, rules: Sequence[object]) -> str:
    head = "# Made by scripts/dashboards; change scripts/observability/rules.py instead.\n"
    content = {"groups": [{"name": group, "rules": list(rules)}]}
    return head + yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)
