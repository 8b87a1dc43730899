"""The process that makes PDF: `python -m router.rendering.worker BYTES`. It knows the page, and nothing else.

It reads jobs on its input and writes results on its output (`router.rendering.frames`). Its memory is limited. It ends
by itself when its input ends, after `JOBS` pages, or after `IDLE` seconds without one. What a document says reaches
Typst as data, never as source; the only files that it opens are the pictures that we hand over.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import select
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import typst

from router.cda.pictures import HEAVIEST
from router.rendering.frames import IMPOSSIBLE, read_frame, write_frame

JOBS: Final = 100
"""Pages after which the process ends, so that what it keeps in memory does not grow."""
IDLE: Final = 120.0
KEPT: Final = 300 * 2**20
"""Bytes of memory with which the process may stay: one that took more for a page ends after it."""

STANDARDS: Final = ("a-1b", "a-2b")
"""PDF/A-1 as the requirement says (ECO.2.1.5); pictures that shine through, and very many objects, need PDF/A-2."""
ABSENT: Final = "Caractères"
"""Label of the row that says that some were replaced."""
_NOTICE: Final = (
    "Des caractères de ce document manquent dans les polices de cette copie : chacun y est écrit par son numéro "
    "Unicode, [U+…]. Le document CDA joint les contient."
)
MOST_ABSENT: Final = 200
"""Different characters without a glyph: a document with more can't be read in these fonts, and gets no copy."""
_LATIN: Final = "\u00ff"
"""All characters up to this one have a glyph in every font."""
_UNSEEN: Final = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_FONTS: Final = re.compile(rb"font: (\([^)]*\))")
_MAIN: Final = Path(__file__).with_name("document.typ").read_bytes()
_TRIED: Final = b"#set text(font: " + _FONTS.findall(_MAIN)[0] + b')\n#json("page.json")'
_ROOT: Final = "/proc/self/fd"
"""Where Typst looks for files: the open ones of this process. The template names none but our pictures."""


def limit(memory: int) -> None:
    """Bounds on what this process may take. memory: bytes of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEAVIEST, HEAVIEST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Press:
    """Makes PDF of pages."""

    def __init__(self) -> None:
        self._fonts = typst.Fonts(include_system_fonts=False)
        self._drawn: set[str] = set()
        self._absent: set[str] = set()

    def make(self, page: dict[str, Any], pictures: dict[str, bytes]) -> tuple[dict[str, Any], bytes]:
        """What is said of the PDF (`standard`; `absent`: how many characters no font has), and the PDF.

        Raises `typst.TypstError` when no way leads to one.
        """
        absent = self._without_glyph(json.dumps(page, ensure_ascii=False))
        if absent:
            page = {**page, "rows": [*page["rows"], [ABSENT, _NOTICE]]}
        standard, pdf = self._made(page, pictures, absent)
        return {"standard": standard, "absent": len(absent)}, pdf

    def _made(self, page: dict[str, Any], pictures: dict[str, bytes], absent: set[str]) -> tuple[str, bytes]:
        with contextlib.ExitStack() as opened:
            files = {name: opened.enter_context(_in_memory(content)) for name, content in pictures.items()}
            shown = {name: number for name, number in files.items() if self._shows(number)}
            words = json.dumps({**page, "pictures": shown}, ensure_ascii=False)
            text = words.translate({ord(one): f"[U+{ord(one):04X}]" for one in absent}).encode()
            for standard in STANDARDS[:-1]:
                try:
                    return standard, self._compile(_MAIN, text, standard)
                except typst.TypstError:
                    continue
            return STANDARDS[-1], self._compile(_MAIN, text, STANDARDS[-1])

    def _without_glyph(self, text: str) -> set[str]:
        """The characters of a text that no font has: they would be empty boxes. Raises `typst.TypstError` for many."""
        asked = {one for one in text if one > _LATIN and unicodedata.category(one) not in _UNSEEN}
        self._try(sorted(asked - self._drawn - self._absent))
        return asked & self._absent

    def _try(self, characters: list[str]) -> None:
        """Learn which of these have a glyph: PDF/A-2 refuses a text that has none (ISO 19005-2, 6.2.11)."""
        if not characters:
            return
        try:
            self._compile(_TRIED, json.dumps(" ".join(characters), ensure_ascii=False).encode(), STANDARDS[-1])
        except typst.TypstError:
            if len(characters) == 1:
                self._absent.update(characters)
                if len(self._absent) > MOST_ABSENT:
                    raise
            else:
                self._try(characters[: len(characters) // 2])
                self._try(characters[len(characters) // 2 :])
        else:
            self._drawn.update(characters)

    def _compile(self, main: bytes, page: bytes, standard: str) -> bytes:
        files: Any = {"main.typ": main, "page.json": page}  # its types do not tell that it takes files by their names
        made = typst.compile(
            files,
            root=_ROOT,
            package_path=_ROOT,
            package_cache_path=_ROOT,
            font_paths=self._fonts,
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=[cast("Any", standard)],
            pdf_tags=False,
        )
        assert isinstance(made, bytes)  # noqa: S101  # one file, for it is a PDF
        return made

    def _shows(self, number: str) -> bool:
        """Whether a picture can be decoded."""
        try:
            self._compile(f'#image("{number}", width: 1cm)'.encode(), b"{}", "1.7")
        except typst.TypstError:
            return False
        return True


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A file without a name, that Typst finds under its number in `_ROOT`."""
    descriptor = os.memfd_create("picture")
    try:
        with open(descriptor, "wb", closefd=False) as file:  # a descriptor
            file.write(content)
        yield str(descriptor)
    finally:
        os.close(descriptor)


def serve(given: BinaryIO, answers: BinaryIO) -> None:
    """Take jobs until there are none."""
    press = Press()
    for _ in range(JOBS):
        if not select.select([given], [], [], IDLE)[0]:
            return
        job = read_frame(given)
        if job is None:
            return
        page, pictures = job
        try:
            said, pdf = press.make(page, pictures)
            write_frame(answers, said, {"pdf": pdf})
        except (typst.TypstError, RuntimeError, MemoryError):  # its text quotes the document
            write_frame(answers, {"reason": IMPOSSIBLE}, {})
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > KEPT:
            return


if __name__ == "__main__":
    limit(int(sys.argv[1]))
    with contextlib.suppress(OSError):  # a service manager may forbid it
        os.nice(5)
    with open(0, "rb", buffering=0) as given, open(1, "wb", buffering=0) as answers:  # descriptors
        serve(given, answers)
