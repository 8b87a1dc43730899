"""Reading ebXML registry objects into plain values, with the rules of form that hold for every object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.simulators.dmp.refusals import RegistryError

RIM: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
_ORDER: Final = ("Slot", "Name", "Description", "VersionInfo", "Classification", "ExternalIdentifier")
_LONGEST: Final = 256
METADATA: Final = "XDSRegistryMetadataError"


@dataclass(frozen=True, slots=True)
class Coded:
    """One Classification: its scheme, code (nodeRepresentation), codingScheme, label and slots."""

    scheme: str
    code: str
    system: str
    label: str = field(repr=False)
    slots: Mapping[str, tuple[str, ...]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegistryObject:
    """A RegistryPackage, ExtrinsicObject or Association, flattened. `problems`: what its form breaks."""

    id: str
    tag: str
    attributes: Mapping[str, str] = field(repr=False)
    slots: Mapping[str, tuple[str, ...]] = field(repr=False)
    name: str = field(repr=False)
    codes: tuple[Coded, ...] = field(repr=False)
    nodes: tuple[str, ...]
    """classificationNode of the classifications that mark it."""
    identifiers: Mapping[str, str] = field(repr=False)
    problems: tuple[RegistryError, ...] = ()

    def slot(self, name: str) -> str:
        """The first value of a slot, "" without."""
        values = self.slots.get(name, ())
        return values[0] if values else ""

    def coded(self, scheme: str) -> list[Coded]:
        return [one for one in self.codes if one.scheme == scheme]


def registry_objects(parent: Any) -> list[RegistryObject]:
    """Every object of a RegistryObjectList, with its problems of form."""
    return [_object(element) for element in parent if isinstance(element.tag, str)]


def shared_ids(parent: Any) -> list[RegistryError]:
    """Ids used twice in the request."""
    seen: set[str] = set()
    out = []
    for element in parent.iter():
        own = element.get("id") if isinstance(element.tag, str) else None
        if own is None:
            continue
        if own in seen:
            out.append(RegistryError(METADATA, f"id en double : {own}"))
        seen.add(own)
    return out


def _object(element: Any) -> RegistryObject:
    problems: list[RegistryError] = []
    own = element.get("id", "")
    tag = element.tag.replace(RIM, "")
    if not own:
        problems.append(RegistryError(METADATA, f"{tag} sans id"))
    _order(element, tag, problems)
    classifications = element.findall(f"{RIM}Classification")
    for one in classifications:
        if one.get("classifiedObject") != own:
            problems.append(RegistryError(METADATA, "classifiedObject absent ou différent"))
    identifiers: dict[str, str] = {}
    for one in element.findall(f"{RIM}ExternalIdentifier"):
        if one.get("registryObject") != own:
            problems.append(RegistryError(METADATA, "registryObject absent ou différent"))
        if not _label(one):
            problems.append(RegistryError(METADATA, "ExternalIdentifier sans Name"))
        scheme = one.get("identificationScheme", "")
        if scheme in identifiers:
            problems.append(RegistryError(METADATA, "ExternalIdentifier en double"))
        identifiers[scheme] = one.get("value", "")
    return RegistryObject(
        id=own,
        tag=tag,
        attributes=dict(element.attrib),
        slots=_slots(element, problems),
        name=_label(element),
        codes=tuple(_coded(one, problems) for one in classifications if one.get("classificationScheme")),
        nodes=tuple(one.get("classificationNode") for one in classifications if one.get("classificationNode")),
        identifiers=identifiers,
        problems=tuple(problems),
    )


def _order(element: Any, tag: str, problems: list[RegistryError]) -> None:
    names = [child.tag.replace(RIM, "") for child in element if isinstance(child.tag, str)]
    unknown = [name for name in names if name not in _ORDER]
    ranks = [_ORDER.index(name) for name in names if name in _ORDER]
    if unknown or ranks != sorted(ranks):
        problems.append(RegistryError(METADATA, f"ordre des éléments de {tag} contraire au schéma"))


def _slots(element: Any, problems: list[RegistryError]) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for slot in element.findall(f"{RIM}Slot"):
        name = slot.get("name", "")
        values = tuple(value.text or "" for value in slot.findall(f"{RIM}ValueList/{RIM}Value"))
        if name in out:
            problems.append(RegistryError(METADATA, f"slot en double : {name}"))
        if not values or not all(values):
            problems.append(RegistryError(METADATA, f"slot sans valeur : {name}"))
        if any(len(value) > _LONGEST for value in values):
            problems.append(RegistryError(METADATA, f"valeur de slot trop longue : {name}"))
        out[name] = values
    return out


def _coded(element: Any, problems: list[RegistryError]) -> Coded:
    slots = _slots(element, problems)
    systems = slots.get("codingScheme", ("",))
    return Coded(
        element.get("classificationScheme", ""),
        element.get("nodeRepresentation", ""),
        systems[0] if systems else "",
        _label(element),
        slots,
    )


def _label(element: Any) -> str:
    found = element.find(f"{RIM}Name/{RIM}LocalizedString")
    return found.get("value", "") if found is not None else ""
