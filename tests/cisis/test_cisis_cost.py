"""What the check of one message may cost: one thread checks the large ones of all feeds, so nobody waits behind one."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from router.cisis.check_envelope import MOST_PIECES
from router.gateway import identity, lengths
from router.hl7.header import Unreadable
from router.hl7.message import Message
from tests.cisis.messages import RCT, SB, check, edit, oru, told

SIZE = 30 * 1024 * 1024
"""A little under the limit of a message."""
SECONDS = 1.5
"""Of one processor. The aim is a third of it; the rest is for slow machines."""

PART = "PRT||UC||RCT^^p"
REPEATED = f"{PART}|1" + "|" * 10 + "~".join(["^^X.400^a@b.fr"] * 990)


def filled(line: str, most: int = 100_000) -> Callable[[], bytes]:
    """An ordinary message behind which the same line comes again, as often as the size allows."""
    return lambda: oru() + f"{line}\r".encode() * min(most, SIZE // (len(line) + 1))


SHAPES: dict[str, Callable[[], bytes]] = {
    "2000 recipients of 990 repetitions": filled(REPEATED, 2_000),
    "60 recipients of 990 repetitions": filled(REPEATED, 60),
    "9000 recipients of 3000 components": filled(f"{PART}|1" + "|" * 10 + "^" * 3_000 + "a", 9_000),
    "60 recipients of 60 000 components": filled(f"{PART}|1" + "|" * 10 + "^" * 60_000, 60),
    "60 recipients of 3000 fields": filled(PART + "|" * 3_000, 60),
    "9000 metadata of 3000 sub-components": filled("OBX|1|CE|CORPSMAIL_PS^x^MetaDMPMSS||" + "&" * 3_000, 9_000),
    "9000 names of escapes": filled("OBX|1|CE|" + "\\X41\\" * 600, 9_000),
    "9900 unknown metadata": filled("OBX|1|ST|X^x^MetaDMPMSS||a&b", 9_900),
    "9900 documents": filled("OBX|1|ED|11502-2^x^LN||^TEXT^XML^Base64^PHhtbC8+||||||F", 9_900),
    "9900 notes of escapes": filled("NTE|1||" + "\\.br\\" * 600, 9_900),
    "9900 patients": filled("PID|||1^^^A^PI~2^^^A^PI||A^B^C^^^^L~D^E", 9_900),
    "escapes of a segment nobody reads": lambda: oru() + b"ZZZ|" + b"\\X41\\" * (SIZE // 5),
    "MSH of repetitions": lambda: edit(oru(), {"MSH-21": "~" * SIZE}),
    "MSH of fields": lambda: oru().replace(b"\r", b"|" * SIZE + b"\r", 1),
    "identifiers of a patient": lambda: edit(oru(), {"PID-3": "1^^^A^PI~" * 999}),
    "lines of three letters": lambda: oru() + b"NTE\r" * (SIZE // 4),
    "lines that are blank": lambda: oru() + b"\r" * SIZE,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_message_under_the_size_limit_holds_the_check_for_long(shape: str) -> None:
    """Thousands of segments, repetitions, components or escapes: read, recognised and answered in a moment."""
    data = SHAPES[shape]()
    begin = time.process_time()
    try:
        message = Message.parse(data)
        identity.message_id("sil", message)
        lengths.of_message(message)
    except Unreadable:
        pass
    verdict = check(data)
    spent = time.process_time() - begin
    assert (verdict.ack_code, spent < SECONDS) in (("AE", True), ("AA", True)), f"{shape}: {spent:.2f} s"


def test_pieces_are_counted_over_all_segments_that_are_read() -> None:
    """R01 beyond the budget, however the pieces are spread; in a segment nobody reads they are free."""
    line = "OBX|1|ST|X|" + "^" * 1_000 + "|" + "~" * 1_000 + "|" + "&" * 1_000 + "|" + "\\" * 1_000
    enough = MOST_PIECES // 4_000 + 1
    assert [one[:2] for one in told(check(oru() + f"{line}\r".encode() * enough))] == [("R01", "100")]
    assert check(oru() + f"{line}\r".encode() * (enough - 2)).ack_code == "AA"
    assert check(oru() + f"{line.replace('OBX', 'ZBX')}\r".encode() * enough).ack_code == "AA"


def test_a_recipient_of_many_addresses_is_malformed_however_many_there_are() -> None:
    """R84: two addresses or a thousand in PRT-15 are one fault of that recipient."""
    for many in (1, 2_000):
        told_of = told(check(oru(parts=(SB, RCT + "~^^X.400^a@b.mssante.fr" * many))))
        assert ("R84", "102", "PRT^2^15^1^4", "") in told_of
