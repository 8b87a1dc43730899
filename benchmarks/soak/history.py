"""What happened outside the router, as its neighbours saw it. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["", "initial", "replace", "delete"]
LETTERS: Final[dict[str, Action]] = {"": "initial", "C": "replace", "D": "delete"}
"""How a mail says its action."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message that the sender wants to hand over.

    control: MSH-10;  lane: what orders it: the patient of a relay, the family (setId) of a document
    rank:    its place in the lane, from 0;  uid: its document, "" for a relay
    poison:  it must be refused, and nothing of it may leave
    """

    control: str
    lane: str
    rank: int
    uid: str = ""
    action: Action = ""
    recipients: tuple[str, ...] = ()
    poison: bool = False


@dataclass(frozen=True, slots=True)
class Relayed:
    """The HL7 receiver got a relay."""

    at: float
    control: str


@dataclass(frozen=True, slots=True)
class Called:
    """The DMP was asked to store (`TD2.1`) or to delete (`TD3.3c`) a document, and did so (`ok`) or refused."""

    at: float
    transaction: str
    uid: str
    set_id: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Mailed:
    """The operator took a mail over."""

    at: float
    uid: str
    action: Action
    recipient: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Told:
    """The sender got a business acknowledgement. `kind`: Z01 (DMP), Z02 (mail); `recipient` of a Z02."""

    at: float
    control: str
    kind: str
    yes: bool
    recipient: str
    error: str
    id: str


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter, as `segur-router dlq show --json` lists it; `control` of the message it came from, if known."""

    sink: str
    label: str
    code: str
    event_id: str
    control: str = ""


Fact = Relayed | Called | Mailed | Told
