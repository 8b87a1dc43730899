"""SOAP 1.2, WS-Addressing and MTOM as the DMP speaks them (dmp §1.3), read and written by hand."""

from __future__ import annotations

import email.message
import email.parser
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape

from lxml import etree

from router.simulators.dmp.refusals import Fault

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
WSA: Final = "http://www.w3.org/2005/08/addressing"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
XOP: Final = "http://www.w3.org/2004/08/xop/include"
_ANONYMOUS: Final = f"{WSA}/anonymous"

Element = Any
"""An lxml element: lxml ships no types."""


@dataclass(frozen=True, slots=True)
class Call:
    """One SOAP request taken apart. `parts` are the MTOM attachments by Content-ID, untouched."""

    action: str
    message_id: str
    assertion: Element = field(repr=False)
    payload: Element = field(repr=False)
    parts: Mapping[str, bytes] = field(repr=False)
    mtom: bool


def parse_xml(data: bytes) -> Element:
    """Parse without entities, network or DTD. Raises lxml's XMLSyntaxError, or Fault for a DOCTYPE."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    root: Element = etree.fromstring(data, parser)
    if root.getroottree().docinfo.doctype:
        raise Fault("DOCTYPE interdit")
    return root


def split_multipart(content_type: str, body: bytes) -> tuple[email.message.Message, list[tuple[str, str, bytes]]]:
    """The outer header, and the parts of a multipart/related as (Content-ID, Content-Type, bytes)."""
    header = email.parser.HeaderParser().parsestr(f"Content-Type: {content_type}\n\n")
    boundary = header.get_boundary()
    if boundary is None:
        raise Fault("multipart sans boundary")
    delimiter = b"--" + boundary.encode("latin-1")
    chunks = (b"\r\n" + body).split(b"\r\n" + delimiter)
    if len(chunks) < 3 or not chunks[-1].startswith(b"--"):
        raise Fault("multipart tronqué")
    return header, [_part(chunk) for chunk in chunks[1:-1]]


def _part(chunk: bytes) -> tuple[str, str, bytes]:
    head, separator, body = chunk.partition(b"\r\n\r\n")
    if not separator:
        raise Fault("partie MIME sans en-tête")
    fields = email.parser.BytesHeaderParser().parsebytes(head.lstrip(b"\r\n"))
    return fields.get("Content-ID", "").strip("<> "), fields.get("Content-Type", ""), body


def read_call(content_type: str, body: bytes) -> Call:
    """Take a request apart. Raises Fault when it isn't SOAP 1.2 with the addressing headers the DMP demands."""
    parts: dict[str, bytes] = {}
    mtom = content_type.lower().startswith("multipart/related")
    if mtom:
        root, parts = _root_part(content_type, body)
    elif content_type.lower().startswith("application/soap+xml"):
        root = body
    else:
        raise Fault(f"Content-Type inattendu : {content_type.split(';', maxsplit=1)[0]}")
    try:
        envelope = parse_xml(root)
    except etree.XMLSyntaxError as error:
        raise Fault("XML mal formé") from error
    if envelope.tag != f"{{{SOAP}}}Envelope":
        raise Fault("SOAP 1.2 attendu")
    header, content = envelope.find(f"{{{SOAP}}}Header"), envelope.find(f"{{{SOAP}}}Body")
    if header is None or content is None or len(content) != 1:
        raise Fault("en-tête ou corps SOAP absent")
    action, message_id = _addressing(header)
    assertion = header.find(f"{{{WSSE}}}Security/{{urn:oasis:names:tc:SAML:2.0:assertion}}Assertion")
    return Call(action, message_id, assertion, content[0], parts, mtom)


def _root_part(content_type: str, body: bytes) -> tuple[bytes, dict[str, bytes]]:
    header, parts = split_multipart(content_type, body)
    start = str(header.get_param("start") or "").strip("<> ")
    if header.get_param("type") != "application/xop+xml" or header.get_param("start-info") != "application/soap+xml":
        raise Fault("multipart/related sans type application/xop+xml et start-info application/soap+xml")
    roots = [part for part in parts if part[0] == start] if start else parts[:1]
    if not roots or not roots[0][1].lower().startswith("application/xop+xml"):
        raise Fault("partie racine XOP absente")
    return roots[0][2], {name: data for name, _, data in parts if name != roots[0][0]}


def _addressing(header: Element) -> tuple[str, str]:
    texts = {}
    for name in ("Action", "MessageID", "To"):
        element = header.find(f"{{{WSA}}}{name}")
        if element is None or not (element.text or "").strip():
            raise Fault(f"en-tête WS-Addressing absent : {name}")
        texts[name] = element.text.strip()
    reply = header.find(f"{{{WSA}}}ReplyTo/{{{WSA}}}Address")
    if reply is None or (reply.text or "").strip() != _ANONYMOUS:
        raise Fault("ReplyTo anonyme attendu")
    if header.find(f"{{{WSA}}}Action").get(f"{{{SOAP}}}mustUnderstand") not in {"1", "true"}:
        raise Fault("Action sans mustUnderstand")
    security = header.find(f"{{{WSSE}}}Security")
    if security is not None and security.get(f"{{{SOAP}}}mustUnderstand") in {"1", "true"}:
        raise Fault("mustUnderstand inattendu sur Security")
    if not texts["MessageID"].startswith("urn:uuid:"):
        raise Fault("MessageID doit être un urn:uuid")
    return texts["Action"], texts["MessageID"]


def included(call: Call, element: Element) -> bytes | None:
    """The bytes an element includes by XOP; None when its `cid` is not attached or it includes nothing."""
    include = element.find(f"{{{XOP}}}Include")
    href = include.get("href", "") if include is not None else ""
    return call.parts.get(href[4:]) if href.startswith("cid:") else None


def envelope(action: str, relates_to: str, body: str) -> bytes:
    """A response envelope."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="{WSA}"><soap:Header>'
        f'<wsa:Action soap:mustUnderstand="true">{escape(action)}</wsa:Action>'
        f"<wsa:MessageID>urn:uuid:{uuid.uuid4()}</wsa:MessageID>"
        f"<wsa:RelatesTo>{escape(relates_to)}</wsa:RelatesTo></soap:Header><soap:Body>{body}</soap:Body>"
        "</soap:Envelope>"
    ).encode()


def fault_body(fault: Fault) -> str:
    subcode = f"<soap:Subcode><soap:Value>soap:{escape(fault.subcode)}</soap:Value></soap:Subcode>"
    return (
        f"<soap:Fault><soap:Code><soap:Value>soap:{fault.role}</soap:Value>{subcode if fault.subcode else ''}"
        f'</soap:Code><soap:Reason><soap:Text xml:lang="fr">{escape(fault.text)}</soap:Text></soap:Reason>'
        "</soap:Fault>"
    )


def multipart(root: bytes) -> tuple[str, bytes]:
    """The same envelope as a multipart/related of one part, as the DMP sometimes answers: (content type, body)."""
    boundary = f"uuid:{uuid.uuid4()}"
    kind = 'application/xop+xml; charset=UTF-8; type="application/soap+xml"'
    head = (
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <root@dmp>\r\n\r\n"
    )
    outer = (
        f'multipart/related; type="application/xop+xml"; boundary="{boundary}"; start="<root@dmp>"; '
        'start-info="application/soap+xml"'
    )
    return outer, head.encode() + root + f"\r\n--{boundary}--\r\n".encode()
