"""A readable copy: made in a process of its own, bounded, and looked at with poppler."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from router.rendering import renderer
from router.rendering.page import Page
from router.rendering.pdfa import claimed
from router.rendering.renderer import Rendered, Renderer
from tests.rendering.narratives import document, media, page, png, rows

T = TypeVar("T")


def with_renderer(work: Callable[[Renderer], Coroutine[Any, Any, T]], **bounds: Any) -> T:
    async def main() -> T:
        made = Renderer(**bounds)
        try:
            return await work(made)
        finally:
            await made.close()

    return asyncio.run(main())


def rendered(raw: bytes, **bounds: Any) -> Rendered:
    return with_renderer(lambda made: made.render("k", lambda: page(raw)), **bounds)


def seen(pdf: bytes | None, folder: Path) -> str:
    """The words of a PDF as poppler reads them."""
    assert pdf is not None
    (folder / "a.pdf").write_bytes(pdf)
    done = subprocess.run(["pdftotext", "-layout", folder / "a.pdf", "-"], capture_output=True, check=True, timeout=60)
    return " ".join(done.stdout.decode().split())


@pytest.mark.integration
def test_the_copy_shows_identity_author_version_and_every_word(tmp_path: Path) -> None:
    """Another program reads the PDF: heading, table, list and text are there, and a script is text like any other."""
    text = "<script>alert(1)</script><list><item>deux</item></list><paragraph>Créatinine ≥ 5 µmol ☑</paragraph>" + rows(
        3
    )
    made = rendered(document(text))
    words = seen(made.pdf, tmp_path)
    for said in (
        "Compte rendu de biologie",
        "PAT-TROIS DOMINIQUE, nom utilisé DUPONT, né(e) le 28/03/1979, sexe féminin",
        "Marcel CAMPARINI, Biologiste, CHU X",
        "n° 2, identifiant 1.2.250.1.999.1.7, remplace 1.2.250.1.999.1.6",
        "alert(1)",
        "Créatinine ≥ 5 µmol ☑",
        "Dosage 2 2,5 g/L 5 – 10 commentaire libre",
    ):
        assert said in words
    assert "279035121518989" not in words  # not asked for: D2, D13
    assert (made.standard, claimed(made.pdf or b"")) == ("a-1b", "PDF/A-1b")


@pytest.mark.integration
def test_a_picture_is_printed_and_a_broken_one_is_told(tmp_path: Path) -> None:
    """The page holds the colours of the picture; a PNG cut in its middle costs the copy nothing but itself."""
    text = '<renderMultiMedia referencedObject="m1"/>suite<renderMultiMedia referencedObject="m2"/>'
    made = rendered(document(text, media("m1", png(400, 200)) + media("m2", png()[:60])))
    words = seen(made.pdf, tmp_path)
    assert "suite" in words and "Image illisible" in words
    subprocess.run(["pdftoppm", "-r", "30", tmp_path / "a.pdf", tmp_path / "a"], check=True, timeout=60)
    (picture,) = tmp_path.glob("a-*.ppm")
    dots = picture.read_bytes()[-3 * 248 * 351 :]
    assert sum(dots[at] < 200 and abs(dots[at + 1] - 90) < 9 for at in range(0, len(dots) - 2, 3)) > 1000


def test_the_same_document_gives_the_same_bytes() -> None:
    """A retry of a mail carries the same copy, also when another process makes it."""
    raw = document("a" + rows(2))
    assert rendered(raw).pdf == rendered(raw).pdf is not None


def test_what_was_made_is_kept_for_the_next_recipient() -> None:
    """The page is asked for once for each key; the budget in bytes holds."""
    asked: list[str] = []

    async def work(made: Renderer) -> None:
        def make() -> Page:
            asked.append("x")
            return page(document("a"))

        first = await made.render("1", make)
        assert await made.render("1", make) is first
        await made.render("2", make)
        await made.render("1", make)

    with_renderer(work, cache=40_000)
    assert len(asked) == 3


def test_too_little_memory_gives_no_copy_and_no_fault() -> None:
    """10,000 rows in a process that may hardly take more than its library: a reason, and the next page is made."""

    async def work(made: Renderer) -> tuple[Rendered, Rendered]:
        return (
            await made.render("1", lambda: page(document(rows(10_000)))),
            await made.render("2", lambda: page(document("a"))),
        )

    large, small = with_renderer(work, memory=360 * 2**20)
    assert (large.pdf, large.reason) == (None, renderer.ENDED)
    assert small.pdf is not None


def test_too_little_time_gives_no_copy_and_no_fault() -> None:
    """A page that takes longer than it may is given up; so is one whose process does not answer at all."""
    made = rendered(document(rows(2_000)), seconds=0.05)
    assert (made.pdf, made.reason) == (None, renderer.TOO_LONG)


def test_a_process_that_died_between_two_pages_is_started_anew() -> None:
    """Killed by a person or by the system: nobody notices."""

    async def work(made: Renderer) -> Rendered:
        await made.render("1", lambda: page(document("a")))
        process = made._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        return await made.render("2", lambda: page(document("b")))

    assert with_renderer(work).pdf is not None


def test_the_event_loop_goes_on_meanwhile() -> None:
    """Other work of the sink runs while a page is made."""

    async def work(made: Renderer) -> int:
        task = asyncio.create_task(made.render("1", lambda: page(document(rows(300)))))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0.005)
        return turns

    assert with_renderer(work) >= 5


def test_a_document_without_a_narrative_gives_no_copy() -> None:
    """Nothing to set: no process is started for it."""

    async def work(made: Renderer) -> Rendered:
        found = await made.render("1", lambda: page(document("", title="")))
        assert made._process is None
        return found

    assert with_renderer(work).reason == renderer.NOTHING


@pytest.mark.integration
def test_every_row_of_a_long_table_is_there(tmp_path: Path) -> None:
    """A table of some twenty pages."""
    words = seen(rendered(document(rows(1_000)), seconds=100).pdf, tmp_path)
    assert all(f"Dosage {at} {at},5 g/L" in words for at in (0, 499, 999))
    assert words.count("commentaire libre") == 1_000


def test_what_a_pdf_claims_is_read_and_nothing_else() -> None:
    """The part and level of PDF/A in its metadata, in both forms of XMP; silence is no claim."""
    assert claimed(b"<pdfaid:part>1</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>") == "PDF/A-1b"
    assert claimed(b'<rdf:Description pdfaid:conformance="U" pdfaid:part="3"/>') == "PDF/A-3u"
    assert claimed(b"%PDF-1.7 pdfaid") == ""


def test_a_character_without_a_glyph_is_written_by_its_number(tmp_path: Path) -> None:
    """Never an empty box: in the text and in a name, with a row that says so; the others stay as they are."""
    made = rendered(document("<paragraph>Nom d'origine 日本, µ ≥ 5 ☑ Ж</paragraph>"))
    assert (made.absent, made.standard) == (2, "a-1b")
    words = seen(made.pdf, tmp_path)
    assert "[U+65E5][U+672C]" in words and "manquent dans les polices" in words and "µ ≥ 5" in words
    plain = rendered(document("<paragraph>µ ≥ 5 ☑ Ж</paragraph>"))
    assert plain.absent == 0 and "manquent" not in seen(plain.pdf, tmp_path)


def test_a_document_in_another_script_gets_no_copy() -> None:
    """A page of numbers would help nobody: there is no copy, and a reason."""
    made = rendered(document(f"<paragraph>{''.join(map(chr, range(0x4E00, 0x4E00 + 300)))}</paragraph>"))
    assert (made.pdf, bool(made.reason)) == (None, True)
