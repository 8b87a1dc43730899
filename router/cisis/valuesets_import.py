"""Importing the official value sets (SVS XML, FHIR JSON) into the site's folder, with what changed.

Forms read: `RetrieveValueSetResponse` of IHE SVS as the ANS publishes it; FHIR R4 `ValueSet` with its codes written
out (compose or expansion); FHIR R4 `ConceptMap` of ASS_X04 or ASS_X16 (type -> class).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from router.cda import xml
from router.cisis.valuesets import Concept, ValueSet, ValueSets, write
from router.errors import Malformed
from router.language import filled

_SVS: Final = "{urn:ihe:svs:2008}"
_KEY = re.compile(r"JDV[-_]?(J\d+)")
_MAP = re.compile(r"ASS[-_](X04|X16)")
_LIMIT: Final = 32 * 2**20

#: Where a type -> class table goes: the name under which the XDS metadata look for a site's own.
TYPE_CLASS: Final = "type_class.csv"

#: Code systems as FHIR names them -> the OID that XDS and CDA use; the name may stand anywhere in the URL.
SYSTEMS: Final[Mapping[str, str]] = {
    "http://loinc.org": "2.16.840.1.113883.6.1",
    "TRE_A04": "2.16.840.1.113883.6.1",
    "TRE_A05": "1.2.250.1.213.1.1.4.12",
    "TRE_A10": "URN",
    "TRE_A12": "ASTM",
    "TRE_A00": "1.2.250.1.213.1.1.4.6",
    "TRE_A01": "1.2.250.1.213.1.1.4.9",
    "TRE_A03": "1.2.250.1.213.1.1.4.1",
    "TRE_A07": "1.2.250.1.213.1.1.4.13",
    "TRE_A06": "1.2.250.1.213.1.1.4.2.282",
    "TRE_A11": "1.3.6.1.4.1.19376.1.2.3",
    "TRE_R02": "1.2.250.1.71.4.2.4",
    "TRE_R209": "1.2.250.1.213.2.2",
    "v3-Confidentiality": "2.16.840.1.113883.5.25",
}


@dataclass(frozen=True, slots=True)
class SetChange:
    """What one file changes. `relabelled`: (code, before, after); `before`: "" for a set we did not have."""

    key: str
    before: str
    after: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    relabelled: tuple[tuple[str, str, str], ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.added or self.removed or self.relabelled or self.before != self.after)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was (or would be) imported, and one sentence per file that can't be; then nothing is written."""

    changes: tuple[SetChange, ...] = ()
    problems: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()


class _Unusable(Exception):
    """Why a file can't be imported."""


def import_official(paths: Sequence[Path], folder: Path, *, dry_run: bool = False) -> ImportReport:
    """Read official files and write them to the site's folder: all of them, or none when one is unusable."""
    present = ValueSets.load(folder if folder.is_dir() else None)
    changes: list[SetChange] = []
    problems: list[str] = []
    contents: dict[str, str] = {}
    for path in paths:
        try:
            for name, change, text in _read(path, present, folder):
                changes.append(change)
                contents[name] = text
        except _Unusable as error:
            problems.append(f"{path.name} : {error}")
    if problems or dry_run:
        return ImportReport(tuple(changes), tuple(problems))
    folder.mkdir(parents=True, exist_ok=True)
    written = tuple(_replace(folder / name, text) for name, text in contents.items())
    return ImportReport(tuple(changes), (), written)


def _replace(path: Path, text: str) -> Path:
    """Write beside, then rename: a router that loads meanwhile sees the old file or the new one."""
    beside = path.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    return beside.replace(path)


def _read(path: Path, present: ValueSets, folder: Path) -> Iterator[tuple[str, SetChange, str]]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _Unusable("fichier illisible") from error
    if data.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        sets: Iterator[ValueSet] = _svs(data, path)
    else:
        resource = _json(data)
        if resource.get("resourceType") == "ConceptMap":
            yield _type_class(resource, path, folder)
            return
        sets = iter([_fhir(resource, path)])
    for found in sets:
        yield f"{found.key}.csv", compare(present.sets.get(found.key), found), write(found)


def compare(before: ValueSet | None, after: ValueSet) -> SetChange:
    """What codes and labels change from one version to the other, in the order of the files."""
    old = {(one.code, one.system): one.label for one in before.concepts} if before else {}
    new = {(one.code, one.system): one.label for one in after.concepts}
    return _change(after.key, before.version if before else "", after.version, old, new)


def _change(
    key: str, before: str, after: str, old: Mapping[tuple[str, str], str], new: Mapping[tuple[str, str], str]
) -> SetChange:
    return SetChange(
        key=key,
        before=before,
        after=after,
        added=tuple(one[0] for one in new if one not in old),
        removed=tuple(one[0] for one in old if one not in new),
        relabelled=tuple((one[0], old[one], new[one]) for one in new if one in old and old[one] != new[one]),
    )


# -------------------------------------------------------------------------------------------------- SVS (XML)


def _svs(data: bytes, path: Path) -> Iterator[ValueSet]:
    try:
        xml.check_bytes(data, _LIMIT)
        xml.check_syntax(data)
    except Malformed as error:
        raise _Unusable(error.text) from None
    found = list(xml.read_whole(data).iter(f"{_SVS}ValueSet"))
    if not found:
        raise _Unusable("aucun ValueSet (urn:ihe:svs:2008)")
    for one in found:
        concepts = tuple(
            Concept(c.get("code", ""), c.get("codeSystem", ""), c.get("displayName", ""))
            for c in one.iter(f"{_SVS}Concept")
        )
        official = one.get("urlFichier", "").rstrip("/").rpartition("/")[2]
        named = official or one.get("displayName", "").removesuffix(".tabs")
        yield _value_set(named, path, one.get("id", ""), one.get("dateMaj") or one.get("version") or "", concepts)


def _value_set(named: str, path: Path, oid: str, version: str, concepts: tuple[Concept, ...]) -> ValueSet:
    key = _KEY.search(named) or _KEY.search(path.name)
    if key is None:
        raise _Unusable("le nom du jeu de valeurs (JDV_J…) est introuvable")
    if not concepts or any(not one.code for one in concepts):
        raise _Unusable("le jeu de valeurs ne contient pas la liste de ses codes")
    number = re.sub(r"\D", "", version)[:8]
    return ValueSet(f"JDV_{key[1]}", named or f"JDV_{key[1]}", oid, number, f"import de {path.name}", concepts)


# ------------------------------------------------------------------------------------------------ FHIR (JSON)


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise _Unusable("ni XML ni JSON lisible") from None
    if not isinstance(found, dict) or found.get("resourceType") not in ("ValueSet", "ConceptMap"):
        raise _Unusable("ni ValueSet ni ConceptMap FHIR")
    return found


def _fhir(resource: Mapping[str, Any], path: Path) -> ValueSet:
    named = next((text for text in _names(resource) if _KEY.search(text)), "")
    numbers = (_text_of(one, "value") for one in _objects(resource, "identifier"))
    oid = next((number for number in numbers if "oid" in number), "")
    concepts = tuple(_expanded(resource) or _composed(resource))
    return _value_set(named, path, oid.removeprefix("urn:oid:"), _version(resource), concepts)


def _version(resource: Mapping[str, Any]) -> str:
    """The version when it is a date (`20240927120000`), else the date: `1.4.0` says nothing to an operator."""
    written = [str(resource.get(key) or "") for key in ("version", "date")]
    return next((text for text in written if re.match(r"\d{8}|\d{4}-\d\d-\d\d", text)), "")


def _names(resource: Mapping[str, Any]) -> list[str]:
    last = str(resource.get("url", "")).rpartition("/")[2]
    return [str(resource.get(key, "")) for key in ("title", "name", "id")] + [last]


def _objects(parent: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects under a key: a list of them, or one alone; none when the key is absent."""
    found = parent.get(key) or []
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in listed):
        raise _Unusable(filled("structure FHIR inattendue ({key})", key=key))
    return listed


def _text_of(parent: Mapping[str, Any], key: str) -> str:
    """The text under a key; "" when the key is absent."""
    found = parent.get(key) or ""
    if not isinstance(found, str):
        raise _Unusable(filled("structure FHIR inattendue ({key})", key=key))
    return found


def _concept(coded: Mapping[str, Any], system: str) -> Concept:
    return Concept(_text_of(coded, "code"), system_oid(system), _text_of(coded, "display"))


def _expanded(resource: Mapping[str, Any]) -> list[Concept]:
    listed = [one for expansion in _objects(resource, "expansion") for one in _objects(expansion, "contains")]
    return [_concept(one, _text_of(one, "system")) for one in listed if one.get("code")]


def _composed(resource: Mapping[str, Any]) -> list[Concept]:
    includes = [one for compose in _objects(resource, "compose") for one in _objects(compose, "include")]
    if any(not include.get("concept") for include in includes):
        raise _Unusable("le jeu de valeurs renvoie à un système entier : fournir son expansion")
    return [_concept(one, _text_of(include, "system")) for include in includes for one in _objects(include, "concept")]


def system_oid(system: str) -> str:
    """The OID of a code system that FHIR names by URL; the URL itself when we do not know it."""
    if system.startswith("urn:oid:"):
        return system.removeprefix("urn:oid:")
    return next((oid for name, oid in SYSTEMS.items() if name in system), system)


def _type_class(resource: Mapping[str, Any], path: Path, folder: Path) -> tuple[str, SetChange, str]:
    """ASS_X04 / ASS_X16: the class of each type, in the form that the XDS metadata read."""
    key = next((found for text in (*_names(resource), path.name) if (found := _MAP.search(text))), None)
    if key is None:
        raise _Unusable("seules les tables ASS_X04 et ASS_X16 (type vers classe) sont utilisées")
    pairs = {
        (code, ""): target
        for group in _objects(resource, "group")
        for element in _objects(group, "element")
        for mapped in _objects(element, "target")[:1]
        if (code := _text_of(element, "code")) and (target := _text_of(mapped, "code"))
    }
    if not pairs:
        raise _Unusable("la table ne contient aucune correspondance")
    name, version = f"ASS_{key[1]}", re.sub(r"\D", "", str(resource.get("version") or ""))[:8]
    old_version, old = _present_classes(folder / TYPE_CLASS)
    by_class: dict[str, list[str]] = {}
    for (code, _), target in sorted(pairs.items()):
        by_class.setdefault(target, []).append(code)
    lines = [f"# {name} correspondance type-classe, version: {version}, import de {path.name}", "# class,types"]
    lines += [f"{target},{' '.join(codes)}" for target, codes in sorted(by_class.items())]
    return TYPE_CLASS, _change(name, old_version, version, old, pairs), "\n".join([*lines, ""])


def _present_classes(path: Path) -> tuple[str, dict[tuple[str, str], str]]:
    """The table imported before, if any: its version and its pairs."""
    if not path.exists():
        return "", {}
    text = path.read_text(encoding="utf-8")
    version = re.search(r"version: (\d+)", text)
    rows = [line.split(",", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return version[1] if version else "", {(code, ""): row[0] for row in rows for code in row[1].split()}
