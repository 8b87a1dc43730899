"""ZAM^Z01, Z02, Z03: the business acknowledgements to the sender of a document.

    Z01   the DMP took the document, or refused it
    Z02   a recipient's MSSanté mailbox took the mail, or refused it
    Z03   the recipient's software read the mail, or failed on it

Source: hl7-input §4.2. Always 2.6, in the sender's character set and in
the coding systems of his generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from router.cisis.dialects import DIALECTS, DialectTable
from router.hl7.ack import MESSAGE_CONDITIONS
from router.hl7.header import CHARSETS
from router.hl7.write import message, segment
from router.request import Dialect

SYSTEM: Final = "AckMetierZAM"
DMP_ERRORS: Final = "DMP_ERROR_CODE"
"""Coding system of the DMP's codes, as the profile spells it; its samples write `DMPERRORCODE`."""
OWN_ERRORS: Final = "99PFI"
"""Coding system of what the router says itself in a Z01: no code of the DMP (decisions D16; HL7 table 0396: 99zzz)."""

_VERSION: Final = "2.6"
_STRUCTURE: Final = "ZAM_Z01"
_APPLICATION_ERROR: Final = "207"


class Kind(StrEnum):
    """Which event is acknowledged."""

    DMP = "Z01"
    RECEPTION = "Z02"
    READING = "Z03"


#: OBX1-3 and, where there is one, OBX2-3: (code, label).
_TEXTS: Final = {
    Kind.DMP: (("ACK_RECEPTION_DMP", "Accusé de réception DMP"), None),
    Kind.RECEPTION: (
        ("ACK_RECEPTION_MSS", "Accusé de réception MSSanté"),
        ("DESTINATAIRE_MSS", "Destinataire MSSanté"),
    ),
    Kind.READING: (
        ("ACK_LECTURE_MSS", "Accusé de lecture"),
        ("LECTEUR_MSS", "Lecteur du courriel MSSanté"),
    ),
}


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The message that is answered.

    control_id: its MSH-10;  sending, receiving: its (MSH-3.1, MSH-4.1) and (MSH-5.1, MSH-6.1);  charset: its MSH-18.
    """

    control_id: str
    sending: tuple[str, str] = ("", "")
    receiving: tuple[str, str] = ("", "")
    charset: str = "UNICODE UTF-8"
    dialect: Dialect = Dialect.V2_1
    processing_id: str = "P"


def known_to(dialect: Dialect) -> bool:
    """Whether senders of this generation know business acknowledgements: not those of 1.2."""
    return _table(dialect).zam


def build(
    kind: Kind | str,
    positive: bool,
    *,
    reply: ReplyTo,
    event_date: datetime,
    now: datetime,
    control_id: str,
    error: tuple[str, str, str] | None = None,
    recipient: tuple[str, str] | None = None,
    text: str = "",
) -> bytes:
    """The whole ZAM, without MLLP framing.

    event_date: when the DMP, the mailbox or the reader answered (EVN-2);  now, control_id: our MSH-7 and MSH-10
    error:      (code, label, coding system) of ERR-5, wanted when the answer is negative
    recipient:  (identifier, address) of OBX2-4 and OBX2-5, wanted for Z02 and Z03
    text:       ERR-8, for a person, without any patient data
    Raises ValueError for a sender that knows no ZAM, or when error or recipient are missing.
    """
    kind, table = Kind(kind), _table(reply.dialect)
    if not table.zam:
        raise ValueError("this generation of senders knows no business acknowledgement")
    first, second = _TEXTS[kind]
    answer = ("Y" if positive else "N", "", table.yes_no)
    lines = [
        _header(kind, reply, table, now, control_id),
        segment("EVN", "", _stamp(event_date)),
        _closed(segment("OBX", "1", "CWE", (*first, SYSTEM), reply.control_id, answer, *[""] * 5, "F")),
    ]
    if second is not None:
        if recipient is None:
            raise ValueError("a Z02 or Z03 names its recipient")
        number, address = recipient
        lines.append(
            _closed(segment("OBX", "2", "XTN", (*second, SYSTEM), number, ("", "", "X.400", address), *[""] * 5, "F"))
        )
    if not positive:
        if error is None:
            raise ValueError("a negative answer says why")
        three = (_APPLICATION_ERROR, MESSAGE_CONDITIONS[_APPLICATION_ERROR], table.error_condition)
        lines.append(segment("ERR", "", "", three, "E", error, "", "", text))
    return message(lines, _codec(reply.charset))


def _table(dialect: Dialect) -> DialectTable:
    """A raw CDA's sender is answered as one of 2.1."""
    return DIALECTS[Dialect.V2_1 if dialect is Dialect.CDA else dialect]


def _header(kind: Kind, reply: ReplyTo, table: DialectTable, now: datetime, control_id: str) -> str:
    charset = reply.charset if reply.charset.upper() in CHARSETS and reply.charset else "UNICODE UTF-8"
    return segment(
        "MSH",
        *reply.receiving,
        *reply.sending,
        _stamp(now),
        "",
        ("ZAM", str(kind), _STRUCTURE),
        control_id,
        reply.processing_id,
        _VERSION,
        *[""] * 4,
        "FRA",
        charset,
        "",
        "",
        table.profile,
    )


def _codec(charset: str) -> str:
    return CHARSETS.get(charset.upper()) or "utf-8"


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%S")


def _closed(line: str) -> str:
    """The samples of the volet end an OBX with a separator; readers that count fields may expect it."""
    return line + "|"
