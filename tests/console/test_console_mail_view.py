"""Reports that came back are shown with their fields, and lines of any text end as lines."""

from __future__ import annotations

import pytest

from router.console.mail_view import standing_at, view
from router.printable import printable_lines

_DSN = b"""\
Reporting-MTA: dns; mx.b.test\r
\r
Final-Recipient: rfc822; adam@b.test\r
Action: failed\r
Status: 5.2.2\r
"""
_MDN = b"""\
Final-Recipient: rfc822; adam@b.test\r
Disposition: manual-action/MDN-sent-manually; displayed\r
"""


def _report(kind: str, fields: bytes) -> bytes:
    head = f"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n"
    original = b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: le premier\r\n\r\nson texte\r\n"
    text = b"--b\r\nContent-Type: text/plain\r\n\r\nbonjour\r\n"
    part = f"--b\r\nContent-Type: message/{kind}\r\n\r\n".encode()
    return head.encode() + text + part + fields + b"\r\n" + original + b"--b--\r\n"


@pytest.mark.parametrize(
    ("kind", "fields", "wanted"),
    [
        ("delivery-status", _DSN, ("Final-Recipient: rfc822; adam@b.test", "Action: failed", "Status: 5.2.2")),
        ("disposition-notification", _MDN, ("Disposition: manual-action/MDN-sent-manually; displayed",)),
    ],
)
def test_a_report_is_one_part_with_its_fields(kind: str, fields: bytes, wanted: tuple[str, ...]) -> None:
    """The part has its own media type, its size and its fields; the mail that it is about stands behind it."""
    seen = view(_report(kind, fields))
    assert seen.text.strip() == "bonjour"
    part, original = seen.parts[0], seen.parts[1]
    assert part.media_type == f"message/{kind}" and part.size > 0
    assert all(one in part.text.splitlines() for one in wanted)
    assert standing_at(_report(kind, fields), part.place).split() == fields.split()
    assert original.media_type == "message/rfc822" and "Subject: le premier" in original.text


@pytest.mark.parametrize("text", ["un\r\ndeux", "un\rdeux", "un\ndeux"])
def test_lines_end_as_lines_whatever_ends_them(text: str) -> None:
    """No code of a control character stands at the end of a line of a mail, a report or an HL7 message."""
    assert printable_lines(text) == "un\ndeux"
    assert "\\x1b" in printable_lines("\x1b\r\n")
