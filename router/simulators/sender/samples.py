"""The message samples of the shipped pipelines: `python -m router.simulators.sender.samples [FOLDER]` writes them.

Always the same bytes, so that a test can tell whether the files in the repository are fresh.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.maker import Maker
from router.simulators.sender.options import CdaSample
from router.simulators.sender.people import Patient

SEED = 2025
FOLDER = Path("pipelines/samples")


def samples() -> dict[str, bytes]:
    """File name → message, in an order that tells a story."""
    maker = Maker(SEED)
    patient = maker.patient(family="LEFÈVRE", given="ÉLODIE", sex="F")
    report = maker.document("biology", patient, size=12_000)
    return {f"{name}.hl7": message for name, message in _all(maker, patient, report)}


def _all(maker: Maker, patient: Patient, report: CdaSample) -> Iterator[tuple[str, bytes]]:
    yield "biologie-ok", maker.message(report)
    yield from _lives(maker, patient, report)
    yield from _identities(maker, patient)
    yield from _recipients(maker, patient)
    yield from _refused(maker, patient)
    yield from _other_dialects(maker, patient)
    yield "adt-admission", maker.adt("A01", patient)
    yield "adt-opposition", maker.adt("A31", patient, opposition="IO")
    yield "adt-fusion", maker.adt("A40", patient, merged=maker.patient())


def _lives(maker: Maker, patient: Patient, report: CdaSample) -> Iterator[tuple[str, bytes]]:
    second = maker.replacement(report, size=12_000)
    yield "remplacement", maker.message(second)
    third = maker.replacement(second, size=12_000)
    yield "masquage", maker.message(third, masks=["INVISIBLE_PATIENT"], modif_conf_code=True)
    yield "suppression", maker.message(third, action="delete")
    image = maker.document("imaging", patient, size=12_000)
    yield "imagerie-n1", maker.message(image, event="MDM")
    yield "imagerie-remplacement", maker.message(maker.replacement(image), event="MDM")
    yield (
        "lettre-de-sortie",
        maker.message(
            maker.document("letter", patient, size=12_000),
            event="MDM",
            patient_mail=True,
            no_reply=True,
            ack_lecture=True,
            body_professionals="Cher confrère, vous trouverez ci-joint la lettre de sortie.",
            body_patient="Bonjour, vous trouverez ci-joint votre lettre de sortie.",
        ),
    )
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient, with_pdf=False)]
    yield "biologie-paire-n1-n3", maker.message(pair)


def _identities(maker: Maker, patient: Patient) -> Iterator[tuple[str, bytes]]:
    provisional = maker.document("biology", patient, with_ins=False)
    yield "biologie-prov", maker.message(provisional, pid32=["PROV"], recipients=[])
    yield "biologie-prov-mss", maker.message(provisional, pid32=["PROV"])
    yield "biologie-prov-ins-dans-cda", maker.message(maker.document("biology", patient), pid32=["PROV"])
    nobody = maker.patient(ins=False)
    yield "ame-sans-ins", maker.message(maker.document("letter", nobody), event="MDM", dmp=False)
    yield "autre-patient", maker.message(maker.document("biology", maker.patient()), patient=patient)
    child = maker.patient(age=14)
    yield (
        "mineur-connexion-secrete",
        maker.message(
            maker.document("biology", child), patient_mail=True, masks=["INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE"]
        ),
    )


def _recipients(maker: Maker, patient: Patient) -> Iterator[tuple[str, bytes]]:
    outside = Recipient(professional=maker.doctor, address="dr@messagerie-ordinaire.fr")
    good = maker.recipient()
    yield "hors-liste-blanche", maker.message(maker.document("biology", patient), recipients=[outside, good])
    wrong = Recipient(patient=replace(patient), address=f"27707{patient.address}")
    yield (
        "patient-mauvaise-adresse",
        maker.message(maker.document("biology", patient), recipients=[good, wrong], mss_patient=True),
    )
    yield "dmp-seul", maker.message(maker.document("biology", patient), recipients=[])
    yield "mss-seul", maker.message(maker.document("biology", patient), dmp=False)


def _refused(maker: Maker, patient: Patient) -> Iterator[tuple[str, bytes]]:
    report = maker.document("biology", patient)
    cut = base64.b64encode(report.content).decode()[: len(report.content) // 4 * 4 + 1]
    yield "illisible", maker.message(report, payload=[cut])
    yield "sans-cda", maker.message(report, payload=[base64.b64encode(b"Pas un document.").decode()])
    yield "ordre-incoherent", maker.message(maker.document("biology", patient), fields={"ORC-1": "RO"})


def _other_dialects(maker: Maker, patient: Patient) -> Iterator[tuple[str, bytes]]:
    yield "volet-2.0", maker.message(maker.document("biology", patient), dialect="2.0")
    old = maker.document("biology", patient, recipients=[maker.doctor])
    yield "volet-1.2", maker.message(old, dialect="1.2")


def write(folder: Path = FOLDER) -> int:
    """Write the files and return how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    made = samples()
    for name, message in made.items():
        (folder / name).write_bytes(message)
    return len(made)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    sys.stdout.write(f"{write(target)} samples in {target}\n")
