"""The PDF that are made of documents, judged by veraPDF: they keep the part of PDF/A that they claim (ISO 19005)."""

from __future__ import annotations

from pathlib import Path

from router.rendering.pdfa import claimed
from tests.conformance import jvm
from tests.rendering.narratives import document, media, png, rows
from tests.rendering.test_rendering_pdf import rendered

HALF_SEEN = png(alpha=True)
TEXT = (
    '<paragraph>É <content styleCode="Bold">œuvre</content> Ω ≥ 3 µg<sup>2</sup> <content revised="delete">x</content>'
    "</paragraph><list><item>un</item><item>deux</item></list>"
)
PICTURE = '<renderMultiMedia referencedObject="P1"/>'

#: name -> document, and the part and level that its copy must keep.
DOCUMENTS = {
    "text and tables": (document(TEXT + rows(60)), "1b"),
    "picture": (document(TEXT + PICTURE, media("P1", png())), "1b"),
    "picture that shines through": (document(PICTURE, media("P1", HALF_SEEN)), "2b"),
    "long table": (document(rows(300)), "1b"),
}


def test_our_pdf_keep_the_part_of_pdfa_that_they_claim(jars: None, tmp_path: Path) -> None:
    """veraPDF finds nothing wrong in any of them, and finds what is wrong in one that was changed."""
    questions = []
    for name, (raw, level) in DOCUMENTS.items():
        pdf = rendered(raw).pdf
        assert pdf is not None and claimed(pdf) == f"PDF/A-{level}", name
        file = tmp_path / f"{name}.pdf"
        file.write_bytes(pdf)
        questions.append((level, file))
    broken = tmp_path / "broken.pdf"
    whole = questions[0][1].read_bytes()
    assert whole.count(b"/FontFile") >= 1
    broken.write_bytes(whole.replace(b"/FontFile", b"/FontFil_"))  # no font inside
    *verdicts, caught = jvm.verdicts("Pdfs", [*questions, ("1b", broken)])
    assert verdicts == ["ok"] * len(DOCUMENTS)
    assert caught != "ok"
