"""From request and header to metadata and ebXML, judged by an oracle of our own (dmp §2, §8.2; mssante §2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from router.cda.document import read
from router.errors import Invalid, OperatorFault
from router.request import Author, Code, Device, DocumentHeader, Identifier, Masks, Professional, TransmissionRequest
from router.simulators.sender import HOPITAL_A, Maker
from router.structures import StructureConfig
from router.xds import ebxml, metadata
from router.xds.specialties import AUTOMATE, specialty_of
from router.xds.tables import NO_MODEL, tables
from tests.xds.xds_oracle import RIM, codes, faults, identifier, slots

STRUCTURE = StructureConfig(finess=HOPITAL_A.finess, name="Hôpital A", source_oid="1.2.250.1.213.1.4.99.7")


def header_of(kind: str = "biology", **options: Any) -> DocumentHeader:
    maker = Maker(7)
    return read(maker.document(kind, maker.patient(age=50), **options).content).header


def asked(*headers: DocumentHeader, **changes: Any) -> TransmissionRequest:
    given: dict[str, Any] = {
        "dialect": "2.1",
        "action": "initial",
        "feed": "sil",
        "control_id": "1",
        "patient": headers[0].patient,
        "sender": headers[0].authors[0],
        "documents": headers,
        "encounter_class": "I",
    }
    return TransmissionRequest(**given | changes)


def archive(header: DocumentHeader, request: TransmissionRequest, **options: Any) -> Any:
    """METADATA.XML of one document, parsed."""
    return etree.fromstring(archive_bytes(header, request, **options))


def archive_bytes(header: DocumentHeader, request: TransmissionRequest, **options: Any) -> bytes:
    entry = metadata.document_entry(header, request, uri="DOC00001.XML")
    lot = metadata.submission_set(request, STRUCTURE, unique_id="2.25.1", now=1_700_000_000)
    return ebxml.archive_metadata(lot, [entry], **options)


@pytest.mark.parametrize("kind", ["biology", "biology-n1", "imaging", "letter"])
def test_metadata_satisfies_the_oracle(kind: str) -> None:
    """METADATA.XML of each kind of document breaks none of the rules of a registry."""
    header = header_of(kind)
    assert faults(archive_bytes(header, asked(header)), archive=True) == []


@pytest.mark.parametrize(
    "damage",
    [
        ('<Slot name="creationTime"><ValueList><Value>', '<Slot name="creationTime"><ValueList><Value>+0100'),
        ('name="size"', 'name="hash"'),
        ('id="cl02"', 'id="cl01"'),
        ('classifiedObject="Document01"', 'classifiedObject="SubmissionSet01"'),
        (">Original<", ">Reference<"),
        ('nodeRepresentation="03"', 'nodeRepresentation=""'),
        ("urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a", "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"),
    ],
)
def test_the_oracle_sees_damage(damage: tuple[str, str]) -> None:
    """The judge is no rubber stamp: each damage is found."""
    header = header_of()
    xml = archive_bytes(header, asked(header)).decode()
    assert damage[0] in xml
    assert faults(xml.replace(*damage).encode(), archive=True)


def test_values_come_from_the_document_and_the_message() -> None:
    """UTC times, codes with their systems, hash and size of the bytes, local and national identifiers."""
    header = header_of()
    root = archive(header, asked(header))
    (entry,) = root.iter(RIM + "ExtrinsicObject")
    held = slots(entry)
    assert held["hash"] == [header.sha1]
    assert held["size"] == [str(header.size)]
    assert held["URI"] == ["DOC00001.XML"]
    assert header.patient.ipp is not None and header.patient.ins is not None
    assert held["sourcePatientId"] == [f"{header.patient.ipp.value}^^^&{header.patient.ipp.authority}&ISO^PI"]
    assert identifier(entry, "patientId") == f"{header.patient.ins.value}^^^&{header.patient.ins.authority}&ISO^NH"
    assert identifier(entry, "uniqueId") == header.uid
    assert codes(entry, "class") == [("10", "1.2.250.1.213.1.1.4.1")]
    assert codes(entry, "type") == [("11502-2", "2.16.840.1.113883.6.1")]
    assert codes(entry, "format") == [("urn:ihe:lab:xd-lab:2008", "1.3.6.1.4.1.19376.1.2.3")]
    assert codes(entry, "confidentiality") == [("N", "2.16.840.1.113883.5.25")]
    (package,) = root.iter(RIM + "RegistryPackage")
    assert codes(package, "content type") == [("03", "1.2.250.1.213.2.2")]
    assert identifier(package, "sourceId") == STRUCTURE.source_oid


@pytest.mark.parametrize(
    ("media", "code"),
    [
        ("application/pdf", "urn:ihe:iti:xds-sd:pdf:2008"),
        ("text/plain", "urn:ihe:iti:xds-sd:text:2008"),
        ("text/rtf", "urn:ihe:iti-fr:xds-sd:rtf:2010"),
        ("image/jpeg", "urn:ihe:iti-fr:xds-sd:jpeg:2010"),
        ("image/tiff", "urn:ihe:iti-fr:xds-sd:tiff:2010"),
    ],
)
def test_format_of_an_unstructured_body(media: str, code: str) -> None:
    """By media type (ASS_A12)."""
    found = tables().format_of(header_of("letter", media_type=media))
    assert found is not None
    assert (found.code, found.system) == (code, "1.3.6.1.4.1.19376.1.2.3")


@pytest.mark.parametrize(
    ("templates", "code", "system"),
    [
        (("1.3.6.1.4.1.19376.1.3.3", "1.2.250.1.213.1.1.1.55"), "urn:ihe:lab:xd-lab:2008", "1.3.6.1.4.1.19376.1.2.3"),
        (("1.2.250.1.213.1.1.1.13",), "urn:asip:ci-sis:vsm:2012", "1.2.250.1.213.1.1.4.2.282"),
        (("1.2.250.1.213.1.1.1.1",), "urn:asipSante:modelesHorsProfils:2011", "1.2.250.1.213.1.1.4.2.282"),
        (
            ("1.3.6.1.4.1.19376.1.8.1.1.1", "1.2.250.1.213.1.1.1.57"),
            "urn:ihe:palm:apsr:2016",
            "1.3.6.1.4.1.19376.1.2.3",
        ),
    ],
)
def test_format_of_a_structured_document(templates: tuple[str, ...], code: str, system: str) -> None:
    """By model (ASS_A11), the French model before IHE's; a document of no model has a format of its own."""
    found = tables().format_of(header_of().model_copy(update={"template_ids": templates}))
    assert found is not None
    assert (found.code, found.system) == (code, system)


def test_formats_the_dmp_does_not_take() -> None:
    """JDV_J60 lacks some: mail only."""
    assert tables().in_dmp("urn:ihe:lab:xd-lab:2008")
    assert not tables().in_dmp("urn:asip:ci-sis:cva:2017")


@pytest.mark.parametrize(("kind", "code"), [("18748-4", "31"), ("57833-6", "42"), ("60591-5", "11"), ("11490-0", "10")])
def test_class_of_a_type(kind: str, code: str) -> None:
    """ASS_X04."""
    found = tables().class_of(kind)
    assert found is not None and found.code == code and found.label


def test_an_unknown_type_has_no_class_unless_the_site_names_one() -> None:
    """`Invalid` at classCode, or the site's default."""
    header = header_of().model_copy(update={"code": Code(code="99999-9", system="2.16.840.1.113883.6.1", label="?")})
    with pytest.raises(Invalid) as caught:
        metadata.document_entry(header, asked(header))
    assert caught.value.place == "classCode"
    assert metadata.document_entry(header, asked(header), default_class="10").class_code.label == "Compte rendu"


def test_masks_have_their_xds_spelling() -> None:
    """N first, then the masks; INVISIBLE_REP_LEGAUX becomes INVISIBLE_REPRESENTANTS_LEGAUX (dmp §2.7)."""
    header = header_of()
    masks = Masks(masque_ps=True, invisible_rep_legaux=True)
    found = metadata.document_entry(header, asked(header, masks=masks)).confidentiality
    assert [code.code for code in found] == ["N", "MASQUE_PS", "INVISIBLE_REPRESENTANTS_LEGAUX"]


def test_an_unqualified_ins_is_nowhere() -> None:
    """The CDA holds an INS, the identity isn't qualified: the local identifier stands everywhere (decisions D2)."""
    header = header_of()
    assert header.patient.ins is not None
    patient = header.patient.model_copy(update={"ins": None, "identifiers": ()})
    xml = archive_bytes(header, asked(header, patient=patient)).decode()
    assert header.patient.ins.value not in xml
    assert faults(xml, archive=True) == []


def test_no_identifier_at_all_is_invalid() -> None:
    """Neither a qualified INS nor a local identifier with its authority."""
    header = header_of()
    patient = header.patient.model_copy(update={"ins": None, "ipp": Identifier(value="42", namespace="CHU")})
    with pytest.raises(Invalid) as caught:
        metadata.patient_id(asked(header, patient=patient))
    assert caught.value.code == "XDS-PATIENT"
    assert metadata.patient_id(asked(header, patient=patient), "1.2.3.4") == "42^^^&1.2.3.4&ISO^PI"


@pytest.mark.parametrize(("on_set", "tag"), [(False, "ExtrinsicObject"), (True, "RegistryPackage")])
def test_action_slot(on_set: bool, tag: str) -> None:
    """`C` or `D` in a slot of a configurable name, on the document or on the set; none for an initial sending."""
    header = header_of()
    root = archive(header, asked(header), action="C", action_slot="urn:x:action", action_on_set=on_set)
    (holder,) = root.iter(RIM + tag)
    assert slots(holder)["urn:x:action"] == ["C"]
    assert sum(one.get("name") == "urn:x:action" for one in root.iter(RIM + "Slot")) == 1
    assert b"urn:x:action" not in archive_bytes(header, asked(header), action_slot="urn:x:action")


def test_names_with_xml_and_hl7_delimiters() -> None:
    """`&`, `^`, quotes, `<` and accents in names and titles survive both kinds of escaping."""
    header = header_of(title='Bilan "A & B" <urgent> d\'été')
    author = header.authors[0]
    assert author.person is not None
    person = author.person.model_copy(update={"family": "D'É&T^\"<O>", "given": "Zoé"})
    header = header.model_copy(update={"authors": (author.model_copy(update={"person": person}),)})
    root = archive(header, asked(header))
    assert faults(etree.tostring(root), archive=True) == []
    (entry,) = root.iter(RIM + "ExtrinsicObject")
    assert entry.find(f"{RIM}Name/{RIM}LocalizedString").get("value") == 'Bilan "A & B" <urgent> d\'été'
    written = [value.text for value in root.iter(RIM + "Value") if "D'É" in (value.text or "")]
    assert written and all("^D'É\\T\\T\\S\\\"<O>^Zoé^" in value for value in written)


def test_several_authors_one_of_them_a_machine() -> None:
    """One classification per author."""
    header = header_of()
    machine = header.authors[0].model_copy(
        update={"person": None, "device": Device(id="1.2.3.4", name="Automate", model="X")}
    )
    header = header.model_copy(update={"authors": (header.authors[0], machine)})
    root = archive(header, asked(header))
    assert faults(etree.tostring(root), archive=True) == []
    (entry,) = root.iter(RIM + "ExtrinsicObject")
    assert len(codes(entry, "author")) == 2


@pytest.mark.parametrize(
    ("start", "stop", "kept"),
    [
        ("20240101100000+0100", "20240101110000+0100", True),
        ("20240101100000+0100", "20240101090000+0100", False),
        ("20240101100000+0100", "20240101", True),
        ("20240101", "20231231", False),
        ("20240101", "20240101003000+0100", True),
        ("20240101220000-0400", "20240101", True),
        ("20240101", "20231231233000-0400", False),
        ("202401011000+0100", "20240101100030+0100", True),
    ],
)
def test_a_stop_before_the_start_is_left_out(start: str, stop: str, kept: bool) -> None:
    """A registry would refuse it; the document itself is not touched."""
    header = header_of().model_copy(update={"start_time": start, "stop_time": stop})
    assert bool(metadata.document_entry(header, asked(header)).stop_time) is kept


def test_an_event_is_named_once() -> None:
    """Acts that the document repeats stand once in eventCodeList."""
    header = header_of()
    code = Code(code="18719-5", system="2.16.840.1.113883.6.1", label="Biochimie")
    header = header.model_copy(update={"events": (code, code)})
    assert metadata.document_entry(header, asked(header)).events == (code,)


def test_models_do_not_print_values() -> None:
    """No repr of ours holds an identifier of the patient."""
    header = header_of()
    entry = metadata.document_entry(header, asked(header))
    lot = metadata.submission_set(asked(header), STRUCTURE, unique_id="2.25.1", now=0)
    assert header.patient.ins is not None
    for one in (entry, lot, entry.authors[0]):
        assert header.patient.ins.value not in repr(one)
        assert header.patient.birth_family not in repr(one)


def test_a_site_replaces_a_table(tmp_path: Path) -> None:
    """A file of the same name in the site's folder replaces ours; a broken one is named."""
    (tmp_path / "type_class.csv").write_text("# ours\n52,11502-2\n", encoding="utf-8")
    own = tables(tmp_path)
    found = own.class_of("11502-2")
    assert found is not None and found.code == "52"
    assert own.class_of("18748-4") is None
    assert own.content_of("R").code == "19"
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "media_format.csv").write_text("application/pdf\n", encoding="utf-8")
    with pytest.raises(OperatorFault) as caught:
        tables(broken)
    assert caught.value.place == "media_format.csv"


def test_every_format_has_a_label_of_its_own() -> None:
    """A format's label is what JDV_J60 calls it, not its URN again; every model that the DMP takes has one."""
    ours = tables()
    models = {name for name, taken in ours.template_format.values() if taken} | {NO_MODEL}
    labels = [ours.format_label[name] for name in models] + [label for _, label in ours.media_format.values()]
    assert all(label and "urn:" not in label for label in labels)
    found = ours.format_of(header_of("biology"))
    assert found is not None and found.label == "Compte rendu structuré d'examens de biologie médicale"
    pdf = ours.format_of(header_of("biology-n1"))
    assert pdf is not None and pdf.label == "Document à corps non structuré en Pdf/A-1"


@pytest.mark.parametrize("known", [True, False])
def test_a_devices_specialty_is_what_the_document_says(known: bool) -> None:
    """Of a device too, under its own identifier; AUTOMATE comes last."""
    header = header_of()
    said = ("G15_10/SM03", "Médecin - Biologie médicale (SM)", "1.2.250.1.213.1.1.4.5")
    author = Author(device=Device(id="1.2.3", name="SIL", specialty=said if known else None))
    sender = Author(device=Device(id="1.2.3", name="Automate"))
    found = specialty_of(sender, [header.model_copy(update={"authors": (author,)})])
    assert found == (said if known else AUTOMATE)
    assert specialty_of(Author(person=Professional(id="899700000000")), [header]) is None
