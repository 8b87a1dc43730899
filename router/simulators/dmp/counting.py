"""A DMP that only counts: what a lot says it holds, found without reading it, for who measures a router and not us."""

from __future__ import annotations

import re
from typing import Final

from router.simulators.dmp.refusals import Fault
from router.simulators.dmp.submission import DOC_UNIQUE, SET_UNIQUE
from router.simulators.dmp.transactions import Result, success

_MESSAGE_ID: Final = re.compile(rb"MessageID>(urn:uuid:[^<]+)<")
_DOCUMENT: Final = re.compile(rb'identificationScheme="%b" value="([^"]+)"' % DOC_UNIQUE.encode())
_SET: Final = re.compile(rb'identificationScheme="%b" value="([^"]+)"' % SET_UNIQUE.encode())
_SIGNATURE: Final = b'"http://www.w3.org/2000/09/xmldsig#"'
_ENVELOPE_ENDS: Final = b"Envelope>"


def count(body: bytes) -> tuple[Result, str]:
    """The answer to a TD2.1 that is always accepted, and the MessageID it relates to. Raises `Fault`."""
    envelope = body[: body.find(_ENVELOPE_ENDS)]
    asked, lot = _MESSAGE_ID.search(envelope), _SET.search(envelope)
    if asked is None or lot is None:
        raise Fault("lot de soumission attendu")
    entries = [piece for piece in envelope.split(b"ExtrinsicObject") if _SIGNATURE not in piece]
    documents = [found[1].decode() for entry in entries if (found := _DOCUMENT.search(entry))]
    return Result(success(), set_id=lot[1].decode(), documents=tuple(documents)), asked[1].decode()
