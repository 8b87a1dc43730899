"""The scenes: what a hospital's day asks, and what must come of it. Every outcome is read from the outside.

A scene sends, then watches the simulators and the sender's return endpoint; it never asks the router.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Final

from router.demo.row import Row
from router.demo.stage import OUTSIDE, Stage
from router.language import N_, _, filled, filled_plural, plural
from router.rendering.pdfa import claimed
from router.simulators.annuaire.people import KNOWN_RPPS, PEOPLE
from router.simulators.sender.hl7 import Recipient
from router.simulators.sender.mllp import Sent

WAIT: Final = 25.0


Scene = Callable[[Stage], AsyncIterator[Row]]


def _row(scene: str, asked: str, sent: Sent) -> Row:
    return Row(scene, asked, sent.control_id, ack=sent.code or _("none"))


async def _settle(stage: Stage, row: Row, uid: str, *, status: str = "", answers: list[str], mails: int) -> None:
    """Wait for what is expected, then note what is there."""
    await stage.until(
        lambda: (
            stage.dmp_status(uid) == status
            and len(stage.mails(uid)) >= mails
            and sorted(stage.answers(row.control_id)) == sorted(answers)
        ),
        WAIT,
    )
    found = stage.mails(uid)
    row.dmp = stage.dmp_status(uid) or "-"
    row.mail = ", ".join(_who(mail) for mail in found) or "-"
    row.back = ", ".join(stage.answers(row.control_id)) or "-"
    row.promise(filled("the DMP: {what}", what=status or N_("nothing there")), stage.dmp_status(uid) == status)
    row.promise(filled_plural("{count} mail", "{count} mails", mails), len(found) == mails)
    row.promise(
        filled("answers: {what}", what=", ".join(answers) or N_("none")),
        sorted(stage.answers(row.control_id)) == sorted(answers),
    )
    for mail in found:
        row.promise("mails as the referential wants them", not mail.findings)


def _who(mail: Any) -> str:
    action = f" ({mail.action})" if mail.action else ""
    return f"{mail.shown()['recipient']}{action}".replace(".test.mssante.fr", "…")


async def life_of_a_document(stage: Stage) -> AsyncIterator[Row]:
    """Published, replaced, deleted: at the DMP, by mail to the doctor and to the patient."""
    patient, doctor = stage.patient(), stage.recipient()
    first = stage.maker.document("biology", patient, size=60_000)
    (sent,) = await stage.send(stage.maker.message(first, recipients=[doctor], patient_mail=True))
    row = _row(N_("document"), N_("DMP, médecin, patient"), sent)
    row.promise("AA", row.ack == "AA")
    await _settle(stage, row, first.uid, status="Approved", answers=["Z01 Y", "Z02 Y", "Z02 Y"], mails=2)
    yield row

    second = stage.maker.replacement(first, size=60_000)
    (sent,) = await stage.send(stage.maker.message(second, recipients=[doctor]))
    row = _row(N_("remplacement"), N_("DMP, médecin"), sent)
    await _settle(stage, row, second.uid, status="Approved", answers=["Z01 Y", "Z02 Y"], mails=1)
    row.promise("the old version is Deprecated", stage.dmp_status(first.uid) == "Deprecated")
    row.promise("the mail says C", all(mail.action == "C" for mail in stage.mails(second.uid)))
    yield row

    (sent,) = await stage.send(stage.maker.message(second, action="delete", recipients=[doctor]))
    row = _row(N_("suppression"), N_("DMP, médecin"), sent)
    await _settle(stage, row, second.uid, status="Deleted", answers=["Z01 Y", "Z02 Y"], mails=2)
    row.promise("the mail says D", [mail.action for mail in stage.mails(second.uid)] == ["C", "D"])
    yield row


async def no_dmp(stage: Stage) -> AsyncIterator[Row]:
    """A patient without a DMP: the doctor has his mail, the sender is told."""
    patient = stage.patient()
    stage.world.dmp.patient(str(patient.ins), "none")
    letter = stage.maker.document("letter", patient)
    (sent,) = await stage.send(stage.maker.message(letter, event="MDM", recipients=[stage.recipient()]), feed="ris")
    row = _row(N_("sans DMP"), N_("DMP, médecin"), sent)
    await _settle(stage, row, letter.uid, answers=["Z01 N XDSUnknownPatientId", "Z02 Y"], mails=1)
    yield row


async def ame(stage: Stage) -> AsyncIterator[Row]:
    """Somebody of the AME, without INS: a letter to the GP, nothing else, and no INS anywhere."""
    patient = stage.patient(ins=False)
    letter = stage.maker.document("letter", patient)
    message = stage.maker.message(letter, event="MDM", dmp=False, recipients=[stage.recipient()])
    (sent,) = await stage.send(message, feed="ris")
    row = _row(N_("AME, sans INS"), N_("médecin"), sent)
    await _settle(stage, row, letter.uid, answers=["Z02 Y"], mails=1)
    row.promise("X-MSS-INS: N", all(b"\r\nX-MSS-INS: N\r\n" in mail.raw for mail in stage.mails(letter.uid)))
    yield row


async def unqualified(stage: Stage) -> AsyncIterator[Row]:
    """An identity that is not qualified: with the INS in the document nothing leaves; without it, the mail does."""
    patient = stage.patient()
    with_ins = stage.maker.document("biology", patient)
    (sent,) = await stage.send(stage.maker.message(with_ins, pid32=["PROV"]))
    row = _row(N_("INS non qualifiée, dans le CDA"), N_("DMP, médecin"), sent)
    row.promise("AE", row.ack == "AE")
    await _settle(stage, row, with_ins.uid, answers=[], mails=0)
    yield row

    without = stage.maker.document("biology", patient, with_ins=False)
    (sent,) = await stage.send(stage.maker.message(without, pid32=["PROV"], recipients=[stage.recipient()]))
    row = _row(N_("INS non qualifiée"), N_("DMP, médecin"), sent)
    row.promise("AA", row.ack == "AA")
    await _settle(stage, row, without.uid, answers=["Z01 N R45", "Z02 Y"], mails=1)
    yield row


async def outside_the_list(stage: Stage) -> AsyncIterator[Row]:
    """One recipient is outside the liste blanche: he gets nothing, the other one does."""
    report = stage.maker.document("biology", stage.patient())
    outside = Recipient(professional=stage.maker.doctor, address=OUTSIDE)
    (sent,) = await stage.send(stage.maker.message(report, recipients=[outside, stage.recipient()]))
    row = _row(N_("hors liste blanche"), N_("DMP, 2 médecins"), sent)
    await _settle(stage, row, report.uid, status="Approved", answers=["Z01 Y", "Z02 Y", "Z02 N 510"], mails=1)
    row.promise("no mail ever left to it", not stage.mails(to=OUTSIDE))
    yield row


async def found_by_rpps(stage: Stage) -> AsyncIterator[Row]:
    """The sender knows the RPPS and no address: the mailbox is the one that the annuaire publishes."""
    report = stage.maker.document("letter", stage.patient())
    known = replace(stage.maker.doctor, id=f"8{KNOWN_RPPS}")
    (sent,) = await stage.send(stage.maker.message(report, event="MDM", recipients=[Recipient(professional=known)]))
    row = _row(N_("adresse par l'annuaire"), N_("DMP, RPPS"), sent)
    await _settle(stage, row, report.uid, status="Approved", answers=["Z01 Y", "Z02 Y"], mails=1)
    row.promise("the mailbox of this RPPS", stage.mails(report.uid, to=PEOPLE[0].boxes[0].address))
    yield row


async def without_pdf(stage: Stage) -> AsyncIterator[Row]:
    """A document that holds no PDF: the doctor gets one made of its text, and the DMP the document as it is."""
    report = stage.maker.document("biology", stage.patient(), with_pdf=False)
    (sent,) = await stage.send(stage.maker.message(report, recipients=[stage.recipient()]))
    row = _row(N_("document sans PDF"), N_("DMP, médecin"), sent)
    await _settle(stage, row, report.uid, status="Approved", answers=["Z01 Y", "Z02 Y"], mails=1)
    row.promise("a PDF/A in the mail", all(_pdfa(mail.raw) for mail in stage.mails(report.uid)))
    yield row


def _pdfa(raw: bytes) -> bool:
    """Whether a mail has one PDF, and it says that it is PDF/A."""
    parts = email.message_from_bytes(raw, policy=email.policy.default).iter_attachments()
    pdfs = [part.get_content() for part in parts if part.get_content_type() == "application/pdf"]
    return len(pdfs) == 1 and claimed(pdfs[0]).startswith("PDF/A-")


async def left_out(stage: Stage) -> AsyncIterator[Row]:
    """The new version goes to another doctor: who has the old one is told, without a word of the new one."""
    before, after = stage.recipient(), stage.recipient()
    first = stage.maker.document("biology", stage.patient())
    (sent,) = await stage.send(stage.maker.message(first, dmp=False, recipients=[before]))
    await stage.until(lambda: stage.answers(sent.control_id) == ["Z02 Y"], WAIT)
    second = stage.maker.replacement(first)
    (sent,) = await stage.send(stage.maker.message(second, dmp=False, recipients=[after]))
    row = _row(N_("ancien destinataire"), N_("un autre médecin"), sent)
    await _settle(stage, row, second.uid, answers=["Z02 Y"], mails=1)
    await stage.until(lambda: len(stage.mails(to=before.address)) == 2, WAIT)
    told = stage.mails(to=before.address)[-1]
    row.mail += ", " + _("avis à l'ancien")
    row.promise("a notice to the earlier recipient", len(stage.mails(to=before.address)) == 2)
    row.promise("no document in it", not told.documents and b"attachment" not in told.raw)
    yield row


async def mailbox_full(stage: Stage) -> AsyncIterator[Row]:
    """A mailbox is full for good: a dead letter, and the sender is told; the DMP has the document."""
    doctor = stage.recipient()
    stage.world.mssante.refuse(doctor.address, 552, "5.2.2", "mailbox full")
    report = stage.maker.document("imaging", stage.patient(), size=40_000)
    (sent,) = await stage.send(stage.maker.message(report, event="MDM", recipients=[doctor]), feed="ris")
    row = _row(N_("boîte du médecin pleine"), N_("DMP, médecin"), sent)
    await _settle(stage, row, report.uid, status="Approved", answers=["Z01 Y", "Z02 N 552"], mails=0)
    yield row


async def wrong_patient(stage: Stage) -> AsyncIterator[Row]:
    """Filed under the wrong patient, and deleted while its mail is still being retried: the mail never leaves."""
    doctor = stage.recipient()
    stage.world.mssante.refuse(doctor.address, 450, "4.7.1", "try later", count=1)
    await stage.world.dmp.outage()
    report = stage.maker.document("biology", stage.patient(), size=30_000)
    (wrong,) = await stage.send(stage.maker.message(report, recipients=[doctor]))
    await stage.until(lambda: False, 0.8)
    (sent,) = await stage.send(stage.maker.message(report, action="delete", recipients=[doctor]))
    await stage.until(lambda: False, 0.5)
    await stage.world.dmp.restore()
    row = _row(N_("mauvais patient : l'envoi"), N_("DMP, médecin"), wrong)
    await stage.until(lambda: len(stage.answers(wrong.control_id)) >= 2 and stage.answers(sent.control_id), WAIT)
    published = [one for one in stage.world.dmp.received if one.transaction == "TD2.1" and report.uid in one.documents]
    row.dmp = _("jamais déposé") if not published else _("déposé")
    row.back = ", ".join(stage.answers(wrong.control_id)) or "-"
    row.promise("it never reached the DMP", not published)
    row.promise(
        "the sender is told twice N", [a[:5] for a in sorted(stage.answers(wrong.control_id))] == ["Z01 N", "Z02 N"]
    )
    yield row
    row = _row(N_("mauvais patient : la suppression"), N_("DMP, médecin"), sent)
    to = doctor.address
    await stage.until(lambda: len(stage.mails(to=to)) >= 1 and len(stage.answers(sent.control_id)) >= 2, WAIT)
    row.mail = ", ".join(f"{_who(mail)} ({_('avis')})" for mail in stage.mails(to=to)) or "-"
    row.back = ", ".join(stage.answers(sent.control_id)) or "-"
    named = [(mail.documents, mail.named) for mail in stage.mails(to=to)]
    row.promise("the only mail is a notice without the document", named == [((), (report.uid,))])
    yield row


async def dmp_down(stage: Stage) -> AsyncIterator[Row]:
    """The DMP is down for a while: the mail does not wait for it, nothing is given up, it is fed when it returns."""
    await stage.world.dmp.outage()
    report = stage.maker.document("biology", stage.patient(), size=50_000)
    (sent,) = await stage.send(stage.maker.message(report, recipients=[stage.recipient()]))
    row = _row(N_("DMP en panne"), N_("DMP, médecin"), sent)
    early = await stage.until(lambda: stage.answers(sent.control_id) == ["Z02 Y"], WAIT)
    row.promise("the mail left while the DMP was down", early)
    row.promise("nothing is told of the DMP yet", not stage.dmp_status(report.uid))
    await stage.world.dmp.restore()
    await _settle(stage, row, report.uid, status="Approved", answers=["Z02 Y", "Z01 Y"], mails=1)
    yield row


async def unreadable(stage: Stage) -> AsyncIterator[Row]:
    """A document cut on its way: AE, with the field, and nothing leaves."""
    report = stage.maker.document("biology", stage.patient())
    (sent,) = await stage.send(stage.maker.message(report, payload=["PENsaW5pY2FsRG9jdW1lbnQ+A"]))
    row = _row(N_("illisible"), N_("DMP, médecin"), sent)
    row.promise("AE", row.ack == "AE")
    row.promise("the field is named", b"OBX^1^5^1^5" in (sent.ack or b""))
    await _settle(stage, row, report.uid, answers=[], mails=0)
    yield row


async def twice(stage: Stage) -> AsyncIterator[Row]:
    """The same message twice: the same ACK, one deposit, one mail."""
    report = stage.maker.document("biology", stage.patient())
    message = stage.maker.message(report, recipients=[stage.recipient()])
    (first,) = await stage.send(message)
    row = _row(N_("envoyé deux fois"), N_("DMP, médecin"), first)
    await _settle(stage, row, report.uid, status="Approved", answers=["Z01 Y", "Z02 Y"], mails=1)
    (second,) = await stage.send(message)
    row.promise("the stored ACK", first.ack == second.ack)
    await stage.until(lambda: False, 0.5)
    row.promise("one mail", len(stage.mails(report.uid)) == 1)
    sets = [one for one in stage.world.dmp.received if one.transaction == "TD2.1" and report.uid in one.documents]
    row.promise("one deposit", len(sets) == 1)
    yield row


async def opposed(stage: Stage) -> AsyncIterator[Row]:
    """The admission says that the patient is opposed to his DMP: not fed, told, the mail goes on."""
    patient = stage.patient()
    await stage.send(stage.maker.adt("A31", patient, opposition="IO"), feed="gam")
    await stage.until(lambda: False, 0.7)
    report = stage.maker.document("biology", patient)
    (sent,) = await stage.send(stage.maker.message(report, recipients=[stage.recipient()]))
    row = _row(N_("opposition (ADT)"), N_("DMP, médecin"), sent)
    await _settle(stage, row, report.uid, answers=["Z01 N OPPOSITION", "Z02 Y"], mails=1)
    yield row


async def killed(stage: Stage) -> AsyncIterator[Row]:
    """kill -9 of the whole router in the middle of thirty documents: nothing lost, nothing twice."""
    reports = [stage.maker.document("biology", stage.patient(), size=20_000) for _ in range(30)]
    messages = [stage.maker.message(report, recipients=[stage.recipient()]) for report in reports]
    sending = stage.send(*messages, connections=4)
    task = asyncio.ensure_future(sending)
    await stage.until(lambda: sum(bool(stage.mails(report.uid)) for report in reports) >= 5, WAIT)
    await stage.kill()
    await stage.until(lambda: False, 0.3)
    await stage.start()
    sent = await task
    row = Row(
        "kill -9",
        N_("30 × DMP, médecin"),
        f"{sent[0].control_id}…",
        ack="AA" if all(s.code == "AA" for s in sent) else "?",
    )
    row.promise("every message was acknowledged", row.ack == "AA")
    await stage.until(
        lambda: all(
            stage.dmp_status(report.uid) == "Approved" and len(set(_ids(stage, report.uid))) == 1 for report in reports
        ),
        40,
    )
    approved = sum(stage.dmp_status(report.uid) == "Approved" for report in reports)
    mailed = sum(bool(stage.mails(report.uid)) for report in reports)
    again = sum(len(stage.mails(report.uid)) > 1 for report in reports)
    row.dmp = plural("{count} déposé", "{count} déposés", approved)
    repeated = plural("{count} répété (même Message-ID)", "{count} répétés (même Message-ID)", again)
    row.mail = f"{plural('{count} remis', '{count} remis', mailed)}, {repeated}"
    row.promise("30 deposits", approved == len(reports))
    row.promise("30 mails", mailed == len(reports))
    row.promise("a repeated mail has the same Message-ID", all(len(set(_ids(stage, r.uid))) == 1 for r in reports))
    accepted: dict[str, int] = {}
    for one in stage.world.dmp.received:
        if one.transaction == "TD2.1" and one.ok:
            accepted |= {uid: accepted.get(uid, 0) + 1 for uid in one.documents}
    row.promise("no document deposited twice", all(accepted.get(r.uid, 0) == 1 for r in reports))
    yield row


def _ids(stage: Stage, uid: str) -> list[str]:
    return [mail.message_id for mail in stage.mails(uid)]


SCENES: Final[tuple[Scene, ...]] = (
    life_of_a_document,
    no_dmp,
    ame,
    unqualified,
    outside_the_list,
    found_by_rpps,
    without_pdf,
    left_out,
    mailbox_full,
    wrong_patient,
    dmp_down,
    unreadable,
    twice,
    opposed,
    killed,
)
