"""The DMP sink against the simulated DMP, whose code shares nothing with ours: initial, replace, delete."""

from __future__ import annotations

import asyncio
import hashlib
from email import message_from_bytes
from pathlib import Path

import pytest

from router.errors import Overtaken, Refused
from router.exchange import State
from router.request import Action, Masks, Professional
from router.simulators.authority import Certificates
from router.simulators.dmp import DmpSimulator
from router.simulators.sender import Maker
from router.sinks.dmp.sink import DmpSink
from tests.sinks.dmp_world import (
    FIRST,
    PastDeliveries,
    delivery,
    hospitals,
    kept,
    made,
    names,
    play,
    request,
    tools,
)
from tests.sinks.rechecks import Looks
from tests.typed import part_bytes


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Throw-away certificates of two hospitals, expired ones included."""
    return hospitals(tmp_path_factory)


@pytest.fixture
def maker() -> Maker:
    return Maker(11)


# ------------------------------------------------------------------------------------------------------------ initial


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


@pytest.mark.parametrize("fatal", [1, 2])
def test_a_document_that_was_overtaken_while_it_waited_is_not_fed(
    certificates: Certificates, maker: Maker, fatal: int
) -> None:
    """One last look when a connection is free, one when the pace has given its turn."""
    sample, looks = maker.document("biology", maker.patient()), Looks(fatal)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Overtaken):
            await sink.deliver(made(sample), looks.attempt)
        assert looks.count == fatal
        assert "TD2.1" not in names(dmp)
        assert not dmp.documents
        await sink.deliver(made(sample), FIRST)
        assert sample.uid in dmp.documents

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
    assert isinstance(parts, list)
    root, document, _signature = parts
    assert part_bytes(document) == sample.content
    xml = part_bytes(root).decode()
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
    """A VIHF without any specialty of its doctor: an AUTOMATE speaks; `unknown_role: refuse` sends nothing."""
    sample = maker.document("biology", maker.patient(age=50))
    asked = request(sample, specialty=False)
    header = asked.documents[0]
    bare = [author.model_copy(update={"person": without(author.person)}) for author in header.authors]
    signer = header.legal_authenticator
    assert signer is not None
    signer = signer.model_copy(update={"person": without(signer.person)})
    header = header.model_copy(update={"authors": tuple(bare), "legal_authenticator": signer})
    one = delivery(asked.model_copy(update={"documents": (header,)}), sample)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)
        assert dmp.received[-1].author

    async def strict(dmp: DmpSimulator, sink: DmpSink) -> None:
        with pytest.raises(Refused) as caught:
            await sink.deliver(one, FIRST)
        assert caught.value.code == "PFI-ROLE"
        assert dmp.received == []

    play(certificates, story)
    play(certificates, strict, vihf={"unknown_role": "refuse"})


def without(person: Professional | None) -> Professional | None:
    return person.model_copy(update={"specialty": None}) if person else None


def test_the_document_says_the_senders_specialty(certificates: Certificates, maker: Maker, tmp_path: Path) -> None:
    """A PRT names no specialty: the CDA gives that of the same person, to the VIHF and to the set; no AUTOMATE."""
    sample = maker.document("biology", maker.patient(age=50))
    assert sample.author is not None
    one = made(sample, specialty=False)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)

    play(certificates, story, vihf={"unknown_role": "refuse"}, keep=tmp_path)
    said = kept(tmp_path, one, "td2.1-request").decode("latin-1")
    assert 'codeSystemName="G15"' in said and 'codeSystemName="R01"' in said
    assert "AUTOMATE" not in said
    assert said.count(f"{sample.author.specialty[0]}^") >= 3  # the set, the document, the signature's entry


def test_a_device_that_says_nothing_of_itself_is_an_automate(
    certificates: Certificates, maker: Maker, tmp_path: Path
) -> None:
    """authorSpecialty of software: what the CDA says of it, else AUTOMATE."""
    one = made(maker.document("biology", maker.patient(age=50)), device=True)

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)

    play(certificates, story, keep=tmp_path)
    assert b"<Value>AUTOMATE^Automate^1.2.250.1.213.1.1.4.6</Value>" in kept(tmp_path, one, "td2.1-request")


def test_secret_connection_is_said_in_the_vihf(certificates: Certificates, maker: Maker) -> None:
    """CONNEXION_SECRETE with INVISIBLE_REP_LEGAUX is accepted: the mask is spelled as XDS does, the VIHF says it."""
    sample = maker.document("biology", maker.patient(age=15))
    one = made(sample, masks=Masks(invisible_rep_legaux=True, connexion_secrete=True))

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        await sink.deliver(one, FIRST)
        assert dmp.received[-1].ok

    play(certificates, story)


# ------------------------------------------------------------------------------------------------- replace and delete


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
    past = PastDeliveries()

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
    past = PastDeliveries()

    async def story(dmp: DmpSimulator, sink: DmpSink) -> None:
        outcome = await sink.deliver(made(sample), FIRST)
        past.add(made(sample), State.DONE, evidence={**outcome.evidence, "patient": "f" * 32})
        with pytest.raises(Refused) as caught:
            await sink.deliver(made(sample, Action.DELETE), FIRST)
        assert caught.value.code == "PFI-PATIENT"
        assert names(dmp) == ["TD2.1"]

    play(certificates, story, given=tools(past=past))
