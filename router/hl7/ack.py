"""The synchronous acknowledgement ACK^xxx^ACK: building ours, reading a partner's (hl7-input §4.1, §2.1).

Sources: hl7-input §4.1 (volet "Transmission d'un document CDA-R2 en HL7v2"); HL7 v2.5 §2.14 and tables
0357 (message error condition), 0516 (severity).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

from router.errors import Malformed
from router.hl7.header import CHARSETS, DEFAULT
from router.hl7.lengths import LONGEST
from router.hl7.message import Message
from router.hl7.write import Value, Written, message, segment

Code = Literal["AA", "AE", "AR"]

#: messageErrorCondition, labels as printed in ERR-3.2 (hl7-input appendix A).
MESSAGE_CONDITIONS: Final[dict[str, str]] = {
    "0": "Message accepted",
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "198": "Non-conformant cardinality",
    "199": "Other HL7 Error",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing",
    "203": "Unsupported version",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application error",
}
MESSAGE_SYSTEM: Final = "messageErrorCondition"

#: applicationErrorCondition, ERR-5 (hl7-input appendix A).
APPLICATION_CONDITIONS: Final[dict[str, str]] = {
    "900": "Version du document incorrecte lors d'une demande de remplacement/suppression",
    "901": "Auteur non autorisé à remplacer ou supprimer un document",
    "902": "Identifiant patient inconnu",
    "903": "INS non présent dans le document",
    "904": "L'INS transmis ne correspond pas exactement à celui stocké dans la base du consommateur",
    "905": "L’INS transmis n’est pas complet",
    "906": "Erreur 'Autre'",
}
APPLICATION_SYSTEM: Final = "applicationErrorCondition"

#: MSH-9.1 received -> MSH-12 of our answer. Other types: theirs when HL7 knows it, else 2.5.
_VERSIONS: Final = {"ORU": "2.5", "MDM": "2.6", "ZAM": "2.6"}
_KNOWN_VERSIONS: Final = frozenset(
    ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9")
)

CONTROL_ID, _PARTY, _EVENT, _PROCESSING = LONGEST[10], LONGEST[3], 15, 3
"""Characters that are echoed of MSH-10, MSH-3 to MSH-6, MSH-9 and MSH-11 (`lengths`): an answer is never long."""
_MOST_PARTS: Final = 16
"""Components of a party of the MSH, and sub-components of each, that are given back: an HD has three."""
MAX_ERRORS: Final = 20
"""Every fault is told, up to so many (hl7-input §2.1)."""


@dataclass(frozen=True, slots=True)
class Err:
    """One ERR segment.

    code: ERR-3 (table 0357);  location: ERR-2 as written (`OBX^1^5^1^5`), "" when unknown;  severity: ERR-4;
    application: ERR-5 (code, label, coding system);  text: ERR-8, a French sentence without any value.
    """

    code: str
    location: str = ""
    severity: str = "E"
    application: tuple[str, str, str] | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ack:
    """What a partner answered. code: MSA-1;  control_id: MSA-2;  errors: its ERR segments;  text: MSA-3."""

    code: str
    control_id: str
    errors: tuple[Err, ...] = ()
    text: str = ""


def application(code: str) -> tuple[str, str, str]:
    """ERR-5 for a code of applicationErrorCondition."""
    return code, APPLICATION_CONDITIONS[code], APPLICATION_SYSTEM


def build(
    code: Code,
    received: Message | None,
    errors: Sequence[Err] = (),
    *,
    now: datetime,
    control_id: str,
    version: str = "",
) -> bytes:
    """The whole ACK, in the sender's character set, without MLLP framing.

    received: what is answered, or None when no MSH could be read (MSA-2 is then empty).
    now: local time of the answer (MSH-7);  control_id: our MSH-10;  version: MSH-12, default by hl7-input §4.1.
    """
    codec = received.codec if received is not None else "utf-8"
    lines = [_header(received, now, control_id, version), _acknowledgement(code, received)]
    lines += [_error(error) for error in errors[:MAX_ERRORS]]
    return message(lines, codec)


def parse_ack(data: bytes) -> Ack:
    """Read a partner's answer, however loosely made. Raises `Malformed` (`HL7-ACK`) when it holds no MSA-1."""
    answer = Message.tolerant(data)
    code = answer.text("MSA-1").upper() if answer is not None else ""
    if answer is None or not code:
        raise Malformed("HL7-ACK", "MSA^1^1", "the answer is no HL7 acknowledgement")
    errors = tuple(_read_error(answer, rank) for rank in range(1, len(answer.segments("ERR")) + 1))
    return Ack(code, answer.text("MSA-2"), errors, answer.text("MSA-3"))


# ------------------------------------------------------------------------------------------------- writing


def _header(received: Message | None, now: datetime, control_id: str, version: str) -> str:
    stamp = _stamp(now)
    kind: tuple[str, ...]
    if received is None:
        parties: tuple[Value, ...] = ("", "", "", "")
        kind, processing, version, charset = ("ACK",), "P", version or "2.5", "UNICODE UTF-8"
    else:
        parties = tuple(_copied(received, number) for number in (5, 6, 3, 4))
        kind = ("ACK", received.event[:_EVENT], "ACK") if received.event else ("ACK",)
        processing = received.text("MSH-11")[:_PROCESSING] or "P"
        version = version or _version(received)
        echoed = CHARSETS.get(received.charset.upper()) == received.codec
        charset = received.charset if echoed else _charset_name(received.codec)
    rest: tuple[Value, ...] = (stamp, "", kind, control_id, processing, version, "", "", "", "", "FRA", charset)
    return segment("MSH", *parties, *rest)


@lru_cache(maxsize=8)
def _stamp(now: datetime) -> str:
    return now.strftime("%Y%m%d%H%M%S")


def _copied(received: Message, number: int) -> Value:
    """A field of the received MSH, rewritten with our separators: whatever was in it can't break out."""
    found = received.segments("MSH")[0].field(number)
    marks = received.separators
    if marks == DEFAULT:
        same = bytes(found.raw()).decode(received.codec, "replace")
        if same.isprintable():
            return Written(same.strip()[:_PARTY])
    components = bytes(found.raw()).split(marks.component) if marks.component else [bytes(found.raw())]
    return tuple(
        tuple(
            found.text(f"{c}.{s}")[:_PARTY]
            for s in range(1, min(raw.count(marks.subcomponent) if marks.subcomponent else 0, _MOST_PARTS) + 2)
        )
        for c, raw in enumerate(components[:_MOST_PARTS], 1)
    )


def _version(received: Message) -> str:
    known = received.version if received.version in _KNOWN_VERSIONS else "2.5"
    return _VERSIONS.get(received.code, known)


def _charset_name(codec: str) -> str:
    return {"iso8859-15": "8859/15", "latin-1": "8859/1", "iso8859-1": "8859/1"}.get(codec, "UNICODE UTF-8")


def _acknowledgement(code: Code, received: Message | None) -> str:
    return segment("MSA", code, received.control_id[:CONTROL_ID] if received is not None else "")


def _error(error: Err) -> str:
    three = (error.code, MESSAGE_CONDITIONS.get(error.code, ""), MESSAGE_SYSTEM)
    location = tuple(error.location.split("^"))
    return segment("ERR", "", location, three, error.severity, error.application or "", "", "", error.text)


# ------------------------------------------------------------------------------------------------- reading


def _read_error(answer: Message, rank: int) -> Err:
    """ERR of v2.5 and later; before it, ERR-1 alone held code and place (v2.3 §2.24.6)."""
    prefix = f"ERR[{rank}]-"
    code = answer.text(prefix + "3.1")
    if not code:
        return Err(answer.text(prefix + "1.4") or "207", answer.text(prefix + "1.1"))
    parts = (answer.text(prefix + f"2.{number}") for number in range(1, 7))
    app = tuple(answer.text(prefix + f"5.{number}") for number in (1, 2, 3))
    return Err(
        code,
        "^".join(parts).rstrip("^"),
        answer.text(prefix + "4") or "E",
        (app[0], app[1], app[2]) if app[0] else None,
        answer.text(prefix + "8"),
    )
