"""The narrative of a document as a tree of few names (HL7 CDA R2, narrative block)."""

from __future__ import annotations

import base64

import pytest

from router.cda.document import read
from router.cda.narrative import DEEPEST, NAMES, Narrative, Node, narrative
from router.cda.pictures import LARGEST, picture_of
from router.cda.whole import Whole
from router.rendering.tables import laid_out, text_of
from tests.cda.cda_samples import cda, n1_body
from tests.rendering.narratives import document, media, png


def narrative_of(raw: bytes) -> Narrative:
    return narrative(Whole(raw))


def nodes(text: str, entries: str = "") -> list[Node]:
    raw = document(text, entries)
    read(raw)
    return list(narrative_of(raw).nodes[1:])


def names(found: list[Node]) -> set[str]:
    inner = [child for node in found for child in node[2] if not isinstance(child, str)]
    return {node[0] for node in found} | (names(inner) if inner else set())


def words(found: list[Node]) -> str:
    return " ".join(" ".join(map(text_of, found)).split())


def test_paragraphs_lists_and_styles_are_read() -> None:
    """Texts between blocks become paragraphs; styles and revisions keep their names."""
    text = 'avant <content styleCode="Bold">gras</content><paragraph>dans</paragraph>après'
    assert nodes(text) == [
        ("p", {}, ["avant ", ("b", {}, ["gras"])]),
        ("p", {}, ["dans"]),
        ("p", {}, ["après"]),
    ]
    text = (
        '<list listType="ordered"><caption>Liste</caption><item>un</item></list><content revised="delete">x</content>'
    )
    assert nodes(text) == [
        ("p", {}, [("b", {}, ["Liste"])]),
        ("ol", {}, [("li", {}, ["un"])]),
        ("p", {}, [("del", {}, ["x"])]),
    ]


def test_a_title_and_a_text_of_every_section_are_read_in_order() -> None:
    """A section within a section stands behind its own text, one level lower."""
    inner = "<component><section><title>B</title><text>b</text></section></component>"
    raw = document("a", inner, title="A")
    assert [(node[0], node[1].get("level"), node[2]) for node in narrative_of(raw).nodes] == [
        ("h", "1", ["A"]),
        ("p", None, ["a"]),
        ("h", "2", ["B"]),
        ("p", None, ["b"]),
    ]


def test_nothing_that_is_written_is_lost_and_nothing_foreign_stays() -> None:
    """A script, a form, an unknown element: their text alone, under no name of theirs; comments are left out."""
    found = nodes(
        '<script>alert("1")</script><x:div xmlns:x="urn:x">deux<!-- secret --></x:div><footnote>trois</footnote>'
    )
    assert names(found) <= NAMES
    assert words(found) == 'alert("1")deux [note : trois]'


def test_a_link_is_told_in_words() -> None:
    """Where it leads can be read and not be clicked."""
    assert words(nodes('<linkHtml href="https://exemple.fr/a">ici</linkHtml>')) == "ici (https://exemple.fr/a)"


def test_elements_that_are_too_deep_give_their_text() -> None:
    """A tree as deep as libxml2 allows is read without recursion that deep."""
    deep = 200
    found = nodes("<list><item>" * deep + "fond" + "</item></list>" * deep)
    assert words(found) == "fond"
    assert max_depth(found) <= 2 * DEEPEST


def max_depth(found: list[Node]) -> int:
    inner = [child for node in found for child in node[2] if not isinstance(child, str)]
    return 1 + (max_depth(inner) if inner else 0)


def test_a_long_word_that_looks_like_base64_is_not_lost() -> None:
    """The reader takes long base64 out of the tree: in a narrative it is put back."""
    assert words(nodes("A" * 9000)) == "A" * 9000


def test_pictures_are_found_and_a_broken_one_is_told() -> None:
    """A PNG by its ID; one that is no picture, or that no entry holds, is a note or nothing."""
    raw = document('<renderMultiMedia referencedObject="m1"/>', media("m1", png()))
    found = narrative_of(raw)
    assert found.nodes[1] == ("img", {"src": "img-1"}, [])
    assert (found.pictures["img-1"].kind, found.pictures["img-1"].width) == ("png", 60)
    assert nodes('<renderMultiMedia referencedObject="m1"/>', media("m1", b"GIF"))[0][0] == "note"
    assert nodes('<renderMultiMedia referencedObject="m1"/>', media("m1", b"<svg/>", "image/svg+xml"))[0][0] == "note"
    absent: Node = ("note", {}, ["Image annoncée par le texte, absente du document."])
    assert nodes('<renderMultiMedia referencedObject="m2"/>') == [absent]


def test_the_style_of_a_row_is_that_of_its_cells() -> None:
    """`styleCode` on a `tr`: a laboratory says so that a result is abnormal."""
    (table,) = nodes('<table><tbody><tr styleCode="Bold"><td>Hb</td><td>7,1</td></tr></tbody></table>')
    assert table[2] == [("tr", {}, [("td", {}, [("b", {}, ["Hb"])]), ("td", {}, [("b", {}, ["7,1"])])])]


def test_a_picture_that_would_fill_the_memory_is_not_shown() -> None:
    """Its head says how large it is: nothing is decoded to know it."""
    head = png()[:16] + (50_000).to_bytes(4, "big") * 2
    assert picture_of(head + b"\0" * 100) is None and LARGEST < 50_000**2
    assert picture_of(b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x00\x10\x00\x20\x03" + b"\0" * 9) is not None
    assert picture_of(b"\xff\xd8\xff\xe0\x00\x00" * 9) is None


@pytest.mark.parametrize(("text", "shown"), [("Bonjour\r\n  le monde", "Bonjour\n  le monde"), ("", "")])
def test_an_n1_of_plain_text_keeps_its_lines(text: str, shown: str) -> None:
    """`text/plain`: lines and indents as they are; an empty one gives nothing."""
    found = narrative_of(cda(n1_body(text.encode(), "text/plain"))).nodes
    assert [text_of(node) for node in found] == ([shown] if shown else [])


def test_an_n1_of_another_kind_has_no_narrative() -> None:
    """A PDF or an RTF is not ours to set; a picture is."""
    assert narrative_of(cda(n1_body())).nodes == narrative_of(cda(n1_body(b"{\\rtf1}", "text/rtf"))).nodes == ()
    assert narrative_of(cda(n1_body(png(), "image/png"))).nodes[0][0] == "img"
    assert base64.b64encode(png()).decode() not in repr(narrative_of(cda(n1_body(png(), "image/png"))))


def test_a_table_is_completed_and_loses_no_word() -> None:
    """Short rows are filled, spans that meet a cell or the end are cut, a foot comes last."""
    text = (
        "<table><tfoot><tr><td>pied</td></tr></tfoot><tbody>"
        '<tr><td rowspan="9">a</td><td colspan="2">b</td></tr><tr><td>c</td><td rowspan="2">d</td><td>e</td></tr>'
        "<tr><td>f</td></tr></tbody></table>"
    )
    (table,) = nodes(text)
    made = laid_out(table)
    rows = [child for child in made[2] if not isinstance(child, str)]
    assert made[1] == {"head": "0", "columns": "4"}
    assert words([made]).replace(" ", "") == "abcdefpied"
    covered = 0
    for row in rows:
        for cell in row[2]:
            assert not isinstance(cell, str)
            covered += int(cell[1].get("colspan", "1")) * int(cell[1].get("rowspan", "1"))
    assert covered == 4 * len(rows)
