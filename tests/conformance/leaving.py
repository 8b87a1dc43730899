"""What really leaves: the requests that a DMP received from our sink, and the METADATA.XML of mails that were sent."""

from __future__ import annotations

import asyncio
import base64
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from lxml import etree

from router.cda.document import read
from router.request import Action, Masks
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.simulators.sender.options import CdaSample
from router.sinks.dmp.sink import DmpSink
from tests.conformance.dialect import ASIP
from tests.sinks import mssante_samples
from tests.sinks.dmp_world import FIRST, made, play
from tests.sinks.mssante_server import Script, server

BODY = "{http://www.w3.org/2003/05/soap-envelope}Body"
INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
ARCHIVE, METADATA = "IHE_XDM.ZIP", "IHE_XDM/SUBSET01/METADATA.XML"
MASKS: Mapping[str, Masks] = {
    "masque_ps": Masks(masque_ps=True),
    "invisible_patient": Masks(invisible_patient=True),
    "representants_legaux": Masks(invisible_rep_legaux=True, connexion_secrete=True),
}
TRANSACTIONS = {"TD2.1": "ITI-41", "TD3.1b": "ITI-18", "TD3.3c": "ITI-57"}


@dataclass(frozen=True)
class Sent:
    """A request. envelope: its XML, byte for byte; parts: the MTOM attachments, by Content-ID."""

    story: str
    transaction: str
    envelope: bytes = field(repr=False)
    parts: Mapping[str, bytes] = field(repr=False)

    def xml(self) -> bytes:
        """The element in the SOAP body as a file of its own."""
        return etree.tostring(self.body(), encoding="UTF-8")

    def body(self) -> Any:
        """The element in the SOAP body; attachments resolved as a receiver does it (XOP)."""
        body = etree.fromstring(self.envelope).find(BODY)
        for include in body.iter(INCLUDE):
            parent, content = include.getparent(), self.parts[include.get("href").removeprefix("cid:")]
            parent.remove(include)
            parent.text = base64.b64encode(content).decode("ascii")
        return etree.fromstring(etree.tostring(body[0]))

    def documents(self) -> dict[str, bytes]:
        """The attachments of an ITI-41 request, by the id of their entry."""
        found = etree.fromstring(self.envelope).iter("{urn:ihe:iti:xds-b:2007}Document")
        return {one.get("id"): self.parts[one[0].get("href").removeprefix("cid:")] for one in found}


def requests_to_the_dmp(certificates: Certificates, folder: Path) -> list[Sent]:
    """Every action of the sink, each in a story of its own, received by the simulated DMP."""
    told: list[tuple[str, int]] = []
    seen: list[Any] = []
    folder.mkdir()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        async def deliver(name: str, *given: Any, refused: int = 0, **changes: Any) -> None:
            before = len(dmp.received)
            await sink.deliver(made(*given, **changes), FIRST)
            wrong = [one.context for one in dmp.received[before:] if not one.ok]
            assert len(wrong) == refused, wrong
            told.extend((name, number) for number in range(before, len(dmp.received)))

        await _stories(Maker(31), dmp, deliver)
        seen.extend(dmp.received)

    play(certificates, story, sim={"dump": folder})
    return [
        _received(name, seen[number].transaction, (folder / f"{number + 1:06d}.request").read_bytes())
        for name, number in told
        if seen[number].transaction in TRANSACTIONS
    ]


async def _stories(maker: Maker, dmp: DmpSimulator, deliver: Any) -> None:
    patient = maker.patient(age=50, family="HÉLÈNE-D'ÎLE")
    for kind in ("biology", "biology-n1", "imaging", "letter"):
        sample = maker.document(kind, patient)
        await deliver(f"initial {kind}", sample)
        await deliver(f"replace {kind}", maker.replacement(sample), Action.REPLACE)
    await deliver("latin-1", maker.document("letter", patient, encoding="ISO-8859-1", title='Été : "a" & <b>'))
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient)]
    await deliver("pair", pair)
    newer = [maker.replacement(one) for one in pair]
    await deliver("replace pair", newer, Action.REPLACE)
    await deliver("delete pair", newer, Action.DELETE)
    alone = maker.document("letter", patient)
    await deliver("to delete", alone)
    await deliver("delete", alone, Action.DELETE)
    archived = maker.document("letter", patient)
    await deliver("to archive", archived)
    dmp.touch(archived.uid, f"{ASIP}Archived")
    await deliver("delete archived", archived, Action.DELETE, refused=1)
    await deliver("device", maker.document("biology", patient), device=True)
    await deliver("no specialty", maker.document("biology", patient), specialty=False)
    for name, masks in MASKS.items():
        who = maker.patient(age=12) if masks.invisible_rep_legaux else patient
        await deliver(name, maker.document("biology", who), masks=masks)


def _received(story: str, transaction: str, request: bytes) -> Sent:
    if not request.startswith(b"--"):
        return Sent(story, transaction, request, {})
    boundary = request.partition(b"\r\n")[0][2:]
    whole = b'Content-Type: multipart/related; boundary="' + boundary + b'"\r\n\r\n' + request
    root, *rest = message_from_bytes(whole).get_payload()
    parts = {str(one["Content-ID"]).strip("<>"): one.get_payload(decode=True) for one in rest}
    return Sent(story, transaction, root.get_payload(decode=True), parts)


# ----------------------------------------------------------------------------------------------------- MSSanté


def metadata_of_mails(folder: Path) -> dict[str, bytes]:
    """METADATA.XML of the archive of each mail, by story; the mails were sent to an SMTP server."""
    maker, script = Maker(32), Script()
    patient = maker.patient(age=50)
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient)]
    letter = maker.document("letter", patient)
    stories: dict[str, Any] = {kind: _mail([maker.document(kind, patient)]) for kind in ("biology", "imaging")}
    stories |= {
        "pair": _mail(pair),
        "patient": _mail([letter], recipient=mssante_samples.patient_recipient(patient.address)),
        "replace": _mail([maker.replacement(letter)], action=Action.REPLACE),
        "delete": _mail([letter], action=Action.DELETE),
        "not qualified": _mail([maker.document("letter", patient, with_ins=False)], qualified=False),
    }

    async def main() -> None:
        async with server(script) as port:
            using = mssante_samples.tools(folder, domains=("test-ci-sis.mssante.fr", "patient.mssante.fr"))
            sink = mssante_samples.sink(folder, port, using=using)
            for one in stories.values():
                await sink.deliver(one, FIRST)
            await sink.close()

    asyncio.run(main())
    return dict(zip(stories, map(_metadata, script.mails), strict=True))


def _mail(samples: Sequence[CdaSample], *, qualified: bool = True, **changes: Any) -> Any:
    documents = [one.content for one in samples]
    changed = {"status": ("VALI",)} if qualified else {"status": ("PROV",), "ins": None}
    patient = read(documents[0]).header.patient.model_copy(update=changed)
    return mssante_samples.delivery(
        mssante_samples.order(documents, patient=patient, **changes), documents, event_id=samples[0].uid + str(changes)
    )


def _metadata(mail: bytes) -> bytes:
    for part in message_from_bytes(mail, policy=policy.default).walk():
        if (part.get_filename() or "").upper() == ARCHIVE:
            with zipfile.ZipFile(io.BytesIO(part.get_payload(decode=True))) as archive:
                return archive.read(METADATA)
    raise AssertionError("no archive")
