"""Reading a CDA: the header's fields, the PDF, and what is refused (R35, R37; E06, E07, E15)."""

from __future__ import annotations

import base64
import re
import time
from typing import Any

import pytest

from router.cda import document
from router.cda.document import Document, missing_items, read, require
from router.cda.minimal import ITEMS
from router.errors import Invalid, Malformed
from router.request import Code
from tests.cda.cda_samples import PDF, cda, n1_body, n3_body, section
from tests.examples import example

COPY = ("55108-5", "1.2.250.1.213.1.1.2.243")


def carried(name: str) -> bytes:
    """The document inside an example message."""
    text = re.search(rb"OBX\|1\|ED\|[^\r\n]*?\^Base64\^([A-Za-z0-9+/]+)", example(name))
    assert text
    return base64.b64decode(text[1] + b"=" * (-len(text[1]) % 4))


def refusal(data: bytes, **options: Any) -> Malformed:
    """The fault that reading these bytes raises."""
    with pytest.raises(Malformed) as caught:
        read(data, **options)
    return caught.value


def test_every_field_of_the_header_is_read() -> None:
    """The paths of hl7-input §6.2 give every field of the header."""
    header = read(cda()).header
    assert (header.uid, header.extension, header.set_id, header.version) == (
        "1.2.250.1.999.1.7",
        "",
        "1.2.250.1.999.1^S7",
        "2",
    )
    assert header.replaces == "1.2.250.1.999.1.6"
    assert (header.level, header.media_type) == (1, "application/pdf")
    assert header.template_ids[-1] == "1.2.250.1.213.1.1.1.55"
    assert header.code == Code(code="11502-2", system="2.16.840.1.113883.6.1", label="CR d'examens biologiques")
    assert header.title == "Compte rendu de biologie"
    assert header.effective_time == "20260105101530+0100"
    assert (header.confidentiality.code, header.language) == ("N", "fr-FR")
    assert header.facility_type and header.facility_type.code == "SA25"
    assert header.practice_setting and header.practice_setting.code == "ETABLISSEMENT"
    assert [(order.value, order.authority) for order in header.orders] == [("P-44", "1.2.250.1.999.3")]
    assert header.custodian and header.custodian.finess == "750100125"
    assert (header.stylesheet, header.size) == (False, len(cda()))


def test_the_patient_is_read_with_all_identifiers_and_traits() -> None:
    """The patient keeps every id as written, in order, and the traits by their qualifiers."""
    patient = read(cda()).header.patient
    assert [i.value for i in patient.identifiers] == ["279035121518989", "IPP-0001"]
    assert patient.ins and patient.ins.authority == "1.2.250.1.213.1.4.10"
    assert patient.ipp and patient.ipp.value == "IPP-0001"
    assert (patient.birth_family, patient.used_family) == ("PAT-TROIS", "DUPONT")
    assert (patient.given, patient.given_names) == ("DOMINIQUE", "DOMINIQUE ANNE")
    assert (patient.birth_date, patient.sex, patient.birthplace) == ("19790328", "F", "63220")


def test_author_and_legal_authenticator_are_read_with_national_ids() -> None:
    """People carry PS_IdNat, specialty and role; organisations carry Struct_IdNat."""
    header = read(cda()).header
    author = header.authors[0]
    assert author.person and author.structure
    assert (author.person.id, author.person.kind, author.person.family, author.person.given) == (
        "801234534765",
        "IDNPS",
        "CAMPARINI",
        "Marcel",
    )
    assert author.person.specialty == ("G15_10/SM03", "Biologie médicale", "1.2.250.1.213.1.1.4.5")
    assert author.person.role == "Biologiste"
    assert (author.structure.id, author.structure.kind, author.structure.name) == ("1750100125", "IDNST", "CHU X")
    signer = header.legal_authenticator
    assert signer and signer.person and signer.person.family == "CAMPARINI"
    assert signer.time == "20260105"


def test_a_device_author_is_read() -> None:
    """An author that is software has a device and no person."""
    person = (
        "<assignedPerson><name><prefix>DR</prefix><given>Marcel</given><family>CAMPARINI</family></name>"
        "</assignedPerson>"
    )
    machine = (
        "<assignedAuthoringDevice><manufacturerModelName>M1</manufacturerModelName>"
        "<softwareName>Robot</softwareName></assignedAuthoringDevice>"
    )
    own = (
        'id root="1.2.250.1.71.4.2.1" extension="801234534765"/>\n    <code',
        'id root="1.2.250.1.999.5" extension="R1"/>\n    <code',
    )
    kept = read(cda(change=(own, (person, machine)))).header.authors[0].device
    assert kept and (kept.id, kept.authority, kept.role) == ("R1", "1.2.250.1.999.5", "Biologiste")
    author = read(cda(change=((person, machine),))).header.authors[0]
    assert author.person is None
    assert author.device and (author.device.id, author.device.name, author.device.model) == (
        "801234534765",
        "Robot",
        "M1",
    )


def test_the_main_act_is_the_one_with_practice_setting_and_date() -> None:
    """Several documentationOf: the main act comes first, the others feed the events only."""
    header = read(cda()).header
    assert header.act and header.act.code == "18719-5"
    assert [event.code for event in header.events] == ["18719-5", "18723-7"]
    assert (header.start_time, header.stop_time) == ("20260104092200+0100", "20260104160500+0100")


def test_an_id_with_extension_is_written_root_and_extension() -> None:
    """R60/R64 see the extension; `id` is `root^extension`."""
    header = read(cda(change=(('<id root="1.2.250.1.999.1.7"/>', '<id root="1.2" extension="A7"/>'),))).header
    assert (header.uid, header.extension, header.id) == ("1.2", "A7", "1.2^A7")


def test_r62_every_replaced_document_is_named() -> None:
    """R62: two RPLC parents are both visible, while an APND parent is not one."""
    more = (
        '<relatedDocument typeCode="RPLC"><parentDocument><id root="1.2.3"/></parentDocument></relatedDocument>'
        '<relatedDocument typeCode="APND"><parentDocument><id root="1.2.4"/></parentDocument></relatedDocument>'
    )
    assert read(cda(change=(("<componentOf>", more + "<componentOf>"),))).predecessors == ("1.2.250.1.999.1.6", "1.2.3")


def test_intended_recipients_give_the_mailboxes_of_old_senders() -> None:
    """E49: mailboxes inside the CDA are read for senders of the volet 1.2."""
    recipient = (
        "<informationRecipient><intendedRecipient>"
        '<id root="1.2.250.1.71.4.2.1" extension="801234567897"/><telecom value="tel:0102030405"/>'
        '<telecom value="mailto:adam.hoda@test-ci-sis.mssante.fr"/>'
        "<informationRecipient><name><family>HODA</family><given>Adam</given></name></informationRecipient>"
        "</intendedRecipient></informationRecipient>"
    )
    [found] = read(cda(change=(("<custodian>", recipient + "<custodian>"),))).intended
    assert (found.address, found.id, found.family) == ("adam.hoda@test-ci-sis.mssante.fr", "801234567897", "HODA")
    assert "adam" not in repr(found)


@pytest.mark.parametrize("codec", ["utf-8", "iso-8859-1", "iso-8859-15"])
def test_r35_declared_encodings_are_honoured(codec: str) -> None:
    """R35: the document's own declaration says how to decode it."""
    title = "Coeur été" if codec == "iso-8859-1" else "Cœur €"
    before = f'<?xml version="1.0" encoding="{codec}"?>'
    data = cda(change=(("Compte rendu  de\n biologie", title),), before=before, codec=codec)
    assert read(data).header.title == title


def test_r35_a_bom_and_instructions_before_the_root_are_harmless() -> None:
    """R35: BOM, comments and processing instructions are accepted; a stylesheet is noted, never followed."""
    before = (
        '\ufeff<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>'
        "<!-- <!DOCTYPE in a comment> --><?oxygen a?>"
    )
    assert read(cda(before=before)).header.stylesheet


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "XML"),
        (b"Document medical", "XML"),
        (b"%PDF-1.4", "XML"),
        ("<ClinicalDocument xmlns='urn:hl7-org:v3'/>".encode("utf-16"), "UTF-16"),
        ("<ClinicalDocument xmlns='urn:hl7-org:v3'/>".encode("utf-16-be"), "UTF-16"),
        ("<ClinicalDocument xmlns='urn:hl7-org:v3'/>".encode("utf-16-le"), "UTF-16"),
        ("<ClinicalDocument xmlns='urn:hl7-org:v3'/>".encode("utf-32"), "UTF-32"),
        (b'<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>', "auto-présentable"),
        (b'<transform xmlns="http://www.w3.org/1999/XSL/Transform"/>', "auto-présentable"),
        (b"<?xml version='1.0' encoding='UTF-7'?><a/>", "Codage"),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'>", "mal form"),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'><x:y/></ClinicalDocument>", "espace de noms"),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'>\xff</ClinicalDocument>", "mal form"),
        (b"<ClinicalDocument/>", "racine"),
        (b"<Autre xmlns='urn:hl7-org:v3'/>", "racine"),
    ],
)
def test_r35_what_is_not_a_clinical_document_is_refused(data: bytes, part: str) -> None:
    """R35: the fault has the code, the place in the message and a French reason."""
    fault = refusal(data)
    assert (fault.code, fault.place) == ("R35", "OBX^1^5^1^5")
    assert part in fault.text


def test_r35_the_text_of_a_fault_holds_no_value() -> None:
    """R35: a fault tells line and column, not what stood there."""
    fault = refusal(cda().replace(b"</title>", b"</SECRET-NAME>"))
    assert "SECRET" not in str(fault) and "ligne" in fault.text


def test_r35_e02_a_document_that_ends_too_early_is_refused() -> None:
    """R35/E02: the body is checked to its end although only the header is read."""
    assert refusal(cda()[:-20]).code == "R35"


def test_r35_a_broken_body_is_refused() -> None:
    """R35: an error far behind the header is found."""
    broken = n3_body(section(*COPY, PDF)).replace("</section>", "</sectio>")
    assert refusal(cda(broken)).code == "R35"


def test_e06_a_doctype_with_an_external_entity_is_refused_unread() -> None:
    """E06: a DOCTYPE is refused, and what its entity names is never read."""
    entity = '<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    fault = refusal(cda(before=entity, change=(("Compte rendu", "&x;"),)))
    assert (fault.code, "DOCTYPE" in fault.text) == ("R35", True)


def test_e07_billion_laughs_are_refused_at_once() -> None:
    """E07: nested entities never expand."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    before = f'<!DOCTYPE a [<!ENTITY l0 "lol">{entities}]>'
    started = time.perf_counter()
    assert refusal(cda(before=before, change=(("Compte rendu", "&l11;"),))).code == "R35"
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("where", ["header", "body"])
def test_e07_deep_nesting_is_refused_at_once(where: str) -> None:
    """E07: 10,000 levels are refused in the header and in the body alike."""
    deep = "<x>" * 10_000 + "</x>" * 10_000
    data = cda(deep) if where == "body" else cda(change=(("<realmCode", deep + "<realmCode"),))
    started = time.perf_counter()
    assert refusal(data).code == "R35"
    assert time.perf_counter() - started < 1


def test_e15_a_pdf_of_12_megabytes_is_read() -> None:
    """E15: a text node beyond libxml2's usual limit is accepted, and its PDF comes back."""
    content = PDF + b"%" + b"0123456789abcde\n" * (12 * 2**16)
    found = read(cda(n1_body(content)))
    assert found.header.level == 1
    assert found.pdf() == content


def test_e15_beyond_the_limit_is_refused() -> None:
    """E15: the site's limit counts the document's bytes."""
    data = cda()
    assert read(data, limit=len(data)).raw is data
    assert refusal(data, limit=len(data) - 1).code == "R35"


def test_r37_a_complete_header_misses_nothing() -> None:
    """R37: the sample has every item of our table."""
    header = read(cda()).header
    assert missing_items(header) == []
    require(header)


@pytest.mark.parametrize(
    ("old", "xpath"),
    [
        ('<id root="1.2.250.1.999.1.7"/>', "id/@root"),
        ("<title>Compte rendu  de\n biologie</title>", "title"),
        ('<effectiveTime value="20260105101530.250+0100"/>', "effectiveTime/@value"),
        ('<languageCode code="fr-FR"/>', "languageCode/@code"),
        ("<family>CAMPARINI</family></name></assignedPerson>\n    <rep", "author/assignedAuthor/assignedPerson/name"),
        ('<signatureCode code="S"/>', "legalAuthenticator[signatureCode/@code='S']/assignedEntity"),
        (
            '<low value="20260104092200+0100"/>',
            "documentationOf/serviceEvent[performer]/effectiveTime/low/@value",
        ),
        (
            '<code code="SA25" codeSystem="1.2.250.1.71.4.2.4" displayName="Laboratoire"/>',
            "componentOf/encompassingEncounter/location/healthCareFacility/code",
        ),
    ],
)
def test_r37_each_missing_item_is_named(old: str, xpath: str) -> None:
    """R37: the item that lacks is reported by its path, alone."""
    new = "</name></assignedPerson>\n    <rep" if old.endswith("<rep") else ""
    header = read(cda(change=((old, new),))).header
    assert [path for _, path in missing_items(header)] == [xpath]
    with pytest.raises(Invalid) as caught:
        require(header)
    assert (caught.value.code, caught.value.place) == ("R37", "OBX^1^5^1^5")


def test_r37_an_empty_document_misses_everything_at_once() -> None:
    """R37: every missing item is reported, in the table's order."""
    header = read(b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>").header
    assert [path for _, path in missing_items(header)] == [item.xpath for item in ITEMS]


def test_r37_a_uuid_is_not_a_document_id() -> None:
    """R37: XDS knows OIDs only."""
    header = read(cda(change=(("1.2.250.1.999.1.7", "5f1c0a52-0000-4000-8000-000000000000"),))).header
    assert [path for _, path in missing_items(header)] == ["id/@root"]


def test_the_pdf_of_an_n1_is_its_body() -> None:
    """N1: the body's PDF, unpadded and wrapped base64 included."""
    assert read(cda(n1_body())).pdf() == PDF
    text = base64.b64encode(PDF).decode()
    wrapped = n1_body().replace(text, "\n".join(text.rstrip("=")[i : i + 20] for i in range(0, len(text), 20)))
    assert read(cda(wrapped)).pdf() == PDF


def test_an_n1_that_is_not_a_pdf_has_none() -> None:
    """N1: another media type gives no PDF."""
    found = read(cda(n1_body(b"texte", "text/plain")))
    assert found.header.media_type == "text/plain"
    assert found.pdf() is None


@pytest.mark.parametrize("content", [b"not a pdf", b""])
def test_an_n1_whose_pdf_is_unreadable_is_a_fault(content: bytes) -> None:
    """N1: nobody could open such a document, so it is not passed over in silence."""
    with pytest.raises(Malformed) as caught:
        read(cda(n1_body(content))).pdf()
    assert caught.value.code == "CDA-PDF"


def test_the_pdf_of_an_n3_is_the_copy_of_the_document_only() -> None:
    """N3: annexes and images before the copy are never taken for it."""
    other = PDF.replace(b"1.4", b"1.7")
    body = n3_body(
        section("30954-2", "1.2.3", b"\x89PNG", "image/png"),
        section("55107-7", "1.2.250.1.213.1.1.2.37", other),
        section("101792-0", "1.2.250.1.213.1.1.2.60", other),
        section(*COPY, PDF),
    )
    assert read(cda(body)).pdf() == PDF


@pytest.mark.parametrize(
    "body",
    [
        n3_body(section("55107-7", "1.2.250.1.213.1.1.2.37", PDF)),
        n3_body(section("55107-7", "1.2.250.1.213.1.1.2.243", PDF)),
        n3_body(section(*COPY, b"not a pdf")),
        n3_body(section(*COPY, b"\x89PNG", "image/png")),
    ],
)
def test_an_n3_without_a_copy_has_no_pdf(body: str) -> None:
    """N3: no copy, or one that can't be opened, gives None: the mail renders the text instead."""
    found = read(cda(body))
    assert found.header.level == 3
    assert found.pdf() is None


def test_a_document_prints_nothing_of_the_patient() -> None:
    """The repr of a document names no patient."""
    shown = repr(read(cda()))
    assert "PAT-TROIS" not in shown and "279035121518989" not in shown


@pytest.mark.parametrize(
    ("name", "level", "size"),
    [("oru-init-n3.hl7", 3, 40557), ("mdm-init-n1.hl7", 1, 179764), ("mdm-replace-n1.hl7", 1, 179764)],
)
def test_the_national_examples_are_complete_and_hold_their_pdf(name: str, level: int, size: int) -> None:
    """The official documents pass R35 and R37 and give their PDF."""
    found: Document = read(carried(name))
    assert found.header.level == level
    assert missing_items(found.header) == []
    assert len(found.pdf() or b"") == size


def test_e05_the_placeholder_of_the_official_message_is_refused() -> None:
    """E05/R35: a sentence in the place of the document is not XML."""
    assert refusal(carried("mdm-init-placeholder.hl7")).code == "R35"


def test_reading_the_header_of_20_megabytes_is_quick() -> None:
    """The body costs no tree: 17 MB are checked and read in a fraction of a second."""
    content = PDF + b"x" * (12 * 2**20)
    data = cda(n1_body(content))
    started = time.perf_counter()
    document.read(data)
    assert time.perf_counter() - started < 0.5
