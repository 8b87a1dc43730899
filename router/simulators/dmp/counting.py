"""A DMP that only counts: what a lot says it holds, found without reading it, for who measures a router and not us."""

from __future__ import annotations

import re
from typing import Final

from router.simulators.dmp.refusals import Fault
from router.simulators.dmp.submission import DOC_UNIQUE, SET_UNIQUE
from router.simulators.dmp.transactions import Result, success

_MESSAGE_ID: Final = re.compile(rb"MessageID>(urn:uuid:[^<]+)<")
_DOCUMENT: Final = re.compile(rb'<[^<>]*"%b"[^<>]*>' % DOC_UNIQUE.encode())
_SET: Final = re.compile(rb'<[^<>]*"%b"[^<>]*>' % SET_UNIQUE.encode())
_VALUE: Final = re.compile(rb' value="([^"]+)"')
_SIGNATURE: Final = b'"http://www.w3.org/2000/09/xmldsig#"'
_ENVELOPE_ENDS: Final = b"Envelope>"


def count(body: bytes) -> tuple[Result, str]:
    """The answer to a TD2.1 that is always accepted, and the MessageID it relates to. Raises `Fault`."""
    envelope = body[: body.find(_ENVELOPE_ENDS)]
    asked, lot = _MESSAGE_ID.search(envelope), _value(_SET, envelope)
    if asked is None or not lot:
        raise Fault("lot de soumission attendu")
    entries = [piece for piece in envelope.split(b"ExtrinsicObject") if _SIGNATURE not in piece]
    documents = tuple(found for entry in entries if (found := _value(_DOCUMENT, entry)))
    return Result(success(), set_id=lot, documents=documents), asked[1].decode()


def _value(tag: re.Pattern[bytes], text: bytes) -> str:
    """The `value` of the first such tag; '' without."""
    found = tag.search(text)
    value = _VALUE.search(found[0]) if found else None
    return value[1].decode() if value else ""
