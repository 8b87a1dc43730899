"""What is kept of the DMP's own words."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from router.request import Action, Dialect, Identifier, Patient, TransmissionRequest
from router.sinks.dmp.said import LONGEST, SAID, without_values
from router.sinks.dmp.sink_type import DMP
from router.sinks.dmp.verdicts import Verdicts

REQUEST = TransmissionRequest(
    dialect=Dialect.V2_1,
    action=Action.INITIAL,
    feed="sil",
    control_id="MSG-1",
    patient=Patient(
        ins=Identifier(value="255069999999934", authority="1.2.250.1.213.1.4.8"),
        birth_family="PATTERSON",
        given="Noëlle",
        birth_date="19550615",
    ),
)
ROOM = Path(__file__).resolve().parents[2] / "router/sinks/dmp"
#: Codes of `verdicts.csv` that came to us by a text, or that are no code: the DMP never wrote them (dmp §5.1, §5.3).
NO_WORDS_OF_THE_DMP = ("NF", "STRUCTURE", "AUTHENTIFICATION", "PS_STRUCTURE", "SPECIALITE", "AUTHOR_INSTITUTION")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Le code 34555-3 n'est pas dans JDV_J66-TypeCode-DMP", "Le code 34555-3 n'est pas dans JDV_J66-TypeCode-DMP"),
        ("sourcePatientInfo : nom PATTERSON différent", "sourcePatientInfo : nom … différent"),
        ("Noelle Patterson inconnue", "… inconnue"),
        ("prénom noëlle inconnu", "prénom … inconnu"),
        ("INS 2 55 06 99 999 999 34 inconnue", "INS … inconnue"),
        ("né le 15/06/1955 à Lyon", "né le … à …"),
        ("uniqueId 1.2.250.1.999.1.1.1.42 déjà présent", "uniqueId 1.2.250.1.999.1.1.1.42 déjà présent"),
        ("DUPONT Jeanne 255069999999934", ""),
        ("", ""),
    ],
)
def test_names_and_numbers_of_people_are_hidden(said: str, kept: str) -> None:
    """Also names that are not of this request: the DMP may quote another patient."""
    assert without_values(said, REQUEST) == kept


def test_a_long_text_is_cut() -> None:
    """ERR-8 holds 250 characters, our own sentence included."""
    assert len(without_values("attribut refusé " * 50, REQUEST)) == LONGEST


def test_our_sentence_and_the_dmps_words_can_be_told_apart() -> None:
    """What the fault writes between them is what feedback looks for."""
    fault = Verdicts({}).fault("XDSRegistryMetadataError", "TD2.1", 1, said="typeCode")
    assert fault.text.partition(SAID)[2] == "typeCode"


def test_every_code_of_ours_is_declared() -> None:
    """D16: what begins with DMP- in our code, and is no code of the DMP, is in the type's `own`."""
    written = {
        node.value.rstrip("-")
        for path in ROOM.glob("*.py")
        if path.name != "sink_type.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"DMP-[A-Za-z-]+", node.value)
    }
    ours = {f"{code}-1" if code == "DMP-HTTP" else code for code in written} - {
        "DMP-DMPClosed",
        "DMP-DMPInvalidCertificate",
    }
    ours |= {f"DMP-{code}" for code in NO_WORDS_OF_THE_DMP}
    assert {"DMP-TIMEOUT", "DMP-HTTP-1", "DMP-INCONNU"} <= ours
    assert [code for code in sorted(ours) if not any(fnmatchcase(code, pattern) for pattern in DMP.own)] == []
