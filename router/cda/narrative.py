"""The narrative of a CDA as a tree of few names, to be shown to a person (HL7 CDA R2, narrative block; hl7-input §6).

A node is `(name, attributes, children)`, a child is a node or a text. The names are those of `NAMES`, whatever the
document holds: an element that CDA does not know gives its text, so nothing that is written is lost and nothing in it
can run. Pictures are named `img-N`; their bytes stand in `Narrative.pictures`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from router.cda.datatypes import NS
from router.cda.light import Light
from router.cda.pictures import Picture, picture_of
from router.cda.whole import Whole
from router.printable import CONTROLS

Node: TypeAlias = "tuple[str, dict[str, str], list[Node | str]]"

BLOCKS: Final = frozenset({"h", "p", "pre", "table", "ul", "ol", "img", "note"})
"""Names of nodes that begin on a line of their own."""
INLINE: Final = frozenset({"b", "i", "u", "del", "ins", "sub", "sup", "br"})
PARTS: Final = frozenset({"caption", "tr", "th", "td", "li"})
NAMES: Final = BLOCKS | INLINE | PARTS

DEEPEST: Final = 12
"""Elements within elements; below, the text alone is kept. People write four at most."""
WIDEST: Final = 64
"""Columns of a table, and cells that one cell may cover."""

_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_STYLES: Final = {"bold": "b", "emphasis": "b", "italics": "i", "underline": "u"}
_NUMBERED: Final = frozenset({"arabic", "littleroman", "bigroman", "littlealpha", "bigalpha"})
_INVISIBLE: Final = frozenset({"col", "colgroup"})
_TD: Final = NS + "td"
_TH: Final = NS + "th"


@dataclass(frozen=True, slots=True)
class Narrative:
    """What a document says to its reader. Empty `nodes`: nothing that can be shown here."""

    nodes: tuple[Node, ...] = field(repr=False)
    pictures: dict[str, Picture] = field(default_factory=dict, repr=False)


def narrative(whole: Whole) -> Narrative:
    """The narrative of a document. Raises `Malformed` R35.

    N3: titles and texts of all sections in their order. N1: a body of text, or a picture; any other gives no nodes.
    """
    return _Reader(whole.root, whole.light).read()


class _Reader:
    """Reads one document."""

    def __init__(self, root: Any, light: Light) -> None:
        self._root = root
        self._light = light
        self._media = {str(found.get("ID")): found for found in root.iter(NS + "observationMedia") if found.get("ID")}
        self._regions = {str(found.get("ID")): found for found in root.iter(NS + "regionOfInterest") if found.get("ID")}
        self._pictures: dict[str, Picture] = {}
        self._named: dict[str, str] = {}

    def read(self) -> Narrative:
        body = self._root.find(f"{NS}component/{NS}structuredBody")
        text = self._root.find(f"{NS}component/{NS}nonXMLBody/{NS}text")
        nodes: list[Node] = []
        if body is not None:
            nodes = list(self._sections(body, 1))
        elif text is not None:
            nodes = self._whole_body(text)
        return Narrative(tuple(nodes), self._pictures)

    # ------------------------------------------------------------------------------------------------ bodies

    def _sections(self, parent: Any, level: int) -> Iterator[Node]:
        """Titles and texts of the sections below an element, depth first."""
        stack = [(section, level) for section in reversed(parent.findall(f"{NS}component/{NS}section"))]
        while stack:
            section, depth = stack.pop()
            title, text = section.find(NS + "title"), section.find(NS + "text")
            if title is not None and (words := self._said("".join(title.itertext())).strip()):
                yield ("h", {"level": str(min(depth, 4))}, [words])
            if text is not None:
                yield from self._blocks(text)
            stack += ((inner, depth + 1) for inner in reversed(section.findall(f"{NS}component/{NS}section")))

    def _whole_body(self, text: Any) -> list[Node]:
        media = (text.get("mediaType") or "text/plain").lower()
        if media.startswith("image/"):
            return [self._picture("body", text)]
        if media != "text/plain":
            return []
        written = self._light.restored("".join(text.itertext()))
        if text.get("representation") == "B64":
            content = self._light.decoded(text)
            written = "" if content is None else content.decode("utf-8", "replace")
        lines = written.replace("\r\n", "\n").replace("\r", "\n").expandtabs(8).strip("\n").split("\n")
        return [("pre", {}, ["\n".join(CONTROLS.sub("", line) for line in lines)])] if any(lines) else []

    def _said(self, text: str) -> str:
        """Words of the document: a long one may have been taken for base64, and is put back."""
        return _words(self._light.restored(text))

    # ------------------------------------------------------------------------------------------------ blocks

    def _blocks(self, parent: Any) -> Iterator[Node]:
        """The children of an element as blocks: what stands between two blocks becomes a paragraph."""
        loose: list[Node | str] = []
        for child in self._children(parent, 0):
            if isinstance(child, str) or child[0] in INLINE:
                loose.append(child)
                continue
            if _shows(loose):
                yield ("p", {}, loose)
            loose = []
            yield child
        if _shows(loose):
            yield ("p", {}, loose)

    def _children(self, parent: Any, depth: int) -> list[Node | str]:
        """Texts and nodes of an element, in their order."""
        found: list[Node | str] = []
        text = parent.text
        if text and (words := self._said(text)):
            found.append(words)
        for child in parent:
            if isinstance(child.tag, str):
                found += self._element(child, depth + 1)
            tail = child.tail
            if tail and (words := self._said(tail)):
                found.append(words)
        return found

    def _element(self, element: Any, depth: int) -> list[Node | str]:
        """What one element gives; of an unknown one, or one that is too deep, its text."""
        if depth > DEEPEST:
            return [self._said("".join(element.itertext()))]
        name = element.tag.removeprefix(NS)
        if name in _INVISIBLE:
            return []
        made = _MAKERS.get(name)
        return made(self, element, depth) if made is not None else self._children(element, depth)

    def _make_br(self, _element: Any, _depth: int) -> list[Node | str]:
        return [("br", {}, [])]

    def _make_paragraph(self, element: Any, depth: int) -> list[Node | str]:
        return [("p", {}, _styled(element, self._children(element, depth)))]

    def _make_caption(self, element: Any, depth: int) -> list[Node | str]:
        return [("caption", {}, self._children(element, depth))]

    def _make_content(self, element: Any, depth: int) -> list[Node | str]:
        return _styled(element, self._children(element, depth))

    def _make_sub(self, element: Any, depth: int) -> list[Node | str]:
        return [("sub", {}, self._children(element, depth))]

    def _make_sup(self, element: Any, depth: int) -> list[Node | str]:
        return [("sup", {}, self._children(element, depth))]

    def _make_link(self, element: Any, depth: int) -> list[Node | str]:
        """The text of a link, and where it leads in words: nothing that is clicked by mistake."""
        inner, target = self._children(element, depth), _words(element.get("href") or "").strip()
        if not target or target.startswith("#") or target in "".join(element.itertext()):
            return inner
        return [*inner, f" ({target})"]

    def _make_footnote(self, element: Any, depth: int) -> list[Node | str]:
        return [" [note : ", *self._children(element, depth), "] "]

    def _make_list(self, element: Any, depth: int) -> list[Node | str]:
        style = (element.get("styleCode") or "").lower()
        ordered = element.get("listType") == "ordered" or style in _NUMBERED
        items: list[Node | str] = []
        caption: list[Node | str] = []
        for child in element.iterchildren(NS + "caption", NS + "item"):
            inner = self._children(child, depth + 1)
            if child.tag == NS + "caption":
                caption.append(("p", {}, [("b", {}, inner)]))
            else:
                items.append(("li", {}, inner))
        return [*caption, ("ol" if ordered else "ul", {}, items)]

    def _make_table(self, element: Any, depth: int) -> list[Node | str]:
        """Caption, rows of the head, of the body, of the foot: in this order, wherever the foot stands."""
        captions = [node for child in element.iterchildren(NS + "caption") for node in self._element(child, depth)]
        rows = [self._row(row, depth, head=True) for row in element.iterfind(f"{NS}thead/{NS}tr")]
        heads = len(rows)
        rows += [self._row(row, depth) for row in element.iterchildren(NS + "tr")]
        rows += [self._row(row, depth) for row in element.iterfind(f"{NS}tbody/{NS}tr")]
        rows += [self._row(row, depth) for row in element.iterfind(f"{NS}tfoot/{NS}tr")]
        return [("table", {"head": str(heads)}, [*captions, *rows])] if rows else captions

    def _row(self, row: Any, depth: int, *, head: bool = False) -> Node:
        cells: list[Node | str] = []
        styled = bool(row.get("styleCode"))  # of all its cells: some laboratories say so that a result is abnormal
        for cell in row.iterchildren(_TD, _TH):
            name = "th" if head or cell.tag == _TH else "td"
            inner, attributes = self._children(cell, depth + 2), {}
            if cell.keys():  # most have none
                attributes = {key: value for key in ("colspan", "rowspan") if (value := _span(cell, key)) != "1"}
                if (align := (cell.get("align") or "").lower()) in ("left", "center", "right"):
                    attributes["align"] = align
                inner = _styled(cell, inner)
            cells.append((name, attributes, _styled(row, inner) if styled else inner))
        return ("tr", {}, cells)

    # ---------------------------------------------------------------------------------------------- pictures

    def _make_media(self, element: Any, depth: int) -> list[Node | str]:
        """The pictures that an `observationMedia` of the document holds; of any other medium a note."""
        found: list[Node | str] = []
        for name in (element.get("referencedObject") or "").split():
            values = self._values(name)
            found += (self._picture(name, value) for value in values)
            found += [] if values else [("note", {}, ["Image annoncée par le texte, absente du document."])]
        for caption in element.iterchildren(NS + "caption"):
            found.append(("p", {}, [("i", {}, self._children(caption, depth))]))
        return found

    def _values(self, name: str) -> list[Any]:
        """The contents that an ID stands for: an observationMedia's, or those of a regionOfInterest."""
        if name in self._media:
            held = [self._media[name]]
        elif name in self._regions:
            held = list(self._regions[name].iter(NS + "observationMedia"))
        else:
            held = []
        return [value for one in held if (value := one.find(NS + "value")) is not None]

    def _picture(self, name: str, value: Any) -> Node:
        media = (value.get("mediaType") or "").lower()
        if media == "application/pdf":
            return ("note", {}, ["Document PDF joint à cette rubrique : à ouvrir par le logiciel."])
        if name not in self._named:
            content = self._light.decoded(value)
            made = picture_of(content) if content is not None else None
            self._named[name] = f"img-{len(self._pictures) + 1}" if made is not None else ""
            if made is not None:
                self._pictures[self._named[name]] = made
        if not self._named[name]:
            return ("note", {}, ["Image illisible, ou d'un format qui ne peut être montré ici."])
        return ("img", {"src": self._named[name]}, [])


#: Element of the narrative -> what makes nodes of it.
_MAKERS: Final[dict[str, Callable[[_Reader, Any, int], list[Node | str]]]] = {
    "br": _Reader._make_br,
    "paragraph": _Reader._make_paragraph,
    "caption": _Reader._make_caption,
    "content": _Reader._make_content,
    "sub": _Reader._make_sub,
    "sup": _Reader._make_sup,
    "linkHtml": _Reader._make_link,
    "footnote": _Reader._make_footnote,
    "list": _Reader._make_list,
    "table": _Reader._make_table,
    "renderMultiMedia": _Reader._make_media,
}


def _styled(element: Any, inner: list[Node | str]) -> list[Node | str]:
    """The styles that CDA names, and what a revision inserted or deleted, around some children."""
    names = [_STYLES[code] for code in (element.get("styleCode") or "").lower().split() if code in _STYLES]
    revised = {"delete": "del", "insert": "ins"}.get(element.get("revised") or "")
    for name in [*names, *([revised] if revised else [])]:
        if all(isinstance(child, str) or child[0] in INLINE for child in inner):
            inner = [(name, {}, inner)]
        else:  # a style around paragraphs is that of their texts
            inner = [_restyled(child, name) for child in inner]
    return inner


def _restyled(child: Node | str, name: str) -> Node | str:
    if isinstance(child, str) or child[0] in INLINE:
        return (name, {}, [child])
    return ("p", child[1], [(name, {}, child[2])]) if child[0] == "p" else child


def _span(cell: Any, name: str) -> str:
    value = cell.get(name) or "1"
    return str(min(max(int(value), 1), WIDEST)) if value.isascii() and value.isdigit() and len(value) < 6 else "1"


def _words(text: str) -> str:
    """Text with its blanks collapsed, without what nobody sees."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    return CONTROLS.sub("", _BLANKS.sub(" ", text))


def _shows(nodes: list[Node | str]) -> bool:
    """Whether something of it would be seen."""
    return any(node.strip() if isinstance(node, str) else node[0] != "br" for node in nodes)
