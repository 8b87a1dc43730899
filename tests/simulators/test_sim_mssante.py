"""The simulated operator, used by smtplib, imapclient and imaplib."""

from __future__ import annotations

import asyncio
import email
import email.policy
import imaplib
import smtplib
import ssl
import time
from collections.abc import Awaitable, Callable
from email.message import EmailMessage, Message
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from router.simulators.authority import Certificates, make_certificates
from router.simulators.mssante import MssanteConfig, MssanteSimulator, inspect
from router.simulators.sender import HOPITAL_A, Maker
from tests.simulators.xdm_mail import SENDER, mail
from tests.typed import present

A = HOPITAL_A.finess
DOCTOR = "dr.adam@medecin.test.mssante.fr"
OTHER = "service@hopital-b.test.mssante.fr"
ACCOUNTS = {SENDER: "secret"}
Play = Callable[[MssanteSimulator], Awaitable[None]]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"), {A: "Hopital A"}, variants=True)


def run(scene: Play, **options: Any) -> None:
    async def whole() -> None:
        async with MssanteSimulator(MssanteConfig(accounts=ACCOUNTS, **options)) as operator:
            await scene(operator)

    asyncio.run(whole())


def send(
    operator: MssanteSimulator,
    message: EmailMessage,
    *,
    to: str = "",
    options: tuple[str, ...] = (),
    rcpt: tuple[str, ...] = (),
    context: ssl.SSLContext | None = None,
    password: str = "",
) -> tuple[int, bytes]:
    """The reply to the final dot, or to the command that was refused."""
    with smtplib.SMTP("127.0.0.1", operator.smtp_port, timeout=5) as client:
        client.ehlo()
        if context is not None:
            client.starttls(context=context)
            client.ehlo()
        if password:
            client.login(SENDER, password)
        code, text = client.mail(SENDER, list(options))
        if code == 250:
            code, text = client.rcpt(to or str(message["To"]), list(rcpt))
        if code == 250:
            code, text = client.data(message.as_bytes())
        return code, text


async def threaded(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **named)


NOTIFY = ("NOTIFY=SUCCESS,FAILURE,DELAY", f"ORCPT=rfc822;{DOCTOR}")


def _reports(operator: MssanteSimulator) -> list[EmailMessage]:
    found = [email.message_from_bytes(raw, policy=email.policy.default) for raw in operator.mailbox(SENDER)]
    return [one for one in found if isinstance(one, EmailMessage)]


def _fields(report: EmailMessage) -> dict[str, str]:
    """Every field of the machine-readable part."""
    part = next(
        one
        for one in report.walk()
        if one.get_content_type() in {"message/delivery-status", "message/disposition-notification"}
    )
    blocks = part.get_payload()
    assert isinstance(blocks, list)
    fields: dict[str, str] = {}
    for block in blocks:
        assert isinstance(block, Message)
        fields |= {name.lower(): str(value) for name, value in block.items()}
    return fields


# -------------------------------------------------------------------------------------------------------- SMTP


def test_mail_is_kept_with_its_envelope(tmp_path: Path) -> None:
    """A mail arrives in the mailbox, on disk and in the list, with what its envelope said."""

    async def scene(operator: MssanteSimulator) -> None:
        message = mail(DOCTOR)
        code, _ = await threaded(
            send,
            operator,
            message,
            options=("RET=HDRS", "ENVID=ab+2Bcd"),
            rcpt=("NOTIFY=NEVER", "ORCPT=rfc822;a+2Bb@x"),
        )
        assert code == 250
        kept = operator.mails[0]
        assert kept.findings == ()
        assert kept.message_id == message["Message-ID"]
        assert (kept.envelope.envid, kept.envelope.orcpt, kept.envelope.ret) == ("ab+cd", "rfc822;a+b@x", "HDRS")
        assert kept.envelope.notify == ("NEVER",)
        assert kept.delivered
        assert kept.confirmed
        stored = operator.mailbox(DOCTOR)
        assert stored[0].endswith(message.as_bytes())
        assert (tmp_path / DOCTOR / "000001.eml").read_bytes() == stored[0]
        assert _reports(operator) == []

    run(scene, folder=tmp_path)


def test_offers_of_the_server(certificates: Certificates) -> None:
    """EHLO offers what an operator's does, STARTTLS before, AUTH after it; a lone dot is unstuffed."""

    def look(operator: MssanteSimulator) -> None:
        with smtplib.SMTP("127.0.0.1", operator.smtp_port) as client:
            client.ehlo()
            before = set(client.esmtp_features)
            client.starttls(context=certificates.client_context(f"{A}-auth"))
            client.ehlo()
            after = set(client.esmtp_features)
            assert {"size", "pipelining", "8bitmime", "starttls", "dsn"} <= before
            assert "auth" not in before
            assert "auth" in after
            assert "starttls" not in after
            client.login(SENDER, "secret")
            client.sendmail(SENDER, [DOCTOR], "From: a\r\n\r\n.\r\n..b\r\n")
            assert operator.mailbox(DOCTOR)[0].endswith(b"\r\n\r\n.\r\n..b\r\n")

    async def scene(operator: MssanteSimulator) -> None:
        await threaded(look, operator)

    run(scene, certificates=certificates, auth="plain", client_certificate=True)


def test_nothing_without_starttls_certificate_or_login(certificates: Certificates) -> None:
    """Each barrier holds: clear text, no certificate, an expired one, no login, a wrong password."""

    async def scene(operator: MssanteSimulator) -> None:
        assert (await threaded(send, operator, mail(DOCTOR)))[0] == 530
        for name in ("", f"{A}-auth-expired"):
            with pytest.raises((ssl.SSLError, OSError, smtplib.SMTPServerDisconnected)):
                await threaded(send, operator, mail(DOCTOR), context=certificates.client_context(name))
        right = certificates.client_context(f"{A}-auth")
        assert (await threaded(send, operator, mail(DOCTOR), context=right))[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await threaded(send, operator, mail(DOCTOR), context=right, password="wrong")
        assert not operator.mails
        assert (await threaded(send, operator, mail(DOCTOR), context=right, password="secret"))[0] == 250

    run(scene, certificates=certificates, auth="plain", client_certificate=True)


def test_external_login_by_certificate(certificates: Certificates) -> None:
    """AUTH EXTERNAL opens the account by the certificate alone."""

    def talk(operator: MssanteSimulator) -> int:
        with smtplib.SMTP("127.0.0.1", operator.smtp_port) as client:
            client.starttls(context=certificates.client_context(f"{A}-auth"))
            client.ehlo()
            client.auth("EXTERNAL", lambda challenge=None: "", initial_response_ok=False)
            return client.mail(SENDER)[0]

    async def scene(operator: MssanteSimulator) -> None:
        assert await threaded(talk, operator) == 250

    run(scene, certificates=certificates, auth="external", client_certificate=True)


def test_injected_commands_are_thrown_away(certificates: Certificates) -> None:
    """What is pipelined in clear behind STARTTLS is not obeyed inside TLS."""

    async def scene(operator: MssanteSimulator) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", operator.smtp_port)
        await reader.readline()
        writer.write(b"EHLO x\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
        writer.write(b"STARTTLS\r\nEHLO injected\r\n")
        assert (await reader.readline()).startswith(b"220")
        await writer.start_tls(certificates.client_context(f"{A}-auth"), server_hostname="localhost")
        writer.write(b"NOOP\r\n")
        assert await reader.readline() == b"250 2.0.0 OK\r\n"
        writer.close()

    run(scene, certificates=certificates)


def test_only_domains_of_the_espace_de_confiance() -> None:
    """A recipient elsewhere is refused for good, and so is a sender that is not ours."""

    async def scene(operator: MssanteSimulator) -> None:
        assert (await threaded(send, operator, mail("dr@gmail.com")))[0] == 550

        def foreign() -> int:
            with smtplib.SMTP("127.0.0.1", operator.smtp_port) as client:
                client.ehlo()
                return client.mail("autre@hopital-b.test.mssante.fr")[0]

        assert await threaded(foreign) == 553
        assert not operator.mails

    run(scene)


def test_size_limits() -> None:
    """A mail over the limit is refused by its SIZE, or at its final dot; the connection goes on."""

    async def scene(operator: MssanteSimulator) -> None:
        large = mail(DOCTOR, sample=Maker(1).document("imaging", Maker(1).patient(), size=60_000))
        assert (await threaded(send, operator, large, options=("SIZE=50001",)))[0] == 552

        def twice() -> tuple[int, int]:
            with smtplib.SMTP("127.0.0.1", operator.smtp_port) as client:
                client.ehlo()
                codes = []
                for message in (large, mail(DOCTOR)):
                    client.mail(SENDER)
                    client.rcpt(DOCTOR)
                    codes.append(client.data(message.as_bytes())[0])
                return codes[0], codes[1]

        assert await threaded(twice) == (552, 250)
        assert len(operator.mails) == 1

    run(scene, size_limit=50_000)


def test_large_mail_over_tls(certificates: Certificates) -> None:
    """Many megabytes through STARTTLS arrive whole."""

    async def scene(operator: MssanteSimulator) -> None:
        maker = Maker(3)
        large = mail(DOCTOR, sample=maker.document("imaging", maker.patient(), size=5_000_000))
        reply = await threaded(send, operator, large, context=certificates.client_context())
        assert reply[0] == 250
        assert operator.mails[0].raw == large.as_bytes()
        assert len(operator.mails[0].raw) > 5_000_000

    run(scene, certificates=certificates)


def test_bad_parameters_and_sequence() -> None:
    """Unknown parameters, xtext that isn't, commands out of order."""

    def talk(operator: MssanteSimulator) -> list[int]:
        with smtplib.SMTP("127.0.0.1", operator.smtp_port) as client:
            early = client.docmd("MAIL", f"FROM:<{SENDER}>")[0]
            client.ehlo()
            codes = [client.docmd("DATA")[0], client.docmd("RCPT", f"TO:<{DOCTOR}>")[0]]
            codes += [client.mail(SENDER, ["ENVID=a=b"])[0], client.mail(SENDER, ["FOO=1"])[0]]
            client.mail(SENDER)
            codes += [client.rcpt(DOCTOR, ["NOTIFY=MAYBE"])[0], client.rcpt(DOCTOR, ["ORCPT=x"])[0]]
            codes += [client.docmd("DATA")[0], client.docmd("VRFY", "x")[0]]
            return [early, *codes]

    async def scene(operator: MssanteSimulator) -> None:
        assert await threaded(talk, operator) == [503, 503, 503, 555, 555, 501, 501, 554, 500]

    run(scene)


def test_server_without_dsn() -> None:
    """Without the extension its parameters are refused."""

    async def scene(operator: MssanteSimulator) -> None:
        assert (await threaded(send, operator, mail(DOCTOR), options=("RET=HDRS",)))[0] == 555

    run(scene, dsn=False)


# ----------------------------------------------------------------------------------------------------- trouble


def test_planned_refusals() -> None:
    """A full mailbox, an unknown one, a greylisted one, a refusal at the dot, a 421 at the door."""

    async def scene(operator: MssanteSimulator) -> None:
        operator.refuse(DOCTOR, 452, "4.2.2", "mailbox full")
        assert (await threaded(send, operator, mail(DOCTOR))) == (452, b"4.2.2 mailbox full")
        assert (await threaded(send, operator, mail(OTHER)))[0] == 250
        await operator.reset()
        operator.refuse(DOCTOR, 450, "4.7.1", "greylisted", count=1)
        assert [(await threaded(send, operator, mail(DOCTOR)))[0] for _ in range(2)] == [450, 250]
        operator.refuse_data(DOCTOR, 554, "5.6.0", "content")
        assert [(await threaded(send, operator, mail(DOCTOR)))[0] for _ in range(2)] == [554, 250]
        operator.greet(421)
        with pytest.raises(smtplib.SMTPConnectError):
            await threaded(send, operator, mail(DOCTOR))
        assert len(operator.mailbox(DOCTOR)) == 2

    run(scene)


def test_cuts_at_the_final_dot() -> None:
    """Cut before: nothing kept. Cut after: kept though never confirmed, and the repeat is seen as such."""

    async def scene(operator: MssanteSimulator) -> None:
        message = mail(DOCTOR)
        cuts: tuple[tuple[Literal["before", "after"], int], ...] = (("before", 0), ("after", 1))
        for when, kept in cuts:
            operator.cut(when)
            with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
                await threaded(send, operator, message)
            assert len(operator.mails) == kept
        await threaded(send, operator, message)
        assert [one.confirmed for one in operator.mails] == [False, True]
        assert len({one.message_id for one in operator.mails}) == 1
        assert len({one.digest for one in operator.mails}) == 1

    run(scene)


def test_delay_and_outage() -> None:
    """A slow final dot, then a server that is away for a while and returns on its port."""

    async def scene(operator: MssanteSimulator) -> None:
        operator.delay(0.2, DOCTOR, count=1)
        start = time.monotonic()
        await threaded(send, operator, mail(DOCTOR))
        assert time.monotonic() - start >= 0.2
        port = operator.smtp_port
        await operator.outage(0.3)
        with pytest.raises(OSError, match="refused"):
            await threaded(send, operator, mail(DOCTOR))
        await asyncio.sleep(0.4)
        assert operator.smtp_port == port
        assert (await threaded(send, operator, mail(DOCTOR)))[0] == 250

    run(scene)


# ----------------------------------------------------------------------------------------------------- reports


def test_success_report() -> None:
    """A delivered mail is reported with ENVID and ORCPT as they were given, headers only."""

    async def scene(operator: MssanteSimulator) -> None:
        message = mail(DOCTOR)
        await threaded(send, operator, message, options=("RET=HDRS", "ENVID=0193f0d2"), rcpt=NOTIFY)
        (report,) = _reports(operator)
        fields = _fields(report)
        assert report.get_content_type() == "multipart/report"
        assert report.get_param("report-type") == "delivery-status"
        assert report["Return-Path"] == "<>"
        assert (fields["action"], fields["status"]) == ("delivered", "2.0.0")
        assert fields["original-envelope-id"] == "0193f0d2"
        assert fields["original-recipient"] == f"rfc822;{DOCTOR}"
        returned = list(report.iter_parts())[2]
        assert returned.get_content_type() == "text/rfc822-headers"
        assert str(message["Message-ID"]) in returned.get_content()
        assert "IHE_XDM" not in returned.get_content()

    run(scene)


def test_failure_delay_then_success_and_silence() -> None:
    """What was accepted may fail, be delayed then arrive, be relayed, or never be heard of."""

    async def scene(operator: MssanteSimulator) -> None:
        operator.bounce(DOCTOR, "failed", "5.2.2", "552 5.2.2 mailbox full")
        operator.bounce(DOCTOR, "delayed", "4.4.1", "", delivered=True)
        operator.bounce(DOCTOR, "relayed", "2.0.0", "")
        operator.bounce(DOCTOR, "none")
        for _ in range(4):
            await threaded(send, operator, mail(DOCTOR), rcpt=NOTIFY)
        told = [_fields(one) for one in _reports(operator)]
        assert [one["action"] for one in told] == ["failed", "delayed", "delivered", "relayed"]
        assert told[0]["diagnostic-code"] == "smtp; 552 5.2.2 mailbox full"
        assert [one.delivered for one in operator.mails] == [False, True, True, True]

    run(scene)


def test_reports_are_only_what_was_asked() -> None:
    """NOTIFY=FAILURE: no word of success; NEVER: none of failure either."""

    async def scene(operator: MssanteSimulator) -> None:
        await threaded(send, operator, mail(DOCTOR), rcpt=("NOTIFY=FAILURE",))
        operator.bounce(DOCTOR)
        await threaded(send, operator, mail(DOCTOR), rcpt=("NOTIFY=NEVER",))
        assert _reports(operator) == []
        operator.bounce(DOCTOR)
        await threaded(send, operator, mail(DOCTOR))
        assert [_fields(one)["action"] for one in _reports(operator)] == ["failed"]

    run(scene)


@pytest.mark.parametrize(
    ("reading", "error", "disposition", "told"),
    [
        ("displayed", "", "manual-action/MDN-sent-manually; displayed", None),
        ("c", "", "automatic-action/MDN-sent-automatically; processed", None),
        ("c", "902", "automatic-action/MDN-sent-automatically; processed/error", "902^Identifiant patient inconnu"),
        ("b", "902", "automatic-action/MDN-sent-automatically; processed/Error: 902^Identifiant", "902^Identifiant"),
        ("a", "906", "automatic-action/MDN-sent-automatically; processed/Error: 906^", None),
    ],
)
def test_read_receipts(reading: Any, error: str, disposition: str, told: str | None) -> None:
    """A mailbox set to read answers requests, and only requests, in the dialect it was given."""

    async def scene(operator: MssanteSimulator) -> None:
        operator.read(DOCTOR, reading, error)
        await threaded(send, operator, mail(DOCTOR))
        message = mail(DOCTOR, receipt=True)
        await threaded(send, operator, message)
        (report,) = _reports(operator)
        fields = _fields(report)
        assert report.get_param("report-type") == "disposition-notification"
        assert fields["original-message-id"] == message["Message-ID"]
        assert fields["final-recipient"] == f"rfc822;{DOCTOR}"
        assert fields["disposition"].startswith(disposition)
        assert (told is None) == ("error" not in fields)
        assert (told or "") in fields.get("error", "")
        assert ("[KO Intégration système !]" in str(report["Subject"])) is bool(error)

    run(scene)


def test_receipt_on_demand_and_plain_answer() -> None:
    """A test can have a mail answered at any time, also by the plain mail that quotes it."""

    async def scene(operator: MssanteSimulator) -> None:
        message = mail(DOCTOR)
        await threaded(send, operator, message)
        identifier = str(message["Message-ID"])
        assert operator.answer(identifier, "courriel", "902") == 1
        assert operator.answer("<unknown@x>") == 0
        (report,) = _reports(operator)
        assert report.get_content_type() == "multipart/mixed"
        assert report["References"] == identifier
        assert str(report["Subject"]).startswith("[KO Intégration système !][902] XDM/1.0/DDM+")

    run(scene)


# -------------------------------------------------------------------------------------------------- inspection


def test_right_mails_have_no_finding() -> None:
    """To a professional and to the patient himself, initial, replacement, with and without INS."""
    maker = Maker(5)
    patient, nobody = maker.patient(), maker.patient(ins=False)
    document = maker.document("imaging", patient)
    cases = [
        mail(DOCTOR, sample=document),
        mail(DOCTOR, sample=document, action="C"),
        mail(patient.address, sample=document, headers={"X-MSS-MES": "FIN"}),
        mail(DOCTOR, sample=maker.document("imaging", nobody)),
    ]
    for message in cases:
        found = inspect(message.as_bytes(), SENDER, str(message["To"]))
        assert found.findings == []
        assert len(found.documents) == 1
    assert inspect(cases[1].as_bytes(), SENDER, DOCTOR).action == "C"


def _without(name: str) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {key: data for key, data in files.items() if key != name}


METADATA = "METADATA.XML"
DOCUMENT = "IHE_XDM/SUBSET01/DOC00001.XML"
WRONG_MAILS: dict[str, tuple[dict[str, Any], str]] = {
    "subject": ({"headers": {"Subject": "Un document"}}, "Subject"),
    "subject encoded": ({"headers": {"Subject": "XDM/1.0/DDM+Échographie MOREL JEAN"}}, "Subject"),
    "no NIL": ({"headers": {"X-MSS-NIL": None}}, "X-MSS-NIL"),
    "no INS header": ({"headers": {"X-MSS-INS": None}}, "X-MSS-INS"),
    "INS denied": ({"headers": {"X-MSS-INS": "N"}}, "X-MSS-INS"),
    "code": ({"headers": {"X-MSS-CODECDA": "11502-2"}}, "X-MSS-CODECDA"),
    "two recipients": ({"headers": {"To": f"{DOCTOR}, {OTHER}"}}, "To"),
    "copy": ({"headers": {"Cc": OTHER}}, "Cc"),
    "other sender": ({"headers": {"From": OTHER}}, "From"),
    "FIN to a professional": ({"headers": {"X-MSS-MES": "FIN"}}, "X-MSS-MES"),
    "receipt elsewhere": ({"headers": {"Disposition-Notification-To": OTHER}}, "Disposition-Notification-To"),
    "no PDF": ({"pdf": False}, "parties"),
    "no README": ({"files": _without("README.TXT")}, "IHE_XDM.ZIP"),
    "no document": ({"files": _without(DOCUMENT)}, "METADATA.XML"),
    "changed document": ({"files": lambda f: {**f, DOCUMENT: f[DOCUMENT] + b" "}}, "METADATA.XML"),
    "stray file": ({"files": lambda f: {**f, "IHE_XDM/SUBSET01/X.TXT": b""}}, "IHE_XDM.ZIP"),
    "escape": ({"files": lambda f: {**f, "../X.TXT": b""}}, "IHE_XDM.ZIP"),
    "hash": (
        {"edit": lambda text: text.replace('"hash"><ValueList><Value>', '"hash"><ValueList><Value>0')},
        "METADATA.XML",
    ),
    "no URI": ({"edit": lambda text: text.replace('"URI"', '"URL"')}, "METADATA.XML"),
    "broken metadata": ({"edit": lambda text: text[:-5]}, "METADATA.XML"),
    "other patients": ({"edit": lambda text: text.replace("&amp;ISO^NH", "&amp;ISO^XX", 1)}, "METADATA.XML"),
}


@pytest.mark.parametrize(
    ("keep", "bytes_kept", "documents"), [("all", True, 1), ("findings", False, 1), ("envelope", False, 0)]
)
def test_what_is_kept_of_a_mail(keep: str, bytes_kept: bool, documents: int) -> None:
    """Long runs keep what was found without the bytes, benchmarks the envelope only; reports always come."""

    async def scene(operator: MssanteSimulator) -> None:
        message = mail(DOCTOR)
        await threaded(send, operator, message, rcpt=NOTIFY)
        (kept,) = operator.mails
        assert bool(kept.raw) is bytes_kept
        assert len(operator.mailbox(DOCTOR)) == bytes_kept
        assert (kept.size, len(kept.documents), kept.findings) == (len(message.as_bytes()), documents, ())
        assert kept.message_id == message["Message-ID"]
        assert len(_reports(operator)) == 1

    run(scene, keep=keep)


@pytest.mark.parametrize("name", WRONG_MAILS)
def test_wrong_mails_are_found(name: str) -> None:
    """Each rule finds the mail that breaks it, and says where."""
    options, place = WRONG_MAILS[name]
    found = inspect(mail(DOCTOR, **options).as_bytes(), SENDER, DOCTOR)
    assert place in {one.place for one in found.findings}


def test_mail_to_another_patient_is_found() -> None:
    """A document in somebody else's patient mailbox is the worst that can happen."""
    maker = Maker(6)
    address = maker.patient().address
    found = inspect(mail(address, sample=maker.document("imaging", maker.patient())).as_bytes(), SENDER, address)
    assert "messagerie d'un autre patient que celui du document" in {one.text for one in found.findings}


# -------------------------------------------------------------------------------------------------------- IMAP


def _client(operator: MssanteSimulator, context: ssl.SSLContext | None = None) -> IMAPClient:
    client = IMAPClient("127.0.0.1", operator.imap_port, ssl=False, timeout=5)
    if context is not None:
        client.starttls(context)
    client.login(SENDER, "secret")
    return client


def test_imapclient_reads_flags_and_moves(certificates: Certificates) -> None:
    """The whole life of a poller: search by UID, fetch, flag, create, copy, move, expunge, status."""

    def poll(operator: MssanteSimulator) -> None:
        client = _client(operator, certificates.client_context())
        chosen = client.select_folder("INBOX")
        assert (chosen[b"EXISTS"], chosen[b"UIDVALIDITY"], chosen[b"UIDNEXT"]) == (3, 1_700_000_000, 4)
        assert client.search("UNSEEN") == [1, 2, 3]
        assert client.search(["UID", "2:*"]) == [2, 3]
        assert client.search(["NOT", "UID", "2", "HEADER", "Subject", "trois"]) == [3]
        fetched = client.fetch([1, 3], ["BODY.PEEK[]", "FLAGS", "INTERNALDATE", "RFC822.SIZE"])
        assert set(fetched) == {1, 3}
        assert fetched[1][b"BODY[]"].endswith(b"Subject: un\r\n\r\ncorps un")
        assert fetched[3][b"RFC822.SIZE"] == len(fetched[3][b"BODY[]"])
        assert client.search("UNSEEN") == [1, 2, 3]
        assert client.fetch([1], ["RFC822"])[1][b"RFC822"].endswith(b"corps un")
        assert client.search("UNSEEN") == [2, 3]
        client.add_flags([2], [b"\\Seen", b"Traite"])
        assert client.get_flags([2])[2] == (b"Traite", b"\\Seen")
        client.remove_flags([2], [b"\\Seen"], silent=True)
        assert client.search(["KEYWORD", "Traite"]) == [2]
        client.create_folder("Traités")
        with pytest.raises(IMAPClientError):
            client.create_folder("Traités")
        client.move([1], "Traités")
        client.copy([2], "Traités")
        assert client.search() == [2, 3]
        client.delete_messages([2])
        client.expunge([3])
        assert client.search() == [2, 3]
        client.expunge()
        assert client.search() == [3]
        assert client.folder_status("Traités", ["MESSAGES", "UNSEEN"]) == {b"MESSAGES": 2, b"UNSEEN": 1}
        assert {name for _, _, name in client.list_folders()} == {"INBOX", "Traités"}
        assert client.select_folder("Traités", readonly=True)[b"READ-ONLY"]
        with pytest.raises(IMAPClientError):
            client.add_flags([1], [b"\\Seen"])
        client.noop()
        client.logout()

    async def scene(operator: MssanteSimulator) -> None:
        for name in ("un", "deux", "trois"):
            operator.post.deliver(SENDER, f"From: a@b\r\nSubject: {name}\r\n\r\ncorps {name}".encode())
        await threaded(poll, operator)

    run(scene, certificates=certificates)


def test_imaplib_over_implicit_tls(certificates: Certificates) -> None:
    """The standard library's client, implicit TLS, sequence numbers, header fields, partial fetch."""

    def poll(operator: MssanteSimulator) -> None:
        context = certificates.client_context(f"{A}-auth")
        client = imaplib.IMAP4_SSL("127.0.0.1", operator.imap_port, ssl_context=context, timeout=5)
        client.authenticate("PLAIN", lambda _: f"\0{SENDER}\0secret".encode())
        assert client.select("INBOX") == ("OK", [b"2"])
        assert client.search(None, "ALL")[1] == [b"1 2"]
        answer = client.fetch("2", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0]
        assert present(answer)[1] == b"Subject: deux\r\n\r\n"
        part = client.fetch("1", "(BODY[TEXT]<1.3>)")[1][0]
        assert present(part)[1] == b"orp"
        client.store("1", "+FLAGS", "\\Deleted")
        assert client.expunge()[1] == [b"1"]
        assert client.search(None, "ALL")[1] == [b"1"]
        client.logout()

    async def scene(operator: MssanteSimulator) -> None:
        for name in ("un", "deux"):
            operator.post.deliver(SENDER, f"From: a@b\r\nSubject: {name}\r\n\r\ncorps".encode())
        await threaded(poll, operator)

    run(scene, certificates=certificates, imap_tls=True, client_certificate=True)


def test_idle_hears_of_new_mail() -> None:
    """A client that idles is told of a mail as it arrives, and of one that another client removed."""

    async def scene(operator: MssanteSimulator) -> None:
        def wait() -> list[Any]:
            client = _client(operator)
            client.select_folder("INBOX")
            client.idle()
            heard = []
            for _ in range(2):
                heard += client.idle_check(timeout=3)
                if len(heard) >= 2:
                    break
            client.idle_done()
            client.logout()
            return heard

        operator.post.deliver(SENDER, b"Subject: un\r\n\r\nx")
        waiting = asyncio.create_task(threaded(wait))
        await asyncio.sleep(0.3)
        operator.post.deliver(SENDER, b"Subject: deux\r\n\r\nx")
        await asyncio.sleep(0.1)
        operator.post.mailbox(SENDER).folders["INBOX"].remove(1)
        assert await waiting == [(2, b"EXISTS"), (1, b"EXPUNGE")]

    run(scene)


def test_imap_barriers(certificates: Certificates) -> None:
    """No login in clear when TLS is there, no wrong password, no folder that isn't there."""

    def poll(operator: MssanteSimulator) -> None:
        with pytest.raises(IMAPClientError):
            _client(operator)
        client = IMAPClient("127.0.0.1", operator.imap_port, ssl=False)
        client.starttls(certificates.client_context())
        with pytest.raises(IMAPClientError):
            client.login(SENDER, "wrong")
        client.login(SENDER, "secret")
        with pytest.raises(IMAPClientError):
            client.select_folder("Absent")
        client.logout()

    async def scene(operator: MssanteSimulator) -> None:
        await threaded(poll, operator)

    run(scene, certificates=certificates)


# ----------------------------------------------------------------------------------------------------- control


def test_control_port() -> None:
    """Another process scripts the operator and reads what arrived; a patient's address is a pseudonym."""

    async def scene(operator: MssanteSimulator) -> None:
        maker = Maker(8)
        patient = maker.patient()
        sample = maker.document("imaging", patient)
        base = f"http://127.0.0.1:{operator.control_port}"
        async with httpx.AsyncClient() as control:
            await control.post(f"{base}/refuse", json={"address": DOCTOR, "code": 452, "count": 1})
            assert (await threaded(send, operator, mail(DOCTOR)))[0] == 452
            message = mail(patient.address, sample=sample, action="D")
            await threaded(send, operator, message, options=("ENVID=e1",))
            listed = (await control.get(f"{base}/mails")).json()
            boxes = (await control.get(f"{base}/mailboxes")).json()
            answered = await control.post(f"{base}/answer", json={"message_id": str(message["Message-ID"])})
        assert answered.json() == 1
        assert [(one["action"], one["documents"], one["envid"]) for one in listed] == [("D", [sample.uid], "e1")]
        assert listed[0]["recipient"].startswith("patient:")
        assert str(patient.ins) not in str(listed) + str(boxes)

    run(scene)
