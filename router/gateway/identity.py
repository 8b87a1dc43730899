"""Who a message is: the event id that recognises a repeat, the ordering key, pseudonyms for the journal.

Source: decisions D7; hl7-input §7.7. Only digests leave this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from router.cisis import patient_search
from router.exchange import Pseudonyms
from router.hl7.header import Unreadable
from router.hl7.message import Message
from router.hl7.segment import Repetition

_NOT_LOCAL = frozenset({"INS", "NH"})


def message_id(feed: str, message: Message) -> str:
    """Same feed, MSH-3, MSH-4, MSH-10 and bytes without MSH-7, same id: engines restamp what they send again."""
    data = message.to_bytes()
    start, end = message.segments("MSH")[0].span(7)
    digest = _begin("hl7", feed, message.text("MSH-3"), message.text("MSH-4"), message.control_id)
    with memoryview(data) as view:
        digest.update(view[:start])
        digest.update(b"\x00")
        digest.update(view[end:])
    return digest.hexdigest()[:32]


def control_id(feed: str, message: Message) -> str:
    """What HL7 wants to be unique: the sender's MSH-10."""
    return _begin("control", feed, message.text("MSH-3"), message.text("MSH-4"), message.control_id).hexdigest()[:32]


def request_id(feed: str, headers: Mapping[str, str], document: bytes) -> str:
    """The id of a raw CDA: the bytes and the request."""
    digest = _begin("cda", feed, *(f"{name}={value}" for name, value in sorted(headers.items())))
    digest.update(document)
    return digest.hexdigest()[:32]


def unreadable_id(feed: str, data: bytes) -> str:
    """The id under which what can't be read is kept."""
    digest = _begin("unreadable", feed)
    digest.update(data)
    return digest.hexdigest()[:32]


def patient_key(message: Message, pseudonyms: Pseudonyms) -> str:
    """The ordering key of relays and ADT: the patient's IPP and its authority; without a patient, the sender."""
    pids = message.segments("PID")
    identifiers = pids[0].repetitions(3) if pids else []
    local = [one for one in identifiers if one.text(5) == "PI"]
    local += [one for one in identifiers if one.text(5) not in _NOT_LOCAL]
    chosen = next((one for one in [*local, *identifiers] if one.text(1)), None)
    if chosen is None:
        return pseudonyms.of("sender", message.text("MSH-3"), message.text("MSH-4"))
    return pseudonyms.of("ipp", _authority(chosen), chosen.text(1))


def patients(message: Message, pseudonyms: Pseudonyms) -> tuple[str, ...]:
    """Pseudonyms of every identifier of PID-3, and of the names of PID-5 with PID-7, for the journal's search.

    None of a PID that can't be read.
    """
    pids = message.segments("PID")
    try:
        found = pids[0].repetitions(3) if pids else []
        names = pids[0].repetitions(5) if pids else []
        born = pids[0].text("7") if pids else ""
    except Unreadable:  # it is what this message is refused for
        return ()
    identifiers = (
        pseudonyms.of("ins", one.text(1))
        if one.text(5) == "INS"
        else pseudonyms.of("ipp", _authority(one), one.text(1))
        for one in found
        if one.text(1)
    )
    families, givens = [one.text(1, 1) for one in names], [one.text(2) for one in names]
    return (*identifiers, *patient_search.name_pseudonyms(pseudonyms, families, givens, born))


def _authority(identifier: Repetition) -> str:
    return identifier.text(4, 2) or identifier.text(4, 1)


def _begin(*parts: str) -> hashlib._Hash:
    """A digest of these parts. The length before each part keeps it apart from the next."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape"))
