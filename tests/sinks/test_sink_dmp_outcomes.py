"""What becomes of a DMP delivery that does not simply succeed, against the simulated DMP (dmp §5, §9)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from router.contracts import Outcome
from router.errors import OperatorFault, OutcomeUnknown, Refused, RouterError, Unavailable
from router.payload import DocumentOrder, unpack
from router.request import Action
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp import sink as module
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import (
    AFTER_UNKNOWN,
    FIRST,
    delivery,
    hospitals,
    made,
    names,
    play,
    request,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


# --------------------------------------------------------------------------------------------------- unknown outcomes


def test_an_answer_that_is_lost_leaves_the_outcome_unknown(certificates: Certificates, maker: Maker) -> None:
    """Cut after the work: OutcomeUnknown; verify finds the document; a repeat is recognised and makes no second one."""
    sample = maker.document("biology", maker.patient(age=50))
    one = made(sample)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.cut("after")
        with pytest.raises(OutcomeUnknown):
            await sink.deliver(one, FIRST)
        found = await sink.verify(one, AFTER_UNKNOWN)
        assert isinstance(found, Outcome)
        assert found.evidence["submission_set"] in dmp.registry.sets
        again = await sink.deliver(one, AFTER_UNKNOWN)
        assert again.evidence["xds_status"] == "Duplicate"
        assert len(dmp.registry.sets) == 1

    play(certificates, story)


def test_cut_before_the_work_is_sent_again_with_the_same_identifiers(certificates: Certificates, maker: Maker) -> None:
    """Verify finds nothing, the repeat is accepted: same set id, one document."""
    sample = maker.document("biology", maker.patient(age=50))
    one = made(sample)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.cut("before")
        with pytest.raises(OutcomeUnknown):
            await sink.deliver(one, FIRST)
        assert await sink.verify(one, AFTER_UNKNOWN) is None
        outcome = await sink.deliver(one, AFTER_UNKNOWN)
        assert list(dmp.registry.sets) == [outcome.evidence["submission_set"]]

    play(certificates, story)


def test_a_read_timeout_is_an_unknown_outcome(certificates: Certificates, maker: Maker) -> None:
    """The DMP takes the lot but answers too late."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.delay(1, count=1, transaction="TD2.1")
        with pytest.raises(OutcomeUnknown) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == "DMP-TIMEOUT"

    play(certificates, story, read_timeout=0.3)


def test_an_id_reused_by_the_sender_is_refused(certificates: Certificates, maker: Maker) -> None:
    """XDSDuplicateUniqueIdInRegistry at a first attempt is the sender's doing."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        with pytest.raises(Refused) as caught:
            await sink.deliver(delivery(request(sample), sample, event="another event"), FIRST)
        assert caught.value.code == "DMP-XDSDuplicateUniqueIdInRegistry"

    play(certificates, story)


def test_a_lost_answer_to_a_deletion(certificates: Certificates, maker: Maker) -> None:
    """Deleted, answer cut: verify sees that nothing is left; a repeat succeeds as well."""
    sample = maker.document("biology", maker.patient(age=50))
    gone = made(sample, Action.DELETE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        dmp.refuse("XDSRegistryBusy", transaction="TD3.3c")
        with pytest.raises(Unavailable):
            await sink.deliver(gone, FIRST)
        assert await sink.verify(gone, AFTER_UNKNOWN) is None
        await sink.deliver(gone, AFTER_UNKNOWN)
        assert await sink.verify(gone, AFTER_UNKNOWN) is not None
        assert (await sink.deliver(gone, AFTER_UNKNOWN)).evidence["xds_status"] == "Deleted"

    play(certificates, story)


def test_a_deleted_document_that_still_shows(certificates: Certificates, maker: Maker) -> None:
    """A DMP whose TD3.1b shows deleted entries: after an unknown outcome, a status mismatch means it is done."""
    sample = maker.document("biology", maker.patient(age=50))
    gone = made(sample, Action.DELETE)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        await sink.deliver(gone, FIRST)
        assert (await sink.deliver(gone, AFTER_UNKNOWN)).evidence["xds_status"] == "Deleted"
        with pytest.raises(Refused):
            await sink.deliver(gone, FIRST)

    play(certificates, story, sim={"deleted_visible": True})


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("state", "codes"), [("closed", {"DMP-DMPClosed"}), ("none", {"DMP-XDSUnknownPatientId"})])
@pytest.mark.parametrize("preflight", ["off", "cached"])
def test_no_dmp_or_closed(
    certificates: Certificates, maker: Maker, state: Any, codes: set[str], preflight: str
) -> None:
    """A business outcome: refused for good with the DMP's own code, with or without TD0.2."""
    patient = maker.patient(age=50)
    sample = maker.document("biology", patient)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.patient(str(patient.ins), state)
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code in codes
        assert caught.value.business
        assert dmp.documents == {}
        assert names(dmp) == (["TD0.2"] if preflight == "cached" else []) + ["TD2.1"]

    play(certificates, story, preflight=preflight)


@pytest.mark.parametrize("trouble", ["none", "closed", "fault", "error"])
def test_existence_never_decides_against_the_feed(certificates: Certificates, maker: Maker, trouble: str) -> None:
    """TD0.2 says that there is no DMP, or fails: TD2.1 is tried all the same, and its success counts."""
    patient = maker.patient(age=50)
    sample = maker.document("biology", patient)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        if trouble == "fault":
            dmp.fault("Erreur d'authentification de la personne morale", transaction="TD0.2")
        elif trouble == "error":
            dmp.http_status(403, transaction="TD0.2")
        else:
            dmp.existence(str(patient.ins), "closed" if trouble == "closed" else "none")
        await sink.deliver(made(sample), FIRST)
        assert names(dmp)[-1] == "TD2.1"
        assert sample.uid in dmp.documents

    play(certificates, story, preflight="cached")


def test_existence_explains_a_refusal_that_says_nothing(certificates: Certificates, maker: Maker) -> None:
    """TD2.1 fails without a word, TD0.2 knew that the DMP is closed: that is what the sender is told."""
    patient = maker.patient(age=50)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.existence(str(patient.ins), "closed")
        dmp.fault("incompris", transaction="TD2.1")
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(maker.document("biology", patient)), FIRST)
        assert caught.value.code == "DMP-DMPClosed"

    play(certificates, story, preflight="cached")


def test_existence_is_asked_once_a_day(certificates: Certificates, maker: Maker) -> None:
    """`preflight: cached` asks TD0.2 once for a patient whose DMP is open."""
    patient = maker.patient(age=50)
    one, two = maker.document("biology", patient), maker.document("letter", patient)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(one), FIRST)
        await sink.deliver(made(two), FIRST)
        assert names(dmp) == ["TD0.2", "TD2.1", "TD2.1"]

    play(certificates, story, preflight="cached")


@pytest.mark.parametrize(
    ("code", "attempt", "kind"),
    [
        ("XDSRegistryBusy", 9, Unavailable),
        ("XDSRepositoryOutOfResources", 1, Unavailable),
        ("XDSRegistryError", 2, Unavailable),
        ("XDSRegistryError", 3, Refused),
        ("XDSRegistryMetadataError", 1, Refused),
        ("DMPQuelqueChoseDeNouveau", 1, Refused),
        ("DMPInvalidCertificate", 1, OperatorFault),
    ],
)
def test_codes_of_the_dmp(
    certificates: Certificates, maker: Maker, code: str, attempt: int, kind: type[RouterError]
) -> None:
    """Each code is waited for, refused, or our own fault, and travels in the fault's code."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        assert sample.patient is not None
        family = sample.patient.birth_family
        dmp.refuse(code, count=None, context=f"typeCode refusé pour {family} {family.lower()}")
        with pytest.raises(kind) as caught:
            await sink.deliver(made(sample), dataclasses.replace(FIRST, number=attempt))
        assert caught.value.code == f"DMP-{code}"
        assert family.lower() not in str(caught.value).lower()
        if kind is Refused:
            assert caught.value.text.endswith(" — le DMP dit : typeCode refusé pour …")

    play(certificates, story)


@pytest.mark.parametrize(
    ("text", "subcode", "role", "kind", "code"),
    [
        ("Le certificat est invalide", "DMPInvalidCertificate", "Sender", OperatorFault, "DMP-DMPInvalidCertificate"),
        ("Erreur d’authentification de la personne morale", "", "Sender", OperatorFault, "DMP-AUTHENTIFICATION"),
        ("Impossible : Structure introuvable ou Inactive", "", "Sender", OperatorFault, "DMP-STRUCTURE"),
        ("Aucune spécialité dans le vihf.", "", "Sender", Refused, "DMP-SPECIALITE"),
        ("panne", "", "Receiver", OutcomeUnknown, "DMP-FAULT-Receiver"),
        ("DMP fermé", "DMPClosed", "Sender", Refused, "DMP-DMPClosed"),
        ("incompris", "", "Sender", Refused, "DMP-FAULT-Sender"),
    ],
)
@pytest.mark.parametrize("multipart", ["never", "always"])
def test_soap_faults(
    certificates: Certificates,
    maker: Maker,
    text: str,
    subcode: str,
    role: str,
    kind: type[RouterError],
    code: str,
    multipart: str,
) -> None:
    """A fault is read with HTTP 500, plain or multipart, and means what its code or its words say."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(text, subcode, role, count=None)
        with pytest.raises(kind) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == code

    play(certificates, story, sim={"multipart": multipart})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, OperatorFault),
        (404, OperatorFault),
        (503, OutcomeUnknown),
        (502, OutcomeUnknown),
        (200, OutcomeUnknown),
        (413, Refused),
    ],
)
def test_http_errors(certificates: Certificates, maker: Maker, status: int, kind: type[RouterError]) -> None:
    """An HTML page or a bare status instead of SOAP."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.http_status(status)
        with pytest.raises(kind):
            await sink.deliver(made(sample), FIRST)

    play(certificates, story, sim={"multipart": "always"})


def test_an_outage_is_not_a_failure(certificates: Certificates, maker: Maker) -> None:
    """Connection refused: Unavailable with the circuit; the probe fails as well, and passes once the DMP is back."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.probe()
        await dmp.outage()
        await asyncio.sleep(0.05)  # server and client share a loop here: let it hear that the kept connection ended
        with pytest.raises(Unavailable) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.circuit
        with pytest.raises(Unavailable):
            await sink.probe()
        await dmp.restore()
        await sink.probe()
        await sink.deliver(made(sample), FIRST)

    play(certificates, story)


def test_answers_as_multipart(certificates: Certificates, maker: Maker) -> None:
    """Every service may answer multipart/related."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        await sink.deliver(made(maker.replacement(sample), Action.REPLACE), FIRST)

    play(certificates, story, sim={"multipart": "always"})


def test_no_more_documents_in_hand_than_connections(
    certificates: Certificates, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries beyond the connections wait as they came: neither unpacked nor built, whatever the DMP takes."""
    opened: list[int] = []
    at_work: list[int] = []

    def counted(payload: bytes) -> tuple[DocumentOrder, list[memoryview]]:
        opened.append(len(payload))
        return unpack(payload)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.delay(0.05)
        monkeypatch.setattr(module, "unpack", counted)

        async def one() -> None:
            await sink.deliver(made(maker.document("biology", maker.patient(age=50))), FIRST)
            at_work.append(len(opened) - len(dmp.received))

        await asyncio.gather(*(one() for _ in range(6)))
        assert len(dmp.received) == len(opened) == 6
        assert max(at_work) <= 2

    play(certificates, story, connections=2)
