"""The generations of senders: what MSH-21 declares, what is inferred, and one canonical request out of each."""

from __future__ import annotations

import pytest

from router.cisis.dialects import ALIASES, DIALECTS, canonical, declared, inferred
from router.request import Dialect
from tests.cisis.messages import METADATA, RCT, RCT_PATIENT, SB, asked, check, mdm, oru, told, warned, without

OLD = "2.0^CISIS_CDA_HL7_V2"
OLDEST = "1.2^CISIS_CDA_HL7_V1"


@pytest.mark.parametrize(
    ("version", "profile", "expected"),
    [
        ("1.2", "CISIS_CDA_HL7_V1", Dialect.V1_2),
        ("2.0", "CISIS_CDA_HL7_V2", Dialect.V2_0),
        ("2.1", "CISIS_CDA_HL7_V2", Dialect.V2_1),
        ("2.1.3", "cisis_cda_hl7_v2", Dialect.V2_1),
        ("2.1", "", Dialect.V2_1),
        ("2.2", "CISIS_CDA_HL7_V2", None),
        ("2.10", "CISIS_CDA_HL7_V2", None),
        ("2.1", "CISIS_CDA_HL7_LPS", None),
        ("2.0", "CISIS_CDA_HL7_V1", None),
    ],
)
def test_msh_21_declares_a_generation(version: str, profile: str, expected: Dialect | None) -> None:
    """Editions of 2.1 are 2.1; a profile that isn't ours is none."""
    assert declared(version, profile) is expected


def test_a_generation_is_inferred_from_names_and_coding_systems() -> None:
    """Old names, then OBX-5.3, betray the sender that says nothing."""
    assert inferred(["MODIF_CONFIDENTIALITYCODE"], ["HL70136"]) is Dialect.V1_2
    assert inferred(["DESTDMP"], ["HL70136"]) is Dialect.V2_0
    assert inferred(["DESTDMP"], ["expandedYes-NoIndicator"]) is Dialect.V2_1
    assert inferred(["DESTDMP"], [""]) is Dialect.V1_2
    assert inferred([], []) is Dialect.V2_1


def test_every_alias_leads_to_a_name_of_the_volet() -> None:
    """Aliases are accepted from all, in any case."""
    known = {name for table in DIALECTS.values() for name in table.metadata}
    assert set(ALIASES.values()) <= known
    assert canonical("ack_lecture") == "ACK_LECTURE_MSS"


def test_2_0_without_orders_and_with_its_own_codes_is_accepted() -> None:
    """An MDM of 2.0 has no ORC and no OBR; its metadata bear HL70136."""
    old = without(without(mdm(version=OLD), "ORC"), "OBR").replace(b"expandedYes-NoIndicator", b"HL70136")
    verdict = check(old)
    assert told(verdict) == [] and verdict.request is not None
    assert verdict.request.dialect is Dialect.V2_0


def test_2_0_puts_bodies_before_acknowledgements() -> None:
    """The order of 2.0 is no fault of 2.0, and one of 2.1."""
    lines = oru(version=OLD, order="SC").split(b"\r")
    body = b"OBX|12|ED|CORPSMAIL_PS^x^MetaDMPMSS||^TEXT^^Base64^Qm9uam91cg==||||||F|"
    at = next(rank for rank, line in enumerate(lines) if b"|ACK_RECEPTION^" in line)
    message = b"\r".join([*lines[:at], body, *lines[at:]])
    assert "R71" not in warned(check(message))
    assert "R71" in warned(check(message.replace(b"2.0^CISIS", b"2.1^CISIS").replace(b"ORC|SC", b"ORC|NW")))


def test_the_old_names_give_the_same_request() -> None:
    """1.2 writes bare letters under long names; COMP_LOT is ignored; the request is that of 2.1."""
    new = check(oru(parts=(SB, RCT, RCT_PATIENT), metadata={"INVISIBLE_REP_LEGAUX": "Y"})).request
    old_message = oru(version=OLDEST, order="SC", yes_no="", metadata={"INVISIBLE_REP_LEGAUX": "Y"})
    old_message = old_message.replace(b"INVISIBLE_REP_LEGAUX", b"INVISIBLE_REPRESENTANTS_LEGAUX")
    old_message += b"OBX|20|ST|COMP_LOT||1.2.3^CDAN1||||||F|\r"
    verdict = check(old_message)
    old = verdict.request
    assert told(verdict) == [] and "R74" not in warned(verdict)
    assert old is not None and new is not None
    same = {"dialect", "warnings"}
    assert old.model_dump(exclude=same) == new.model_dump(exclude=same)


def test_a_1_2_sender_without_sb_is_the_signer_of_the_document() -> None:
    """1.2 has no PRT SB: whoever signed speaks, and nothing says that the DMP can't be fed (R80)."""
    verdict = check(asked(oru(version=OLDEST, order="SC", parts=(RCT,)), DESTMSSANTEPAT="N"))
    assert verdict.request is not None and verdict.request.sender is not None
    assert verdict.request.sender.person is not None and verdict.request.sender.person.family == "CAMPARINI"
    assert "R80" not in warned(verdict)


def test_since_2_0_the_cda_never_gives_recipients() -> None:
    """`informationRecipient` is no recipient list any more (hl7-input §1.4)."""
    from tests.cisis.messages import DOCTOR, cda

    verdict = check(oru(cda(recipients=(DOCTOR,)), parts=(SB, RCT_PATIENT)))
    assert [one[0] for one in told(verdict)] == ["R81"]


def test_metadata_of_every_generation_hold_the_first_eight() -> None:
    """Masks and destinations exist everywhere, in the same order."""
    for table in DIALECTS.values():
        assert table.metadata[:8] == tuple(METADATA)[:8]


def test_recipients_of_an_unreadable_document_are_not_called_absent() -> None:
    """1.2: whom the message names stands in the CDA; when that can't be read, this alone is told."""
    message = oru(b"<a>", parts=(SB,), version=OLDEST)
    assert [one[0] for one in told(check(message))] == ["R35"]
    named_nobody = told(check(oru(parts=(SB,), version=OLDEST)))
    assert {"R81", "R82"} <= {one[0] for one in named_nobody}
