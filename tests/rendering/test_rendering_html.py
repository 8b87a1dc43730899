"""INDEX.HTM shows the document: our own elements, nothing of the sender's that runs or asks the network."""

from __future__ import annotations

from lxml import etree

from router.rendering.html import page_body
from router.rendering.renderer import TOO_LONG, Rendered
from router.sinks.mssante.contents import Packer
from tests.cda.cda_samples import cda
from tests.rendering.narratives import document, media, page, png, rows
from tests.sinks.mssante_samples import STRUCTURE, config, order
from tests.sinks.test_sink_mssante_mail import members

XHTML = "{http://www.w3.org/1999/xhtml}"
NASTY = (
    "<script>alert(1)</script><content styleCode='\"&gt;&lt;script&gt;'>&lt;img src=x onerror=alert(2)&gt;</content>"
    '<linkHtml href="javascript:alert(3)">ici</linkHtml><x:iframe xmlns:x="http://www.w3.org/1999/xhtml" src="http://a"/>'
)


def words(root: etree._Element) -> str:
    return " ".join(str(text) for text in root.itertext())


def index_of(raw: bytes) -> bytes:
    made = Packer(config(n3_sans_pdf="zip-seul")).pack(order((raw,)), (raw,), STRUCTURE, "e")
    return members(made.attachments[0].content)["INDEX.HTM"]


def test_the_index_shows_the_document_and_stays_well_formed() -> None:
    """Title, author, table and picture; ASCII and CRLF as before."""
    raw = document('<renderMultiMedia referencedObject="m1"/>' + rows(2), media("m1", png()))
    held = index_of(raw)
    root = etree.fromstring(held)
    assert "Marcel CAMPARINI, Biologiste, CHU X" in words(root)
    assert [cell.text for cell in root.iter(f"{XHTML}td")][-4:] == [
        "Dosage 1",
        "1,5 g/L",
        "5 – 10",
        "commentaire libre",
    ]
    (picture,) = root.iter(f"{XHTML}img")
    assert str(picture.get("src")).startswith("data:image/png;base64,iVBOR")
    assert held.isascii() and held.count(b"\n") == held.count(b"\r\n")


def test_nothing_of_the_sender_can_run_in_the_index() -> None:
    """No script, no frame, no link but ours, no attribute of an event; the words are there as words."""
    root = etree.fromstring(index_of(document(NASTY)))
    tags = {str(element.tag).removeprefix(XHTML) for element in root.iter()}
    assert tags.isdisjoint({"script", "iframe", "object", "form", "link", "base"})
    targets = [str(link.get("href")) for link in root.iter(f"{XHTML}a")]
    assert targets == ["IHE_XDM/SUBSET01/DOC00001.XML", "README.TXT"]
    assert not [name for element in root.iter() for name in element.attrib if str(name).startswith("on")]
    assert "<img src=x onerror=alert(2)>" in words(root)


def test_a_document_that_is_a_pdf_shows_its_heading_alone() -> None:
    """An N1: who, what and when; the PDF is in the document and beside the archive."""
    root = etree.fromstring(index_of(cda()))
    assert "CR d'examens biologiques" in words(root)
    assert not list(root.iter(f"{XHTML}img"))


def test_a_broken_picture_is_shown_as_a_note() -> None:
    """A page of HTML has the same notes as the PDF."""
    shown = page_body(page(document('<renderMultiMedia referencedObject="m"/>', media("m", b"no picture"))))
    assert "Image illisible" in shown and "<img" not in shown


def test_ten_thousand_rows_are_in_the_index_also_when_no_pdf_could_be_made() -> None:
    """The archive leaves with every row of it; why there is no copy is told (`too long` here)."""
    raw = document(rows(10_000))
    made = Packer(config()).pack((order((raw,))), (raw,), STRUCTURE, "e", Rendered(reason=TOO_LONG))
    held = members(made.attachments[0].content)["INDEX.HTM"]
    assert held.count(b"<td>Dosage ") == 10_000 and held.count(b"<tr>") > 10_000
    assert [one.name for one in made.attachments] == ["IHE_XDM.ZIP"] and made.told == TOO_LONG
