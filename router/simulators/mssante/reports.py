"""Delivery reports (RFC 3464, 6522) and read receipts (RFC 8098) in the dialects seen in the field (mssante §8)."""

from __future__ import annotations

import datetime as dt
import email.header
import email.utils
import uuid
from dataclasses import dataclass
from typing import Final

HOST: Final = "mta.operateur.test.mssante.fr"
#: applicationErrorCondition (hl7-input, appendix A).
_ERRORS: Final = {
    "900": "Version du document incorrecte lors d'une demande de remplacement/suppression",
    "901": "Auteur non autorisé à remplacer ou supprimer un document",
    "902": "Identifiant patient inconnu",
    "903": "INS non présent dans le document",
    "904": "INS différent",
    "905": "INS incomplet",
    "906": "Erreur Autre",
}


@dataclass(frozen=True, slots=True)
class Dsn:
    """A delivery status: `action` is failed, delayed, delivered, relayed or expanded; `status` as in RFC 3463."""

    action: str
    status: str
    diagnostic: str = ""


def header_block(raw: bytes) -> bytes:
    """The header of a mail, without the empty line."""
    end = raw.find(b"\r\n\r\n")
    return raw[: end + 2] if end >= 0 else raw + b"\r\n"


def header(raw: bytes, name: str) -> str:
    """One header of a mail, unfolded; "" when it isn't there."""
    block = header_block(raw).decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ")
    for line in block.split("\r\n"):
        found, _, value = line.partition(":")
        if found.lower() == name.lower():
            return value.strip()
    return ""


def dsn(
    report: Dsn, *, sender: str, recipient: str, raw: bytes, envid: str, orcpt: str, ret: str, arrival: dt.datetime
) -> bytes:
    """A multipart/report of type delivery-status, from the null return path, to the sender."""
    now = email.utils.format_datetime(dt.datetime.now(dt.UTC))
    per_message = [f"Reporting-MTA: dns; {HOST}"]
    if envid:
        per_message.append(f"Original-Envelope-Id: {_xtext(envid)}")
    per_message.append(f"Arrival-Date: {email.utils.format_datetime(arrival)}")
    per_recipient = [f"Original-Recipient: {orcpt}"] if orcpt else []
    per_recipient += [
        f"Final-Recipient: rfc822; {recipient}",
        f"Action: {report.action}",
        f"Status: {report.status}",
    ]
    if report.diagnostic:
        per_recipient += [f"Remote-MTA: dns; {HOST}", f"Diagnostic-Code: smtp; {report.diagnostic}"]
    per_recipient.append(f"Last-Attempt-Date: {now}")
    fields = "\r\n".join(per_message) + "\r\n\r\n" + "\r\n".join(per_recipient) + "\r\n"
    whole = ret.upper() == "FULL"
    returned = raw if whole else header_block(raw)
    text = f"Votre message : {report.action} ({report.status}).\r\n"
    return _report(
        "delivery-status",
        to=sender,
        author=f"Mail Delivery System <MAILER-DAEMON@{HOST}>",
        subject=f"Delivery Status Notification ({report.action})",
        parts=[
            ("text/plain; charset=utf-8", text.encode()),
            ("message/delivery-status", fields.encode()),
            ("message/rfc822" if whole else "text/rfc822-headers", returned),
        ],
    )


def _xtext(text: str) -> str:
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)


def mdn(reading: str, *, reader: str, raw: bytes, error: str = "") -> bytes:
    """A read receipt for `raw` from the mailbox `reader`.

    reading: a human disposition (`displayed`, `deleted`, `denied`, `dispatched`), a business dialect (`a`: code
    in Disposition; `b`: there and in Error; `c`: `processed/error` and Error), or `courriel` for the plain mail
    that business software sends when nobody asked for a receipt. error: 900 to 906, "" when all went well.
    """
    target = header(raw, "Disposition-Notification-To") or header(raw, "From")
    _, address = email.utils.parseaddr(target)
    subject = str(email.header.make_header(email.header.decode_header(header(raw, "Subject"))))
    if error:
        subject = f"[KO Intégration système !][{error}] {subject}"
    label = _ERRORS.get(error, "")
    if reading == "courriel":
        text = f"{error} {label}\r\n" if error else "Document intégré.\r\n"
        parts = [("text/plain; charset=utf-8", text.encode()), ("message/rfc822", raw)]
        return _multipart("mixed", address, reader, subject, parts, references=header(raw, "Message-ID"))
    fields = [
        f"Reporting-UA: {reader.partition('@')[2]}; Logiciel de test",
        f"Original-Recipient: {header(raw, 'Original-Recipient') or f'rfc822;{reader}'}",
        f"Final-Recipient: rfc822;{reader}",
        f"Original-Message-ID: {header(raw, 'Message-ID')}",
        *_disposition(reading, error, label),
    ]
    third = ("message/rfc822", raw) if reading == "c" else ("text/rfc822-headers", header_block(raw))
    return _report(
        "disposition-notification",
        to=address,
        author=reader,
        subject=subject,
        parts=[
            ("text/plain; charset=utf-8", "Accusé de lecture.\r\n".encode()),
            ("message/disposition-notification", ("\r\n".join(fields) + "\r\n").encode()),
            third,
        ],
    )


def _disposition(reading: str, error: str, label: str) -> list[str]:
    if reading not in {"a", "b", "c"}:
        return [f"Disposition: manual-action/MDN-sent-manually; {reading}"]
    start = "Disposition: automatic-action/MDN-sent-automatically; processed"
    if not error:
        return [start]
    # the published example of the older dialects says messageErrorCondition for 902 (mssante §8.5)
    system = "applicationErrorCondition" if reading == "c" else "messageErrorCondition"
    told = f"{error}^{label}^{system}| E^Error^errorSeverity"
    if reading == "a":
        return [f"{start}/Error: {told}"]
    return [f"{start}/{'error' if reading == 'c' else f'Error: {told}'}", f"Error: {told}"]


def _report(kind: str, *, to: str, author: str, subject: str, parts: list[tuple[str, bytes]]) -> bytes:
    return _multipart(f"report; report-type={kind}", to, author, subject, parts)


def _multipart(
    kind: str, to: str, author: str, subject: str, parts: list[tuple[str, bytes]], references: str = ""
) -> bytes:
    boundary = f"=_{uuid.uuid4().hex}"
    subtype, _, extra = kind.partition("; ")
    lines = [
        "Return-Path: <>",
        f"Date: {email.utils.format_datetime(dt.datetime.now(dt.UTC))}",
        f"From: {author}",
        f"To: {to}",
        f"Message-ID: <{uuid.uuid4()}@{HOST}>",
        f"Subject: {_encoded(subject)}",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/{subtype}; {f"{extra}; " if extra else ""}boundary="{boundary}"',
    ]
    if references:
        lines.insert(5, f"References: {references}")
    out = ["\r\n".join(lines).encode(), b""]
    for content_type, body in parts:
        head = f"--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: 8bit\r\n"
        out += [head.encode(), body]
    out += [f"--{boundary}--".encode(), b""]
    return b"\r\n".join(out)


def _encoded(subject: str) -> str:
    if subject.isascii():
        return subject
    return str(email.header.Header(subject, "utf-8").encode(linesep="\r\n"))
