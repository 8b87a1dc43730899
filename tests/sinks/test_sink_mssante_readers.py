"""What a mail says, read back by readers that are not ours: any label, subject and name (RFC 5322, 2047, 2231)."""

from __future__ import annotations

import email
import email.policy
import random
import re
import shutil
import subprocess
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import collapse_rfc2231_value, getaddresses, parseaddr
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router.printable import CONTROLS
from router.simulators.mssante.inspect import broken_sender
from router.sinks.mssante.mail import Attachment, Mail
from tests.sinks.test_sink_mssante_mail import a_mail, written

SENDER = "pfi@hopital-a.mssante.fr"
letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Cn"))
lines = st.text(letters, max_size=120).map(lambda text: " ".join(CONTROLS.sub("", text).split()))
quiet = settings(max_examples=150, deadline=None)


def _default(mail: Mail) -> EmailMessage:
    return email.message_from_bytes(written(mail), policy=email.policy.default)


def _compat(mail: Mail) -> email.message.Message:
    return email.message_from_bytes(written(mail), policy=email.policy.compat32)


def _unfolded(value: str) -> str:
    return re.sub(r"\r?\n(?=[ \t])", "", value)


def _words(value: str) -> str:
    return str(make_header(decode_header(_unfolded(value))))


@quiet
@given(lines)
@example("CHU de Lyon, Hôpital Édouard-Herriot")
@example('CHU "Nord" <labo>, x@y.fr; (é)')
@example("=?utf-8?q?x?=")
@example("a " * 60)
def test_a_label_is_one_phrase(label: str) -> None:
    """Two readers find one mailbox, its address and its label, whatever stands in the label."""
    label = " ".join(label.split())
    mail = a_mail(label=label)
    (found,) = _default(mail)["From"].addresses
    assert found.addr_spec == SENDER
    assert found.display_name.replace(" ", "") == label.replace(" ", "")  # it adds blanks between encoded words
    raw = _unfolded(str(_compat(mail)["From"]))
    name, address = parseaddr(raw)
    assert len(getaddresses([raw])) == 1
    assert (address, " ".join(_words(name).split())) == (SENDER, label)
    assert broken_sender(written(mail), SENDER) == ""


@quiet
@given(lines)
@example("Compte rendu opératoire ИВАНОВ Иван 28/03/1979")
@example("=?utf-8?q?x?= y")
def test_a_subject_comes_back(text: str) -> None:
    """And its prefix is literal."""
    subject = f"XDM/1.0/DDM+CR {text}".strip()
    mail = a_mail(subject=subject)
    assert b"\r\nSubject: XDM/1.0/DDM+CR" in written(mail)
    assert _default(mail)["Subject"] == subject
    assert _words(str(_compat(mail)["Subject"])) == subject


@quiet
@given(lines.filter(bool))
@example("20260104_CR d'examens biologiques de la tres longue journee_PAT-TROIS_DOMINIQUE_P-44.pdf")
@example("20260104_CR_ИВАНОВ_Иван.pdf")
@example('a"b\\c;d=?utf-8?q?e?=%41.pdf')
def test_the_name_of_an_attachment_comes_back(name: str) -> None:
    """Never folded within quotes: a reader that keeps the line end would make another name of it."""
    mail = a_mail(attachments=(Attachment(name, "application/pdf", b"%PDF-"),))
    (part,) = _default(mail).iter_attachments()
    assert part.get_filename() == name
    parts = _compat(mail).get_payload()
    assert isinstance(parts, list)
    other = parts[1]
    assert isinstance(other, email.message.Message)
    given = other.get_param("filename", header="content-disposition")
    assert collapse_rfc2231_value(cast(Any, given)) == name
    assert not re.search(rb'"[^"\r\n]*\r\n', written(mail).split(b"Content-Disposition")[1].split(b"\r\n\r\n")[0])


@pytest.mark.skipif(shutil.which("perl") is None, reason="perl's own decoder is the third reader")
def test_a_reader_of_another_language_agrees() -> None:
    """Perl's Encode decodes labels and subjects as we meant them."""
    chance = random.Random(7)
    alphabet = 'aé,"<>@;()=?_ZИ中 ’œ\\:.-'
    texts = [" ".join("".join(chance.choices(alphabet, k=chance.randint(1, 90))).split()) for _ in range(200)]
    texts = ["CHU de Lyon, Hôpital Édouard-Herriot", *texts]
    raw = [_unfolded(str(_compat(a_mail(subject=f"XDM/1.0/DDM+CR {text}"))["Subject"])) for text in texts]
    script = 'use Encode; binmode(STDOUT, ":utf8"); while (<>) { print decode("MIME-Header", $_) }'
    done = subprocess.run(
        ["perl", "-e", script], input="\n".join(raw) + "\n", capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"XDM/1.0/DDM+CR {text}".strip() for text in texts]


@pytest.mark.parametrize(
    ("sender", "fine"),
    [
        ("CHU de Lyon, =?utf-8?q?H=C3=B4pital?= <pfi@hopital-a.mssante.fr>", False),
        ("=?utf-8?q?H=C3=B4pital?= <pfi@hopital-a.mssante.fr>", True),
        ('"CHU, labo" <pfi@hopital-a.mssante.fr>', True),
        ("pfi@hopital-a.mssante.fr", True),
        ("pfi@hopital-a.mssante.fr, x@y.fr", False),
        ("<x@y.fr>", False),
    ],
)
def test_the_simulated_operator_refuses_a_broken_sender(sender: str, *, fine: bool) -> None:
    """What real servers refuse or rewrite: two mailboxes made of one label, another address than the envelope's."""
    assert (broken_sender(f"From: {sender}\r\n\r\n".encode(), SENDER) == "") is fine
