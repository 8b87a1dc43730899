"""What goes through the gateway: something received, what the checks say of it, the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from router.cisis.findings import Finding
from router.hl7.ack import Code
from router.hl7.message import Message

Source = Literal["mllp", "http", "folder", "raw"]
Kind = Literal["hl7", "cda"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Bytes as they came, without framing. `headers`: of a raw CDA's request, lower case, without prefix.

    repeated: the name of a header of that request that was given more than once, else ""
    peer:     the sender's address, where there is one
    """

    data: bytes = field(repr=False)
    source: Source
    at: float
    kind: Kind = "hl7"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    repeated: str = ""
    structures: frozenset[str] = frozenset()
    """FINESS numbers that the client who sent it may speak for; empty: all those of the feed."""
    peer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedVerdict:
    """What the check of a feed says of one message. No field but `packed` holds an identity in clear.

    key:      the ordering key (decisions D7)
    checked:  what was checked: the profile's dialect, or "" for a relay
    packed:   the profile's verdict (`VerdictCodec`), which the pipelines use instead of checking again
    facts:    fields of the `JournalEntry` that only the check knows (`action`, `asked`, `documents`…)
    alert:    what a person must hear of the refusal, "" for nothing (`router.gateway.complaints.ALERTS`)
    """

    faults: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()
    key: str = ""
    checked: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    packed: bytes = field(default=b"", repr=False)
    facts: Mapping[str, object] = field(default_factory=dict)
    alert: str = ""


class Checker(Protocol):
    """The check of one kind of feed: pure, callable from any thread.

    `message` is None for a raw CDA. Raises `MessageFault` for what it refuses outright.
    """

    def __call__(self, received: Received, message: Message | None, /) -> FeedVerdict: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A named sender flow as the gateway sees it. `heavy`: its checks are work for the other thread."""

    name: str
    check: Checker
    kind: Literal["documents", "adt", "relay"] = "documents"
    charset_fallback: str | None = None
    rejoin: bool = False
    refuse_reused: bool = False
    """Refuse a MSH-10 that came lately with another content (E13), instead of warning."""
    clients: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Name of a client certificate -> FINESS numbers it may speak for (none: all); no entry at all: anybody."""
    token: Callable[[], str] | None = None
    """Reads the bearer token of this feed on the HTTP port; None: that of the port."""

    @property
    def heavy(self) -> bool:
        return self.kind == "documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedMessage:
    """A message that was read, recognised and checked; nothing is written yet.

    message: what could be read of it, None when no MSH could.  ack: the answer, were it written now.
    repeat: it was answered with these bytes before.
    """

    feed: str
    event_id: str
    received: Received
    message: Message | None
    verdict: FeedVerdict
    code: Code
    ack: bytes = field(repr=False)
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told. `repeat`: the stored answer of an earlier, identical message."""

    code: Code
    ack: bytes = field(repr=False)
    event_id: str = ""
    repeat: bool = False
