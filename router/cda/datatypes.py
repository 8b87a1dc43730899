"""Data types of CDA R2 read from elements that may be absent: II, CD, PN, TS, IVL_TS, and plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from router.cda import oids
from router.request import Code, Identifier

NS: Final = "{" + oids.NAMESPACE + "}"
_FRACTION: Final = re.compile(r"(?<=^\d{14})[.,]\d+", re.ASCII)


def child_of(element: Any, name: str) -> Any:
    return next(element.iterchildren(NS + name), None) if element is not None else None


def find_in(element: Any, path: Sequence[str]) -> Any:
    """The first element at a path of qualified names, in the document's order; as `find`, without its parsing."""
    if element is None:
        return None
    for child in element.iterchildren(path[0]):
        found = child if len(path) == 1 else find_in(child, path[1:])
        if found is not None:
            return found
    return None


def attribute(element: Any, key: str) -> str:
    """An attribute, trimmed; "" when the element or the attribute is absent."""
    return element.get(key, "").strip() if element is not None else ""


def text_of(element: Any) -> str:
    """The text of an element with its blanks collapsed."""
    if element is None:
        return ""
    text = element.text or "" if len(element) == 0 else "".join(element.itertext(with_tail=False))
    return " ".join(text.split())


def ii_of(element: Any) -> str:
    root, extension = attribute(element, "root"), attribute(element, "extension")
    return f"{root}^{extension}" if extension else root


def identifiers_of(elements: Iterator[Any]) -> Iterator[Identifier]:
    for element in elements:
        if element.get("extension") or element.get("root"):
            yield Identifier(value=attribute(element, "extension"), authority=attribute(element, "root"))


def code_of(element: Any) -> Code | None:
    code = attribute(element, "code")
    return (
        Code(code=code, system=attribute(element, "codeSystem"), label=attribute(element, "displayName"))
        if code
        else None
    )


def name_of(name: Any) -> tuple[str, str]:
    """Family and given name of a person who is not the patient."""
    return text_of(child_of(name, "family")), text_of(child_of(name, "given"))


def time_of(element: Any) -> str:
    """A point in time without its fraction of a second, which TS of the profile does not hold."""
    return _FRACTION.sub("", attribute(element, "value"))


def interval_of(element: Any) -> tuple[str, str]:
    """Start and end of an `IVL_TS`, or of a plain `TS` (its start)."""
    if element is None:
        return "", ""
    return time_of(child_of(element, "low")) or time_of(element), time_of(child_of(element, "high"))
