"""Does the metadata say what the document says? The DMP reads the CDA's header (dmp §2.3)."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final

from lxml import etree

from router.simulators.dmp.ebxml import RegistryObject
from router.simulators.dmp.refusals import Fault, RegistryError
from router.simulators.dmp.soap import parse_xml
from router.simulators.dmp.submission import DOC_PATIENT, DOC_UNIQUE, TYPE

_V3: Final = "{urn:hl7-org:v3}"
_TS: Final = re.compile(r"(\d{4,14})(?:\.\d+)?([+-]\d{4})?")
_BAD: Final = "InvalidDocumentContent"


def parse(data: bytes) -> Any:
    """The document's root element, or None when it isn't XML one may read."""
    try:
        return parse_xml(data)
    except (etree.XMLSyntaxError, Fault):
        return None


def check(entry: RegistryObject, root: Any) -> list[RegistryError]:
    """What the entry says otherwise than its document (as `parse` gave it), or why that isn't a CDA."""
    if root is None:
        return [RegistryError(_BAD, "document illisible")]
    if root.tag != f"{_V3}ClinicalDocument":
        return [RegistryError(_BAD, "ClinicalDocument attendu")]
    out = []
    identifier = root.find(f"{_V3}id")
    if identifier is None or identifier.get("extension") or identifier.get("root") != entry.identifiers.get(DOC_UNIQUE):
        out.append(RegistryError(_BAD, "uniqueId différent de ClinicalDocument/id"))
    code = root.find(f"{_V3}code")
    if code is None or [code.get("code")] != [one.code for one in entry.coded(TYPE)]:
        out.append(RegistryError(_BAD, "typeCode différent de ClinicalDocument/code"))
    first = root.find(f"{_V3}recordTarget/{_V3}patientRole/{_V3}id")
    if first is None or _cx(first.get("extension"), first.get("root")) != entry.identifiers.get(DOC_PATIENT):
        out.append(RegistryError("XDSPatientIdDoesNotMatch", "patientId différent du premier id du recordTarget"))
    effective = root.find(f"{_V3}effectiveTime")
    if effective is None or not _same_time(effective.get("value", ""), entry.slot("creationTime")):
        out.append(RegistryError(_BAD, "creationTime différent d'effectiveTime en UTC"))
    return out


def _cx(extension: str | None, root: str | None) -> str:
    return f"{extension}^^^&{root}&ISO^NH"


def _same_time(ts: str, dtm: str) -> bool:
    """A time without offset is that of an unknown zone: its DTM lies at most 14 hours away."""
    match = _TS.fullmatch(ts)
    if match is None or match[2] is not None or len(match[1]) <= 8:
        return utc(ts) == dtm
    if len(dtm) != len(match[1]):
        return False
    local, sent = (dt.datetime.strptime(one.ljust(14, "0"), "%Y%m%d%H%M%S") for one in (match[1], dtm))
    return abs(local - sent) <= dt.timedelta(hours=14)


def utc(ts: str) -> str:
    """A CDA time as a DTM: a time goes to UTC, a date stays (dmp §2.1); "" when it isn't one."""
    match = _TS.fullmatch(ts)
    if match is None:
        return ""
    digits, offset = match.groups()
    if offset is None or len(digits) <= 8:
        return digits
    form = {10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    if form is None:
        return ""
    moment = dt.datetime.strptime(digits + offset, form + "%z").astimezone(dt.UTC)
    return moment.strftime("%Y%m%d%H%M" if len(digits) == 10 and moment.minute else form)
