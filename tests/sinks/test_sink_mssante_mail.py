"""The mail as a receiver sees it: headers, parts, archive, bytes (mssante §1, §2; cases 1 to 5, 11, 12, 14, 25)."""

from __future__ import annotations

import base64
import email
import email.policy
import io
import zipfile
from email.message import EmailMessage
from typing import Any

import pytest
from lxml import etree

from router.errors import Refused
from router.request import Action
from router.sinks.mssante.contents import Packer
from router.sinks.mssante.mail import ENCODED_AT_ONCE, Attachment, Mail, build, header
from router.sinks.mssante.qualified import documents_hold_ins
from router.sinks.mssante.xdm import readme
from router.structures import StructureConfig
from tests.cda.cda_samples import PDF, cda, n3_body, section
from tests.sinks.mssante_samples import STRUCTURE, config, order, patient
from tests.typed import body_text

RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
ID = "0193f0d27f1e7c3a9d0b5b1c2f9e6a01"


def written(mail: Mail) -> bytes:
    """The mail as it leaves."""
    return b"".join(build(mail))


def a_mail(**changes: Any) -> Mail:
    values: dict[str, Any] = {
        "id": ID,
        "sender": "pfi@hopital-a.mssante.fr",
        "to": "adam.hoda@test-ci-sis.mssante.fr",
        "subject": "XDM/1.0/DDM+CR PAT-TROIS",
        "date": 1_795_000_000.0,
        "text": "Bonjour\n.\n..deux points",
    }
    return Mail(**{**values, **changes})


def parsed(mail: Mail) -> EmailMessage:
    return email.message_from_bytes(written(mail), policy=email.policy.default)


def members(archive: bytes | bytearray) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def slots(metadata: bytes) -> dict[str, list[str]]:
    root = etree.fromstring(metadata)
    return {
        str(slot.get("name")): [value.text or "" for value in slot.iter(f"{RIM}Value")]
        for slot in root.iter(f"{RIM}Slot")
    }


def test_identifiers_derive_from_the_delivery() -> None:
    """Message-ID is the dashed delivery id at the mailbox's domain, so every attempt repeats it."""
    assert parsed(a_mail())["Message-ID"] == "<0193f0d2-7f1e-7c3a-9d0b-5b1c2f9e6a01@hopital-a.mssante.fr>"


def test_the_same_mail_is_the_same_bytes() -> None:
    """A retry can't be told from the first attempt (case 24)."""
    assert written(a_mail()) == written(a_mail())


def test_every_line_ends_with_crlf_and_none_begins_with_a_dot() -> None:
    """What allows the mail to be written to the server as it stands."""
    raw = written(a_mail(attachments=(Attachment("a.pdf", "application/pdf", bytes(range(256)) * 50),)))
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    lines = raw.split(b"\r\n")
    assert max(map(len, lines)) <= 78
    assert not any(line.startswith(b".") for line in lines)


def test_text_and_attachments_come_back_as_they_were() -> None:
    """Our MIME is read by a reader that is not ours."""
    content = bytes(range(256)) * 7
    read = parsed(a_mail(attachments=(Attachment("20260104_CR d'examens.pdf", "application/pdf", content),)))
    assert body_text(read).replace("\r\n", "\n") == "Bonjour\n.\n..deux points\n"
    (part,) = read.iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("20260104_CR d'examens.pdf", content)
    assert not read.defects


@pytest.mark.parametrize("value", ["a\r\nBcc: b@c.fr", "a\nb", "a\x00b"])
def test_no_value_can_become_a_header(value: str) -> None:
    """Case 25: line ends and control characters are refused, whatever the header."""
    with pytest.raises(Refused):
        header("X-MSS-CODECDA", value)


def test_a_label_that_is_not_ascii_is_encoded() -> None:
    """From shows the structure's label; quotes in it are escaped."""
    assert parsed(a_mail(label="Hôpital A – Biologie"))["From"].addresses[0].display_name == "Hôpital A – Biologie"
    plain = parsed(a_mail(label='CHU "Nord", labo'))
    assert plain["From"].addresses[0].display_name == 'CHU "Nord", labo'
    assert len(plain["From"].addresses) == 1


def test_a_long_subject_is_folded_at_blanks_and_keeps_its_prefix() -> None:
    """The raw header starts with the ASCII prefix even when accents are kept (case 1)."""
    text = "XDM/1.0/DDM+Compte rendu opératoire " + "DE LA TRES LONGUE " * 6 + "28/03/1979"
    raw = written(a_mail(subject=text))
    assert b"\r\nSubject: XDM/1.0/DDM+Compte rendu" in raw
    assert parsed(a_mail(subject=text))["Subject"] == text


def test_optional_headers_are_there_only_when_asked() -> None:
    """Disposition-Notification-To, X-MSS-MES, Reply-To and the rest (mssante §1.1)."""
    bare = parsed(a_mail())
    absent = (
        "Disposition-Notification-To",
        "X-MSS-MES",
        "X-MSS-INS",
        "X-MSS-CODECDA",
        "Reply-To",
        "References",
        "Sender",
    )
    assert not [name for name in absent if bare[name] is not None]
    full = parsed(
        a_mail(read_receipt=True, final=True, qualified=False, codes=("11502-2", "34112-3", "11502-2"), nil="N-1")
    )
    assert full["Disposition-Notification-To"] == "pfi@hopital-a.mssante.fr"
    assert (full["X-MSS-MES"], full["X-MSS-INS"], full["X-MSS-NIL"]) == ("FIN", "N", "N-1")
    assert full["X-MSS-CODECDA"] == "11502-2,34112-3"


def test_the_archive_holds_the_document_as_received() -> None:
    """Names, tree, hash, size and bytes of IHE_XDM.ZIP; the PDF copy is the one inside the document."""
    document = cda()
    contents = Packer(config()).pack(order((document,)), (document,), STRUCTURE, "event")
    archive, copy = contents.attachments
    held = members(archive.content)
    assert list(held) == ["INDEX.HTM", "README.TXT", "IHE_XDM/SUBSET01/METADATA.XML", "IHE_XDM/SUBSET01/DOC00001.XML"]
    assert held["IHE_XDM/SUBSET01/DOC00001.XML"] == document
    said = slots(held["IHE_XDM/SUBSET01/METADATA.XML"])
    assert (said["URI"], said["size"]) == (["DOC00001.XML"], [str(len(document))])
    assert "urn:ans:ci-sis:action" not in said
    assert (archive.name, copy.content) == ("IHE_XDM.ZIP", PDF)
    for name in ("INDEX.HTM", "README.TXT"):
        assert held[name].isascii() and b"\r\n" in held[name] and b"279035121518989" not in held[name]


def test_the_archive_is_the_same_for_every_recipient_and_retry() -> None:
    """Two packers, one content: reproducible to the byte."""
    document = cda()
    one = Packer(config()).pack(order((document,)), (document,), STRUCTURE, "event")
    two = Packer(config()).pack(order((document,)), (document,), STRUCTURE, "event")
    assert one.attachments[0].content == two.attachments[0].content


def test_a_document_is_packed_once_for_several_recipients() -> None:
    """The second recipient gets the very same object; another event doesn't."""
    document, packer = cda(), Packer(config())
    first = packer.pack(order((document,)), (document,), STRUCTURE, "event")
    assert packer.pack(order((document,)), (document,), STRUCTURE, "event") is first
    assert packer.pack(order((document,)), (document,), STRUCTURE, "other") is not first


def test_the_kept_archives_stay_within_their_budget() -> None:
    """Beyond the budget the oldest leaves, and one too large is never kept."""
    document = cda()
    packer = Packer(config(), cache_bytes=6000)
    first = packer.pack(order((document,)), (document,), STRUCTURE, "1")
    packer.pack(order((document,)), (document,), STRUCTURE, "2")
    assert packer.pack(order((document,)), (document,), STRUCTURE, "1") is not first


@pytest.mark.parametrize(("action", "letter"), [(Action.REPLACE, "C"), (Action.DELETE, "D")])
@pytest.mark.parametrize("level", ["fiche", "lot"])
def test_replace_and_delete_are_told_in_the_metadata(action: Action, letter: str, level: str) -> None:
    """Cases 11 and 12: the extra metadata `action`, on the document or on the set as configured."""
    document = cda()
    made = Packer(config(xdm_action_level=level)).pack(order((document,), action=action), (document,), STRUCTURE, "e")
    metadata = etree.fromstring(members(made.attachments[0].content)["IHE_XDM/SUBSET01/METADATA.XML"])
    owner = f"{RIM}ExtrinsicObject" if level == "fiche" else f"{RIM}RegistryPackage"
    found = metadata.find(f".//{owner}/{RIM}Slot[@name='urn:ans:ci-sis:action']/{RIM}ValueList/{RIM}Value")
    assert found is not None and found.text == letter


def test_a_pair_is_one_archive_and_one_set() -> None:
    """Case 3: N1 and N3 together, two entries, one PDF (that of the N1)."""
    n1 = cda()
    n3 = cda(n3_body(), change=(('root="1.2.250.1.999.1.7"', 'root="1.2.250.1.999.1.8"'),))
    made = Packer(config()).pack(order((n1, n3)), (n1, n3), STRUCTURE, "e")
    held = members(made.attachments[0].content)
    assert held["IHE_XDM/SUBSET01/DOC00002.XML"] == n3
    root = etree.fromstring(held["IHE_XDM/SUBSET01/METADATA.XML"])
    assert len(root.findall(f".//{RIM}ExtrinsicObject")) == 2
    assert len(root.findall(f".//{RIM}RegistryPackage")) == 1
    assert [attachment.media_type for attachment in made.attachments] == ["application/zip", "application/pdf"]


def test_an_n3_gives_the_pdf_of_its_copy_section_only() -> None:
    """Case 14: 55108-5 is the copy; an annex is never taken for it."""
    annex = section("55107-7", "1.2.250.1.213.1.1.2.37", b"%PDF-annexe")
    document = cda(n3_body(annex, section("55108-5", "1.2.250.1.213.1.1.2.243", PDF)))
    made = Packer(config()).pack(order((document,)), (document,), STRUCTURE, "e")
    assert [attachment.content for attachment in made.attachments[1:]] == [PDF]


def test_a_document_without_a_copy_goes_alone_or_is_refused() -> None:
    """Case 14: `n3_sans_pdf` decides."""
    document = cda(n3_body())
    alone = Packer(config(n3_sans_pdf="zip-seul")).pack(order((document,)), (document,), STRUCTURE, "e")
    assert (len(alone.attachments), alone.copy) == (1, False)
    with pytest.raises(Refused) as refused:
        Packer(config(n3_sans_pdf="refuser")).pack(order((document,)), (document,), STRUCTURE, "e")
    assert refused.value.code == "MSS-554"


def test_an_identity_that_is_not_qualified_leaves_no_ins_in_the_archive() -> None:
    """D2: the local identifier stands in patientId, the INS nowhere."""
    document = cda(change=(('<id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>', ""),))
    made = Packer(config()).pack(order((document,), patient=patient(qualified=False)), (document,), STRUCTURE, "e")
    for content in members(made.attachments[0].content).values():
        assert b"279035121518989" not in content and b"1.2.250.1.213.1.4.10" not in content


def test_a_pair_with_two_copies_sends_that_of_the_n1() -> None:
    """Case 3: one report, one PDF, whatever the order of the two documents."""
    other = b"%PDF-1.4\n%other\n"
    n1 = cda()
    n3 = cda(
        n3_body(section("55108-5", "1.2.250.1.213.1.1.2.243", other)),
        change=(('root="1.2.250.1.999.1.7"', 'root="1.2.250.1.999.1.8"'),),
    )
    for pair in ((n1, n3), (n3, n1)):
        made = Packer(config()).pack(order(pair), pair, STRUCTURE, "e")
        assert [one.content for one in made.attachments[1:]] == [PDF]


@pytest.mark.parametrize("with_copy", [True, False])
def test_the_readme_promises_only_what_the_mail_carries(*, with_copy: bool) -> None:
    document = cda() if with_copy else cda(n3_body())
    made = Packer(config(n3_sans_pdf="zip-seul")).pack(order((document,)), (document,), STRUCTURE, "e")
    assert (b"copie PDF" in members(made.attachments[0].content)["README.TXT"]) is with_copy is made.copy


@pytest.mark.parametrize(
    "change",
    [
        ('<family qualifier="BR">PAT-TROIS</family>', ""),
        ('<birthTime value="19790328"/>', ""),
        ('<administrativeGenderCode code="F"/>', ""),
        ('<id root="1.2.250.1.213.1.4.10" extension="279035121518989"/>', ""),
        ('extension="279035121518989"', 'extension="177022A03220829"'),
    ],
    ids=["birth name", "date of birth", "sex", "ins", "another ins"],
)
def test_x_mss_ins_says_what_stands_in_the_document(change: tuple[str, str]) -> None:
    """D13: O when the document holds the qualified INS and every trait; one that lacks makes it N."""
    assert documents_hold_ins(order((cda(),)).request)
    assert not documents_hold_ins(order((cda(change=(change,)),)).request)
    assert not documents_hold_ins(order((cda(),), patient=patient(qualified=False)).request)


def test_the_readme_says_who_answers_for_archive_and_software() -> None:
    """Issuer with address, telephone and mailbox; software with version and vendor (mssante §2.1)."""
    structure = StructureConfig(
        name="Hôpital A",
        source_oid="1.2.3",
        address="1 rue du Test",
        phone="01 00 00 00 00",
        mailbox="pfi@a.mssante.fr",
    )
    text = readme(structure, ("segur-router", "9.9", "Éditeur X"), ("DOC00001.XML",), kind="").decode("ascii")
    assert "Courriel MSSante : pfi@a.mssante.fr" in text and "Telephone : 01 00 00 00 00" in text
    assert "  segur-router 9.9\r\n  Editeur : Editeur X\r\n" in text


@pytest.mark.parametrize("size", [0, 1, ENCODED_AT_ONCE - 1, ENCODED_AT_ONCE, 2 * ENCODED_AT_ONCE + 58])
def test_a_large_attachment_is_the_same_base64_in_pieces(size: int) -> None:
    """Lines of 76 characters and CRLF, as the library writes it whole; a piece ends with a line, none is large."""
    content = bytes(range(251)) * (size // 251 + 1)
    mail = a_mail(attachments=(Attachment("a.zip", "application/zip", content[:size]),))
    pieces = build(mail)
    assert all(piece.endswith(b"\r\n") and len(piece) < 2 * ENCODED_AT_ONCE for piece in pieces)
    assert base64.encodebytes(content[:size]).replace(b"\n", b"\r\n") in written(mail)
