"""Documents whose narrative a test writes, and pictures that are small; fictitious patient."""

from __future__ import annotations

import base64
import struct
import zlib

from router.cda.document import read
from router.cda.narrative import narrative
from router.cda.whole import Whole
from router.rendering.page import Page, page_of
from tests.cda.cda_samples import cda
from tests.sinks.mssante_samples import request


def png(width: int = 60, height: int = 30, *, alpha: bool = False) -> bytes:
    """A picture with colours that change from left to right. alpha: what is behind it shines through."""
    row = b"\0" + b"".join(bytes([at * 4 % 256, 90, 160, 120][: 4 if alpha else 3]) for at in range(width))

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")
    )


def media(name: str, content: bytes, kind: str = "image/png") -> str:
    text = base64.b64encode(content).decode()
    return (
        f'<entry><observationMedia classCode="OBS" moodCode="EVN" ID="{name}">'
        f'<value mediaType="{kind}" representation="B64">{text}</value></observationMedia></entry>'
    )


def document(text: str, entries: str = "", title: str = "Biochimie") -> bytes:
    """An N3 of one section, without a copy as PDF."""
    section = f"<component><section><title>{title}</title><text>{text}</text>{entries}</section></component>"
    return cda(f"<component><structuredBody>{section}</structuredBody></component>")


def rows(count: int) -> str:
    """A table of results."""
    made = "".join(
        f"<tr><td>Dosage {at}</td><td>{at},5 g/L</td><td>5 – 10</td><td>commentaire libre</td></tr>"
        for at in range(count)
    )
    heads = "<th>Analyse</th><th>Résultat</th><th>Valeurs usuelles</th><th>Remarque</th>"
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{made}</tbody></table>"


def page(raw: bytes, *, ins: bool = False) -> Page:
    return page_of(request((raw,)), read(raw).header, narrative(Whole(raw)), ins=ins)
