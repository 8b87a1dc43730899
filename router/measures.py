"""The closed list of what is measured: name -> (kind, labels, help). `router.observe` gives it to Prometheus.

Label values come from bounded sets: feeds, pipelines, sinks, fault codes, states. Never an id, never a value.
"""

from __future__ import annotations

from typing import Final, Literal

Measure = Literal[
    "messages_received_total",
    "acks_total",
    "intake_seconds",
    "connections",
    "connections_turned_away_total",
    "frames_odd_total",
    "files_left",
    "bytes_held",
    "events_total",
    "pipeline_seconds",
    "dead_letters_total",
    "not_applicable_total",
    "deliveries_total",
    "delivery_seconds",
    "end_to_end_seconds",
    "retries_total",
    "in_flight",
    "pending",
    "oldest_pending_seconds",
    "duplicates_avoided_total",
    "repeats_after_unknown_total",
    "inversions_total",
    "superseded_total",
    "circuit_open",
    "lag",
    "journal_lag_seconds",
    "receipts_total",
    "reload_total",
    "worker_restarts_total",
    "certificate_expiry_seconds",
    "liste_blanche_age_seconds",
    "untold_failures_total",
    "dsn_overdue",
    "mail_read_total",
    "oldest_unread_mail_timestamp",
    "pdf_copies_total",
]

Kind = Literal["counter", "gauge", "histogram"]

MEASURES: Final[dict[Measure, tuple[Kind, tuple[str, ...], str]]] = {
    "messages_received_total": ("counter", ("feed", "source"), "Messages read by the gateway"),
    "acks_total": ("counter", ("feed", "ack"), "Answers given to senders: AA, AE, AR"),
    "intake_seconds": ("histogram", ("feed",), "From the last byte of a message to its ACK"),
    "connections": ("gauge", ("feed",), "Open connections of senders"),
    "connections_turned_away_total": (
        "counter",
        ("feed", "why"),
        "Connections refused, or ended for another, because as many were open as may be",
    ),
    "frames_odd_total": (
        "counter",
        ("feed", "why"),
        "What went wrong with senders' frames and answers",
    ),
    "files_left": ("gauge", ("feed",), "Entries of a watched folder that can't be taken"),
    "bytes_held": ("gauge", ("stage",), "Bytes of messages held in memory by a stage"),
    "events_total": ("counter", ("pipeline", "disposition"), "Exchanges ended, by disposition"),
    "pipeline_seconds": ("histogram", ("pipeline",), "Own work of a pipeline on one event"),
    "dead_letters_total": ("counter", ("stage", "code"), "Dead letters, by fault code"),
    "not_applicable_total": (
        "counter",
        ("sink", "code"),
        "Deliveries refused for a reason that only the sender needs to know",
    ),
    "deliveries_total": ("counter", ("sink", "disposition"), "Deliveries ended, by disposition"),
    "delivery_seconds": ("histogram", ("sink", "outcome"), "One attempt"),
    "end_to_end_seconds": ("histogram", ("sink",), "From acceptance to the delivery's proof"),
    "retries_total": ("counter", ("sink", "code"), "Attempts that will be made again"),
    "in_flight": ("gauge", ("sink",), "Deliveries on the wire"),
    "pending": ("gauge", ("sink", "state"), "Deliveries in the worker's window, by state"),
    "oldest_pending_seconds": ("gauge", ("sink",), "Age of the oldest delivery not ended"),
    "duplicates_avoided_total": ("counter", ("stage",), "Repeats recognised by their id"),
    "repeats_after_unknown_total": ("counter", ("sink", "answer"), "Unknown outcomes, by what was done"),
    "inversions_total": ("counter", ("sink",), "Deliveries begun out of their lane's order: must stay 0"),
    "superseded_total": ("counter", ("sink",), "Deliveries overtaken by a deletion or a replacement"),
    "circuit_open": ("gauge", ("sink",), "1 while the sink's circuit is open"),
    "lag": ("gauge", ("group", "topic"), "Records not yet consumed"),
    "journal_lag_seconds": ("gauge", (), "Age of the newest record the journal has not yet written"),
    "receipts_total": ("counter", ("sink", "kind", "ok"), "Receipts, by kind and result"),
    "reload_total": ("counter", ("result",), "Pipeline reloads: applied, refused"),
    "worker_restarts_total": ("counter", ("role",), "Workers restarted by the supervisor"),
    "certificate_expiry_seconds": ("gauge", ("name",), "Seconds left of a certificate in use"),
    "liste_blanche_age_seconds": ("gauge", (), "Age of the liste blanche in use, from its own date"),
    "untold_failures_total": ("counter", ("sink",), "Failures whose sender asked for no acknowledgement"),
    "dsn_overdue": ("gauge", ("sink",), "Mails submitted of which no DSN came in time"),
    "mail_read_total": ("counter", ("sink", "kind"), "Mails read in the mailbox: dsn, mdn, human, quarantine"),
    "oldest_unread_mail_timestamp": (
        "gauge",
        ("sink",),
        "Unix time of arrival of the oldest mail not handled; 0: none",
    ),
    "pdf_copies_total": (
        "counter",
        ("sink", "copy", "pdfa"),
        "Mails by their PDF copy: document, rendue, none; pdfa 1 when it says that it is PDF/A",
    ),
}
"""Every measure carries the prefix `segur_` in Prometheus."""
