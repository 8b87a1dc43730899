"""A fault is told once, at its cause: what follows from it is no second reproach."""

from __future__ import annotations

import pytest

from tests.cisis.messages import (
    CODES,
    FINESS,
    IPP_OID,
    RCT,
    Codes,
    asked,
    before,
    cda,
    check,
    deletion,
    edit,
    mdm,
    oru,
    replacement,
    told,
    warned,
    without,
)

NO_INS = ((IPP_OID, "IPP1"),)


def rules(data: bytes, codes: Codes = CODES) -> list[str]:
    """The rules of the faults, one for each ERR."""
    return [one[0] for one in told(check(data, codes))]


def segments_moved(data: bytes, name: str) -> bytes:
    """Every segment of this name before the first OBX."""
    lines = data.rstrip(b"\r").split(b"\r")
    moved = [line for line in lines if line.startswith(name.encode())]
    kept = [line for line in lines if line not in moved]
    at = next(number for number, line in enumerate(kept) if line.startswith(b"OBX"))
    return b"\r".join([*kept[:at], *moved, *kept[at:]]) + b"\r"


def test_R20_an_absent_txa_has_no_type_that_differs() -> None:
    """R20 alone, not R50 beside it."""
    assert rules(without(mdm(), "TXA")) == ["R20"]


def test_R20_a_message_without_obx_lacks_no_metadata() -> None:
    """R20 alone, not eight R70 and R91 beside it."""
    assert rules(without(oru(parts=()), "OBX")) == ["R20"]


def test_R51_an_absent_type_differs_from_nothing() -> None:
    """R51 alone: no R50 for each place that has a type, no R52."""
    assert told(check(asked(edit(mdm(), {"OBX[1]-3.1": ""}), DESTMSSANTEPS="N"))) == [("R51", "103", "OBX^1^3^1^1", "")]


def test_R52_a_type_outside_j07_is_told_once() -> None:
    """R51 alone: J66 is a part of J07."""
    unknown = edit(oru(cda(code="34555-3")), {"OBX[1]-3.1": "34555-3", "OBR-4.1": "34555-3"})
    assert rules(asked(unknown, DESTMSSANTEPS="N", DESTMSSANTEPAT="N")) == ["R51"]


@pytest.mark.parametrize(
    "message",
    [mdm(event="T10", status="F", order="NW"), mdm(event="T02", status="C", order="NW"), oru(status="C", order="NW")],
)
def test_R30_a_doubtful_action_asks_for_no_predecessor(message: bytes) -> None:
    """R30 alone: not R61 or R62, which the other action would ask for."""
    assert rules(message) == ["R30"]


def test_R21_participants_in_the_wrong_place_are_not_missing() -> None:
    """R21 for each PRT, not R80, R81 or R82 beside it."""
    assert set(rules(segments_moved(oru(), "PRT"))) == {"R21"}


def test_R39_two_patients_are_compared_with_nobody() -> None:
    """R39 alone: which of them PID should be, nobody can tell."""
    patient = b"<patient><name>"
    end, another = (
        b"</patientRole></recordTarget>",
        b"</patientRole><patientRole><patient/></patientRole></recordTarget>",
    )
    twice = cda().replace(end, another)
    assert patient in twice
    assert rules(edit(oru(twice), {"PID-8": "M"})) == ["R39"]


def test_R40_an_absent_pid_3_holds_no_ins() -> None:
    """R40 alone: not R45 and R46 beside it; a deletion keeps R45, for a person must hear of it (D1)."""
    assert rules(edit(mdm(), {"PID-3": ""})) == ["R40"]
    verdict = check(edit(deletion(), {"PID-3": ""}))
    assert verdict.alert == "deletion-downgraded"


def test_R91_an_absent_destination_is_told_once() -> None:
    """R70 or R72 alone, not "no destination" beside it."""
    alone = asked(oru(), DESTMSSANTEPS="N", DESTMSSANTEPAT="N")
    assert rules(asked(alone, DESTDMP="X")) == ["R72"]


def test_R94_a_forbidden_combination_is_told_once() -> None:
    """R87 alone, also where the matrix is strict."""
    message = asked(oru(), INVISIBLE_PATIENT="Y", MASQUE_PS="N")
    verdict = check(message, matrice_mssante="strict")
    assert [one[0] for one in told(verdict)] == ["R87"]


def test_R65_the_owner_of_a_unit_has_its_own_place() -> None:
    """R65: for a unit the structure is PRT-8.6, not the number of the unit."""
    unit = f"PRT||UC||SB|801234564895^Eric^Thomas|||Cardiologie^^^^^300000000^UF^^^{FINESS}"
    verdict = check(mdm(parts=(unit, RCT)), structures=[FINESS])
    assert ("R65", "207", "PRT^1^8^1^6", "906") in told(verdict)


def test_R31_the_place_is_the_documents_own_obx() -> None:
    """R31: the document need not be the first OBX."""
    old = "2.0^CISIS_CDA_HL7_V2"
    message = mdm(event="T10", status="F", version=old)
    assert ("R31", "207", "OBX^1^11", "906") in told(check(message))
    later = before(message, "OBX", "OBX|1|CWE|MASQUE_PS^^METADMPMSS||N||||||F")
    assert ("R31", "207", "OBX^2^11", "906") in told(check(later))


def test_R83_R88_name_the_field() -> None:
    """R83 at PRT-4, R88 at the address."""
    verdict = check(asked(oru(), DESTMSSANTEPAT="N"))
    assert {one.err.location for one in verdict.warnings if one.rule == "R83"} == {"PRT^3^4"}
    minor = edit(oru(cda(birth="20150328")), {"PID-7": "20150328"})
    hidden = check(asked(minor, INVISIBLE_REP_LEGAUX="Y"))
    assert {one.err.location for one in hidden.warnings if one.rule == "R88"} == {"PRT^3^15^1^4"}


# ----------------------------------------------------------------------------------- deletions (decisions D1)


@pytest.mark.parametrize("item", ["<title>", "languageCode", "legalAuthenticator", "healthCareFacility"])
def test_R37_a_deletion_is_never_blocked_by_the_header(item: str) -> None:
    """R37: what only the metadata need is a warning."""
    verdict = check(deletion(cda(code="18748-4", drop=item)))
    assert verdict.ack_code == "AA" and "R37" in warned(verdict)


def test_R37_a_deletion_that_names_no_document_is_refused() -> None:
    """R37: without the id of the CDA nobody can tell what is to be deleted."""
    assert "R37" in rules(deletion(cda(code="18748-4", uid="un-identifiant"), txa="un-identifiant"))


@pytest.mark.parametrize(("changes", "rule"), [({"ids": NO_INS}, "R43"), ({"drop": "county"}, "R44")])
@pytest.mark.parametrize("mail", ["Y", "N"])
def test_R43_R44_a_deletion_goes_to_the_dmp_all_the_same(changes: dict[str, object], rule: str, mail: str) -> None:
    """R43, R44: only warned, and the DMP leg is tried, with or without a mail beside it."""
    verdict = check(asked(deletion(cda(code="18748-4", **changes)), DESTMSSANTEPS=mail))  # type: ignore[arg-type]
    assert verdict.ack_code == "AA" and rule in warned(verdict)
    assert verdict.request is not None and verdict.request.dmp and verdict.request.dmp_inadmissible is None


@pytest.mark.parametrize("value", ["X", None])
def test_R70_R72_the_form_of_a_mask_never_blocks_a_deletion(value: str | None) -> None:
    """R70, R72: an absent or wrong mask is a warning; a wrong destination stays a fault."""
    number, name, message = "R72" if value else "R70", "MASQUE_PS", deletion()
    broken = asked(message, MASQUE_PS=value) if value else _without_metadata(message, name)
    verdict = check(broken)
    assert verdict.ack_code == "AA" and number in warned(verdict)
    assert rules(asked(message, DESTDMP="X")) == ["R72"]
    other = replacement()  # where the same fault stays one
    assert number in rules(asked(other, MASQUE_PS=value) if value else _without_metadata(other, name))


def _without_metadata(data: bytes, name: str) -> bytes:
    return b"\r".join(line for line in data.split(b"\r") if f"|{name}".encode() not in line)
