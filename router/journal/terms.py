"""What a search finds an event by, as one text: its kind, a colon, and a normalised value. No patient is among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

from router.cisis.ins import normal
from router.cisis.patient_search import is_identity
from router.exchange import PATIENT, JournalEntry

Kind = Literal[
    "address",
    "domain",
    "professional",
    "name",
    "structure",
    "owner",
    "sender",
    "type",
    "pipeline",
    "sink",
    "code",
    "outcome",
]
#: Kind of a journal's line that ends an event or one pipeline's exchange -> how it ended.
ENDS: Final = {"refused": "refused", "dead": "dead_lettered", "filtered": "filtered"}
_JOINTS: Final = re.compile(r"[-'’ʼ`´\u2010-\u2013]")
_LONGEST: Final = 200
_RPPS: Final = 11


def term(kind: Kind, value: str) -> str:
    """A term of a value in its normalised form. A NUL, which PostgreSQL refuses, is left out."""
    return f"{kind}:{value.replace(chr(0), '')}"[:_LONGEST]


def typed(text: str) -> str:
    """What a person typed as a database takes it: `?` for a NUL, and for bytes that were no UTF-8."""
    return text.replace("\0", "?").encode("utf-8", "replace").decode()


def terms_of(entry: JournalEntry) -> Iterator[str]:
    """What one line adds."""
    if entry.kind in ("received", "refused"):
        yield from _of_reception(entry)
    if entry.kind in ENDS:
        yield term("outcome", ENDS[entry.kind])
        if entry.code:
            yield term("code", entry.code)
    if entry.pipeline:
        yield term("pipeline", entry.pipeline)
    for _, sink, label in entry.deliveries:
        yield term("sink", sink)
        if label != PATIENT:
            yield from of_address(label)


def owner(entry: JournalEntry) -> str:
    """FINESS of the structure to which the event belongs, "" for none.

    A message was accepted for the structure that it names first; of a refused one only what was established counts.
    """
    first = next(iter(entry.structures), "") if entry.kind == "received" else ""
    return entry.speaks_for or first


def of_address(address: str) -> Iterator[str]:
    """The address and its domain; nothing of what is no address, and nothing of a patient's mailbox."""
    local, at, domain = address.lower().rpartition("@")
    if at and local and not is_identity(address):
        yield term("address", f"{local}@{domain}")
        yield term("domain", domain)


def professional(number: str) -> str:
    """A national id without the prefix 8 of an RPPS: the form in which people know it."""
    number = "".join(number.split())
    return number[1:] if len(number) == _RPPS + 1 and number.isdecimal() and number[0] == "8" else number


def words(text: str) -> list[str]:
    """A name as the words that a search compares."""
    return normal(text.replace(",", " ").replace(".", " ")).split()


def joined_words(text: str) -> list[str]:
    """Words of a name with an apostrophe or a hyphen, as people type them without: DALMEIDA of D'Almeida."""
    parts = text.replace(",", " ").replace(".", " ").split()
    return [normal(_JOINTS.sub("", part)) for part in parts if _JOINTS.search(part.strip("-'"))]


def sender_words(text: str) -> list[str]:
    """MSH-3 and MSH-4, each as it is compared."""
    return [part.strip().upper() for part in text.split("|") if part.strip()]


def _of_reception(entry: JournalEntry) -> Iterator[str]:
    for address, number, name in entry.recipients:
        yield from of_address(address)
        if number:
            yield term("professional", professional(number))
        yield from (term("name", word) for word in (*words(name), *filter(None, joined_words(name))))
    yield from (term("structure", number) for number in entry.structures)
    if belongs := owner(entry):
        yield term("owner", belongs)
    yield from (term("sender", part) for part in sender_words(entry.sender))
    if entry.document_type:
        yield term("type", entry.document_type)
