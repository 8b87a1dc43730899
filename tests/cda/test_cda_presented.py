"""A document inside an XSLT stylesheet: refused by default, read where the feed takes it (R35; decisions D14)."""

from __future__ import annotations

import hashlib

import pytest

from router.cda.document import read
from router.errors import Malformed
from tests.cda.cda_samples import PDF, cda, n1_body, n3_body, section


def refused_by_default(data: bytes) -> str:
    """The sentence of the fault."""
    with pytest.raises(Malformed) as caught:
        read(data)
    return caught.value.text


def presented(inside: bytes, more: bytes = b"") -> bytes:
    """A stylesheet that holds a document, as self-presenting CDA do."""
    inside = inside.partition(b"?>\n")[2]
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<?xml-stylesheet type="text/xsl" href="#"?>\n'
        b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">\n<!-- <title>x</title> -->\n'
        b'<xsl:template match="/"><html/></xsl:template>\n' + inside + more + b"\n</xsl:stylesheet>"
    )


@pytest.mark.parametrize("body", [n1_body(), n3_body(section("55108-5", "1.2.250.1.213.1.1.2.243", PDF))])
def test_r35_a_document_inside_a_stylesheet_is_read_where_the_feed_takes_it(body: str) -> None:
    """R35, D14: header and PDF of the document inside, bytes and hash of the whole; refused by default."""
    whole = presented(cda(body))
    assert refused_by_default(whole).startswith("CDA auto-présentable")
    found, plain = read(whole, self_presenting=True), read(cda(body))
    assert found.raw == whole and found.header.sha1 == hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    assert found.pdf() == plain.pdf() == PDF
    same = {"size", "sha1", "self_presenting", "stylesheet"}
    assert found.header.model_dump(exclude=same) == plain.header.model_dump(exclude=same)
    assert found.header.self_presenting and not plain.header.self_presenting
    assert found.predecessors == plain.predecessors


def test_r35_a_stylesheet_with_two_documents_or_none_is_refused() -> None:
    """R35: nobody knows which one is meant."""
    second = cda().partition(b"?>\n")[2]
    for whole in (presented(cda(), second), presented(b"?>\n")):
        with pytest.raises(Malformed) as caught:
            read(whole, self_presenting=True)
        assert caught.value.code == "R35" and "un seul" in caught.value.text
