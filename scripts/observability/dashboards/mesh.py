"""The whole mesh at a look: is everybody there, do they find each other, do they talk, who deserves a closer look."""

from __future__ import annotations

from scripts.observability.expressions import quantile, rate, series, share, summed, total
from scripts.observability.panels import GREEN, RED, YELLOW, Look, Page, Panel, Query, Row, lines, number, stack

_FINDING = 'operation=~"find_node|get_record|get_entries"'

PAGE = Page(
    uid="pilotdht-mesh",
    title="pilotdht / Mesh",
    tells="All nodes together: who is there, whether they find each other and talk, and who deserves a closer look.",
    rows=(
        Row(
            question="Is everybody there?",
            panels=(
                number(
                    "Nodes that answer",
                    "Nodes whose metrics could be read at the last scrape.",
                    "none",
                    summed(series("up")),
                ),
                number(
                    "Nodes that do not",
                    "Known nodes whose metrics could not be read: ended, hung, or out of reach of Prometheus.",
                    "none",
                    f"count({series('up')}) - {summed(series('up'))}",
                    limits=((1, RED),),
                ),
                number(
                    "Nodes alone",
                    "Nodes that run but know nobody else of the mesh: their bootstrap nodes do not answer.",
                    "none",
                    f"count({series('node_joined')}) - {total('node_joined')}",
                    limits=((1, RED),),
                ),
                number(
                    "Size of the mesh",
                    "How many nodes there are in all, watched or not: the median of what nodes estimate from the "
                    "density of their nearest contacts.",
                    "none",
                    f"quantile(0.5, {series('dht_mesh_size')})",
                ),
                number(
                    "Alerts that fire",
                    "Alerts of the rules in grafana/prometheus; each has a runbook.",
                    "none",
                    'count(ALERTS{alertstate="firing",alertname=~"Pilotdht.+"}) or vector(0)',
                    limits=((1, RED),),
                ),
                number(
                    "Versions",
                    "Versions that run at the same time: more than one for long is a roll-out that got stuck.",
                    "none",
                    f"count(count by (version) ({series('build_info')}))",
                    limits=((2, YELLOW),),
                ),
                lines(
                    "Nodes over time",
                    "Nodes that answer, nodes that have joined, and how many the mesh is estimated to have. A gap "
                    "between the first two is a node that runs alone; two far estimates are a mesh that was cut.",
                    "none",
                    (summed(series("up")), "answer"),
                    (total("node_joined"), "joined"),
                    (f"min({series('dht_mesh_size')})", "least estimate"),
                    (f"max({series('dht_mesh_size')})", "highest estimate"),
                ),
                lines(
                    "Nodes by version",
                    "A roll-out is seen as one line that falls while the other rises.",
                    "none",
                    (f"count by (version) ({series('build_info')})", "{{version}}"),
                ),
            ),
        ),
        Row(
            question="Do they find each other?",
            panels=(
                lines(
                    "Lookups that fail",
                    "Share of lookups and reads that ended with an error. Not finding what does not exist is no error. "
                    "Normal: none.",
                    "percentunit",
                    (
                        share(
                            rate("dht_operations_total", where=f'{_FINDING},result="failed"'),
                            rate("dht_operations_total", where=_FINDING),
                        ),
                        "failed",
                    ),
                    limits=((0.05, YELLOW), (0.2, RED)),
                ),
                lines(
                    "Time of a lookup",
                    "Half, nineteen of twenty and all but one of a hundred are quicker than this.",
                    "s",
                    (quantile(0.5, "dht_operation_duration_seconds", where=_FINDING), "p50"),
                    (quantile(0.95, "dht_operation_duration_seconds", where=_FINDING), "p95"),
                    (quantile(0.99, "dht_operation_duration_seconds", where=_FINDING), "p99"),
                ),
                stack(
                    "Names resolved",
                    "What became of names, addresses and keys that somebody wanted to reach.",
                    "ops",
                    (rate("names_resolutions_total", "result"), "{{result}}"),
                ),
            ),
        ),
        Row(
            question="Do they talk?",
            panels=(
                stack(
                    "Links by road",
                    "Each end of a link counts. Relayed links cost a third node its bandwidth: they should be few, and "
                    "become direct within seconds.",
                    "none",
                    (total("road_links", "road"), "{{road}}"),
                ),
                lines(
                    "Handshakes that fail",
                    "Share of tunnel handshakes that did not lead to a link, by who dialled. Dialling nodes that just "
                    "ended is normal; a quarter for long is not.",
                    "percentunit",
                    (
                        share(
                            rate("tunnel_handshakes_total", "side", 'result!="ok"'),
                            rate("tunnel_handshakes_total", "side"),
                        ),
                        "{{side}}",
                    ),
                    limits=((0.25, YELLOW),),
                ),
                lines(
                    "Traffic",
                    "Bytes that all nodes hand to the network, and get from it; the two differ by what is lost, and by "
                    "nodes that are not watched.",
                    "Bps",
                    (rate("net_sent_bytes_total"), "sent"),
                    (rate("net_received_bytes_total"), "received"),
                ),
                lines(
                    "Members held for dead",
                    "Members of groups that stopped answering, a second, as each watched member noticed. A peak is a "
                    "crash or a cut; a steady trickle of false alarms is a bad line.",
                    "ops",
                    (rate("gossip_member_changes_total", where='change="failed"'), "held for dead"),
                    (rate("gossip_flaps_total"), "and were not"),
                ),
                lines(
                    "Questions that are not answered",
                    "Share of questions that ended without an answer, by what they were put to.",
                    "percentunit",
                    (
                        share(
                            rate("query_questions_total", "target", 'result!="answered"'),
                            rate("query_questions_total", "target"),
                        ),
                        "{{target}}",
                    ),
                    limits=((0.25, YELLOW),),
                ),
                lines(
                    "Dropped datagrams",
                    "Datagrams thrown away before anything was done with them, by all nodes. Many are a flood, or "
                    "another mesh on the same ports.",
                    "pps",
                    (rate("net_dropped_total") + " or vector(0)", "sealed and greetings"),
                    (rate("tunnel_dropped_datagrams_total"), "tunnels"),
                ),
            ),
        ),
        Row(
            question="Who deserves a closer look?",
            panels=(
                Panel(
                    title="Nodes",
                    tells="One line a node, as it is now. A click on its name opens its own dashboard.",
                    unit="none",
                    look=Look.TABLE,
                    width=24,
                    height=10,
                    queries=(
                        Query(expr=summed(series("up"), "instance"), legend="Answers", unit="bool_yes_no"),
                        Query(
                            expr=f"max by (instance) (time() - {series('process_start_time_seconds')})",
                            legend="Up for",
                            unit="s",
                        ),
                        Query(expr=total("dht_contacts", "instance"), legend="Contacts"),
                        Query(expr=total("tunnel_links", "instance"), legend="Links"),
                        Query(
                            expr=rate("process_cpu_seconds_total", "instance"), legend="Processor", unit="percentunit"
                        ),
                        Query(expr=total("process_resident_memory_bytes", "instance"), legend="Memory", unit="bytes"),
                        Query(
                            expr=quantile(0.99, "loop_lag_seconds", "instance"), legend="Lag of the loop, p99", unit="s"
                        ),
                        Query(
                            expr=share(
                                rate("tunnel_lost_packets_total", "instance"),
                                rate("tunnel_sent_datagrams_total", "instance"),
                            ),
                            legend="Packets lost",
                            unit="percentunit",
                        ),
                    ),
                ),
                lines(
                    "Busiest processors",
                    "The five nodes that use most of a core. A node is one thread: near 100 % it is late.",
                    "percentunit",
                    (f"topk(5, {rate('process_cpu_seconds_total', 'instance')})", "{{instance}}"),
                    limits=((0.8, YELLOW), (0.95, RED)),
                ),
                lines(
                    "Most memory",
                    "The five largest nodes. All that a node keeps is bounded; a line that always rises is a bug.",
                    "bytes",
                    (f"topk(5, {total('process_resident_memory_bytes', 'instance')})", "{{instance}}"),
                ),
                lines(
                    "Latest loops",
                    "The five nodes whose event loop is latest; see the runbook of PilotdhtLoopSlow.",
                    "s",
                    (f"topk(5, {quantile(0.99, 'loop_lag_seconds', 'instance')})", "{{instance}}"),
                    limits=((0.25, YELLOW), (1, RED)),
                    base=GREEN,
                ),
            ),
        ),
    ),
)
"""The mesh."""
