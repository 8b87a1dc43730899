"""A mail with its IHE_XDM archive for the tests, made with stdlib `email` and `zipfile`, nobody's product."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from xml.sax.saxutils import escape

from router.simulators.sender import CdaSample, Maker

SENDER = "resultats@hopital-a.test.mssante.fr"
Edit = Callable[[str], str]
_COUNT = iter(range(1, 1_000_000))


def metadata(sample: CdaSample, cx: str, action: str = "") -> str:
    """METADATA.XML of one document."""

    def slot(name: str, value: str) -> str:
        return f'<Slot name="{name}"><ValueList><Value>{escape(value)}</Value></ValueList></Slot>'

    def external(scheme: str, value: str) -> str:
        named = f'identificationScheme="urn:uuid:{scheme}" value="{escape(value)}"'
        return f'<ExternalIdentifier id="e" registryObject="x" {named}/>'

    slots = {
        "creationTime": "20250106080000",
        "hash": hashlib.sha1(sample.content, usedforsecurity=False).hexdigest(),
        "languageCode": "fr-FR",
        "legalAuthenticator": "8^A^B^^^^^^&1&ISO^D^^^IDNPS",
        "size": str(len(sample.content)),
        "sourcePatientId": "1^^^&1.2&ISO^PI",
        "URI": "DOC00001.XML",
    }
    if action:
        slots["urn:ans:ci-sis:action"] = action
    return (
        '<lcm:SubmitObjectsRequest xmlns:lcm="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0" '
        'xmlns="urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"><RegistryObjectList><RegistryPackage id="S">'
        + external("6b5aea1a-874d-4603-a4bc-96a0a7b38446", cx)
        + external("96fdda7c-d067-4183-912e-bf5ee74998a8", "1.2.3.4.5")
        + '</RegistryPackage><ExtrinsicObject id="D">'
        + "".join(slot(*one) for one in slots.items())
        + external("58a6f841-87b3-4a3e-92fd-a8ffeff98427", cx)
        + external("2e82c1f6-a085-4c72-9da3-8640a32e42ab", sample.uid)
        + "</ExtrinsicObject></RegistryObjectList></lcm:SubmitObjectsRequest>"
    )


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return out.getvalue()


def mail(
    to: str,
    *,
    sample: CdaSample | None = None,
    action: str = "",
    headers: dict[str, str | None] | None = None,
    files: Callable[[dict[str, bytes]], dict[str, bytes]] = dict,
    edit: Edit = str,
    pdf: bool = True,
    receipt: bool = False,
) -> EmailMessage:
    """A right mail; `headers` replaces or (None) drops, `files` changes the archive, `edit` the metadata."""
    maker = Maker(next(_COUNT))
    sample = sample or maker.document("imaging", maker.patient())
    patient = sample.patient
    assert patient is not None
    local = f"{patient.ipp}^^^&{patient.ipp_oid}&ISO^PI"
    cx = f"{patient.ins}^^^&{patient.ins_oid}&ISO^NH" if patient.ins else local
    message = EmailMessage(policy=SMTP)
    message["From"] = Address("Hopital A", addr_spec=SENDER)
    message["To"] = Address(addr_spec=to)
    message["Date"] = "Mon, 06 Jan 2025 10:00:00 +0000"
    message["Message-ID"] = f"<{next(_COUNT)}.essai@hopital-a.test.mssante.fr>"
    message["Subject"] = "XDM/1.0/DDM+CR d'imagerie medicale MOREL-BRUN JEAN 12/03/1970"
    message["X-MSS-INS"] = "O" if patient.ins else "N"
    message["X-MSS-CODECDA"] = "18748-4"
    message["X-MSS-NIL"] = "ESSAI-1"
    if receipt:
        message["Disposition-Notification-To"] = SENDER
    message.set_content("Bonjour, un document est joint à ce courriel, établi à l'hôpital.\n", charset="utf-8")
    made = {
        "INDEX.HTM": b"<html/>",
        "README.TXT": b"Hopital A",
        "IHE_XDM/SUBSET01/METADATA.XML": edit(metadata(sample, cx, action)).encode(),
        "IHE_XDM/SUBSET01/DOC00001.XML": sample.content,
    }
    message.add_attachment(archive(files(made)), maintype="application", subtype="zip", filename="IHE_XDM.ZIP")
    if pdf:
        name = "20250106_CR d'imagerie_MOREL-BRUN_JEAN.pdf"
        message.add_attachment(b"%PDF-1.4 x", maintype="application", subtype="pdf", filename=name)
    for name, value in (headers or {}).items():
        del message[name]
        if value is not None:
            message[name] = value
    return message
