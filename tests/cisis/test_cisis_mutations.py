"""Whatever arrives gets a verdict that hangs together: mutated messages, from fixed seeds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.cisis.messages import check, deletion, mdm, oru, pair, replacement

BASES = (oru(), mdm(), replacement(), deletion(), pair(), oru(version="1.2^CISIS_CDA_HL7_V1", order="SC", parts=()))
BITS = (b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\\X0D\\", b"\xff", b"\xc3\xa9", b"", b"PRT|", b"Y", b"0")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {
        "environment": "production",
        "build_patient_address": True,
        "resolution_annuaire": "si-absente",
        "r90": "hold",
        "charset_fallback": "iso-8859-15",
        "rejoin_base64": True,
        "structures": ["300017985"],
    },
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few bytes replaced or inserted, near a separator every other time; or a line lost or doubled."""
    for _ in range(chance.randint(1, 5)):
        lines = data.split(b"\r")
        if chance.random() < 0.2:
            at = chance.randrange(len(lines))
            lines[at:at] = [lines[chance.randrange(len(lines))]] if chance.random() < 0.5 else []
            data = b"\r".join(lines[:at] + lines[at + 1 :] if chance.random() < 0.5 else lines)
            continue
        places = [place for place, byte in enumerate(data) if byte in b"|^&~"] or [0]
        at = chance.choice(places) if chance.random() < 0.5 else chance.randrange(len(data) + 1)
        data = data[:at] + chance.choice(BITS) + data[at + chance.randint(0, 3) :]
    return data


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_message_always_gets_a_verdict(seed: int) -> None:
    """AA with a request or AE with faults, never an exception, never both."""
    chance = random.Random(seed)
    codes = set()
    for _ in range(120):
        verdict = check(mutated(chance.choice(BASES), chance), **chance.choice(OPTIONS))
        assert (verdict.ack_code == "AA") is (verdict.request is not None)
        assert (verdict.ack_code == "AE") is bool(verdict.faults)
        assert all(finding.err.code for finding in verdict.faults)
        codes.add(verdict.ack_code)
    assert codes == {"AA", "AE"}
