"""The edge inputs E01–E49 of hl7-input §10, with the answers expected. E12, E14, E50 need the gateway's memory."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from router.cisis import zam
from router.cisis.settings import ProfileRules
from router.hl7 import ack
from router.hl7.message import Message
from tests.cisis.messages import (
    DOCTOR,
    DOCUMENT,
    INS,
    INS_NIR,
    IPP_OID,
    PARENT,
    PATIENT,
    RCT,
    SB,
    Codes,
    asked,
    b64,
    before,
    cda,
    check,
    deletion,
    edit,
    mdm,
    oru,
    pair,
    replacement,
    told,
    warned,
    without,
)
from tests.typed import present

NOW = datetime(2026, 11, 23, 6, 0, 0, tzinfo=UTC)


def answer(data: bytes, **options: object) -> Message:
    """The ACK that the verdict leads to, read again."""
    verdict = check(data, **options)
    return Message.parse(ack.build(verdict.ack_code, verdict.message, verdict.errors, now=NOW, control_id="1"))


def rct(address: str) -> str:
    return RCT.replace(DOCTOR, address)


def test_E01_base64_cut_in_mid_group() -> None:
    """E01: AE 102 at OBX-5.5, nothing to deliver."""
    clean = b64(cda()).rstrip("=")
    cut = clean[: len(clean) // 8 * 4 + 1]
    verdict = check(edit(oru(), {"OBX[1]-5.5": cut}))
    assert told(verdict) == [("R34", "102", "OBX^1^5^1^5", "")] and verdict.request is None


def test_E02_base64_cut_at_a_group() -> None:
    """E02: it decodes to half a document: AE 207/906."""
    clean = b64(cda())
    assert told(check(edit(oru(), {"OBX[1]-5.5": clean[: len(clean) // 8 * 4]}))) == [
        ("R35", "207", "OBX^1^5^1^5", "906")
    ]


def test_E03_raw_line_ends_inside_the_base64() -> None:
    """E03: AE 100 at the cut OBX; accepted, with the same bytes, when the feed joins lines."""
    text = b64(cda())
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    message = oru().replace(text.encode(), lines.encode())
    assert [one[:3] for one in told(check(message))] == [("R01", "100", "OBX^1")]
    verdict = check(message, rejoin_base64=True)
    assert verdict.documents[0].raw == cda() and "R01" in warned(verdict)


@pytest.mark.parametrize("cut", ["\\.br\\", "\\X0D0A\\", "\\X0D\\\\X0A\\", "~", " "])
def test_E04_written_line_breaks_are_removed(cut: str) -> None:
    """E04: AA, and the delivered bytes are those of the clean message; padding may be missing."""
    text = b64(cda()).rstrip("=")
    message = edit(oru(), {"OBX[1]-5.5": cut.join(text[at : at + 76] for at in range(0, len(text), 76))})
    verdict = check(message)
    assert verdict.ack_code == "AA" and verdict.documents[0].raw == cda()


def test_E05_a_sentence_instead_of_a_document() -> None:
    """E05: AE 207/906."""
    assert told(check(oru("Document médical au format CDA".encode()))) == [("R35", "207", "OBX^1^5^1^5", "906")]


def test_E06_an_external_entity_is_refused_and_no_file_read(tmp_path: Path) -> None:
    """E06: AE 207/906; the pipe that the entity names is never opened."""
    pipe = tmp_path / "secret"
    os.mkfifo(pipe)
    head = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{pipe}">]>'
    done = threading.Event()
    verdicts = []

    def run() -> None:
        verdicts.append(check(oru(cda(head=head, family="&x;"))))
        done.set()

    threading.Thread(target=run, daemon=True).start()
    assert done.wait(5), "reading the pipe blocks: the entity was followed"
    assert told(verdicts[0]) == [("R35", "207", "OBX^1^5^1^5", "906")]


@pytest.mark.parametrize("bomb", ["laughs", "depth"])
def test_E07_bombs_are_refused_at_once(bomb: str) -> None:
    """E07: AE 207/906 in less than a second."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    laughs = cda(head=f'<!DOCTYPE a [<!ENTITY l0 "lol">{entities}]>', family="&l11;")
    deep = cda().replace(b"<title>", b"<a>" * 10_000 + b"</a>" * 10_000 + b"<title>")
    started = time.monotonic()
    assert told(check(oru(laughs if bomb == "laughs" else deep))) == [("R35", "207", "OBX^1^5^1^5", "906")]
    assert time.monotonic() - started < 1


def test_E08_a_wrong_declaration_is_noticed() -> None:
    """E08: UTF-8 declared as 8859/15 warns; Latin-9 declared as UTF-8 is AE 102."""
    accented = oru().replace(b"Eric", "Éric".encode())
    verdict = check(accented.replace(b"UNICODE UTF-8", b"8859/15"))
    assert verdict.ack_code == "AA" and "R10" in warned(verdict)
    assert told(check(oru().replace(b"Eric", b"\xe9ric"))) == [("R10", "102", "MSH^1^18", "")]


def test_E09_real_latin_9_is_read_and_answered() -> None:
    """E09: names are right, and the ACK is written in 8859/15."""
    message = oru().replace(b"UNICODE UTF-8", b"8859/15").replace(b"Eric", "Cœur€".encode("iso8859-15"))
    verdict = check(message)
    assert verdict.request is not None and verdict.request.sender is not None
    assert verdict.request.sender.person is not None and verdict.request.sender.person.family == "Cœur€"
    wrong = edit(message, {"PID-5.1": "X"})
    assert answer(wrong).text("MSH-18") == "8859/15"
    assert answer(wrong).codec == "iso8859-15"


def test_E10_an_unknown_character_set() -> None:
    """E10: AE 103."""
    assert told(check(oru().replace(b"UNICODE UTF-8", b"KOI8"))) == [("R10", "103", "MSH^1^18", "")]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_E11_bom_line_ends_and_blank_lines(end: bytes) -> None:
    """E11: all accepted."""
    assert check(b"\xef\xbb\xbf" + oru().replace(b"\r", end) + end * 3).ack_code == "AA"


def test_E12_the_same_bytes_give_the_same_verdict() -> None:
    """E12: the gateway answers a repeat from its memory; the profile adds nothing that would differ."""
    assert check(mdm()).request == check(mdm()).request


def test_E13_another_content_under_the_same_control_id_is_judged_alone() -> None:
    """E13: accepted here; the option tells the gateway whether to refuse it."""
    assert check(edit(mdm(), {"PV1-2": "O"})).ack_code == "AA"
    assert ProfileRules().same_control_id_other_content == "warn"


def test_E15_a_text_node_over_ten_million_bytes_is_read() -> None:
    """E15: AA for an N1 whose PDF is 12 MB; over the limit of the site AE 207/906."""
    big = cda(body="JVBERi0x" + "A" * 16_000_000)
    assert check(oru(big)).ack_code == "AA"
    assert told(check(oru(big), max_cda=10_000_000)) == [("R35", "207", "OBX^1^5^1^5", "906")]
    assert told(check(oru(big), max_message=10_000_000)) == [("R35", "207", "", "906")]


def test_E16_continuation() -> None:
    """E16: AE 199 at MSH-14."""
    assert told(check(edit(oru(), {"MSH-14": "2"}))) == [("R12", "199", "MSH^1^14", "")]


def test_E17_no_sender_for_the_dmp() -> None:
    """E17: AE 101 at PRT, or at the structure that lacks."""
    assert told(check(mdm(parts=(RCT,)))) == [("R80", "101", "PRT", "")]
    assert told(check(edit(mdm(), {"PRT[1]-8.10": ""}))) == [("R80", "101", "PRT^1^8^1^10", "")]


def test_E18_no_recipient_for_the_mail() -> None:
    """E18: AE 101 at PRT, or at the address that lacks."""
    assert told(check(mdm(parts=(SB,)))) == [("R81", "101", "PRT", "")]
    assert told(check(edit(mdm(), {"PRT[2]-15.4": ""}))) == [("R81", "101", "PRT^2^15^1^4", "")]


def test_E19_a_domain_that_is_not_mssante() -> None:
    """E19: AA: both recipients go on, the sink refuses the one whose domain is not in the list."""
    verdict = check(mdm(parts=(SB, rct("dr@gmail.com"), RCT)))
    assert verdict.request is not None
    assert [one.address for one in verdict.request.recipients] == ["dr@gmail.com", DOCTOR]


def test_E20_a_patient_address_that_is_not_his_ins() -> None:
    """E20: never to be sent: 510 by default, AE 207/904 by option."""
    message = edit(oru(), {"PRT[3]-15.4": f"2770763220829106@{PATIENT.partition('@')[2]}"})
    verdict = check(message)
    assert verdict.request is not None
    assert [one.refusal and one.refusal[0] for one in verdict.request.recipients] == [None, "510"]
    assert told(check(message, r86="refuse")) == [("R86", "207", "PRT^3^15^1^4", "904")]


def test_E21_hidden_from_the_patient_and_mailed_to_him() -> None:
    """E21: AE 207/906 at the OBX of DESTMSSANTEPAT."""
    assert told(check(asked(oru(), INVISIBLE_PATIENT="Y"))) == [("R87", "207", "OBX^9^5^1^1", "906")]


def test_E22_masked_to_professionals_and_mailed_to_them() -> None:
    """E22: AE 207/906 by default, allowed by option."""
    assert told(check(asked(oru(), MASQUE_PS="Y"))) == [("R89", "207", "OBX^8^5^1^1", "906")]
    assert check(asked(oru(), MASQUE_PS="Y"), r89="allow").ack_code == "AA"


@pytest.mark.parametrize(
    "message",
    [
        mdm(event="T10", order="NW", status="F", parent=PARENT),
        mdm(event="T02", order="RO", status="F"),
        oru(order="CA", status="F"),
    ],
    ids=["T10 NW F", "T02 RO", "ORU CA F"],
)
def test_E23_action_told_in_two_ways(message: bytes) -> None:
    """E23: AE 207/906 at ORC-1."""
    assert told(check(message)) == [("R30", "207", "ORC^1^1", "906")]


def test_E24_a_replacement_that_replaces_nothing() -> None:
    """E24: TXA-13 absent, RPLC absent, or both there and different."""
    assert told(check(edit(replacement(), {"TXA-13": ""}))) == [("R61", "101", "TXA^1^13", "")]
    nothing = mdm(event="T10", order="RO", status="C", parent=PARENT)
    assert told(check(nothing)) == [("R62", "207", "OBX^1^5^1^5", "900")]
    assert told(check(edit(replacement(), {"TXA-13": "1.2.3"}))) == [("R61", "207", "TXA^1^13", "906")]


def test_E25_txa_12_is_another_document() -> None:
    """E25: AE 207/906."""
    assert told(check(mdm(txa=PARENT))) == [("R60", "207", "TXA^1^12", "906")]


def test_E26_another_patient_s_document() -> None:
    """E26: another matricule, and the same one under another OID, are AE 207/904."""
    assert ("R41", "207", "PID^1^3", "904") in told(check(oru(cda(ids=((INS_NIR, "277076322082910"),)))))
    assert ("R41", "207", "PID^1^3", "904") in told(check(oru(cda(ids=((INS_NIR, INS),)))))


def test_E27_the_cda_has_one_local_number_more() -> None:
    """E27: AA, the normal case."""
    ids = (("1.2.250.1.213.1.4.10", INS), ("1.2.3.4.567.8.9.10", "1234567890121"))
    assert told(check(oru(cda(ids=ids)))) == []


def test_E28_an_identity_that_is_not_qualified() -> None:
    """E28: its four cases (hl7-input §10)."""
    no_ins = ((IPP_OID, "IPP1"),)
    prov = {"PID-32": "PROV"}
    assert ("R46", "207", "OBX^1^5^1^5", "906") in told(check(edit(mdm(), prov)))
    bare = edit(mdm(cda(code="18748-4", ids=no_ins)), prov)
    assert told(check(asked(bare, DESTMSSANTEPS="N"))) == [("R45", "207", "PID^1^32", "903")]
    both = check(bare)
    assert both.request is not None and both.request.dmp_inadmissible is not None
    assert both.request.dmp_inadmissible[0] == "R45"
    mail = check(asked(bare, DESTDMP="N"))
    assert mail.request is not None and mail.request.dmp_inadmissible is None
    assert INS not in mail.request.model_dump_json()


@pytest.mark.parametrize(("status", "qualified"), [("VALI~HOMA", True), ("PROV~FICT", False), ("", False)])
def test_E29_status_with_attributes(status: str, qualified: bool) -> None:
    """E29: HOMA beside VALI leaves it qualified."""
    verdict = check(edit(asked(mdm(cda(code="18748-4", ids=((IPP_OID, "IPP1"),))), DESTDMP="N"), {"PID-32": status}))
    assert verdict.request is not None and verdict.request.patient.qualified is qualified
    assert ("R46" in warned(verdict)) is (not status)


def test_E30_a_billing_number_is_no_ins() -> None:
    """E30: CX-5 = NH under the INS OID: as if there were none."""
    billing = edit(mdm(cda(code="18748-4", ids=((IPP_OID, "IPP1"),))), {"PID-3[1].5": "NH"})
    assert told(check(asked(billing, DESTMSSANTEPS="N"))) == [("R45", "207", "PID^1^3", "903")]


def test_E31_an_ins_with_a_wrong_key() -> None:
    """E31: AE 102 at PID-3.1; that no valid INS qualifies the CDA's follows from it, and is not told again."""
    wrong = INS[:-1] + "0"
    message = edit(mdm(cda(code="18748-4", ids=(("1.2.250.1.213.1.4.10", wrong),))), {"PID-3[1].1": wrong})
    assert told(check(message)) == [("R47", "102", "PID^1^3^1^1", "")]
    mail = asked(message, DESTDMP="N")
    assert told(check(mail)) == [("R46", "207", "OBX^1^5^1^5", "906")]


def test_E32_types_outside_the_value_sets() -> None:
    """E32: not in J07, and in J07 but not in J66 with the DMP alone: both AE 103."""
    for code in ("34555-3", "34112-3"):
        message = edit(oru(cda(code=code)), {"OBX[1]-3.1": code, "OBR-4.1": code})
        alone = asked(message, DESTMSSANTEPS="N", DESTMSSANTEPAT="N")
        assert {one[1:] for one in told(check(alone))} == {("103", "OBX^1^3^1^1", "")}
    assert check(alone, codes=Codes(JDV_J07={"34112-3"})).ack_code == "AA"


def test_E33_types_that_differ() -> None:
    """E33: AE 207/906 wherever the odd one stands."""
    for path in ("OBR-4.1", "OBX[1]-3.1", "TXA-2"):
        assert {(one[1], one[3]) for one in told(check(edit(mdm(), {path: "11490-0"})))} == {("207", "906")}
    assert told(check(mdm(cda(code="11490-0")))) == [("R50", "207", "OBX^1^3^1^1", "906")]


def test_E34_too_many_documents() -> None:
    """E34: AE 198."""
    assert {one[1] for one in told(check(mdm(cda(code="18748-4"), cda(code="18748-4", uid="1.2.9"))))} == {"198"}
    assert ("R22", "198", "OBX^3^3", "") in told(check(oru(cda(), cda(level=3, uid="1.2.9"), cda(uid="1.2.8"))))


def test_E35_a_pair_with_two_actions() -> None:
    """E35: AE 207/906 at the second document's OBX-11."""
    assert told(check(edit(pair(), {"OBX[2]-11": "C"}))) == [("R23", "207", "OBX^2^11", "906")]


@pytest.mark.parametrize(("message", "version"), [(oru(), "2.3"), (oru(), "2.7"), (mdm(), "2.5")])
def test_E36_other_versions(message: bytes, version: str) -> None:
    """E36: AE 203 at MSH-12."""
    assert told(check(edit(message, {"MSH-12": version}))) == [("R05", "203", "MSH^1^12", "")]


@pytest.mark.parametrize(
    ("kind", "code"),
    [("ADT^A01^ADT_A01", "200"), ("OUL^R22^OUL_R22", "200"), ("MDM^T01^MDM_T01", "201"), ("ORU^R32^ORU_R32", "201")],
)
def test_E37_other_messages_on_a_documents_feed(kind: str, code: str) -> None:
    """E37: AE 200 for the type, 201 for the event."""
    assert [one[1] for one in told(check(edit(oru(), {"MSH-9": kind})))] == [code]


def test_E38_a_test_message_on_a_production_instance() -> None:
    """E38: AE 202 at MSH-11; accepted when the feed says so."""
    real = edit(oru(cda(ids=((INS_NIR, INS),))), {"PID-3[1].4.2": INS_NIR, "MSH-11": "T"})
    assert told(check(real, environment="production")) == [("R06", "202", "MSH^1^11", "")]
    assert told(check(real, environment="production", processing_ids=["P", "T"])) == []


def test_E39_metadata_that_are_wrong() -> None:
    """E39: missing, duplicated, out of order, wrongly valued, unknown."""
    assert [one[1] for one in told(check(without(oru(), "OBX", 7)))][:1] == ["101"]
    assert told(check(oru() + b"OBX|12|CE|DESTDMP^x^MetaDMPMSS||Y||||||F|\r"))[0][1] == "198"
    moved = before(without(oru(), "OBX", 2), "OBX", "OBX|3|CE|MASQUE_PS^x^MetaDMPMSS||N||||||F", 3)
    assert check(moved).ack_code == "AA" and told(check(moved, metadata_order="strict"))[0][1] == "100"
    assert told(check(asked(oru(), DESTDMP="O")))[0][1] == "103"
    for value in ("y", "Y "):
        verdict = check(asked(oru(), DESTDMP=value))
        assert verdict.request is not None and verdict.request.dmp and "R72" in warned(verdict)
    assert check(oru() + b"OBX|12|ST|TRUC||x||||||F|\r").ack_code == "AA"


def test_E40_a_participant_out_of_place() -> None:
    """E40: before the first OBX, or behind a metadata: AE 100."""
    assert ("R21", "100", "PRT^1", "") in told(check(before(mdm(), "OBX", RCT)))
    assert told(check(mdm() + f"{RCT}\r".encode())) == [("R21", "100", "PRT^3", "")]


def test_E41_what_the_volet_does_not_know_is_ignored() -> None:
    """E41: Z segments, NTE, PD1, more fields, trailing separators."""
    message = before(before(mdm(), "PV1", "PD1|1\rNTE|1||x"), "OBX", "ZZZ|1|2^3") + b"ZFA|a|b\r"
    message = message.replace(b"|VALI\r", b"|VALI|||||x||\r")
    assert told(check(message)) == []


def test_E42_declared_separators_are_used() -> None:
    """E42: U+02DC as repetition separator, and unusual ones; the ACK uses the usual ones."""
    assert told(check(oru().replace(b"^~\\&", "^˜\\&".encode()).replace(b"INS~IPP1", "INS˜IPP1".encode())
                      .replace(b"H~^", "H˜^".encode()))) == []  # fmt: skip
    unusual = oru().translate(bytes.maketrans(b"^~|", b"$%*"))
    verdict = check(unusual)
    assert told(verdict) == []
    assert ack.build("AA", verdict.message, now=NOW, control_id="1").startswith(b"MSH|^~\\&|PFI-X|CHU X|SIL-Y|labo|")


def test_E43_escapes_are_decoded_once_and_never_injected() -> None:
    """E43: `\\T\\`, `\\F\\` and `\\X..\\` in names and ids; ACK and ZAM escape them again."""
    message = edit(mdm(), {"PRT[1]-5.2": "O\\T\\Brien \\XC3A9\\", "MSH-10": "a\\F\\b"})
    verdict = check(message)
    assert verdict.request is not None and verdict.request.sender is not None
    assert verdict.request.sender.person is not None and verdict.request.sender.person.family == "O&Brien é"
    assert verdict.request.control_id == "a|b"
    assert Message.parse(ack.build("AA", verdict.message, now=NOW, control_id="1")).text("MSA-2") == "a|b"
    reply = zam.ReplyTo("a|b", ("RIS|", "x"), ("PFI", "y"))
    made = zam.build("Z01", True, reply=reply, event_date=NOW, now=NOW, control_id="2")
    assert Message.parse(made).text("OBX-4") == "a|b"


@pytest.mark.parametrize("frame", [b"", b"\r", b"PID|1\r", b"\x0b" + oru()])
def test_E44_a_frame_that_is_no_message(frame: bytes) -> None:
    """E44: AE 100, MSA-2 empty."""
    verdict = check(frame)
    assert [one[1] for one in told(verdict)] == ["100"]
    assert answer(frame).text("MSA-2") == ""


def test_E45_a_mail_body_stays_a_body() -> None:
    """E45: truncated base64 keeps its text; line breaks are only line breaks, controls are dropped."""
    text = b64(b"<b>Bonjour</b>\r\nBcc: x@y.fr\x00\x07")
    message = oru() + f"OBX|12|ED|CORPSMAIL_PATIENT^x^MetaDMPMSS||^TEXT^^Base64^{text}||||||F|\r".encode()
    assert present(check(message).request).body_patient == "<b>Bonjour</b>\nBcc: x@y.fr"


@pytest.mark.parametrize("address", ["a@x.fr\\X0D0A\\Bcc:b@y.fr", "Dr A <a@x.fr>", "a@x.fr, b@y.fr", "a@x.fr;b@y.fr"])
def test_E46_an_address_that_is_more_than_one(address: str) -> None:
    """E46: AE 102 at PRT-15.4."""
    assert told(check(edit(mdm(), {"PRT[2]-15.4": address}))) == [("R84", "102", "PRT^2^15^1^4", "")]


@pytest.mark.parametrize("name", [b"FHS", b"BHS"])
def test_E47_a_batch(name: bytes) -> None:
    """E47: AE 200, MSA-2 empty."""
    frame = name + b"|^~\\&|A|B|C|D\r" + oru()
    assert [one[1] for one in told(check(frame))] == ["200"]
    assert answer(frame).text("MSA-2") == ""


def test_E48_a_deletion_of_the_unknown() -> None:
    """E48: AA."""
    assert check(deletion()).ack_code == "AA"


def test_E49_a_message_of_1_2_with_a_real_cda() -> None:
    """E49: AA with warnings, recipients from the CDA, no business acknowledgement."""
    old = oru(
        cda(recipients=(DOCTOR,)),
        version="1.2^CISIS_CDA_HL7_V1",
        order="SC",
        yes_no="",
        parts=(),
        metadata={"DESTMSSANTEPAT": "N"},
    )
    old = without(without(old, "OBX", 11), "OBX", 10)
    old = old.replace(b"INVISIBLE_REP_LEGAUX", b"INVISIBLE_REPRESENTANTS_LEGAUX").replace(
        b"MODIF_CONF_CODE", b"MODIF_CONFIDENTIALITYCODE"
    )
    verdict = check(old)
    assert told(verdict) == [] and verdict.warnings
    assert verdict.request is not None
    assert [one.address for one in verdict.request.recipients] == [DOCTOR]
    assert verdict.request.sender is not None and not zam.known_to(verdict.request.dialect)
    assert verdict.request.principal.uid == DOCUMENT
