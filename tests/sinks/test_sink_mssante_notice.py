"""A deletion told to a patient: it leaves whatever the masks, and holds nothing of the sender's (decisions D1)."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path
from typing import Any

import pytest

from router.contracts import Row
from router.errors import Overtaken, Refused
from router.exchange import Origin, State
from router.payload import NOTICE
from router.request import Action, Masks
from tests.cda.cda_samples import cda
from tests.sinks.mssante_samples import PastDeliveries, delivery, doctor, order, patient, patient_recipient, tools
from tests.sinks.mssante_server import Script
from tests.sinks.test_sink_mssante import send
from tests.typed import body_text, present

FREE = "Compte rendu ci-joint, Mme X a une maladie rare"


def told_to_the_patient(folder: Path, born: str = "19790328", **changes: Any) -> email.message.EmailMessage:
    """The mail by which a deletion is told to the patient; the sender has written words of his own everywhere."""
    birth = ('<birthTime value="19790328"/>', f'<birthTime value="{born}"/>')
    document = cda(change=(("Compte rendu  de\n biologie", FREE), ("CR d'examens biologiques", FREE), birth))
    settings = {name: changes.pop(name) for name in ("suppression_patient",) if name in changes}
    given = order(
        (document,),
        recipient=patient_recipient(),
        action=Action.DELETE,
        patient=patient(birth_date=born),
        **{"body_patient": FREE, **changes},
    )
    script = Script()
    send(script, folder, delivery(given, (document,)), **settings)
    return email.message_from_bytes(script.mails[0], policy=email.policy.default)


def test_the_notice_of_a_deletion_holds_no_word_of_the_sender(tmp_path: Path) -> None:
    """D1: neither CORPSMAIL (`ci-joint`, and nothing is attached), nor the title, nor the type's label he wrote."""
    mail = told_to_the_patient(tmp_path)
    text = body_text(mail)
    assert not list(mail.iter_attachments())
    assert FREE not in text and "joint" not in text and "maladie" not in str(mail["Subject"])
    assert "CR d'examens biologiques" in text and "CR d'examens biologiques" in mail["Subject"]
    assert "04/01/2026" in text and "supprimer" in text


def test_a_document_of_two_patients_is_not_attached_to_its_deletion(tmp_path: Path) -> None:
    """R39: a professional is told of the deletion, and gets nothing of the other patient's."""
    two = cda(change=(("<author>", "<recordTarget><patientRole/></recordTarget><author>"),))
    script = Script()
    send(script, tmp_path, delivery(order((two,), recipient=doctor(), action=Action.DELETE), (two,)))
    mail = email.message_from_bytes(script.mails[0], policy=email.policy.default)
    assert not list(mail.iter_attachments())
    assert "1.2.250.1.999.1.7" in present(mail.get_body()).get_content()


def test_with_the_document_goes_the_senders_text(tmp_path: Path) -> None:
    """`suppression_patient: envoyer`: the mail carries what it speaks of."""
    mail = told_to_the_patient(tmp_path, suppression_patient="envoyer")
    assert FREE in body_text(mail) and list(mail.iter_attachments())


@pytest.mark.parametrize("choice", ["avis-seul", "envoyer"])
@pytest.mark.parametrize(
    ("masks", "born"),
    [
        (Masks(invisible_patient=True), "19790328"),
        (Masks(invisible_rep_legaux=True), "20150101"),
        (Masks(connexion_secrete=True), ""),
    ],
    ids=["patient", "minor", "unknown age"],
)
def test_a_mask_holds_back_no_deletion_and_shows_nothing(tmp_path: Path, choice: str, masks: Masks, born: str) -> None:
    """D1: the notice leaves, and says neither what the document was nor of what kind; the document never does."""
    mail = told_to_the_patient(tmp_path, born, suppression_patient=choice, masks=masks)
    assert not list(mail.iter_attachments())
    assert "biologiques" not in body_text(mail) + mail["Subject"]
    assert "document de santé" in body_text(mail)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (Action.REPLACE, "a été remplacé par une nouvelle version, qui ne vous est pas adressée"),
        (Action.DELETE, "a été transmis par erreur : il doit être supprimé"),
    ],
)
def test_a_notice_to_an_earlier_recipient_names_the_document_and_nobody(
    tmp_path: Path, action: Action, says: str
) -> None:
    """D19: no attachment, no patient, no word of the sender's; it stands in the thread of the mail that brought it."""
    given = order(recipient=doctor(), action=action, body_professionals=FREE, mss_professionals=False)
    given = given.model_copy(update={"options": {NOTICE: True}})
    told = delivery(given, event_id="f" * 64, lineage="family", document="doc-1")
    brought = delivery(order(recipient=doctor()), lineage="family", document="doc-1", destination=told.destination)
    row = Row(
        delivery=brought,
        partition=0,
        sequence=1,
        bytes_at=Origin("t", 0, 1),
        state=State.DONE,
        evidence={"message_id": "<earlier@hopital-a.mssante.fr>"},
    )
    script = Script()
    send(script, tmp_path, told, using=tools(tmp_path, past=PastDeliveries([row])))
    mail = email.message_from_bytes(script.mails[0], policy=email.policy.default)
    text = body_text(mail)
    assert says in " ".join(text.split()) and "1.2.250.1.999.1.7" in text
    assert not list(mail.iter_attachments()) and FREE not in text
    whole = f"{mail['Subject']} {text}"
    assert "PAT-TROIS" not in whole and "DOMINIQUE" not in whole and "X-MSS-INS" not in mail
    assert mail["Subject"].startswith("Remplacement" if action is Action.REPLACE else "Suppression")
    assert mail["References"] == "<earlier@hopital-a.mssante.fr>"


def test_who_never_got_the_version_gets_no_notice_of_it(tmp_path: Path) -> None:
    """D19: his mail was waiting when the replacement came, and was refused since; his address is not tried again."""
    given = order(recipient=doctor("dr@gmail.com"), action=Action.REPLACE).model_copy(
        update={"options": {NOTICE: True}}
    )
    told = delivery(given, event_id="f" * 64, lineage="family", document="doc-1")
    refused = delivery(order(recipient=doctor()), lineage="family", document="doc-1", destination=told.destination)
    row = Row(delivery=refused, partition=0, sequence=1, bytes_at=Origin("t", 0, 1), state=State.DEAD)
    script = Script()
    with pytest.raises(Overtaken):
        send(script, tmp_path, told, using=tools(tmp_path, past=PastDeliveries([row])))
    assert script.mails == []


def test_a_patient_gets_no_notice_that_the_sender_did_not_ask_for(tmp_path: Path) -> None:
    """D19: his address is made of an INS, and a wrong INS may be why the document is deleted."""
    given = order(recipient=patient_recipient(), action=Action.DELETE).model_copy(update={"options": {NOTICE: True}})
    script = Script()
    with pytest.raises(Refused, match="MSS-554"):
        send(script, tmp_path, delivery(given))
    assert script.mails == []
