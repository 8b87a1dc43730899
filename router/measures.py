"""The closed list of what is measured. `router.observe` gives it to Prometheus, `docs/reference.md` to people.

Label values come from closed lists: names of the site file, fault codes, words of this file. Never an id, never a
value of a message.
Ages are exported as Unix times: an age would stand still when its process hangs. The alert rule subtracts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Measure = Literal[
    "messages_received_total",
    "acks_total",
    "intake_seconds",
    "connections",
    "connections_turned_away_total",
    "frames_odd_total",
    "files_left",
    "feed_expected_hour",
    "events_total",
    "pipeline_seconds",
    "documents_total",
    "reload_total",
    "pipelines_refused",
    "dead_letters_total",
    "not_applicable_total",
    "deliveries_total",
    "delivery_seconds",
    "end_to_end_seconds",
    "retries_total",
    "held_unknown",
    "in_flight",
    "pending",
    "oldest_pending_timestamp_seconds",
    "duplicates_avoided_total",
    "repeats_after_unknown_total",
    "inversions_total",
    "superseded_total",
    "circuit_open",
    "receipts_total",
    "untold_failures_total",
    "dsn_overdue",
    "mail_read_total",
    "pdf_copies_total",
    "earlier_recipients_total",
    "partitions_waiting",
    "mailbox_ok",
    "oldest_unread_mail_timestamp_seconds",
    "lag",
    "topics_differing",
    "journal_timestamp_seconds",
    "bytes_held",
    "rebalances_total",
    "fences_total",
    "commit_seconds",
    "database_seconds",
    "audit_whole",
    "audit_unsent",
    "audit_oldest_unsent_timestamp_seconds",
    "build_info",
    "site_file_changed",
    "worker_restarts_total",
    "certificate_expiry_timestamp_seconds",
    "liste_blanche_timestamp_seconds",
    "annuaire_timestamp_seconds",
    "directory_differences",
    "disk_free_bytes",
    "disk_size_bytes",
    "backup_timestamp_seconds",
    "archive_lost_total",
]

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min"]

PREFIX: Final = "segur_"
"""Every measure carries it in Prometheus."""
OTHER: Final = "other"
"""A label's value that is in no closed list is counted as this."""
BUG: Final = "BUG"
"""Codes `BUG-<exception>` are counted as this one."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One measure.

    merge:   of a gauge: how the values of one router's processes become one
    words:   label -> its closed list; labels that are not in it take names of the site file
    roles:   processes that write it; `supervisor` is the one that starts the others
    """

    kind: Kind
    labels: tuple[str, ...]
    text: str
    roles: tuple[str, ...]
    merge: Merge = "sum"
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _counter(labels: str, text: str, roles: str, **words: str) -> Declaration:
    return _declared("counter", labels, text, roles, "sum", words)


def _gauge(labels: str, text: str, roles: str, merge: Merge = "sum", **words: str) -> Declaration:
    return _declared("gauge", labels, text, roles, merge, words)


def _histogram(labels: str, text: str, roles: str, **words: str) -> Declaration:
    return _declared("histogram", labels, text, roles, "sum", words)


def _declared(kind: Kind, labels: str, text: str, roles: str, merge: Merge, words: Mapping[str, str]) -> Declaration:
    lists = {label: tuple(some.split()) for label, some in words.items()}
    return Declaration(kind, tuple(labels.split()), text, tuple(roles.split()), merge, lists)


_WORKERS: Final = "gateway pipelines sinks feedback journal"
_DEAD: Final = "gateway pipelines sinks journal"

MEASURES: Final[dict[Measure, Declaration]] = {
    # ------------------------------------------------------------------------------------------- intake
    "messages_received_total": _counter(
        "feed source", "Messages read by the gateway", "gateway", source="mllp http folder raw"
    ),
    "acks_total": _counter("feed ack", "Answers given to senders", "gateway", ack="AA AE AR"),
    "intake_seconds": _histogram("feed", "From the last byte of a message to its ACK", "gateway"),
    "connections": _gauge("feed", "Open connections of senders", "gateway"),
    "connections_turned_away_total": _counter(
        "feed why",
        "Connections refused, or ended for another, because as many were open as may be",
        "gateway",
        why="refused ended",
    ),
    "frames_odd_total": _counter(
        "feed why",
        "What went wrong with senders' frames and answers",
        "gateway",
        why="unfinished cut gave-way odd-end outside answer-unread unsent",
    ),
    "files_left": _gauge("feed", "Entries of a watched folder that can't be taken", "gateway"),
    "feed_expected_hour": _gauge(
        "feed",
        "Messages expected in the last hour: median of the same hour (Paris) of four weeks before; 0: not known",
        "journal",
        "max",
    ),
    # ---------------------------------------------------------------------------------------- pipelines
    "events_total": _counter(
        "pipeline disposition", "Exchanges ended", "pipelines", disposition="decided filtered dead_lettered"
    ),
    "pipeline_seconds": _histogram("pipeline", "Own work of a pipeline on one event", "pipelines"),
    "documents_total": _counter(
        "feed type action",
        "Documents decided about, by type (LOINC code of the value set of types)",
        "pipelines",
        action="initial replace delete",
    ),
    "reload_total": _counter("result", "Pipeline reloads", "pipelines", result="applied refused"),
    "pipelines_refused": _gauge(
        "", "Pipeline files that are refused as they are now; the versions of before go on", "pipelines", "max"
    ),
    # ------------------------------------------------------------------------------------- dead letters
    "dead_letters_total": _counter(
        "stage feed sink code",
        "Dead letters, by fault code. Of a sink: `sink` is named, else `feed`",
        _DEAD,
        stage="intake pipeline sink journal",
    ),
    "not_applicable_total": _counter(
        "sink code", "Deliveries refused for a reason that only the sender needs to know", "sinks"
    ),
    # -------------------------------------------------------------------------------------------- sinks
    "deliveries_total": _counter(
        "sink disposition", "Deliveries ended", "sinks", disposition="delivered superseded dead_lettered"
    ),
    "delivery_seconds": _histogram(
        "sink outcome",
        "One attempt",
        "sinks",
        outcome="delivered refused unavailable unknown superseded fenced operator bug",
    ),
    "end_to_end_seconds": _histogram("sink", "From acceptance to the delivery's proof", "sinks"),
    "retries_total": _counter("sink code", "Attempts that will be made again", "sinks"),
    "in_flight": _gauge("sink", "Deliveries on the wire", "sinks"),
    "pending": _gauge(
        "sink state",
        "Deliveries in the worker's window",
        "sinks",
        state="ready begun waiting parked unknown",
    ),
    "oldest_pending_timestamp_seconds": _gauge(
        "sink",
        "Unix time of creation of the oldest delivery not ended; the present time when there is none",
        "sinks",
        "min",
    ),
    "duplicates_avoided_total": _counter(
        "stage", "Repeats recognised by their id; `stage` is intake, pipeline or a sink", "gateway pipelines sinks"
    ),
    "repeats_after_unknown_total": _counter(
        "sink answer", "Unknown outcomes, by what was done", "sinks", answer="repeated held absent verified"
    ),
    "held_unknown": _gauge(
        "sink", "Deliveries of unknown outcome that are held until a person decides", "journal", "max"
    ),
    "inversions_total": _counter("sink", "Deliveries begun out of their lane's order: must stay 0", "sinks"),
    "superseded_total": _counter("sink", "Deliveries overtaken by a deletion or a replacement", "sinks"),
    "circuit_open": _gauge("sink", "1 while the sink's circuit is open", "sinks", "max"),
    "receipts_total": _counter(
        "sink kind ok", "Receipts, by kind and result", "sinks", kind="delivery", ok="true false"
    ),
    # ----------------------------------------------------------------------------------------- feedback
    "untold_failures_total": _counter("sink", "Failures whose sender asked for no acknowledgement", "feedback"),
    "dsn_overdue": _gauge("sink", "Mails submitted of which no DSN came in time", "feedback"),
    "mail_read_total": _counter(
        "sink kind",
        "Mails read in the mailbox",
        "feedback",
        kind="dsn bounce mdn courriel-standard document automatic human quarantine",
    ),
    "pdf_copies_total": _counter(
        "sink copy pdfa",
        "Mails by their PDF copy: the document's, one made of its text, none; pdfa 1: it says that it is PDF/A",
        "sinks",
        copy="document rendue trop-grosse none",
        pdfa="0 1",
    ),
    "partitions_waiting": _gauge(
        "feed",
        "Partitions of `in.<feed>` whose first event waits: for a directory that is away, for a newer version; 1 for a "
        "whole feed",
        "pipelines",
    ),
    "earlier_recipients_total": _counter(
        "sink told",
        "Who keeps a version that was replaced or deleted, and is not among the recipients: listed, or sent a notice",
        "pipelines",
        told="listed notice",
    ),
    "mailbox_ok": _gauge(
        "sink mailbox",
        "1 when the mailbox could be read the last time, 0 when not; `mailbox`: its number in the site file, from 0",
        "feedback",
        "min",
    ),
    "oldest_unread_mail_timestamp_seconds": _gauge(
        "sink mailbox",
        "Unix time of arrival of the oldest mail not handled; of the look when there is none",
        "feedback",
        "min",
    ),
    # ------------------------------------------------------------------------------- bus, ledger, journal
    "lag": _gauge("group topic", "Records not yet consumed", "journal", "max"),
    "topics_differing": _gauge(
        "", "Ways in which topics differ from their plan: see `segur-router topics plan`", "journal", "max"
    ),
    "journal_timestamp_seconds": _gauge("", "Unix time up to which the journal is written", "journal", "min"),
    "bytes_held": _gauge("stage", "Bytes of messages held in memory by a stage", "gateway pipelines sinks"),
    "rebalances_total": _counter("group", "Times that a member of the group was given partitions", _WORKERS),
    "fences_total": _counter("group", "Times that another process took over what a member of the group had", _WORKERS),
    "commit_seconds": _histogram("group", "Commit of offsets, alone or with the records of a transaction", _WORKERS),
    "database_seconds": _histogram(
        "room access",
        "One transaction or statement",
        _WORKERS,
        room="ledger journal audit traces",
        access="read write statement",
    ),
    "audit_whole": _gauge("", "1 while every row of the audit is as it was written, else 0", "journal", "min"),
    "audit_unsent": _gauge("", "Rows of audit and traces that the collector does not have", "journal", "max"),
    "audit_oldest_unsent_timestamp_seconds": _gauge(
        "", "Unix time of the oldest of them; of the look when there is none", "journal", "min"
    ),
    # ---------------------------------------------------------------------------------------- machine and supervisor
    "build_info": _gauge("version events", "1; the version, and the format of events", "supervisor", "max"),
    "site_file_changed": _gauge(
        "", "1 while the site file says something else than at the start of the router", "supervisor", "max"
    ),
    "worker_restarts_total": _counter("role", "Workers restarted by the supervisor", "supervisor"),
    "certificate_expiry_timestamp_seconds": _gauge(
        "name", "Unix time at which a certificate in use ends", "gateway sinks", "min"
    ),
    "liste_blanche_timestamp_seconds": _gauge(
        "", "Unix time of the liste blanche in use, by its own date", "pipelines sinks feedback", "min"
    ),
    "annuaire_timestamp_seconds": _gauge(
        "", "Unix time at which the extraction of the annuaire in use was imported", "pipelines sinks feedback", "min"
    ),
    "directory_differences": _gauge(
        "kind",
        "Differences between the site file and annuaire or liste blanche: see `segur-router directory check --last`",
        "pipelines sinks feedback",
        "max",
        kind="liste-blanche holder type unpublished structure name label unanswered",
    ),
    "disk_free_bytes": _gauge("", "Bytes free on the file system of the data folder", "supervisor", "min"),
    "disk_size_bytes": _gauge("", "Its size", "supervisor", "min"),
    "backup_timestamp_seconds": _gauge(
        "", "Unix time at which the last good backup ended; 0: there was none", "supervisor", "max"
    ),
    "archive_lost_total": _counter(
        "kind",
        "Contents that left, or came, and could not be kept: their digest stands in the receipt",
        "sinks feedback",
        kind="mail soap-request soap-answer dsn mdn zam",
    ),
}
