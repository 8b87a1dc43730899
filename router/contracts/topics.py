"""The names that travel on the bus: topics, and the headers of their records."""

from __future__ import annotations

from typing import Final

EVENT_FORMAT: Final = 1
"""Number of the format of the records on `in.<feed>`, in their header `format`. It is raised when older pipelines can't
read what a newer gateway writes. A new gateway waits until every pipelines process reads its own (`segur-router
wait-for pipelines`); older pipelines wait at a newer record and say so (`EVENT-FORMAT`)."""


def in_topic(feed: str) -> str:
    """Accepted events of a feed: checked, identified, keyed."""
    return f"in.{feed}"


def raw_topic(feed: str) -> str:
    """What outside producers write for a feed: the gateway checks it like a listener's message."""
    return f"raw.{feed}"


def out_topic(sink: str) -> str:
    """Deliveries of a sink instance, and the commands on them."""
    return f"out.{sink}"


def held_topic(sink: str) -> str:
    """Bytes of deliveries that wait longer than a minute; never expires."""
    return f"held.{sink}"


def dlq_topic(stage: str) -> str:
    """Dead letters of `intake`, `pipeline` or a sink instance; never expires."""
    return f"dlq.{stage}"


RECEIPTS = "receipts"
"""Receipts of every sink, JSON, keyed by the event's ordering key."""
JOURNAL = "journal"
"""Journal entries of the gateway and the pipelines, JSON, keyed by event id."""


class Header:
    """Names of the headers of a record. Values are short text without any identity."""

    ID = "id"
    FEED = "feed"
    KIND = "kind"  # hl7 | cda
    ORIGIN = "origin"
    RECEIVED = "received"  # Unix time, seconds, 3 decimals
    CHECKED = "checked"  # what the gateway checked: the profile's version, or "" for a relay
    ACK = "ack"  # AA, AE, AR
    ACK_BYTES = "ack-bytes"  # the whole ACK, latin-1 safe base64: what a sender that repeats itself gets
    FORMAT = "format"  # on `in.<feed>`: number of the record's format, see `EVENT_FORMAT`; absent: 1
    VERDICT = "verdict"  # on `in.<feed>`: so many bytes at the end of the value are the gateway's verdict
    WARNINGS = "warnings"  # one a line
    CONTROL = "control"  # MSH-10
    SOURCE = "source"  # mllp | http | folder | raw
    INS_STATUS = "ins-status"  # raw CDA intake: what the gateway believed
    STRUCTURES = "structures"  # FINESS numbers the sender may speak for, commas; absent: all those of the feed
    STRUCTURE = "structure"  # FINESS of the site's structure that the event belongs to; absent: none
    CODE = "code"
    PLACE = "place"
    TEXT = "text"
    STAGE = "stage"
    PIPELINE = "pipeline"
    DIGEST = "digest"
    SINK = "sink"
    DELIVERY = "delivery"
    ATTEMPTS = "attempts"
    FIRST = "first"
    LAST = "last"
    CAUSE = "cause"  # fingerprint: what `dlq ls` groups by
    NEXT = "next"  # what a person should do
    COMMAND = "command"  # replay | discard, on a sink's own topic
