"""Orders, deliveries and sinks that the tests of the mssante sink share; fictitious patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router.cda.document import read
from router.contracts import Row, SystemClock, Unobserved
from router.directory.directory import Directory
from router.directory.settings import DirectoryConfig
from router.exchange import Delivery, Origin, Pseudonyms, delivery_id
from router.payload import DocumentOrder, pack
from router.request import Action, Dialect, Identifier, Patient, Recipient, RecipientKind, TransmissionRequest
from router.sinks.mssante.settings import MssanteConfig
from router.sinks.mssante.sink import MssanteSink
from router.sinks.tools import Tools
from router.structures import StructureConfig
from tests.cda.cda_samples import cda

INS = Identifier(value="279035121518989", authority="1.2.250.1.213.1.4.10", kind="INS")
DOCTOR = "adam.hoda@test-ci-sis.mssante.fr"
PATIENT = f"{INS.value}@patient.mssante.fr"
MAILBOX = "pfi.labo@hopital-a.mssante.fr"
STRUCTURE = StructureConfig(
    finess="750100125",
    name="Hôpital A",
    source_oid="1.2.250.1.999.2",
    ipp_oid="1.2.250.1.999.9",
    mailbox=MAILBOX,
    label="Hôpital A - Biologie",
    address="1 rue de l'Exemple, 75000 Paris",
    phone="01 00 00 00 00",
)


def patient(*, qualified: bool = True, **changes: Any) -> Patient:
    return Patient(
        ins=INS if qualified else None,
        ipp=Identifier(value="IPP-0001", authority="1.2.250.1.999.9", kind="PI"),
        status=("VALI",) if qualified else ("PROV",),
        **{"birth_family": "PAT-TROIS", "given": "DOMINIQUE", "birth_date": "19790328", "sex": "F", **changes},
    )


def doctor(address: str = DOCTOR, **changes: Any) -> Recipient:
    return Recipient(
        **{
            "rank": 2,
            "kind": RecipientKind.PROFESSIONAL,
            "address": address,
            "address_received": address,
            "id": "801234567897",
            **changes,
        }
    )


def patient_recipient(address: str = PATIENT, **changes: Any) -> Recipient:
    return Recipient(
        **{"rank": 3, "kind": RecipientKind.PATIENT, "address": address, "address_received": address, **changes}
    )


def request(documents: Sequence[bytes], **changes: Any) -> TransmissionRequest:
    return TransmissionRequest(
        **{
            "dialect": Dialect.V2_1,
            "action": Action.INITIAL,
            "feed": "sil",
            "control_id": "015",
            "sending": ("SIL", "LABO"),
            "receiving": ("PFI", "CHU"),
            "patient": patient(),
            "mss_professionals": True,
            "mss_patient": True,
            "ack_reception": True,
            "documents": tuple(read(document).header for document in documents),
            **changes,
        }
    )


def order(documents: Sequence[bytes] = (), *, recipient: Recipient | None = None, **changes: Any) -> DocumentOrder:
    return DocumentOrder(
        request=request(documents or (cda(),), **changes),
        recipient=recipient or doctor(),
        structure=STRUCTURE,
        accepted=1_795_000_000.0,
    )


def delivery(given: DocumentOrder | None = None, documents: Sequence[bytes] = (), **changes: Any) -> Delivery:
    documents = documents or (cda(),)
    given = given or order(documents)
    event = str(changes.pop("event_id", "e" * 64))
    destination = destination_of(given.recipient.address if given.recipient else "")
    return Delivery(
        **{
            "id": delivery_id(event, destination),
            "event_id": event,
            "sink": "mssante.chu",
            "destination": destination,
            "key": "k",
            "lane": "k:d",
            "payload": pack(given, documents),
            "origin": Origin("in.sil", 0, 1),
            "action": str(given.request.action),
            "created": given.accepted,
            **changes,
        }
    )


def destination_of(address: str) -> str:
    """As the route step writes it: no address in clear."""
    return f"mss:{Pseudonyms(b'test').of('address', address.lower())}"


class PastDeliveries:
    """An archive of earlier deliveries."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        self.rows = tuple(rows)

    def lineage(self, sink: str, lineage: str) -> Sequence[Row]:
        of = [(row, row.delivery) for row in self.rows if row.delivery.sink == sink]
        return [row for row, made in of if lineage in (made.lineage, made.replaces if made.action == "replace" else "")]


def directory(folder: Path, *domains: str, **settings: Any) -> Directory:
    """A directory whose liste blanche holds these domains."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source.xml"
    source.write_text(liste(*domains))
    config = DirectoryConfig.model_validate(
        {"liste_blanche": {"source": str(source), "minimum": 1, "retest_seconds": 0, **settings}}
    )
    made = Directory(config, folder / "directory", clock=SystemClock(), observer=Unobserved())
    made.liste_blanche.refresh()
    return made


def liste(*domains: str, generated: str = "2026-11-23T04:00:00") -> str:
    entries = "".join(f"<Domaine><Nom>{name}</Nom><Description>x</Description></Domaine>" for name in domains)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListeBlanche xmlns="https://listeblanche.mssante.fr/schema">'
        f"<DateDeGeneration>{generated}</DateDeGeneration>{entries}</ListeBlanche>"
    )


def tools(
    folder: Path, *, environment: Any = "qualification", past: PastDeliveries | None = None, domains: Any = None
) -> Tools:
    names = ("test-ci-sis.mssante.fr", "hopital-a.mssante.fr") if domains is None else domains
    return Tools(
        clock=SystemClock(),
        observer=Unobserved(),
        archive=past or PastDeliveries(),
        environment=environment,
        pseudonyms=Pseudonyms(b"test"),
        directory=directory(folder, *names),
    )


def config(port: int = 1, **changes: Any) -> MssanteConfig:
    return MssanteConfig.model_validate(
        {
            "host": "127.0.0.1",
            "port": port,
            "mode": "plain",
            "login": {"auth": "aucune"},
            "nil": "ABCD-1234-ROUTEUR",
            "timeout": 5,
            **changes,
        }
    )


def sink(folder: Path, port: int, *, using: Tools | None = None, **changes: Any) -> MssanteSink:
    return MssanteSink("mssante.chu", config(port, **changes), using or tools(folder))
