"""The name of a PDF copy: `<date de l'acte>_<type>_<NOM>_<prénom>_<numéro de dossier>.pdf` (ECO.2.1.6)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from router.printable import printable_name
from router.request import DocumentHeader, TransmissionRequest
from router.sinks.mssante.naming import act_time, birth_name, first_name, label, name_text

_MAX: Final = 150


def pdf_name(request: TransmissionRequest, document: DocumentHeader, taken: Collection[str] = ()) -> str:
    """A file name, safe on every system; `_2`, `_3`… on a clash with `taken`. ASCII but for names of another script."""
    order = document.orders[0].value if document.orders else ""
    date = act_time(document)[:8]
    parts = [date if date.isdigit() else "", label(document), birth_name(request), first_name(request), order]
    stem = "_".join(_short(list(filter(None, map(_safe, parts))))).rstrip(" .") or "document"
    name, rank = f"{stem}.pdf", 1
    while name in taken:
        rank += 1
        name = f"{stem}_{rank}.pdf"
    return name


def _short(parts: list[str]) -> list[str]:
    """Together at most 150 characters: the longest part gives way, so that each is still there."""
    while len("_".join(parts)) > _MAX:
        longest = max(parts, key=len)
        parts[parts.index(longest)] = longest[:-1].rstrip(" .-")
    return parts


def _safe(text: str) -> str:
    return printable_name(name_text(text))
