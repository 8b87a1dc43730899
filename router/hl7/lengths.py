"""How long the fields of MSH may be: what a sender writes there is echoed, kept as an identifier and searched for.

Sources: HL7 v2.5 §2.15.9 and v2.6 §2.14.9 (attribute table of MSH); MSH-10 has 20 characters there and 199 since
v2.7 §2.14.9, which many senders of 2.5 use (UUIDs): beyond 20 is told, beyond 199 is refused. The volet gives no
length, and hl7apy's tables of 2.5 and 2.6 hold none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from router.hl7.message import Message

#: Field of MSH -> characters at most (of each repetition).
LONGEST: Final[dict[int, int]] = {
    3: 227,
    4: 227,
    5: 227,
    6: 227,
    7: 26,
    8: 40,
    10: 199,
    12: 60,
    14: 180,
    19: 250,
    21: 427,
}
USUAL_CONTROL_ID: Final = 20
"""Characters of MSH-10 in v2.5 and v2.6."""
_ANY: Final = 427
"""Characters of the longest field that MSH has: for those whose values are checked against tables anyway."""
_LAST: Final = 25
"""The last field of MSH in any version."""


def too_long(message: Message) -> Iterator[int]:
    """The fields of MSH that are longer than HL7 allows."""
    header = message.segments("MSH")[0]
    for number in range(3, _LAST + 1):
        start, end = header.span(number)
        limit = LONGEST.get(number, _ANY)
        if end - start <= limit:  # bytes: never fewer than characters
            continue
        pieces = [bytes(header.field(number).raw())]
        if any(len(piece.decode(message.codec, "replace")) > limit for piece in pieces):
            yield number
