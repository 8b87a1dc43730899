"""A readable copy of a document, made in a process of its own: bounded in memory and time, never the mail's fate.

Whatever goes wrong there (no memory, no time, a page that can't be set) is a `Rendered` without PDF and with a reason.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, Final, cast

from router.cda.narrative import Node
from router.errors import MessageFault
from router.language import N_
from router.rendering.frames import read_frame, write_frame
from router.rendering.page import Page
from router.rendering.tables import laid_out, widths

log = logging.getLogger(__name__)

MEMORY: Final = 640 * 2**20
"""Bytes of address space of the rendering process. The library maps 120 MB; twenty pages take 220 MB more."""
SECONDS: Final = 30.0
"""How long one page may take, with the start of the process."""
LARGEST: Final = 12 * 2**20
"""Bytes of the pictures of a page."""
CACHE: Final = 16 * 2**20
_KEPT: Final = ("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH")
"""Variables that the rendering process gets of ours: where its program is, and that it writes nothing beside it."""

TOO_LONG: Final = N_("délai dépassé")
ENDED: Final = N_("mémoire dépassée, ou arrêt du processus")
NOTHING: Final = N_("rien qui puisse être mis en page")
TOO_LARGE: Final = N_("document trop grand")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A PDF and the standard it keeps (`a-1b`); or none, and why (French, without any value).

    absent: how many different characters no font has: the PDF writes them by their number (`[U+65E5]`), and says so
    """

    pdf: bytes | None = field(default=None, repr=False)
    standard: str = ""
    reason: str = ""
    absent: int = 0


class Renderer:
    """Lives on one event loop. One page at a time; the last ones are kept for the document's next recipients."""

    def __init__(self, *, memory: int = MEMORY, seconds: float = SECONDS, cache: int = CACHE) -> None:
        self._memory = memory
        self._seconds = seconds
        self._budget = cache
        self._held = 0
        self._kept: OrderedDict[str, Rendered] = OrderedDict()
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    async def render(self, key: str, make: Callable[[], Page]) -> Rendered:
        """The PDF of a page. key: of everything the page is made of;  make: called off the loop when it is not kept."""
        async with self._turn:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            made = await asyncio.to_thread(self._make, make)
            self._keep(key, made)
            return made

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await asyncio.to_thread(self._end)

    def _keep(self, key: str, made: Rendered) -> None:
        """A failure is kept too: the next recipients' mails must not wait for it again."""
        self._kept[key] = made
        self._held += _size(made)
        while self._held > self._budget and self._kept:
            self._held -= _size(self._kept.popitem(last=False)[1])

    def _make(self, make: Callable[[], Page]) -> Rendered:
        try:
            page = make()
            if not page.narrative.nodes:
                return Rendered(reason=NOTHING)
            head, pictures = job(page)
        except MessageFault as fault:
            return Rendered(reason=fault.text)
        except RecursionError:
            return Rendered(reason=TOO_LARGE)
        size = sum(len(content) for content in pictures.values())
        if size > LARGEST:
            return Rendered(reason=TOO_LARGE)
        made = self._ask(head, pictures)
        if made.absent:
            log.warning("characters without a glyph in a readable copy", extra={"count": made.absent})
        if made.pdf is None:
            log.warning("no readable copy", extra={"why": made.reason})
        return made

    def _ask(self, head: dict[str, Any], pictures: dict[str, bytes]) -> Rendered:
        """Ask the process. One that had ended before is started anew, once."""
        fresh = self._process is None or self._process.poll() is not None
        made = self._once(head, pictures)
        return self._once(head, pictures) if made.reason == ENDED and not fresh else made

    def _once(self, head: dict[str, Any], pictures: dict[str, bytes]) -> Rendered:
        try:
            process = self._started()
        except OSError:
            return Rendered(reason=ENDED)
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, end)
        timer.start()
        try:
            write_frame(cast("Any", process.stdin), head, pictures)
            answer = read_frame(cast("Any", process.stdout))
        except OSError:
            answer = None
        finally:
            timer.cancel()
        if answer is None:
            self._end()
            return Rendered(reason=TOO_LONG if late.is_set() else ENDED)
        said, files = answer
        reason, absent = str(said.get("reason", "")), int(said.get("absent", 0))
        return Rendered(files.get("pdf"), str(said.get("standard", "")), reason, absent)

    def _started(self) -> subprocess.Popen[bytes]:
        """The process, started when there is none. Raises `OSError`."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        environment = {key: os.environ[key] for key in _KEPT if key in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router.rendering.worker", str(self._memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what it would say may quote the document
            bufsize=0,
            env={**environment, "LANG": "C.UTF-8", "RAYON_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for stream in (process.stdin, process.stdout):
            cast("IO[bytes]", stream).close()
        process.wait()


def job(page: Page) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A page as the process takes it: JSON of the words, and the pictures by their names. Raises `Refused`."""
    shares = {name: min(1.0, picture.width / 700) for name, picture in page.narrative.pictures.items()}
    body = [_for_typst(laid_out(node), shares) for node in page.narrative.nodes]
    head = {
        "title": page.title,
        "lang": page.language,
        "date": page.date,
        "authors": page.authors,
        "rows": page.rows,
        "foot": page.foot,
        "body": body,
    }
    return head, {name: picture.content for name, picture in page.narrative.pictures.items()}


def _for_typst(node: Node, shares: dict[str, float]) -> list[Any]:
    """A node as the template takes it: pictures and tables with their widths, cells that are text alone as texts."""
    name, attributes, children = node
    told: dict[str, Any] = dict(attributes)
    if name == "table":
        told["widths"] = widths(node)
    elif name == "img":
        told = {**attributes, "width": shares[attributes["src"]]}
    return [
        name,
        told,
        [one if isinstance(one, str) else _text_alone(one) or _for_typst(one, shares) for one in children],
    ]


def _text_alone(node: Node) -> str:
    """The text of a cell that holds nothing else, as nearly all cells do; "" of any other node."""
    name, attributes, children = node
    texts = [one for one in children if isinstance(one, str)]
    return "".join(texts) if name == "td" and not attributes and len(texts) == len(children) else ""


def _size(made: Rendered) -> int:
    return 1000 + len(made.pdf or b"")
