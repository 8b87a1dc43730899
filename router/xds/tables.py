"""The tables of codes behind the metadata: shipped as CSV files, any of which a site may replace.

A file that stands in the site's folder under the same name replaces ours: value sets move several times a year.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from router.errors import OperatorFault
from router.language import filled
from router.request import Code, DocumentHeader

CLASS_SYSTEM: Final = "1.2.250.1.213.1.1.4.1"
IHE_FORMATS: Final = "1.3.6.1.4.1.19376.1.2.3"
"""TRE_A11: formats whose name begins with `urn:ihe:`."""
FRENCH_FORMATS: Final = "1.2.250.1.213.1.1.4.2.282"
"""TRE_A06-FormatCodeComplementaire: the others."""
NO_MODEL: Final = "urn:asipSante:modelesHorsProfils:2011"
"""formatCode of a structured document of no known model (dmp §2.4)."""


@dataclass(frozen=True)
class Tables:
    """The tables as read; each lookup gives a `Code` ready for the metadata."""

    type_class: dict[str, str]
    class_label: dict[str, str]
    template_format: dict[str, tuple[str, bool]]
    media_format: dict[str, tuple[str, str]]
    content_type: dict[str, Code]
    format_label: dict[str, str]

    def class_of(self, type_code: str) -> Code | None:
        """classCode of a typeCode (ASS_X04), None when the table does not know the type."""
        code = self.type_class.get(type_code)
        return Code(code=code, system=CLASS_SYSTEM, label=self.class_label.get(code, code)) if code else None

    def format_of(self, header: DocumentHeader) -> Code | None:
        """formatCode (dmp §2.4): by media type at level 1 (None when it is not one of the five), else by model."""
        if header.level == 1:
            found = self.media_format.get(header.media_type)
            return Code(code=found[0], system=IHE_FORMATS, label=found[1]) if found else None
        name = next((self.template_format[one][0] for one in self._by_rank(header)), NO_MODEL)
        system = IHE_FORMATS if name.startswith("urn:ihe:") else FRENCH_FORMATS
        return Code(code=name, system=system, label=self.format_label.get(name, name))

    def in_dmp(self, format_code: str) -> bool:
        """Whether the DMP takes this format (JDV_J60)."""
        return format_code not in self._not_in_dmp

    def content_of(self, encounter_class: str) -> Code:
        """contentTypeCode of PV1-2; the first row of the table when PV1-2 is empty or unknown."""
        return self.content_type.get(encounter_class) or next(iter(self.content_type.values()))

    @cached_property
    def _not_in_dmp(self) -> frozenset[str]:
        return frozenset(name for name, taken in self.template_format.values() if not taken)

    @cached_property
    def _rank(self) -> dict[str, int]:
        return {template: rank for rank, template in enumerate(self.template_format)}

    def _by_rank(self, header: DocumentHeader) -> list[str]:
        known = [one for one in header.template_ids if one in self.template_format]
        return sorted(known, key=self._rank.__getitem__)


@lru_cache(maxsize=8)
def tables(folder: Path | None = None) -> Tables:
    """Our tables, each replaced by the file of that name in `folder`. Raises `OperatorFault` `XDS-TABLE`."""
    return Tables(
        type_class={kind: row[0] for row in _rows(folder, "type_class", 2) for kind in row[1].split()},
        class_label={row[0]: row[1] for row in _rows(folder, "class_label", 2)},
        template_format={row[0]: (row[1], row[2] == "1") for row in _rows(folder, "template_format", 3)},
        media_format={row[0]: (row[1], row[2]) for row in _rows(folder, "media_format", 3)},
        content_type={
            row[0]: Code(code=row[1], system=row[2], label=row[3]) for row in _rows(folder, "content_type", 4)
        },
        format_label={row[0]: row[1] for row in _rows(folder, "format_label", 2)},
    )


def _rows(folder: Path | None, name: str, columns: int) -> list[list[str]]:
    """The rows of a table. Lines that begin with `#` are comments."""
    own = folder / f"{name}.csv" if folder else None
    source = own if own is not None and own.exists() else files("router.xds") / "data" / f"{name}.csv"
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorFault("XDS-TABLE", f"{name}.csv", "table illisible") from error
    rows = [
        [cell.strip() for cell in row] for row in csv.reader(line for line in lines if not line.startswith("#")) if row
    ]
    if not rows or any(len(row) != columns for row in rows):
        raise OperatorFault(
            "XDS-TABLE", f"{name}.csv", filled("chaque ligne doit avoir {columns} colonnes", columns=columns)
        )
    return rows
