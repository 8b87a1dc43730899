"""Rules R70–R75 (metadata) and R87, R89, R91, R94 (what masks and destinations allow together)."""

from __future__ import annotations

import base64

import pytest

from tests.cisis.messages import (
    METADATA,
    RCT,
    RCT_PATIENT,
    SB,
    asked,
    before,
    check,
    deletion,
    edit,
    mdm,
    oru,
    told,
    warned,
    without,
)
from tests.typed import present

OLD = "2.0^CISIS_CDA_HL7_V2"
FIRST_EIGHT = tuple(METADATA)[:8]


def occurrence(name: str) -> int:
    """Where oru() has this metadata: its OBX, counted from 1, behind one document."""
    return 2 + list(METADATA).index(name)


def body(text: str, name: str = "CORPSMAIL_PS") -> bytes:
    """oru() with a mail body whose OBX-5.5 is `text`."""
    return oru() + f"OBX|12|ED|{name}^x^MetaDMPMSS||^TEXT^^Base64^{text}||||||F|\r".encode()


@pytest.mark.parametrize("name", FIRST_EIGHT)
def test_R70_the_first_eight_are_required(name: str) -> None:
    """R70: a missing one is AE 101 at OBX, without occurrence."""
    faults = told(check(without(oru(), "OBX", occurrence(name))))
    assert ("R70", "101", "OBX", "") in faults


def test_R70_a_duplicate_is_refused_and_the_acknowledgements_default_to_n() -> None:
    """R70: AE 198 at the second one; ACK_RECEPTION and ACK_LECTURE_MSS absent are N, with a warning."""
    twice = oru() + b"OBX|12|CE|DESTDMP^x^MetaDMPMSS||Y||||||F|\r"
    assert told(check(twice)) == [("R70", "198", "OBX^12^3", "")]
    verdict = check(without(without(oru(), "OBX", 11), "OBX", 10))
    assert verdict.ack_code == "AA" and "R70" in warned(verdict)
    assert verdict.request is not None and not verdict.request.ack_reception


def test_R71_another_order_is_noted_or_refused() -> None:
    """R71: a warning by default, AE 100 when the site is strict, never for an older generation."""
    moved = before(without(oru(), "OBX", 2), "OBX", "OBX|3|CE|MASQUE_PS^x^MetaDMPMSS||N||||||F", 3)
    verdict = check(moved)
    assert verdict.ack_code == "AA" and "R71" in warned(verdict)
    assert told(check(moved, metadata_order="strict")) == [("R71", "100", "OBX^3", "")]
    old = edit(moved, {"MSH-21": OLD, "ORC-1": "SC"})
    assert told(check(old, metadata_order="strict")) == []
    oldest = check(edit(moved, {"MSH-21": "1.2^CISIS_CDA_HL7_V1", "ORC-1": "SC"}), metadata_order="strict")
    assert oldest.ack_code == "AA" and "R71" in warned(oldest)


@pytest.mark.parametrize("value", ["O", "1", "", "YES"])
def test_R72_a_value_is_y_or_n(value: str) -> None:
    """R72: AE 103 at the value; a lower-case letter or a blank is accepted with a warning."""
    n = occurrence("MASQUE_PS")
    assert told(check(asked(oru(), MASQUE_PS=value))) == [("R72", "103", f"OBX^{n}^5^1^1", "")]
    for tolerated in ("n", "N ", "n^^expandedYes-NoIndicator"):
        assert "R72" in warned(check(edit(oru(), {"OBX[MASQUE_PS]-5.1": tolerated.partition("^")[0]})))


def test_R73_the_other_message_type_s_data_type_is_noted() -> None:
    """R73: CWE in an ORU, CE in an MDM."""
    assert "R73" in warned(check(edit(oru(), {"OBX[DESTDMP]-2": "CWE"})))
    assert "R73" in warned(check(edit(mdm(), {"OBX[DESTDMP]-2": "CE"})))


def test_R74_unknown_metadata_are_ignored() -> None:
    """R74: a warning, which the site may turn off."""
    message = oru() + b"OBX|13|XTN|REPLY_TO^x^MetaDMPMSS||a@b.fr||||||F|\r"
    assert "R74" in warned(check(message))
    assert "R74" not in warned(check(message, severities={"R74": "off"}))


def test_R75_a_truncated_body_loses_its_incomplete_bytes_only() -> None:
    """R75: 4k+1 characters keep the text before them, a cut character is dropped, garbage is no body."""
    clean = base64.b64encode("Bonjour é".encode()).decode().rstrip("=")
    verdict = check(body(clean + "A" * ((5 - len(clean)) % 4)))
    assert verdict.request is not None
    assert (verdict.request.body_professionals or "").startswith("Bonjour") and "R75" in warned(verdict)
    assert present(check(body("QsOpQsM=", "CORPSMAIL_PATIENT")).request).body_patient == "BéB"
    verdict = check(body("@@@@"))
    assert verdict.request is not None and verdict.request.body_professionals is None
    assert "R75" in warned(verdict)


def test_R75_a_body_in_windows_1252_is_read_as_such_and_warned() -> None:
    """R75: what is no UTF-8 is what most software means by Latin: apostrophe and euro sign are kept."""
    text = "Cher confrère, l’examen coûte 3 €."
    verdict = check(body(base64.b64encode(text.encode("cp1252")).decode()))
    assert verdict.request is not None and verdict.request.body_professionals == text
    assert "R75" in warned(verdict)
    assert "R75" not in warned(check(body(base64.b64encode(text.encode()).decode())))


def test_R87_a_document_hidden_from_the_patient_is_not_mailed_to_him() -> None:
    """R87: AE 207/906 at DESTMSSANTEPAT; a deletion is only warned (D1)."""
    n = occurrence("DESTMSSANTEPAT")
    assert told(check(asked(oru(), INVISIBLE_PATIENT="Y"))) == [("R87", "207", f"OBX^{n}^5^1^1", "906")]
    verdict = check(deletion(parts=(SB, RCT, RCT_PATIENT), metadata={"INVISIBLE_PATIENT": "Y", "DESTMSSANTEPAT": "Y"}))
    assert verdict.ack_code == "AA" and "R87" in warned(verdict)


def test_R89_a_document_masked_to_professionals_is_mailed_to_them_by_option_only() -> None:
    """R89: AE 207/906 by default, accepted with `allow`, warned for a deletion."""
    message = asked(oru(), MASQUE_PS="Y")
    assert told(check(message)) == [("R89", "207", f"OBX^{occurrence('DESTMSSANTEPS')}^5^1^1", "906")]
    assert told(check(message, r89="allow")) == []
    verdict = check(deletion(metadata={"MASQUE_PS": "Y"}))
    assert verdict.ack_code == "AA" and "R89" in warned(verdict)


def test_R91_something_must_be_asked_for() -> None:
    """R91: three N are AE 207/906 at DESTDMP, unless the site has a consumer of its own."""
    nothing = asked(oru(), DESTDMP="N", DESTMSSANTEPS="N", DESTMSSANTEPAT="N")
    assert told(check(nothing)) == [("R91", "207", f"OBX^{occurrence('DESTDMP')}^3", "906")]
    assert told(check(nothing, local_consumer=True)) == []


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({}, True),
        ({"INVISIBLE_PATIENT": "Y", "DESTMSSANTEPAT": "N"}, True),
        ({"DESTMSSANTEPS": "N", "DESTDMP": "N", "MASQUE_PS": "Y", "INVISIBLE_REP_LEGAUX": "Y"}, True),
        ({"DESTMSSANTEPAT": "N"}, False),
        ({"CONNEXION_SECRETE": "Y", "DESTMSSANTEPS": "N", "DESTDMP": "N"}, False),
        ({"DESTMSSANTEPS": "N", "DESTMSSANTEPAT": "N"}, True),
    ],
)
def test_R94_the_matrix_of_the_volet_is_a_named_rule_set(values: dict[str, str], fits: bool) -> None:
    """R94: off, a warning, or AE 207/906; a message for the DMP only is outside its scope."""
    message = asked(oru(), **values)
    assert ("R94" in warned(check(message))) is not fits
    assert "R94" not in warned(check(message, matrice_mssante="off"))
    strict = [one[0] for one in told(check(message, matrice_mssante="strict"))]
    assert ("R94" in strict) is not fits
