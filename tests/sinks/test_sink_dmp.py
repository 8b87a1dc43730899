"""The DMP sink against the simulated DMP, whose code shares nothing with ours: real TLS, real signatures."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Outcome
from router.errors import OperatorFault, OutcomeUnknown, Refused, Unavailable
from router.exchange import State
from router.request import Action, Masks
from router.simulators.authority import Certificates, make_certificates
from router.simulators.dmp import DmpConfig as SimulatorConfig
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import HOPITAL_A, HOPITAL_B, Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import (
    AFTER_UNKNOWN,
    FIRST,
    Past,
    Shifted,
    delivery,
    kept,
    made,
    opened,
    request,
    tools,
)

Story = Callable[[DmpSimulator, DmpSink], Awaitable[Any]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    folder = tmp_path_factory.mktemp("dmp-certificates")
    names = {HOPITAL_A.finess: HOPITAL_A.name, HOPITAL_B.finess: HOPITAL_B.name}
    return make_certificates(folder, names, variants=True)


@pytest.fixture
def maker() -> Iterator[Maker]:
    yield Maker(11)


def play(certificates: Certificates, story: Story, *, sim: dict[str, Any] | None = None, **changes: Any) -> Any:
    """Run a story with a simulated DMP and a sink that speaks to it."""

    async def run() -> Any:
        async with DmpSimulator(SimulatorConfig(certificates=certificates, **(sim or {}))) as dmp:
            sink = opened(certificates, HOPITAL_A.finess, dmp.url, **changes)
            try:
                return await story(dmp, sink)
            finally:
                await sink.close()

    return asyncio.run(run())


def names(dmp: DmpSimulator) -> list[str]:
    """The transactions received, in order."""
    return [one.transaction for one in dmp.received]


# ----------------------------------------------------------------------------------------------------- initial


@pytest.mark.parametrize("kind", ["biology", "biology-n1", "imaging", "letter"])
def test_a_document_of_each_kind_is_fed(certificates: Certificates, maker: Maker, kind: str) -> None:
    """TD2.1 is accepted: metadata, lot signature and VIHF satisfy a registry that checks them all."""
    sample = maker.document(kind, maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        outcome = await sink.deliver(made(sample), FIRST)
        assert [one.context for one in dmp.received if not one.ok] == []
        assert dmp.documents[sample.uid].content == sample.content
        assert outcome.evidence["xds_unique_id"] == sample.uid
        assert outcome.evidence["submission_set"] in dmp.registry.sets
        assert outcome.evidence["xds_status"] == "Success"
        assert outcome.context["control_id"] == "MSG-1"
        assert outcome.context["leg"] == "dmp"

    play(certificates, story)


def test_the_part_holds_the_documents_own_bytes(certificates: Certificates, maker: Maker, tmp_path: Path) -> None:
    """ISO-8859-1, accents, CRLF and the XML declaration arrive byte for byte, and hash and size are of those bytes."""
    sample = maker.document(
        "biology", maker.patient(family="HÉLÈNE-D'ÎLE"), encoding="ISO-8859-1", title="Glycémie à jeun"
    )
    assert "é".encode("latin-1") in sample.content
    one = made(sample)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)

    play(certificates, story, keep=tmp_path)
    parts = message_from_bytes(kept(tmp_path, one, "td2.1-request")).get_payload()
    root, document, _signature = parts
    assert document.get_payload(decode=True) == sample.content
    xml = root.get_payload(decode=True).decode()
    assert hashlib.sha1(sample.content, usedforsecurity=False).hexdigest() in xml
    assert f"<Value>{len(sample.content)}</Value>" in xml


def test_a_pair_shares_a_lot(certificates: Certificates, maker: Maker) -> None:
    """N1 and N3 of one report leave in one submission set with one signature."""
    patient = maker.patient(age=50)
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient)]

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        assert names(dmp) == ["TD2.1"]
        assert set(dmp.received[0].documents) >= {one.uid for one in pair}
        assert {dmp.documents[one.uid].set_id for one in pair} == {dmp.received[0].set_id}

    play(certificates, story)


def test_large_documents_are_signed_off_the_loop(certificates: Certificates, maker: Maker) -> None:
    """A document of 5 MB is fed whole."""
    sample = maker.document("letter", maker.patient(age=50), size=5_000_000)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        assert dmp.documents[sample.uid].content == sample.content

    play(certificates, story)


def test_software_may_send(certificates: Certificates, maker: Maker) -> None:
    """A PRT SB that names software speaks as an AUTOMATE."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample, device=True), FIRST)
        assert dmp.received[-1].ok

    play(certificates, story)


def test_a_doctor_without_specialty_is_presented_as_automate_or_refused(
    certificates: Certificates, maker: Maker
) -> None:
    """The VIHF of a doctor needs two roles: by default an AUTOMATE speaks; `unknown_role: refuse` sends nothing."""
    sample = maker.document("biology", maker.patient(age=50))
    one = made(sample, specialty=False)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)

    async def strict(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(one, FIRST)
        assert caught.value.code == "PFI-ROLE"
        assert dmp.received == []

    play(certificates, story)
    play(certificates, strict, vihf={"unknown_role": "refuse"})


def test_secret_connection_is_said_in_the_vihf(certificates: Certificates, maker: Maker) -> None:
    """CONNEXION_SECRETE with INVISIBLE_REP_LEGAUX is accepted: the mask is spelled as XDS does, the VIHF says it."""
    sample = maker.document("biology", maker.patient(age=15))
    one = made(sample, masks=Masks(invisible_rep_legaux=True, connexion_secrete=True))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)
        assert dmp.received[-1].ok

    play(certificates, story)


# --------------------------------------------------------------------------------------------- replace and delete


def test_replace_asks_for_the_reference_first(certificates: Certificates, maker: Maker) -> None:
    """TD3.1b of the old uniqueId, then TD2.1 with RPLC: the old version is deprecated."""
    first = maker.document("biology", maker.patient(age=50))
    second = maker.replacement(first)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(first), FIRST)
        await sink.deliver(made(second, Action.REPLACE), FIRST)
        assert names(dmp) == ["TD2.1", "TD3.1b", "TD2.1"]
        assert dmp.documents[first.uid].status.endswith("Deprecated")
        assert dmp.documents[second.uid].status.endswith("Approved")

    play(certificates, story)


def test_a_stale_reference_is_asked_again_once(certificates: Certificates, maker: Maker) -> None:
    """A mask set between TD3.1b and TD2.1 changes the entryUUID: the router asks again and succeeds."""
    first = maker.document("biology", maker.patient(age=50))
    second = maker.replacement(first)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(first), FIRST)
        dmp.refuse("UnresolvedReferenceException", transaction="TD2.1")
        calls = asyncio.create_task(sink.deliver(made(second, Action.REPLACE), FIRST))
        while len(dmp.received) < 3:  # noqa: ASYNC110  # TD2.1, TD3.1b, TD2.1 refused
            await asyncio.sleep(0)
        dmp.touch(first.uid)
        await calls
        assert names(dmp) == ["TD2.1", "TD3.1b", "TD2.1", "TD3.1b", "TD2.1"]
        assert dmp.documents[first.uid].status.endswith("Deprecated")

    play(certificates, story)


def test_a_reference_that_did_not_change_is_not_tried_twice(certificates: Certificates, maker: Maker) -> None:
    """When asking again gives the same reference, the DMP's own code is the answer."""
    first = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(first), FIRST)
        dmp.refuse("XDSReplaceFailed", count=None, transaction="TD2.1")
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(maker.replacement(first), Action.REPLACE), FIRST)
        assert caught.value.code == "DMP-XDSReplaceFailed"
        assert names(dmp) == ["TD2.1", "TD3.1b", "TD2.1", "TD3.1b"]

    play(certificates, story)


def test_delete(certificates: Certificates, maker: Maker) -> None:
    """TD3.1b, then TD3.3c: the document is deleted."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        outcome = await sink.deliver(made(sample, Action.DELETE), FIRST)
        assert names(dmp) == ["TD2.1", "TD3.1b", "TD3.3c"]
        assert dmp.documents[sample.uid].status.endswith("Deleted")
        assert outcome.evidence["xds_status"] == "Deleted"

    play(certificates, story)


def test_a_pair_is_deleted_together(certificates: Certificates, maker: Maker) -> None:
    """Deleting one of N1 and N3 deletes the other."""
    patient = maker.patient(age=50)
    pair = [maker.document("biology-n1", patient), maker.document("biology", patient)]

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(pair), FIRST)
        await sink.deliver(made(pair, Action.DELETE), FIRST)
        assert all(dmp.documents[one.uid].status.endswith("Deleted") for one in pair)

    play(certificates, story)


def test_an_archived_document_is_deleted_too(certificates: Certificates, maker: Maker) -> None:
    """OriginalStatus can't be read in indirect mode: Approved is tried, then Archived once."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(made(sample), FIRST)
        dmp.touch(sample.uid, "urn:asip:ci-sis:2010:StatusType:Archived")
        await sink.deliver(made(sample, Action.DELETE), FIRST)
        assert dmp.documents[sample.uid].status.endswith("Deleted")
        assert names(dmp)[-4:] == ["TD3.1b", "TD3.3c", "TD3.1b", "TD3.3c"]

    play(certificates, story)


def test_deleting_what_was_never_fed(certificates: Certificates, maker: Maker) -> None:
    """Unknown to the DMP: a clear refusal; but when our ledger proves it never left, the aim is reached."""
    sample = maker.document("biology", maker.patient(age=50))
    initial, gone = made(sample), made(sample, Action.DELETE)
    past = Past()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(gone, FIRST)
        assert caught.value.code == "PFI-DELETE-ABSENT"
        past.add(initial, State.SUPERSEDED)
        assert (await sink.deliver(gone, FIRST)).evidence["xds_status"] == "NeverFed"
        assert set(names(dmp)) == {"TD3.1b"}

    play(certificates, story, given=tools(past=past))


def test_a_deletion_under_another_identity_is_refused(certificates: Certificates, maker: Maker) -> None:
    """Patient and structure of a deletion are those of the deposit that the ledger knows (decisions D1)."""
    sample = maker.document("biology", maker.patient(age=50))
    past = Past()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        outcome = await sink.deliver(made(sample), FIRST)
        past.add(made(sample), State.DONE, evidence={**outcome.evidence, "patient": "f" * 32})
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(sample, Action.DELETE), FIRST)
        assert caught.value.code == "PFI-PATIENT"
        assert names(dmp) == ["TD2.1"]

    play(certificates, story, given=tools(past=past))


# ---------------------------------------------------------------------------------------- a predecessor that is absent


def test_replacing_what_never_arrived_fails_by_default(certificates: Certificates, maker: Maker) -> None:
    """`replace_when_absent: fail`: even with proof, the replacement is refused."""
    first = maker.document("biology", maker.patient(age=50))
    past = Past()
    past.add(made(first), State.DEAD)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(maker.replacement(first), Action.REPLACE), FIRST)
        assert caught.value.code == "PFI-REPLACE-ABSENT"

    play(certificates, story, given=tools(past=past))


@pytest.mark.parametrize(
    ("state", "evidence", "published"),
    [
        (State.DEAD, {}, True),
        (State.SUPERSEDED, {}, True),
        (State.DEAD, {"engine.unknown": "1"}, False),
        (State.UNKNOWN, {}, False),
        (State.DONE, {}, False),
        (None, {}, False),
    ],
)
def test_publish_needs_proof(
    certificates: Certificates, maker: Maker, state: State | None, evidence: dict[str, str], published: bool
) -> None:
    """`replace_when_absent: publish` applies only when the ledger proves the predecessor never arrived."""
    first = maker.document("biology", maker.patient(age=50))
    second = maker.replacement(first)
    past = Past()
    if state is not None:
        past.add(made(first), state, evidence=evidence)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        one = made(second, Action.REPLACE)
        if published:
            await sink.deliver(one, FIRST)
            assert dmp.documents[second.uid].status.endswith("Approved")
        else:
            with pytest.raises(Refused) as caught:
                await sink.deliver(one, FIRST)
            assert caught.value.code == "PFI-REPLACE-ABSENT"
            assert names(dmp) == ["TD3.1b"]

    play(certificates, story, given=tools(past=past), replace_when_absent="publish")


def test_an_older_version_that_did_arrive_is_replaced(certificates: Certificates, maker: Maker) -> None:
    """A fed, B dead, C replaces B: C replaces A, so that two approved versions never stand side by side."""
    a = maker.document("biology", maker.patient(age=50))
    b = maker.replacement(a)
    c = maker.replacement(b)
    past = Past()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        fed = await sink.deliver(made(a), FIRST)
        past.add(made(a), State.DONE, evidence=fed.evidence)
        past.add(made(b, Action.REPLACE), State.DEAD)
        await sink.deliver(made(c, Action.REPLACE), FIRST)
        assert dmp.documents[a.uid].status.endswith("Deprecated")
        assert dmp.documents[c.uid].status.endswith("Approved")

    play(certificates, story, given=tools(past=past), replace_when_absent="publish")


def test_what_was_just_fed_may_not_show_yet(certificates: Certificates, maker: Maker) -> None:
    """A predecessor deposited seconds ago that TD3.1b does not show: the lane waits, nothing is refused."""
    first = maker.document("biology", maker.patient(age=50))
    past, clock = Past(), Shifted()
    past.add(made(first), State.DONE, updated=clock.now() - 5)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Unavailable) as caught:
            await sink.deliver(made(maker.replacement(first), Action.REPLACE), FIRST)
        assert caught.value.circuit is False
        assert 20 < (caught.value.retry_after or 0) <= 25

    play(certificates, story, given=tools(past=past, clock=clock), visibility_delay=30)


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
        assert caught.value.code == "DMP-ReadTimeout"

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


# -------------------------------------------------------------------------------------------------------- refusals


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
        assert caught.value.code in codes | {"DMP-NF"}
        assert dmp.documents == {}
        assert names(dmp) == (["TD0.2"] if preflight == "cached" else ["TD2.1"])

    play(certificates, story, preflight=preflight)


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
def test_codes_of_the_dmp(certificates: Certificates, maker: Maker, code: str, attempt: int, kind: type) -> None:
    """Each code is waited for, refused, or our own fault, and travels in the fault's code."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.refuse(code, context="texte libre avec le nom du patient")
        with pytest.raises(kind) as caught:
            await sink.deliver(made(sample), dataclasses.replace(FIRST, number=attempt))
        assert caught.value.code == f"DMP-{code}"
        assert "nom du patient" not in str(caught.value)

    play(certificates, story)


@pytest.mark.parametrize(
    ("text", "subcode", "role", "kind", "code"),
    [
        ("Le certificat est invalide", "DMPInvalidCertificate", "Sender", OperatorFault, "DMP-DMPInvalidCertificate"),
        ("Erreur d’authentification de la personne morale", "", "Sender", OperatorFault, "DMP-AUTHENTIFICATION"),
        ("Impossible : Structure introuvable ou Inactive", "", "Sender", OperatorFault, "DMP-STRUCTURE"),
        ("Aucune spécialité dans le vihf.", "", "Sender", Refused, "DMP-SPECIALITE"),
        ("panne", "", "Receiver", Unavailable, "DMP-FAULT-Receiver"),
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
    kind: type,
    code: str,
    multipart: str,
) -> None:
    """A fault is read with HTTP 500, plain or multipart, and means what its code or its words say."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        dmp.fault(text, subcode, role)
        with pytest.raises(kind) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == code

    play(certificates, story, sim={"multipart": multipart})


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, OperatorFault), (404, OperatorFault), (503, Unavailable), (502, OutcomeUnknown), (413, Refused)],
)
def test_http_errors(certificates: Certificates, maker: Maker, status: int, kind: type) -> None:
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


# ----------------------------------------------------------------------------------------------------- certificates


def _as(certificates: Certificates, part: str, name: str) -> dict[str, Any]:
    certificate, key = certificates.pair(name)
    return {part: {"certificate": certificate, "key": key}}


def test_swapped_certificates_are_seen_at_the_start(certificates: Certificates) -> None:
    """AUTH in the place of SIGN can't sign: an OperatorFault when the sink opens."""
    with pytest.raises(OperatorFault) as caught:
        opened(
            certificates,
            HOPITAL_A.finess,
            "https://127.0.0.1:1/x",
            **_as(certificates, "sign", f"{HOPITAL_A.finess}-auth"),
        )
    assert caught.value.code == "DMP-CERT-SIGN"


@pytest.mark.parametrize(
    ("part", "suffix", "code"),
    [("sign", "sign-expired", "DMP-CERT-SIGN"), ("auth", "auth-expired", "DMP-CERT-AUTH")],
)
def test_an_expired_certificate_is_our_fault(
    certificates: Certificates, maker: Maker, part: str, suffix: str, code: str
) -> None:
    """Expired SIGN or AUTH: OperatorFault, the delivery stays."""
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == code
        assert dmp.documents == {}

    play(certificates, story, **_as(certificates, part, f"{HOPITAL_A.finess}-{suffix}"))


def test_the_certificates_of_another_structure(certificates: Certificates, maker: Maker) -> None:
    """The DMP refuses a VIHF whose structure isn't its certificate's: OperatorFault."""
    sample = maker.document("biology", maker.patient(age=50))
    other = _as(certificates, "sign", f"{HOPITAL_B.finess}-sign") | _as(
        certificates, "auth", f"{HOPITAL_B.finess}-auth"
    )

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == "DMP-AUTHENTIFICATION"

    play(certificates, story, **other)


def test_an_unknown_server_is_not_trusted(certificates: Certificates, maker: Maker, tmp_path: Path) -> None:
    """A server whose certificate another authority made gets nothing."""
    other = make_certificates(tmp_path, {})
    sample = maker.document("biology", maker.patient(age=50))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault) as caught:
            await sink.deliver(made(sample), FIRST)
        assert caught.value.code == "DMP-TLS-SERVER"

    play(certificates, story, server_ca=other.ca)


def test_a_renewed_certificate_is_used_without_restart(
    certificates: Certificates, maker: Maker, tmp_path: Path
) -> None:
    """Expired files are replaced on disk: the next attempts use the new ones."""
    paths = {part: (tmp_path / f"{part}.pem", tmp_path / f"{part}.key") for part in ("auth", "sign")}

    def install(suffix: str) -> None:
        for part, (certificate, key) in paths.items():
            made_certificate, made_key = certificates.pair(f"{HOPITAL_A.finess}-{part}{suffix}")
            certificate.write_bytes(made_certificate.read_bytes() + b"\n" * len(suffix))
            key.write_bytes(made_key.read_bytes())

    class Jump(Shifted):
        ahead = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.ahead

    clock = Jump()
    sample = maker.document("biology", maker.patient(age=50))
    install("-expired")

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(OperatorFault):
            await sink.deliver(made(sample), FIRST)
        install("")
        clock.ahead = 10.0
        await sink.deliver(made(sample), FIRST)

    given = {part: {"certificate": certificate, "key": key} for part, (certificate, key) in paths.items()}
    play(certificates, story, given=tools(clock=clock), **given)


def test_production_and_qualification_never_mix(certificates: Certificates) -> None:
    """The address of production in qualification, or the reverse, refuses to start (decisions D9)."""
    production = "https://lps2.dmp.gouv.fr/si-dmp-server/v2/services"
    for environment, url in (("qualification", production), ("production", "https://dev9.lps2.dmp.gouv.fr/x")):
        with pytest.raises(OperatorFault) as caught:
            opened(certificates, HOPITAL_A.finess, url, given=tools(environment=environment))
        assert caught.value.code == "DMP-ENVIRONMENT"
    opened(certificates, HOPITAL_A.finess, production, given=tools(environment="production"))
