"""Mails of a replacement or a deletion speak only of versions that this recipient was sent (decisions D1)."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

import pytest

from router.contracts import Row
from router.exchange import Pseudonyms, State
from router.request import Action, Recipient
from router.sinks.mssante.earlier import THREAD, Earlier
from tests.cda.cda_samples import cda
from tests.sinks.mssante_samples import PastDeliveries, delivery, doctor, order, patient_recipient, tools
from tests.sinks.mssante_server import Script
from tests.sinks.test_sink_mssante import send
from tests.typed import body_text

ROOT = "1.2.250.1.999.1"
OTHER = "eve.autre@test-ci-sis.mssante.fr"
FREE = "Cher confrère, ci-joint le CR."
THIS = 7
"""Version of the sample document; it replaces version 6."""


def named(version: int) -> str:
    """The pseudonym of a version's document."""
    return Pseudonyms(b"test").of("document", f"{ROOT}.{version}")


def row(
    version: int,
    *,
    to: Recipient | None = None,
    state: State = State.DONE,
    ids: str | None = None,
    unknown: bool = False,
    lineage: str = "family",
    action: Action = Action.INITIAL,
    replaces: str = "",
    pipeline: str = "",
    structure: str = "",
) -> Row:
    """A mail with this version that was decided earlier."""
    made = delivery(
        order(recipient=to or doctor(), action=action),
        event_id=f"{version:064d}",
        lineage=lineage,
        document=named(version),
        replaces=replaces,
        created=float(version),
        pipeline=pipeline,
        structure=structure,
    )
    known = f"{ROOT}.{version}" if ids is None else ids
    evidence = {"message_id": f"<v{version}@hopital-a.mssante.fr>", "documents": known} if state is State.DONE else {}
    return Row(
        delivery=made, partition=0, sequence=version, bytes_at=made.origin, state=state, outcome_unknown=unknown,
        evidence={name: value for name, value in evidence.items() if value},
    )  # fmt: skip


def mail(
    folder: Path,
    action: Action,
    *past: Row,
    to: Recipient | None = None,
    lineage: str = "family",
    free: str = "",
    structure: str = "",
) -> email.message.EmailMessage:
    """The mail about version 7 that leaves after `past`."""
    given = order(
        recipient=to or doctor(), action=action, replaces=f"{ROOT}.6" if action is Action.REPLACE else "",
        body_professionals=free or None, body_patient=free or None,
    )  # fmt: skip
    made = delivery(
        given,
        lineage=lineage,
        document=named(THIS),
        replaces=named(6) if action is Action.REPLACE else "",
        created=100.0,
        structure=structure,
    )
    script = Script()
    send(script, folder, made, using=tools(folder, past=PastDeliveries(past)))
    return email.message_from_bytes(script.mails[0], policy=email.policy.default)


def words(one: email.message.EmailMessage) -> str:
    return " ".join(body_text(one).split())


def test_a_replacement_names_the_version_that_its_reader_holds(tmp_path: Path) -> None:
    """v5 was sent, v6 was refused: v7 replaces v5 for him, and stands in the thread of its mail."""
    told = mail(tmp_path, Action.REPLACE, row(5), row(6, state=State.DEAD))
    assert f"(identifiant {ROOT}.5)" in words(told) and f"{ROOT}.6" not in words(told)
    assert "annule et remplace" in words(told)
    assert told["References"] == "<v5@hopital-a.mssante.fr>"


def test_another_hospitals_mails_of_the_same_family_are_not_spoken_of(tmp_path: Path) -> None:
    """Two hospitals on one sink may use one setId: their ids and Message-IDs stay apart; older rows name none."""
    past = row(4), row(5, structure="750000001"), row(6, structure="690000002")
    told = mail(tmp_path, Action.REPLACE, *past, structure="750000001")
    assert f"{ROOT}.5" in words(told) and f"{ROOT}.6" not in words(told)
    assert told["References"] == "<v4@hopital-a.mssante.fr> <v5@hopital-a.mssante.fr>"


@pytest.mark.parametrize("to", [doctor(), patient_recipient()], ids=["professional", "patient"])
def test_to_whom_no_version_was_sent_a_replacement_is_a_first_version(tmp_path: Path, to: Recipient) -> None:
    """Others had versions, his were refused: nothing is said of an earlier one, nor before the sender's own words."""
    past = row(5, to=doctor(OTHER)), row(6, to=to, state=State.DEAD)
    told = mail(tmp_path, Action.REPLACE, *past, to=to)
    assert "remplace" not in words(told).lower() and f"{ROOT}.6" not in words(told)
    assert "contient un document de santé" in words(told)
    assert "References" not in told and list(told.iter_attachments())
    assert words(mail(tmp_path / "free", Action.REPLACE, *past, to=to, free=FREE)) == FREE


def test_a_ledger_that_knows_no_version_believes_the_sender(tmp_path: Path) -> None:
    """The first version may have left before the router was there (mssante case 11, 12)."""
    assert f"(identifiant {ROOT}.6)" in words(mail(tmp_path / "r", Action.REPLACE))
    told = mail(tmp_path / "d", Action.DELETE)
    assert f"(identifiant {ROOT}.7) a été transmis par erreur" in words(told) and list(told.iter_attachments())


def test_a_deletion_to_who_had_all_versions_names_them_all(tmp_path: Path) -> None:
    """The document that he has is attached; the older ones must be deleted too; the thread holds every mail."""
    told = mail(tmp_path, Action.DELETE, row(THIS), row(5), row(6), free=FREE)
    assert f"Le document joint « Compte rendu de biologie » du 04/01/2026 (identifiant {ROOT}.7)" in words(told)
    assert f"(identifiants {ROOT}.5 et {ROOT}.6) doivent être supprimées aussi" in words(told)
    assert words(told).endswith(FREE) and list(told.iter_attachments())
    assert told["References"].split() == [f"<v{version}@hopital-a.mssante.fr>" for version in (5, 6, 7)]


def test_a_deletion_to_who_had_an_older_version_only_shows_him_no_newer_one(tmp_path: Path) -> None:
    """It names what he had; what he has never seen is neither attached nor named, nor are the sender's words."""
    past = row(5), row(6, to=doctor(OTHER)), row(THIS, state=State.SUPERSEDED)
    told = mail(tmp_path, Action.DELETE, *past, free=FREE)
    assert not list(told.iter_attachments()) and FREE not in words(told) and "joint" not in words(told)
    assert f"(identifiant {ROOT}.5), que vous avez reçu de Hôpital A" in words(told)
    assert f"{ROOT}.7" not in words(told) and f"{ROOT}.6" not in words(told)
    assert told["Subject"].startswith("Suppression") and told["References"] == "<v5@hopital-a.mssante.fr>"


@pytest.mark.parametrize("to", [doctor(), patient_recipient()], ids=["professional", "patient"])
def test_a_deletion_to_whom_nothing_was_sent_shows_nothing(tmp_path: Path, to: Recipient) -> None:
    """D1: the sender names him, so he is told; he may have it by another road, but he does not get it by this mail."""
    told = mail(tmp_path, Action.DELETE, row(5, to=doctor(OTHER)), row(THIS, to=to, state=State.DEAD), to=to)
    assert not list(told.iter_attachments())
    assert "été envoyé" in words(told) and "à cette adresse" in words(told)
    assert "References" not in told and "biologie" not in told["Subject"].removeprefix("Suppression : CR d'examens")


def test_an_unknown_outcome_counts_as_sent(tmp_path: Path) -> None:
    """He may have it: its mail is in the thread; its id comes from another recipient's mail."""
    past = row(5, state=State.DEAD, unknown=True), row(5, to=doctor(OTHER))
    told = mail(tmp_path, Action.DELETE, *past)
    assert f"identifiant {ROOT}.5" in words(told) and past[0].delivery.id[:8] in told["References"]


def test_versions_without_a_set_are_found_one_from_the_other(tmp_path: Path) -> None:
    """Without a setId each version is a family of its own: one goes back from each to what it replaced."""
    past = (
        row(4, lineage=named(4)),
        row(5, lineage=named(5), action=Action.REPLACE, replaces=named(4), state=State.DEAD),
        row(6, lineage=named(6), action=Action.REPLACE, replaces=named(5), state=State.DEAD),
    )
    told = mail(tmp_path, Action.REPLACE, *past, lineage=named(THIS))
    assert f"(identifiant {ROOT}.4)" in words(told) and told["References"] == "<v4@hopital-a.mssante.fr>"


def test_what_an_older_router_sent_is_named_when_the_message_knows_it(tmp_path: Path) -> None:
    """Its ledger has no ids: the one that the message replaces is known, of another one nothing is invented."""
    assert f"(identifiant {ROOT}.6)" in words(mail(tmp_path / "a", Action.REPLACE, row(6, ids="")))
    assert "(identifiant inconnu)" in words(mail(tmp_path / "b", Action.REPLACE, row(5, ids="")))
    also = "La version antérieure qui vous avait été adressée doit être supprimée aussi."
    assert also in words(mail(tmp_path / "c", Action.DELETE, row(5, ids=""), row(THIS)))


def test_a_mail_keeps_the_ids_of_its_documents(tmp_path: Path) -> None:
    """By them a later mail names this version; a notice without a document brings none."""
    script = Script()
    pair = (cda(), cda(change=(('<id root="1.2.250.1.999.1.7"/>', '<id root="1.2.250.1.999.1.8"/>'),)))
    (outcome,) = send(script, tmp_path, delivery(order(pair), pair))
    assert outcome.evidence["documents"] == f"{ROOT}.7 {ROOT}.8"
    told = mail(tmp_path / "t", Action.DELETE, row(5, ids=f"{ROOT}.5 {ROOT}.4"))
    assert f"(identifiant {ROOT}.5 et {ROOT}.4), que vous avez reçu" in words(told)


def test_a_long_thread_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    """A header of bounded length."""
    past = [row(version) for version in range(100, 130)]
    thread = mail(tmp_path, Action.REPLACE, *past)["References"].split()
    assert (len(thread), thread[0], thread[-1]) == (
        THREAD,
        "<v100@hopital-a.mssante.fr>",
        "<v129@hopital-a.mssante.fr>",
    )


def test_a_first_version_carries_its_document_whatever_is_known() -> None:
    """Only a deletion may leave the document out."""
    assert Earlier(known=True).carried(Action.REPLACE) and not Earlier(known=True).carried(Action.DELETE)
