"""Reading what the DMP answers: SOAP or multipart, registry responses, found references, TD0.2, faults (dmp §1.5–1.9).

Nothing here judges; `router.sinks.dmp.verdicts` does. What can't be read raises `Unreadable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, Final

from lxml import etree

_SOAP12: Final = "{http://www.w3.org/2003/05/soap-envelope}"
_SOAP11: Final = "{http://schemas.xmlsoap.org/soap/envelope/}"
_WSA: Final = "{http://www.w3.org/2005/08/addressing}"
_RS: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0}"
_RIM: Final = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
_V3: Final = "{urn:hl7-org:v3}"
_SUCCESS: Final = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
_FAILURE: Final = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure"
_WARNING: Final = "Warning"
_PARTS: Final = 20
"""Parts of a multipart answer that are looked at: the SOAP envelope is the first, or among the first."""
_PART_HEADER: Final = 8 * 1024
"""Bytes of the header of a part that are read."""


class Unreadable(Exception):
    """The answer isn't what a SOAP server says; `html` when it is a page for people."""

    def __init__(self, *, html: bool = False) -> None:
        super().__init__()
        self.html = html


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer, whole. `content_type` and `retry_after` as sent ('' when absent)."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A SOAP fault. `code` Sender or Receiver, `subcode` local name or ''; `reason` may quote patient data."""

    code: str
    subcode: str
    reason: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegistryError:
    """One RegistryError. `context` is free text that may quote patient data."""

    code: str
    warning: bool
    context: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A SOAP answer: either a fault or a payload."""

    payload: Any = field(repr=False)
    fault: Fault | None
    relates_to: str


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """RegistryResponse or AdhocQueryResponse: `references` are entryUUIDs, in the order of the answer.

    unclear: neither Success nor Failure (PartialSuccess, Unavailable…): something may have been done
    """

    ok: bool
    errors: tuple[RegistryError, ...]
    references: tuple[str, ...] = ()
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class Existence:
    """TD0.2: whether the DMP exists (`OK`, `NF`, or '' on an error), its status, and the error's code."""

    found: str
    status: str
    error: str = ""


def envelope(answer: HttpAnswer) -> Envelope:
    """The SOAP envelope of an answer, MTOM or not. Raises `Unreadable`."""
    root = _parse(root_part(answer))
    if root.tag not in (_SOAP12 + "Envelope", _SOAP11 + "Envelope"):
        raise Unreadable(html=etree.QName(root).localname.lower() == "html")
    soap = root.tag[: -len("Envelope")]
    body = root.find(soap + "Body")
    if body is None:
        raise Unreadable
    relates = root.find(f"{soap}Header/{_WSA}RelatesTo")
    fault = body.find(soap + "Fault")
    payload = next(body.iterchildren("*"), None) if fault is None else None
    if fault is None and payload is None:
        raise Unreadable
    return Envelope(payload, _fault(fault, soap) if fault is not None else None, _text(relates))


def root_part(answer: HttpAnswer) -> bytes:
    """The XML of an answer: the body, or the start part of a multipart one. Raises `Unreadable`."""
    header = Message()
    header["Content-Type"] = answer.content_type or "application/soap+xml"
    kind = header.get_content_type()
    if kind == "text/html":
        raise Unreadable(html=True)
    if not kind.startswith("multipart/"):
        return answer.body
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise Unreadable
    start = header.get_param("start")
    parts = list(_parts(answer.body, boundary.encode("latin-1", "replace")))
    if not parts:
        raise Unreadable
    if isinstance(start, str):
        return next((body for cid, body in parts if cid == start.strip("<> ")), parts[0][1])
    return parts[0][1]


def registry(payload: Any) -> RegistryAnswer:
    """A RegistryResponse or AdhocQueryResponse. Raises `Unreadable` when it has no status."""
    status = payload.get("status")
    if not status or etree.QName(payload).localname not in ("RegistryResponse", "AdhocQueryResponse"):
        raise Unreadable
    errors = tuple(
        RegistryError(
            code=(one.get("errorCode") or "").rpartition(":")[2],
            warning=(one.get("severity") or "").endswith(_WARNING),
            context=one.get("codeContext") or "",
        )
        for one in payload.iter(_RS + "RegistryError")
    )
    references = tuple(one.get("id", "") for one in payload.iter(_RIM + "ObjectRef"))
    unclear = status not in (_SUCCESS, _FAILURE)
    return RegistryAnswer(status == _SUCCESS, errors, tuple(filter(None, references)), unclear)


def existence(payload: Any) -> Existence:
    """A PRPA_IN201308UV02 (dmp §1.9). Raises `Unreadable`."""
    acknowledgement = payload.find(_V3 + "acknowledgement")
    if acknowledgement is None:
        raise Unreadable
    kind = acknowledgement.find(_V3 + "typeCode")
    code = acknowledgement.get("typeCode") or (kind.get("code", "") if kind is not None else "")
    if code != "AA":
        detail = acknowledgement.find(f"{_V3}acknowledgementDetail/{_V3}code")
        return Existence("", "", (detail.get("code") if detail is not None else "") or "AE")
    found = next(payload.iter(_V3 + "queryResponseCode"), None)
    patient = next(payload.iter(_V3 + "patient"), None)
    status = patient.find(_V3 + "statusCode") if patient is not None else None
    return Existence(
        found.get("code", "") if found is not None else "", status.get("code", "") if status is not None else ""
    )


def _fault(element: Any, soap: str) -> Fault:
    if soap == _SOAP11:
        code = _text(element.find("faultcode")).rpartition(":")[2]
        return Fault("Sender" if code == "Client" else "Receiver", "", _text(element.find("faultstring")))
    code = element.find(f"{soap}Code/{soap}Value")
    sub = element.find(f"{soap}Code/{soap}Subcode/{soap}Value")
    reason = " ".join(_text(one) for one in element.iterfind(f"{soap}Reason/{soap}Text"))
    return Fault(_text(code).rpartition(":")[2], _text(sub).rpartition(":")[2], reason)


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[str, bytes]]:
    """(Content-ID without brackets, content) of each part, some parts at most; the last one may lack its end."""
    mark = b"\r\n--" + boundary
    for piece in (b"\r\n" + body).split(mark, _PARTS)[1:]:
        if piece.startswith(b"--"):
            return
        head, found, content = piece.partition(b"\r\n\r\n")
        if found:
            lines = head[:_PART_HEADER].decode("latin-1").splitlines()
            cid = next((line.partition(":")[2] for line in lines if line.lower().startswith("content-id:")), "")
            yield cid.strip("<> "), content


def _parse(data: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root: Any = etree.fromstring(data.strip(), parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Unreadable(html=b"<html" in data[:1000].lower()) from None
    doctype: str = root.getroottree().docinfo.doctype
    if doctype:
        raise Unreadable(html="html" in doctype.lower())
    return root


def _text(element: Any) -> str:
    return "".join(element.itertext()).strip() if element is not None else ""
