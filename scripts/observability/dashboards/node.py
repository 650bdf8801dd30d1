"""One node: is it well, what does it do, what does it refuse."""

from __future__ import annotations

from scripts.observability.expressions import events, quantile, rate, series, summed, total
from scripts.observability.panels import BLUE, GREEN, RED, YELLOW, Page, Row, lines, number, stack

_YES_NO = {"0": ("no", RED), "1": ("yes", GREEN)}

PAGE = Page(
    uid="pilotdht-node",
    title="pilotdht / Node",
    tells="One node, or a few: whether it is well, what it does with its time, and what it refuses.",
    rows=(
        Row(
            question="Is it well?",
            panels=(
                number("Answers", "Whether its metrics can be read.", "none", f"min({series('up')})", words=_YES_NO),
                number(
                    "Joined",
                    "Whether it knows others of the mesh.",
                    "none",
                    f"min({series('node_joined')})",
                    words=_YES_NO,
                ),
                number(
                    "Up for",
                    "Since its process began. Short again and again: it crashes, see its log.",
                    "s",
                    f"min(time() - {series('process_start_time_seconds')})",
                    base=BLUE,
                ),
                number(
                    "Serves others",
                    "Whether others reach it unasked, so that it keeps records for them.",
                    "none",
                    f"min({series('dht_is_server')})",
                    words={"0": ("no", YELLOW), "1": ("yes", GREEN)},
                ),
                number(
                    "Processor",
                    "Share of one core.",
                    "percentunit",
                    rate("process_cpu_seconds_total"),
                    limits=((0.8, YELLOW), (0.95, RED)),
                ),
                number("Memory", "Resident memory.", "bytes", total("process_resident_memory_bytes"), base=BLUE),
                number(
                    "Descriptors",
                    "Share of the file descriptors that the process may have.",
                    "percentunit",
                    f"max({series('process_open_fds')} / {series('process_max_fds')})",
                    limits=((0.7, YELLOW), (0.9, RED)),
                ),
                number(
                    "Errors in handlers",
                    "Each is a bug: look into its log for 'background task failed'.",
                    "none",
                    summed(series("net_handler_failures_total")),
                    limits=((1, RED),),
                ),
            ),
        ),
        Row(
            question="What takes its time?",
            panels=(
                lines(
                    "Lag of the event loop",
                    "How much too late a timer ran. All that a node does waits as long. Up to 5 ms is the system's "
                    "scheduler; more is too little processor, or something that blocks.",
                    "s",
                    (quantile(0.5, "loop_lag_seconds"), "p50"),
                    (quantile(0.99, "loop_lag_seconds"), "p99"),
                    limits=((0.25, YELLOW), (1, RED)),
                ),
                lines(
                    "Processor",
                    "Share of one core, by node.",
                    "percentunit",
                    (rate("process_cpu_seconds_total", "instance"), "{{instance}}"),
                    limits=((0.8, YELLOW),),
                ),
                lines(
                    "Memory",
                    "Resident memory, by node.",
                    "bytes",
                    (total("process_resident_memory_bytes", "instance"), "{{instance}}"),
                ),
                lines(
                    "Tasks",
                    "Tasks of the event loop. It follows streams and questions; a line that only rises is a leak.",
                    "none",
                    (total("loop_tasks", "instance"), "{{instance}}"),
                ),
                lines(
                    "Garbage collections",
                    "Collections a second by generation; the oldest one stops everything for milliseconds.",
                    "ops",
                    (rate("python_gc_collections_total", "generation"), "generation {{generation}}"),
                ),
                lines(
                    "Open descriptors",
                    "Sockets and files.",
                    "none",
                    (total("process_open_fds", "instance"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            question="What comes and goes?",
            panels=(
                lines(
                    "Bytes",
                    "All datagrams of the one UDP socket.",
                    "Bps",
                    (rate("net_received_bytes_total"), "received"),
                    (rate("net_sent_bytes_total"), "sent"),
                ),
                lines(
                    "Datagrams",
                    "All datagrams of the one UDP socket.",
                    "pps",
                    (rate("net_datagrams_received_total"), "received"),
                    (rate("net_datagrams_sent_total"), "sent"),
                ),
                stack(
                    "Thrown away, by reason",
                    "rate: a flood from one network. sealed_tag: a node of another mesh, or noise. hello: greetings "
                    "that are none.",
                    "pps",
                    (events("net_dropped_total", "reason"), "{{reason}}"),
                ),
                stack(
                    "Requests sent, by fate",
                    "silent: given up; slow: sent a second time. Many are silent where many nodes come and go, hardly "
                    "any in a quiet mesh.",
                    "ops",
                    (events("net_requests_total", "result", 'result!="served"'), "{{result}}"),
                ),
                stack(
                    "Requests served, by type",
                    "What others ask of this node.",
                    "ops",
                    (events("net_requests_total", "type", 'result="served"'), "{{type}}"),
                ),
                lines(
                    "Round trips of requests",
                    "From a request to its answer, the peer's own time included.",
                    "s",
                    (quantile(0.5, "net_rtt_seconds"), "p50"),
                    (quantile(0.95, "net_rtt_seconds"), "p95"),
                    (quantile(0.99, "net_rtt_seconds"), "p99"),
                ),
                lines(
                    "Not sent",
                    "Datagrams that the system did not take, and requests refused because too many waited.",
                    "pps",
                    (events("net_lost_total", "reason"), "{{reason}}"),
                    (rate("net_requests_rejected_total"), "too many requests"),
                ),
                lines(
                    "Requests under way",
                    "Requests that wait for an answer.",
                    "none",
                    (total("net_requests_pending", "instance"), "{{instance}}"),
                ),
                stack(
                    "Names resolved",
                    "What became of names, addresses and keys.",
                    "ops",
                    (rate("names_resolutions_total", "result"), "{{result}}"),
                ),
            ),
        ),
        Row(
            question="Whom does it trust, and who asks?",
            panels=(
                lines(
                    "Trust",
                    "Peers trusted, requests that wait for an answer, and words that peers have not acknowledged.",
                    "none",
                    (total("trust_trusted_peers"), "trusted"),
                    (total("trust_pending_requests"), "wait for an answer"),
                    (total("trust_owed_words"), "not acknowledged"),
                ),
                stack(
                    "Changes of trust",
                    "By the state they led to.",
                    "ops",
                    (rate("trust_changes_total", "state"), "{{state}}"),
                ),
                stack(
                    "Refused",
                    "Streams that peers may not open, and words of trust that were not taken: somebody knocks.",
                    "ops",
                    (rate("tunnel_streams_refused_total", "reason"), "stream, {{reason}}"),
                    (rate("trust_words_dropped_total", "reason"), "word, {{reason}}"),
                ),
            ),
        ),
        Row(
            question="Who asks and answers?",
            panels=(
                stack(
                    "Questions asked",
                    "Questions of this node, by how they ended.",
                    "ops",
                    (rate("query_questions_total", "result"), "{{result}}"),
                ),
                stack(
                    "Questions answered",
                    "Questions of others, by how they ended here.",
                    "ops",
                    (rate("query_served_total", "result"), "{{result}}"),
                ),
                lines(
                    "Time to an answer",
                    "From a question to its whole answer.",
                    "s",
                    (quantile(0.5, "query_answer_seconds"), "p50"),
                    (quantile(0.95, "query_answer_seconds"), "p95"),
                    (quantile(0.99, "query_answer_seconds"), "p99"),
                ),
                lines(
                    "Second tries",
                    "Hedges begun because the first peer was slow, and peers left alone because they failed.",
                    "ops",
                    (rate("query_hedges_total", "result"), "hedge {{result}}"),
                    (rate("query_circuits_opened_total"), "left alone"),
                ),
                lines(
                    "Shared answers",
                    "Answers kept for others, and what looking for one came to.",
                    "none",
                    (total("query_cached_answers"), "kept"),
                    (rate("query_shared_lookups_total", "result"), "{{result}}, a second"),
                ),
                lines(
                    "Messages that wait",
                    "Messages to ports that no program listens on: they are kept until one does.",
                    "none",
                    (total("services_waiting_messages", "instance"), "{{instance}}"),
                ),
            ),
        ),
        Row(
            question="Who controls it?",
            panels=(
                stack(
                    "Requests to the daemon",
                    "By outcome; abandoned are those whose client went away.",
                    "ops",
                    (rate("daemon_requests_total", "outcome"), "{{outcome}}"),
                ),
                stack(
                    "Refused by the daemon",
                    "credentials: another user of this machine tried. full: clients leak connections.",
                    "ops",
                    (rate("daemon_refused_total", "reason"), "{{reason}}"),
                ),
                lines(
                    "Clients",
                    "Open connections to the daemon, and peers that told where they may be scraped.",
                    "none",
                    (total("daemon_connections"), "connections"),
                    (total("targets_known"), "peers to scrape"),
                ),
            ),
        ),
    ),
)
"""A node."""
