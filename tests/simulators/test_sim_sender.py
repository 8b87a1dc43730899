"""The maker's messages, judged by libraries that are not ours, and its MLLP client on real sockets."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import hl7 as python_hl7
import pytest
from lxml import etree

from router.simulators.framing import frame, read_frame
from router.simulators.sender import HOPITAL_A, Maker, MllpSender, Recipient, ins_key
from router.simulators.sender.pdf import pdf
from router.simulators.sender.samples import samples
from tests.typed import attribute, present

V3 = {"h": "urn:hl7-org:v3"}
ROOT = Path(__file__).resolve().parents[2]


def _document(message: bytes, rank: int = 0) -> etree._Element:
    parsed = python_hl7.parse(message.decode())
    data = str(parsed.segments("OBX")[rank][5][0][4])
    return etree.fromstring(base64.b64decode(data, validate=True), etree.XMLParser(huge_tree=True))


def _metadata(message: bytes) -> list[tuple[str, str]]:
    parsed = python_hl7.parse(message.decode())
    lines = [line for line in parsed.segments("OBX") if str(line[2]) != "ED"]
    return [(str(line[3][0][0]), str(line[5])[0]) for line in lines]


def test_one_seed_makes_the_same_bytes() -> None:
    """Two makers of one seed agree on every byte, two seeds on no document."""
    first, second, other = Maker(7), Maker(7), Maker(8)
    made = [m.message(m.document("biology", m.patient())) for m in (first, second, other)]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_patients_are_distinct_and_their_keys_right() -> None:
    """A thousand patients have a thousand matricules whose key is right, coherent with their traits."""
    maker = Maker(3)
    people = [maker.patient() for _ in range(1000)]
    assert len({one.ins for one in people}) == len({one.ipp for one in people}) == 1000
    for one in people:
        assert one.ins is not None
        assert len(one.ins) == 15
        assert one.ins[13:] == ins_key(one.ins[:13])
        assert one.ins[0] == ("1" if one.sex == "M" else "2")
        assert one.ins[1:5] == one.birth_date[2:6]
        assert one.ins[5:10] == one.birthplace[0]


@pytest.mark.parametrize("matricule", ["2790351215189", "2770763220829", "2740751760794", "1460263220001"])
def test_key_of_published_test_patients(matricule: str) -> None:
    """The key is the one of the published test matricules."""
    assert ins_key(matricule) == {"2790351215189": "89", "2770763220829": "10", "2740751760794": "30"}.get(
        matricule, "96"
    )


@pytest.mark.parametrize("kind", ["biology", "biology-n1", "imaging", "letter"])
def test_header_has_what_the_profile_demands(kind: str) -> None:
    """Every element of the structuration minimale is there, in the order of the CDA schema."""
    maker = Maker(1)
    patient = maker.patient()
    root = etree.fromstring(maker.document(kind, patient).content)
    names = [etree.QName(child).localname for child in root]
    order = [
        "realmCode typeId templateId id code title effectiveTime confidentialityCode languageCode setId",
        "versionNumber recordTarget author custodian legalAuthenticator inFulfillmentOf documentationOf",
        "componentOf component",
    ]
    assert list(dict.fromkeys(names)) == " ".join(order).split()
    ids = root.findall("h:recordTarget/h:patientRole/h:id", V3)
    assert [one.get("extension") for one in ids] == [patient.ins, patient.ipp]
    assert attribute(root, "h:legalAuthenticator/h:signatureCode", "code", V3) == "S"
    facility = "h:componentOf/h:encompassingEncounter/h:location/h:healthCareFacility/h:code"
    assert attribute(root, facility, "code", V3) == "SA01"
    assert re.fullmatch(r"\d{14}[+-]\d{4}", attribute(root, "h:effectiveTime", "value", V3))
    structure = "h:author/h:assignedAuthor/h:representedOrganization/h:id"
    assert attribute(root, structure, "extension", V3) == HOPITAL_A.id_nat


@pytest.mark.parametrize("size", [5_900, 100_000, 20_000_000])
@pytest.mark.parametrize("kind", ["biology", "imaging"])
def test_documents_have_the_size_asked(kind: str, size: int) -> None:
    """From a few kilobytes to 20 MB, within one percent or the smallest there is; the PDF inside is whole."""
    maker = Maker(2)
    document = maker.document(kind, maker.patient(), size=size)
    smallest = len(maker.document(kind, maker.patient()).content)
    assert abs(len(document.content) - max(size, smallest)) <= max(size, smallest) // 100 + 350
    root = etree.fromstring(document.content, etree.XMLParser(huge_tree=True))
    inside = present(root.findtext(".//*[@mediaType='application/pdf'][@representation='B64']"))
    assert base64.b64decode(inside, validate=True).startswith(b"%PDF-1.4")


def test_pdf_cross_references_are_right() -> None:
    """Every offset of the PDF's table leads to its object, and startxref to the table."""
    made = pdf("Titre (é)", ["ligne 1"], size=5000)
    start = int(made.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    table = made[start:].split(b"\n")
    assert table[0] == b"xref"
    for number, line in enumerate(table[3 : 2 + int(table[1].split()[1])], 1):
        assert made[int(line[:10]) :].startswith(b"%d 0 obj" % number)
    assert len(made) >= 4900


def test_metadata_in_the_order_of_the_volet() -> None:
    """The ten metadata of 2.1 stand in the fixed order, after the document and its participations."""
    maker = Maker(1)
    message = maker.message(maker.document("biology", maker.patient()), patient_mail=True, ack_lecture=True)
    assert [name for name, _ in _metadata(message)] == [
        "MASQUE_PS",
        "INVISIBLE_PATIENT",
        "INVISIBLE_REP_LEGAUX",
        "CONNEXION_SECRETE",
        "MODIF_CONF_CODE",
        "DESTDMP",
        "DESTMSSANTEPS",
        "DESTMSSANTEPAT",
        "ACK_RECEPTION",
        "ACK_LECTURE_MSS",
    ]
    assert "".join(value for _, value in _metadata(message)) == "NNNNNYYYYY"


@pytest.mark.parametrize(
    ("event", "action", "orc", "status", "trigger"),
    [
        ("R01", "initial", "NW", "F", "ORU^R01^ORU_R01"),
        ("R01", "replace", "RO", "C", "ORU^R01^ORU_R01"),
        ("R01", "delete", "CA", "D", "ORU^R01^ORU_R01"),
        ("MDM", "initial", "NW", "F", "MDM^T02^MDM_T02"),
        ("MDM", "replace", "RO", "C", "MDM^T10^MDM_T02"),
        ("MDM", "delete", "CA", "D", "MDM^T04^MDM_T02"),
    ],
)
def test_action_is_told_three_times(event: Any, action: Any, orc: str, status: str, trigger: str) -> None:
    """Trigger, ORC-1 and OBX-11 agree (truth table of the volet)."""
    maker = Maker(4)
    document = maker.document("imaging", maker.patient())
    document = maker.replacement(document) if action != "initial" else document
    parsed = python_hl7.parse(maker.message(document, event=event, action=action).decode())
    assert str(parsed.segment("MSH")[9]) == trigger
    assert str(parsed.segment("ORC")[1]) == orc
    assert str(parsed.segment("OBX")[11]) == status


def test_replacement_keeps_its_family() -> None:
    """A new version: new id, same setId, next number, RPLC to its predecessor, which TXA-13 repeats."""
    maker = Maker(4)
    first = maker.document("imaging", maker.patient())
    second = maker.replacement(first)
    root = etree.fromstring(second.content)
    assert second.uid != first.uid
    assert attribute(root, "h:setId", "root", V3) == first.set_id == second.set_id
    assert attribute(root, "h:versionNumber", "value", V3) == "2"
    parent = "h:relatedDocument[@typeCode='RPLC']/h:parentDocument/h:id"
    assert attribute(root, parent, "root", V3) == first.uid
    parsed = python_hl7.parse(maker.message(second, event="MDM").decode())
    assert str(parsed.segment("TXA")[13]) == first.uid


def test_older_dialects_write_what_their_generation_wrote() -> None:
    """2.0 writes HL70136, SC, bodies before ACK_*, no ORC in MDM; 1.2 the old names, bare flags, no PRT."""
    maker = Maker(5)
    document = maker.document("imaging", maker.patient(), recipients=[maker.doctor])
    second = maker.message(document, dialect="2.0", body_professionals="Bonjour").decode()
    assert "Y^^HL70136" in second
    assert "\rORC|SC\r" in second
    assert second.index("CORPSMAIL_PS") < second.index("ACK_RECEPTION")
    assert "\rORC" not in maker.message(document, dialect="2.0", event="T02").decode()
    first = maker.message(document, dialect="1.2").decode()
    assert "INVISIBLE_REPRESENTANTS_LEGAUX" in first
    assert "ACK_RECEPTION" not in first
    assert "\rPRT" not in first
    recipients = _document(first.encode()).xpath("//h:intendedRecipient/h:telecom/@value", namespaces=V3)
    assert recipients == [f"mailto:{maker.doctor.address}"]


def test_participations_only_after_the_first_document() -> None:
    """A pair has its PRT between its two documents, sender first, patient with his INS."""
    maker = Maker(6)
    patient = maker.patient()
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient, with_pdf=False)]
    lines = maker.message(pair, patient_mail=True, reply_to="a@b.fr").decode().split("\r")
    names = [line[:3] for line in lines[:-1]]
    assert names[:9] == ["MSH", "PID", "PV1", "ORC", "OBR", "OBX", "PRT", "PRT", "PRT"]
    assert names[9:12] == ["PRT", "OBX", "OBX"]
    roles = [line.split("|")[4].split("^")[0] for line in lines if line.startswith("PRT")]
    assert roles == ["SB", "RCT", "RCT", "REPLY"]
    assert f"|{patient.ins}^" in lines[8]


def test_bending_one_field() -> None:
    """A test can change one raw field, drop a segment, and is told when the place isn't there."""
    maker = Maker(6)
    document = maker.document("biology", maker.patient())
    bent = maker.message(document, fields={"PID-32": "PROV", "MSH-12": "2.3", "OBX[2]-11": "X"}, drop=["PV1"])
    parsed = python_hl7.parse(bent.decode())
    assert str(parsed.segment("PID")[32]) == "PROV"
    assert str(parsed.segment("MSH")[12]) == "2.3"
    assert str(parsed.segments("OBX")[1][11]) == "X"
    assert b"\rPV1" not in bent
    with pytest.raises(ValueError, match="no such segment"):
        maker.message(document, fields={"ZZZ-1": "x"})


def test_names_with_separators_are_escaped() -> None:
    """A name that holds separators adds no component."""
    maker = Maker(6)
    patient = maker.patient(family="O&B^C|D~E\\F")
    parsed = python_hl7.parse(maker.message(maker.document("letter", patient), event="MDM").decode())
    assert str(parsed.segment("PID")[5][0][0]) == "O\\T\\B\\S\\C\\F\\D\\R\\E\\E\\F"


def test_latin_nine_message() -> None:
    """MSH-18 8859/15 means bytes in that charset."""
    maker = Maker(6)
    message = maker.message(maker.document("letter", maker.patient(family="ŒUVRÉ")), charset="8859/15")
    assert "ŒUVRÉ".encode("iso-8859-15") in message


def test_a_recipient_does_not_print() -> None:
    """Neither patients nor recipients show themselves in a log."""
    maker = Maker(6)
    patient = maker.patient(family="MARQUE")
    recipient = Recipient(patient=patient, address=patient.address)
    shown = repr([patient, recipient, maker.document("letter", patient), maker.doctor])
    assert "MARQUE" not in shown
    assert str(patient.ins) not in shown


def test_adt_of_an_opposed_patient() -> None:
    """ZFA-9 says IO, and a merge names who disappears."""
    maker = Maker(9)
    patient, gone = maker.patient(), maker.patient()
    parsed = python_hl7.parse(maker.adt("A31", patient, opposition="IO").decode())
    assert str(parsed.segment("ZFA")[9]) == "IO"
    merged = python_hl7.parse(maker.adt("A40", patient, merged=gone).decode())
    assert gone.ipp in str(merged.segment("MRG")[1])
    assert patient.ipp in str(merged.segment("PID")[3])


def test_samples_in_the_repository_are_fresh() -> None:
    """pipelines/samples holds exactly what the generator writes today."""
    folder = ROOT / "pipelines" / "samples"
    found = {path.name: path.read_bytes() for path in folder.glob("*.hl7")}
    assert found == samples(), "run: python -m router.simulators.sender.samples"


async def _answering(ack_after: float = 0.0, cut_first: bool = False) -> tuple[asyncio.Server, list[bytes]]:
    """A peer that acknowledges; with `cut_first` it hangs up on the first message it reads."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (message := await read_frame(reader)) is not None:
            received.append(message)
            if cut_first and len(received) == 1:
                break
            await asyncio.sleep(ack_after)
            control = message.split(b"|")[9]
            writer.write(frame(b"MSH|^~\\&|P|P|S|S|2025||ACK|1|P|2.5\rMSA|AA|" + control))
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**24), received


def _run(total: int, *, connections: int, rate: float | None = None, cut: bool = False, ack_after: float = 0.0) -> Any:
    async def play() -> Any:
        server, received = await _answering(ack_after, cut)
        port = server.sockets[0].getsockname()[1]
        messages = [f"MSH|^~\\&|S|S|P|P|2025||ORU^R01|C{n}|P|2.5\r".encode() for n in range(total)]
        async with MllpSender("127.0.0.1", port, connections=connections, retries=2, pause=0.01) as sender:
            sent = await sender.send_all(messages, rate=rate)
        server.close()
        return sent, received

    return asyncio.run(play())


def test_sender_collects_the_answers_in_order() -> None:
    """A closed loop over three connections gives every answer, in the order of the messages."""
    sent, received = _run(20, connections=3)
    assert [one.control_id for one in sent] == [f"C{n}" for n in range(20)]
    assert {one.code for one in sent} == {"AA"}
    assert len(received) == 20


def test_open_loop_keeps_its_instants() -> None:
    """With a rate, the queue in front of a slow peer counts in the latency."""
    sent, _ = _run(6, connections=1, rate=200, ack_after=0.03)
    assert sent[-1].latency > 0.1
    assert sent[-1].due - sent[0].due == pytest.approx(5 / 200)


def test_unanswered_message_is_sent_again() -> None:
    """A connection cut before the answer leads to a second try with the same bytes."""
    sent, received = _run(2, connections=1, cut=True)
    assert [one.tries for one in sent] == [2, 1]
    assert received[0] == received[1]
    assert {one.code for one in sent} == {"AA"}


def test_a_peer_that_is_away_is_no_exception() -> None:
    """Nobody listening: no answer, no exception."""

    async def play() -> str:
        async with MllpSender("127.0.0.1", 1, retries=1, pause=0.01) as sender:
            return (await sender.send(b"MSH|^~\\&|S|S|P|P|2025||ORU^R01|C1|P|2.5\r")).code

    assert asyncio.run(play()) == ""
