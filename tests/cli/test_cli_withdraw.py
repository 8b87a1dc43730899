"""A document filed under an identity that was downgraded since: a person takes it out of the DMP (decisions D1)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from router.config.site import Site
from router.contracts import out_topic
from router.demo.stage import Stage, stage
from router.runtime.site_services import SiteServices
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.options import CdaSample
from router.simulators.sender.people import Patient
from tests.cli.cli import typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PATIENCE = 90.0
WHY = "mauvais patient, signalé par le service"


async def _deposited(played: Stage) -> tuple[CdaSample, Patient, Recipient, str]:
    """A report that is at the DMP and in a doctor's and the patient's mailbox; then the identity is downgraded."""
    maker, patient, doctor = played.maker, played.patient(), played.recipient()
    report = maker.document("biology", patient, size=8_000)
    (sent,) = await played.send(maker.message(report, recipients=[doctor], patient_mail=True))
    there = await played.until(
        lambda: played.dmp_status(report.uid) == "Approved" and len(played.mails(report.uid)) == 2, PATIENCE
    )
    assert there
    await played.send(maker.adt("A31", patient, pid32=["PROV"], ins=False), feed="gam")

    deletion = maker.message(report, action="delete", recipients=[])
    answers = [(await played.send(deletion))[0]]
    assert await played.until(lambda: played.answers(answers[0].control_id) == ["Z01 N R45"], PATIENCE)
    assert played.dmp_status(report.uid) == "Approved"  # the sender's own deletion can't
    return report, patient, doctor, sent.control_id


async def _refusals(played: Stage, uid: str) -> None:
    """Without the right, without a reason, of an unknown document: nothing is done, and it is said why."""
    plain = played.site.with_name("sans-droit.yaml")
    yaml = YAML()
    site = yaml.load(played.site.read_text())
    del site["operators"]
    with plain.open("w") as file:
        yaml.dump(site, file)
    refused = await typed(plain, "withdraw", uid, "--reason", WHY, "--yes")
    assert (refused.code, "may not withdraw" in refused.err) == (2, True), refused
    assert (await typed(played.site, "withdraw", uid, "--reason", " ", "--yes")).code == 2
    unknown = await typed(played.site, "withdraw", "1.2.3.4", "--reason", WHY, "--yes", "--lang", "fr")
    assert (unknown.code, "aucun dépôt connu" in unknown.err) == (1, True)
    assert (await typed(played.site, "withdraw", uid, "--reason", WHY, answer="n\n")).code == 1


def _expire(site: Path) -> None:
    """The bytes of the deposit are gone from the bus: what is left of it is the message as it was accepted."""
    services = SiteServices(Site(site))
    for sink in (name for name, config in services.config.sinks.items() if config.type == "dmp"):
        for partition, end in services.bus.ends(out_topic(sink)).items():
            services.bus.trim(partition, end)
    services.close()


async def _story(folder: Path, *, expired: bool) -> None:
    async with stage(folder, seed=41, console=False) as played:
        await played.start()
        report, patient, doctor, control_id = await _deposited(played)
        await _refusals(played, report.uid)

        if expired:
            _expire(played.site)
        dry = await typed(played.site, "withdraw", report.uid, "--reason", WHY, "--dry-run")
        assert dry.code == 0
        assert doctor.address in dry.out
        assert "patient  " in dry.out  # who, never his address: that is his INS
        assert str(patient.ins) not in dry.out
        assert played.dmp_status(report.uid) == "Approved"

        done = await typed(played.site, "withdraw", report.uid, "--reason", WHY, "--yes", "--timeout", str(PATIENCE))
        assert (done.code, "delivered" in done.out) == (0, True), done
        assert played.dmp_status(report.uid) == "Deleted"
        assert len(played.mails(report.uid)) == 2  # the recipients are a person's business

        again = await typed(played.site, "withdraw", report.uid, "--reason", WHY, "--yes", "--lang", "fr")
        assert (again.code, "n'est plus au DMP" in again.err) == (1, True), again
        assert await played.until(lambda: _tells(played.site, control_id), PATIENCE)


async def _tells(site: Path, control_id: str) -> bool:
    page = (await typed(site, "explain", control_id, "--lang", "fr")).out
    return "WITHDRAW" in page and WHY in page and "demande : suppression" in page


@pytest.mark.parametrize("expired", [False, True], ids=["from the deposit", "from the message"])
def test_a_downgraded_identity_s_document_is_withdrawn(tmp_path: Path, expired: bool) -> None:
    """D1: refused to the sender, allowed to a named account under the INS of the deposit; audited; says who has it."""
    asyncio.run(_story(tmp_path / "stage", expired=expired))
