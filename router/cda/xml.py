"""Reading foreign XML safely: whole well-formedness without a tree, then the tree of the header only.

Two passes of libxml2. The first one runs over every byte with no tree and no callback but the DOCTYPE's, so it
costs 0.7 ms for 220 KB and 20 ms for 20 MB. The second one stops at the first element of the body.
No DOCTYPE (so no entity of any kind), no network, no stylesheet; nesting is limited by libxml2 itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NoReturn

from lxml import etree

from router.errors import Malformed
from router.language import filled

PLACE: Final = "OBX^1^5^1^5"
"""Where the document stands in the message: ERR-2 of every fault of the document (hl7-input §2.2, R35–R37)."""

#: Encodings that a document may declare. All contain ASCII, so that a byte search means what it says.
ENCODINGS: Final = frozenset(
    {"utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "iso-8859-15", "latin1", "windows-1252"}
)
_DECLARED = re.compile(rb"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([^"'>]{1,40})["']""")
_BOM: Final = b"\xef\xbb\xbf"
#: How a document in UTF-16 or UTF-32 begins: with its byte order mark, or with `<` and the zeros beside it.
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff", b"<\x00", b"\x00<", b"\x00\x00\x00<")
_CHUNK: Final = 8192

HEADER_LIMIT: Final = 2**20
"""Bytes before the body. Real headers have some 10 KB; a tree takes up to sixty times its text."""


class _Doctype(Exception):
    """A DOCTYPE was met."""


class _NoTree:
    """A parser target that wants nothing: libxml2 checks the syntax and builds no tree."""

    def doctype(self, _name: str, _public: str | None, _system: str | None) -> NoReturn:
        raise _Doctype

    def close(self) -> None:
        return None


def parser(target: Any = None, *, bare: bool = False, comments: bool = True) -> etree.XMLParser:
    """A parser with our limits: used for every document that we read whole.

    bare: no comments, no blank texts;  comments: False leaves comments and processing instructions out
    """
    return etree.XMLParser(
        target=target,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        collect_ids=False,
        remove_comments=bare or not comments,
        remove_pis=not comments,
        remove_blank_text=bare,
    )


def refused(text: str) -> Malformed:
    """The fault R35 (hl7-input §2.2), with a text that holds no value of the document."""
    return Malformed("R35", PLACE, text)


def check_bytes(data: bytes, limit: int) -> None:
    """Size, first character and declared encoding. Raises `Malformed` R35."""
    if len(data) > limit:
        raise refused(filled("Document plus grand que la limite de la plateforme ({limit} octets).", limit=limit))
    if data.startswith(_WIDE):
        raise refused("Document codé en UTF-16 ou UTF-32 : UTF-8 attendu.")
    start = data[3:200] if data.startswith(_BOM) else data[:200]
    if not start.lstrip().startswith(b"<") or b"\x00" in start[:4]:
        raise refused("Le contenu n'est pas un document XML.")
    declared = _DECLARED.match(start)
    if declared and declared[1].decode("latin-1").lower() not in ENCODINGS:
        raise refused("Codage du document refusé : UTF-8 ou ISO 8859 attendu dans la déclaration XML.")


def check_syntax(data: bytes) -> None:
    """Well-formed with namespaces, no DOCTYPE, not too deep. Raises `Malformed` R35 with line and column."""
    checker = parser(_NoTree())
    try:
        etree.fromstring(data, checker)
    except _Doctype:
        raise refused("Document refusé : une déclaration DOCTYPE est interdite.") from None
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise refused(filled("XML mal formé (ligne {line}, colonne {column}).", line=line, column=column)) from None
    if any(entry.domain == etree.ErrorDomains.NAMESPACE for entry in checker.error_log):
        raise refused("XML mal formé : préfixe d'espace de noms non déclaré.")


def read_until(data: bytes, tags: Sequence[str], enough: Any) -> Any:
    """The root of a tree that ends soon after the first element of `tags` for which `enough(element)` holds.

    `data` has passed `check_syntax`. When no element is enough the tree is the whole document's.
    Raises `Malformed` R35 when what comes before is longer than `HEADER_LIMIT`.
    """
    feed: Any = etree.XMLPullParser(
        events=("start",),
        tag=list(tags),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_blank_text=True,
        collect_ids=False,
    )
    for at in range(0, len(data), _CHUNK):
        feed.feed(data[at : at + _CHUNK])
        for _, element in feed.read_events():
            if enough(element):
                return element.getroottree().getroot()
        if at > HEADER_LIMIT:
            raise refused("En-tête du document de plus de 1 Mio.")
    return feed.close()


def read_whole(data: bytes, *, bare: bool = False, comments: bool = True) -> Any:
    """The root of the whole tree. `data` has passed `check_syntax`; `bare` and `comments`: as for `parser`."""
    return etree.fromstring(data, parser(bare=bare, comments=comments))
