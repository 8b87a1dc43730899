"""`dlq ls` by what a person knows of a message, and `dlq show` with its MSH-10."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from router.cisis import patient_search
from router.config.site import Site
from router.exchange import State
from router.runtime.site_services import SiteServices
from tests.cli.cli import command
from tests.contracts.ledger_contract import row
from tests.journal.journal_samples import START, received

SITE = """\
environment: qualification
data: var
feeds: {sil: {kind: relay, mllp: {port: 2575}}}
sinks: {hl7.dpi: {type: hl7, host: 127.0.0.1, port: 1}}
structures: {"750000018": {name: CHU, source_oid: 1.2.3, ipp_oid: 1.2.250.1.9}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three dead deliveries of two causes, of three messages that the journal knows."""
    path = tmp_path_factory.mktemp("dlq") / "router.yaml"
    path.write_text(SITE)
    services = SiteServices(Site(path))
    names = patient_search.name_pseudonyms(services.pseudonyms, ["Dupont"], ["Marie"], "19500131")
    entries = [
        received("event-d1", control_id="MSG1", document_type="11502-2", patients=names),
        received("event-d2", control_id="MSG2", recipients=(("adam.hoda@x.mssante.fr", "", "HODA Adam"),)),
        received("event-d3", control_id="MSG3", structures=("750000018",)),
    ]
    services.journal.write(entries, [])
    dead: dict[str, Any] = {"sink": "hl7.dpi", "state": State.DEAD, "updated": START}
    ledger = services.ledger()
    ledger.open(
        [
            replace(row("d1", 1, **dead), code="HL7-AE", text="refusé"),
            replace(row("d2", 2, **dead), code="HL7-AE", text="refusé"),
            replace(row("d3", 3, **dead), code="HL7-AR", text="rejeté", evidence={"place": "MSH-9"}),
        ]
    )
    services.close()
    yield path


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        ((), {"HL7-AE": 2, "HL7-AR": 1}),
        (("--code", "HL7-AR"), {"HL7-AR": 1}),
        (("--recipient", "hoda"), {"HL7-AE": 1}),
        (("--patient", "DUPONT Marie 31/01/1950"), {"HL7-AE": 1}),
        (("--type", "11502-2", "--feed", "sil"), {"HL7-AE": 1}),
        (("--structure", "750000018"), {"HL7-AR": 1}),
        (("--sender", "labo", "--pipeline", "biologie"), {"HL7-AE": 2, "HL7-AR": 1}),
        (("--recipient", "nobody"), {}),
        (("--until", "13/11/2023"), {}),
        (("--since", "14/11/2023", "--until", "14/11/2023"), {"HL7-AE": 2, "HL7-AR": 1}),
    ],
)
def test_a_list_of_dead_letters_is_narrowed_like_a_search(
    site: Path, words: tuple[str, ...], counts: dict[str, int]
) -> None:
    """Recipient, patient, type, structure, sender and period choose among the dead letters, alone and together."""
    said = command("dlq", "ls", *words, "--json", "--site", str(site))
    assert {group["code"]: group["count"] for group in said.json} == counts


def test_show_names_the_message(site: Path) -> None:
    """The MSH-10 by which the sender knows the message stands beside the event's id, for people and for programs."""
    assert "MSG1" in command("dlq", "show", "d1", "--site", str(site)).out
    (shown,) = command("dlq", "show", "d3", "--json", "--site", str(site)).json
    assert shown["control_id"] == "MSG3"


def test_a_cause_is_one_whether_counted_or_read(site: Path) -> None:
    """The groups that the ledger counts have the same cause as each of their dead letters."""
    counted = {g["cause"] for g in command("dlq", "ls", "--json", "--site", str(site)).json}
    read = {g["cause"] for g in command("dlq", "ls", "--sender", "labo", "--json", "--site", str(site)).json}
    assert counted == read
    for cause in counted:
        assert command("dlq", "show", cause, "--site", str(site)).code == 0
