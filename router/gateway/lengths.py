"""R14: what is longer than HL7 allows is refused before anything of it is kept or echoed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from router.cisis.findings import Finding, answer
from router.hl7.lengths import LONGEST, USUAL_CONTROL_ID, too_long
from router.hl7.message import Message

#: Header of a raw CDA's request -> the field of MSH that it stands for (`raw_cda.CDA_HEADERS`).
_HEADERS: Final = {"request-id": 10, "sending-application": 3, "sending-facility": 4}
_USUAL: Final = answer("R14", "usual")


def of_message(message: Message) -> tuple[Finding, ...]:
    """A fault for each field of MSH that is too long."""
    return tuple(answer("R14", n=number) for number in too_long(message))


def of_request(headers: Mapping[str, str]) -> tuple[Finding, ...]:
    """The same for the request of a raw CDA; ERR-2 is the name of the header."""
    long = [name for name, number in _HEADERS.items() if len(headers.get(name, "")) > LONGEST[number]]
    faults = ((name, answer("R14", n=_HEADERS[name])) for name in long)
    return tuple(replace(fault, err=replace(fault.err, location=name)) for name, fault in faults)


def unusual(message: Message) -> str:
    """The warning for a MSH-10 beyond the length of v2.5 and v2.6; "" for any other."""
    return f"{_USUAL.rule}: {_USUAL.text}" if len(message.control_id) > USUAL_CONTROL_ID else ""
