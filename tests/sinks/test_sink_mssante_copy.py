"""A mail always has a copy that people can read: the document's own PDF, else one made of its text (ECO.2.1.5)."""

from __future__ import annotations

import asyncio
import email
import email.policy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Unobserved
from router.errors import Malformed
from router.exchange import Delivery
from router.measures import Measure
from router.rendering.renderer import Renderer
from router.request import Action
from router.sinks.mssante import composer
from router.sinks.mssante.sink_type import MSSANTE
from tests.cda.cda_samples import cda, n1_body
from tests.rendering.narratives import document, rows
from tests.sinks.mssante_samples import config, delivery, doctor, order, tools
from tests.sinks.mssante_server import Script
from tests.sinks.test_sink_mssante import FIRST, send
from tests.sinks.test_sink_mssante_mail import members
from tests.typed import body_text

N3 = document("Résultat normal." + rows(2))


class Counted(Unobserved):
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    def count(self, measure: Measure, amount: float = 1, **labels: str) -> None:
        self.counts.append((measure, tuple(sorted(labels.items()))))


def parts(script: Script) -> tuple[str, dict[str, bytes], dict[str, bytes]]:
    """Body, archive and other attachments by name of the last mail."""
    read = email.message_from_bytes(script.mails[-1], policy=email.policy.default)
    held = {str(part.get_filename()): part.get_content() for part in read.iter_attachments()}
    return body_text(read), members(held.pop("IHE_XDM.ZIP")), held


def of(raw: bytes, **changes: Any) -> Delivery:
    return delivery(order((raw,), **changes), (raw,))


def test_a_mail_made_again_is_the_mail_that_left(tmp_path: Path) -> None:
    """Nothing is sent, and each byte is the same, so that its digest shows it: with the PDF of a text as well."""
    script, made = Script(), of(N3)
    send(script, tmp_path, made)
    settings, using = config(), tools(tmp_path)
    assert MSSANTE.again is not None
    again = asyncio.run(MSSANTE.again("mssante.chu", settings, using, made, FIRST.first))
    assert again.rstrip(b"\r\n") == script.mails[-1].rstrip(b"\r\n") and len(script.mails) == 1


def test_a_document_without_pdf_leaves_with_a_copy_of_its_text(tmp_path: Path) -> None:
    """The mail, its body, README.TXT, the proof and the measure say the same: a PDF/A made of the text."""
    counted, script = Counted(), Script()
    using = replace(tools(tmp_path), observer=counted)
    (outcome,) = send(script, tmp_path, of(N3), using=using)
    body, archive, copies = parts(script)
    ((name, pdf),) = copies.items()
    assert name == "20260104_CR d'examens biologiques_PAT-TROIS_DOMINIQUE_P-44.pdf"
    assert pdf.startswith(b"%PDF-1.4") and b"pdfaid:part>1<" in pdf
    assert "mise en page à partir du texte du document" in body
    assert b"mise en page a partir du texte du document" in archive["README.TXT"]
    assert archive["IHE_XDM/SUBSET01/DOC00001.XML"] == N3
    assert outcome.evidence["copy"] == "texte du document mis en page, PDF/A-1B"
    labels = (("copy", "rendue"), ("pdfa", "1"), ("sink", "mssante.chu"))
    assert counted.counts == [("pdf_copies_total", labels)]


def test_every_recipient_and_retry_gets_the_same_copy(tmp_path: Path) -> None:
    """The page is made once for a document; a sink that was started anew makes the same bytes."""
    script, again = Script(), Script()
    send(script, tmp_path, of(N3), of(N3, recipient=doctor("b@test-ci-sis.mssante.fr")))
    first = parts(script)[2]
    send(again, tmp_path / "again", of(N3))
    assert first == parts(again)[2] and len(script.mails) == 2


def test_a_page_that_cannot_be_made_never_holds_up_the_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive leaves alone; body, README.TXT, proof and measure say so, and why."""
    monkeypatch.setattr(composer, "Renderer", lambda: Renderer(memory=64 * 2**20))
    counted, script = Counted(), Script()
    (outcome,) = send(script, tmp_path, of(N3), using=replace(tools(tmp_path), observer=counted))
    body, archive, copies = parts(script)
    assert not copies and "copie PDF" not in body and b"copie PDF" not in archive["README.TXT"]
    assert outcome.evidence["copy"] == "mémoire dépassée, ou arrêt du processus"
    assert "sans copie PDF" in outcome.text
    assert counted.counts == [("pdf_copies_total", (("copy", "none"), ("pdfa", "0"), ("sink", "mssante.chu")))]


def test_an_n1_of_plain_text_gets_a_copy_and_one_of_rtf_none(tmp_path: Path) -> None:
    """What can be set is set; for a format that is not ours to read, the reason is told."""
    script = Script()
    (outcome,) = send(script, tmp_path, of(cda(n1_body("Cher confrère,\n  bien.".encode(), "text/plain"))))
    assert len(parts(script)[2]) == 1 and outcome.evidence["copy"].startswith("texte du document")
    (outcome,) = send(script, tmp_path / "rtf", of(cda(n1_body(b"{\\rtf1}", "text/rtf"))))
    assert not parts(script)[2] and outcome.evidence["copy"] == "rien qui puisse être mis en page"


@pytest.mark.parametrize(("claim", "told", "label"), [(b"1", "PDF/A-1b", "1"), (b"", "qui ne se dit pas PDF/A", "0")])
def test_a_pdf_of_the_sender_is_told_by_what_it_claims(tmp_path: Path, claim: bytes, told: str, label: str) -> None:
    """It leaves as it is; a PDF that does not say PDF/A is told in the proof and counted."""
    metadata = b"<pdfaid:part>" + claim + b"</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" if claim else b""
    raw = cda(n1_body(b"%PDF-1.4\n" + metadata + b"\n%%EOF\n"))
    counted, script = Counted(), Script()
    (outcome,) = send(script, tmp_path, of(raw), using=replace(tools(tmp_path), observer=counted))
    assert told in outcome.evidence["copy"]
    assert counted.counts == [("pdf_copies_total", (("copy", "document"), ("pdfa", label), ("sink", "mssante.chu")))]


@pytest.mark.parametrize("without", ["rendre", "refuser"])
def test_a_deletion_is_not_held_back_by_a_body_that_nobody_can_read(tmp_path: Path, without: str) -> None:
    """D1: never blocked by form; the archive leaves with its request to delete, without a copy."""
    broken = (cda(n1_body(b"Not a pdf at all")),)
    script = Script()
    send(script, tmp_path, delivery(order(broken, action=Action.DELETE), broken), n3_sans_pdf=without)
    names = [part.get_filename() for part in email.message_from_bytes(script.mails[0]).walk() if part.get_filename()]
    assert names == ["IHE_XDM.ZIP"]
    with pytest.raises(Malformed, match="CDA-PDF"):
        send(Script(), tmp_path / "first", delivery(order(broken), broken))
