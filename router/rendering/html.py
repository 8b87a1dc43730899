"""The narrative as a part of a page of HTML: our own elements, every text escaped, pictures inside the page.

No script, no link, no style of the sender's: what a browser shows of it can't run, and asks nothing of the network.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from router.cda.narrative import Narrative, Node
from router.cda.pictures import Picture
from router.printable import printable_html
from router.rendering.page import Page

STYLE: Final = """\
body{font-family:sans-serif;font-size:10.5pt;color:#111;max-width:60em;margin:1em auto;padding:0 1em}
h1,h2,h3,h4,h5,h6{color:#143d66}
table{border-collapse:collapse;margin:.6em 0}
td,th{border:1px solid #999;padding:.2em .4em;vertical-align:top;text-align:left}
th{background:#e8eef5}
table.entete{background:#f3f6fa;width:100%}
table.entete td,table.entete th{border:0;background:none;white-space:normal}
caption{text-align:left;font-weight:bold}
pre{white-space:pre-wrap}
img{max-width:100%}
p.note{border:1px solid #999;padding:.3em;font-style:italic}
.center{text-align:center}.right{text-align:right}
@media print{body{max-width:none;margin:0}}
"""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy of a page that holds such a part: a second barrier."""

LARGEST: Final = 4 * 2**20
"""Bytes of pictures inside a page: they are in the document itself too."""

_TAGS: Final = {"p": "p", "pre": "pre", "ul": "ul", "ol": "ol", "li": "li", "b": "strong", "i": "em", "sub": "sub"} | {
    "sup": "sup", "tr": "tr", "td": "td", "th": "th", "caption": "caption", "table": "table"
}  # fmt: skip
_CLASSED: Final = {"u": "ins", "ins": "ins", "del": "del"}


def page_body(page: Page) -> str:
    """Heading, identity and narrative of a document: block elements for the body of a page, with line feeds."""
    rows = "\n".join(
        f"<tr><th>{printable_html(label)}</th><td>{printable_html(value)}</td></tr>" for label, value in page.rows
    )
    shown = narrative_body(page.narrative)
    return f'<h1>{printable_html(page.title)}</h1>\n<table class="entete">\n{rows}\n</table>\n{shown}'


def narrative_body(narrative: Narrative) -> str:
    """The narrative alone."""
    pictures = narrative.pictures
    if sum(len(picture.content) for picture in pictures.values()) > LARGEST:
        pictures = {}
    written: list[str] = []
    for node in narrative.nodes:
        _write(node, pictures, written.append)
    return "".join(written)


def _write(node: Node | str, pictures: dict[str, Picture], write: Callable[[str], None]) -> None:
    """Hand over the pieces of a node, in their order."""
    if isinstance(node, str):
        write(printable_html(node) if "\n" not in node else "\n".join(map(printable_html, node.split("\n"))))
        return
    name, attributes, children = node
    if name == "br":
        write("<br/>")
        return
    if name == "img":
        write(_picture(pictures.get(attributes["src"])))
        return
    opening, closing = _PLAIN[name] if not attributes and name in _PLAIN else _tags(name, attributes)
    write(opening)
    for child in children:
        _write(child, pictures, write)
    write(closing)


def _tags(name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """The opening and the closing tag of a node. Attributes: numbers, and words of our own."""
    if name == "h":
        level = min(int(attributes["level"]) + 1, 6)
        return f"<h{level}>", f"</h{level}>\n"
    if name == "note":
        return '<p class="note">', "</p>\n"
    if name in ("td", "th"):
        spans = "".join(f' {key}="{int(attributes[key])}"' for key in ("colspan", "rowspan") if key in attributes)
        align = attributes.get("align", "left")
        return f"<{name}{spans}" + (f' class="{align}">' if align != "left" else ">"), f"</{name}>"
    tag = _TAGS.get(name) or _CLASSED[name]
    return f"<{tag}>", f"</{tag}>\n" if name in ("p", "table", "tr", "ul", "ol", "pre") else f"</{tag}>"


def _picture(picture: Picture | None) -> str:
    if picture is None:
        return '<p class="note">[Image du document]</p>'
    content = base64.b64encode(picture.content).decode()
    size = f'width="{picture.width}" height="{picture.height}"' if picture.width < 900 else ""
    return f'<p><img alt="Image du document" {size} src="data:image/{picture.kind};base64,{content}"/></p>\n'


_PLAIN: Final = {name: _tags(name, {}) for name in ("note", *_TAGS, *_CLASSED)}
"""The tags of a node without attributes, as most are."""
