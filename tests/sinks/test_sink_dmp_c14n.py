"""The canonical form of a document, long texts taken out and put back: always libxml2's own (dmp §4)."""

from __future__ import annotations

import base64

import pytest
from lxml import etree

from router.errors import Refused
from router.simulators.sender import Maker
from router.sinks.dmp import canonical
from tests.examples import example


@pytest.fixture
def maker() -> Maker:
    return Maker(21)


def exact(data: bytes) -> bytes:
    return etree.tostring(etree.fromstring(data).getroottree(), method="c14n", with_comments=True)


LONG = b"QUJD" * 3000
DOCUMENTS = [
    b"<a><b>%s</b></a>" % LONG,
    b"<a>%s<b/>%s</a>" % (LONG, LONG),
    b"<a>\n%s\n</a>" % (LONG + b"\n") * 1,
    b"<?xml version=\"1.0\"?><!-- > %s --><a x='>'>%s</a>" % (LONG, LONG),
    b"<a><![CDATA[>%s<]]>%s</a>" % (LONG, LONG),
    b"<a><?pi >%s <?>%s</a>" % (LONG, LONG),
    b"<a y='b>c'>%s&amp;</a>" % LONG,
    b"<a>%s\r\n%s</a>" % (LONG, LONG),
    b"<a>" + b" " * 9000 + b"</a>" + b"\n" * 9000 + b"<!-- after -->",
    b"<a b='" + LONG + b"'/>",
    b"<a>" + b"A" * 4096 + b"</a>",
    b"<a>" + b"A" * 4095 + b"</a>",
    b"<a>" + b"A" * 4097 + b"<b/>" + b"B" * 8192 + b"<c/>" + b"C" * 4100 + b"</a>",
    b"<a>" + b"A" * 9000 + b"&#233;</a>",
    b"<a>" + LONG + b"</a>" + b"\n" * 9000,
    b"<!-- " + LONG + b" --><a>" + LONG + b"</a>",
    b'<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9<b>' + LONG + b"</b></a>",
]


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_taking_long_texts_out_changes_nothing(number: int) -> None:
    """The canonical form with the shortcut is that of the document, byte for byte."""
    data = DOCUMENTS[number]
    assert b"".join(canonical.canonical(data)) == exact(data)


@pytest.mark.parametrize("kind", ["biology", "biology-n1", "imaging", "letter"])
def test_canonical_form_of_documents(maker: Maker, kind: str) -> None:
    """As for documents with an embedded PDF."""
    data = maker.document(kind, maker.patient(age=50), size=60_000).content
    assert b"".join(canonical.canonical(data)) == exact(data)


def test_canonical_form_of_the_national_example() -> None:
    """As for the biology report of the ANS."""
    field = example("oru-init-n3.hl7").split(b"^Base64^", 1)[1]
    data = base64.b64decode(field[: field.index(b"|")])
    assert b"".join(canonical.canonical(data)) == exact(data)


def test_malformed_documents_are_refused() -> None:
    """A fault of ours, without a value."""
    with pytest.raises(Refused) as caught:
        canonical.canonical(b"<a><b></a>")
    assert caught.value.code == "PFI-XML"
