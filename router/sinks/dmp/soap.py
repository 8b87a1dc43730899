"""SOAP 1.2 requests: envelope, WS-Addressing, VIHF, and MTOM/XOP packing that never copies a document (dmp §1.3)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from router.sinks.dmp.canonical import attribute, text

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
WSA: Final = "http://www.w3.org/2005/08/addressing"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
XOP: Final = "http://www.w3.org/2004/08/xop/include"
_ANONYMOUS: Final = f"{WSA}/anonymous"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of an MTOM message: its Content-ID without brackets, and its bytes, sent as they are."""

    cid: str
    data: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class SoapRequest:
    """What is sent. `parts` are written one after the other; their joint length is `length`."""

    url: str
    action: str
    message_id: str
    content_type: str
    parts: tuple[bytes | memoryview, ...] = field(repr=False)

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))


def request(
    url: str, action: str, assertion: str, body: str, attachments: Sequence[Attachment] = (), *, mtom: bool = False
) -> SoapRequest:
    """A request with a fresh MessageID; multipart when `mtom`. `body` and `assertion` are XML text."""
    message_id = f"urn:uuid:{uuid.uuid4()}"
    envelope = _envelope(url, action, message_id, assertion, body).encode()
    if not mtom:
        content_type = f'application/soap+xml; charset=UTF-8; action="{action}"'
        return SoapRequest(url, action, message_id, content_type, (envelope,))
    boundary = f"segur-{uuid.uuid4().hex}"
    root = f"root.{uuid.uuid4().hex}@segur-router"
    content_type = (
        f'multipart/related; boundary="{boundary}"; type="application/xop+xml"; start="<{root}>"; '
        f'start-info="application/soap+xml"; action="{action}"'
    )
    parts: list[bytes | memoryview] = [
        _part_head(boundary, root, 'application/xop+xml; charset=UTF-8; type="application/soap+xml"', "8bit"),
        envelope,
    ]
    for one in attachments:
        parts.append(b"\r\n" + _part_head(boundary, one.cid, "text/xml", "binary"))
        parts.append(one.data)
    parts.append(f"\r\n--{boundary}--\r\n".encode())
    return SoapRequest(url, action, message_id, content_type, tuple(parts))


def include(cid: str) -> str:
    """The element that stands for an attachment's bytes."""
    return f'<xop:Include xmlns:xop="{XOP}" href="cid:{attribute(cid)}"/>'


def _envelope(url: str, action: str, message_id: str, assertion: str, body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{SOAP}" xmlns:wsa="{WSA}"><soap:Header>'
        f'<wsa:Action soap:mustUnderstand="true">{text(action)}</wsa:Action>'
        f"<wsa:MessageID>{message_id}</wsa:MessageID>"
        f'<wsa:ReplyTo soap:mustUnderstand="true"><wsa:Address>{_ANONYMOUS}</wsa:Address></wsa:ReplyTo>'
        f"<wsa:To>{text(url)}</wsa:To>"
        f'<wsse:Security xmlns:wsse="{WSSE}">{assertion}</wsse:Security>'
        f"</soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>"
    )


def _part_head(boundary: str, cid: str, content_type: str, encoding: str) -> bytes:
    return (
        f"--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\nContent-ID: <{cid}>\r\n\r\n"
    ).encode()
