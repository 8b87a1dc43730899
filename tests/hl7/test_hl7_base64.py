"""Base64 that can't be decoded is refused at its place; mail bodies lose their incomplete end only."""

from __future__ import annotations

import base64 as standard
import time

import pytest

from router.errors import Malformed
from router.hl7 import base64
from router.hl7.message import Message
from tests.examples import example

HEAD = b"MSH|^~\\&|A|B|C|D|20260101||ORU^R01^ORU_R01|1|P|2.5|||||FRA|UNICODE UTF-8\r"


def test_E01_truncated_base64_is_refused() -> None:
    """A length of 4k+1 means a cut document: R34 at its place, never half of it."""
    with pytest.raises(Malformed) as caught:
        base64.decode(b"QUJDQ", place="OBX^1^5^1^5")
    assert (caught.value.code, caught.value.place) == ("R34", "OBX^1^5^1^5")


def test_E02_base64_cut_at_a_whole_group_decodes() -> None:
    """A cut at a multiple of 4 can't be seen here: the XML reader will refuse the document."""
    whole = standard.b64encode(b"<a>12345</a>")
    assert base64.decode(whole[:8]) == b"<a>123"


@pytest.mark.parametrize("field", [b"QUJ-", b"QU_D", b"QUJD^QUJD", b"QU=JD", b"", b"====", b"Q", "QUJÉ".encode()])
def test_what_is_not_base64_is_refused(field: bytes) -> None:
    """Url-safe letters, structure, padding in the middle and nothing at all are R34."""
    with pytest.raises(Malformed):
        base64.decode(field)


ODD = "/X0D/X0A/ /E/X0D/E/ /E/.br/E/ /x00d/x00a/ /XA0/ /XC2A0/ /X20/ /X000D000A/"


@pytest.mark.parametrize("glue", ODD.replace("/", "\\").split())
def test_E04_line_ends_in_odd_spellings_are_blanks(glue: str) -> None:
    """Escape characters that two escapes share, or that an engine escaped itself."""
    clean = standard.b64encode(bytes(range(200))).decode()
    dressed = glue.join(clean[at : at + 76] for at in range(0, len(clean), 76)).encode()
    assert base64.decode(dressed) == bytes(range(200))


@pytest.mark.parametrize("escape", "/X41/ /X0D41/ /F/ /Z/ /X/ /X0DE/ /XAD/ /XDA9/ /XC2/".replace("/", "\\").split())
def test_escapes_of_anything_else_are_no_base64(escape: str) -> None:
    """A letter written as an escape may be part of the document, or of nothing: nobody guesses."""
    with pytest.raises(Malformed):
        base64.decode(b"QUJD" + escape.encode() + b"QUJD")


def test_E04_an_endless_escape_costs_no_time() -> None:
    """A million zeros behind `\\\\X` are refused at once."""
    begun = time.perf_counter()
    with pytest.raises(Malformed):
        base64.decode(b"QUJD" + b"\\X" + b"0A00" * 250_000 + b"QUJD")
    with pytest.raises(Malformed):
        base64.decode(b"QUJD" + b"\\X0" * 250_000 + b"-")
    with pytest.raises(Malformed):
        base64.decode(b"QUJD" + b"\\X" + b"0" * 500_000 + b"-")
    assert time.perf_counter() - begun < 2


def test_two_documents_in_one_field_are_refused() -> None:
    """Repetitions of OBX-5 that are whole ED values are not pieces of one document."""
    data = HEAD + b"OBX|1|ED|||^TEXT^XML^Base64^QUJD~^TEXT^XML^Base64^REVG||||||F\r"
    with pytest.raises(Malformed):
        base64.decode_obx(Message.parse(data).segments("OBX")[0])


def test_E45_a_truncated_mail_body_keeps_its_text() -> None:
    """The incomplete group is dropped and told; all else is kept."""
    assert base64.decode_tolerant(b"QUJDQ") == (b"ABC", True)
    assert base64.decode_tolerant(b"QUJDREU") == (b"ABCDE", False)
    assert base64.decode_tolerant(b"") == (b"", False)
    with pytest.raises(Malformed):
        base64.decode_tolerant(b"QU;D")


def test_E45_the_official_truncated_body() -> None:
    """The national biology example's CORPSMAIL_PS is cut: its text is kept."""
    message = Message.parse(example("oru-init-n3.hl7"))
    body, truncated = base64.decode_tolerant(message.raw("OBX[CORPSMAIL_PS]-5.5"))
    assert truncated and body.decode().endswith("Dupon")


def test_the_official_document_decodes() -> None:
    """The national biology example's document is an XML of 217,807 bytes."""
    document = base64.decode_obx(Message.parse(example("oru-init-n3.hl7")).segments("OBX")[0])
    assert len(document) == 217_807 and document.startswith(b"<?xml")
