"""One conversation with the DMP about one delivery: each call gets its own VIHF, built last, and a read answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from router.contracts.keeping import Keeper, KeepsNothing, Kept, Kind
from router.contracts.spoken import Answer, saying
from router.errors import OperatorFault, OutcomeUnknown, RouterError, Unavailable
from router.request import TransmissionRequest
from router.sinks.dmp import answers, soap, transactions, vihf
from router.sinks.dmp.answers import Existence, HttpAnswer, RegistryAnswer, RegistryError, Unreadable
from router.sinks.dmp.channel import Channel
from router.sinks.dmp.credentials import Seal
from router.sinks.dmp.said import without_values
from router.sinks.dmp.settings import DmpConfig
from router.sinks.dmp.soap import Attachment
from router.sinks.dmp.transactions import Transaction
from router.sinks.dmp.verdicts import TRIES, UNKNOWN_TEXT, Verdicts, code_of, http_fault

_FILE: Final = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, slots=True)
class DmpClient:
    """What every conversation of a sink shares."""

    config: DmpConfig
    channel: Channel
    verdicts: Verdicts
    seal: Callable[[], Seal]
    now: Callable[[], float]
    keeper: Keeper = field(default_factory=KeepsNothing)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """For one delivery: who speaks, for which patient. `attempt` counts from 1."""

    client: DmpClient
    delivery_id: str
    request: TransmissionRequest = field(repr=False)
    speaker: vihf.Subject = field(repr=False)
    sector: str
    patient_cx: str = field(repr=False)
    attempt: int
    patient: str = ""
    """Pseudonym of the INS, for the traces."""
    unknown: bool = False
    """Whether an earlier attempt has an unknown outcome: the row says so already."""
    event_id: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    """Transaction -> digest of the last request that was kept of it."""

    def seal(self) -> Seal:
        """Our signature certificate. Raises `OperatorFault` `DMP-CERT-SIGN` outside its dates."""
        seal, now = self.client.seal(), self.client.now()
        if not seal.begins <= now < seal.expires:
            raise OperatorFault("DMP-CERT-SIGN", "sign", "certificat de signature hors de ses dates de validité")
        return seal

    async def registry(
        self,
        transaction: Transaction,
        body: str,
        attachments: Sequence[Attachment] = (),
        *,
        submission_set: str = "",
        document: str = "",
    ) -> RegistryAnswer:
        """A transaction of the registry or repository. A SOAP fault is given as the error of its code.

        submission_set, document: uniqueId of what it is about, for the traces
        Raises what `send` raises, and what the verdict of a retryable or configuration error is.
        """
        with self._said(transaction, submission_set, document) as said:
            answer, spoken = await self.send(transaction, body, attachments)
            read = self._registry(transaction, answer, spoken)
            said.ok = read.ok
            said.answer = " ".join([f"HTTP {answer.status}", "Success" if read.ok else "Failure", *_codes(read)])
        return read

    def _registry(self, transaction: Transaction, answer: HttpAnswer, spoken: answers.Envelope) -> RegistryAnswer:
        if spoken.fault is not None:
            code = code_of(spoken.fault)
            if self.client.verdicts.of(code) in ("config", "retry", "limited"):
                told = self.unknown and self.attempt >= TRIES
                unsure = transaction.feeding and not told
                raise self.client.verdicts.fault(code, transaction.name, self.attempt, unsure=unsure)
            return RegistryAnswer(False, (RegistryError(code, warning=False),))
        try:
            read = answers.registry(spoken.payload)
        except Unreadable as error:
            raise http_fault(answer, transaction.name, feeding=transaction.feeding, html=error.html) from error
        if transaction.feeding and read.unclear:
            raise OutcomeUnknown("DMP-PARTIAL", transaction.name, UNKNOWN_TEXT)
        if not read.ok and self.client.verdicts.of(self.worst(read)) == "config":
            raise self.client.verdicts.fault(self.worst(read), transaction.name, self.attempt)
        return read

    async def find(self, unique_id: str) -> tuple[str, ...]:
        """TD3.1b: the entryUUIDs of a document; () when the DMP doesn't have it."""
        answer = await self.registry(transactions.FIND, transactions.get_documents(unique_id), document=unique_id)
        if not answer.ok:
            raise self.refusal(answer, transactions.FIND.name)
        return answer.references

    async def exists(self, sender_oid: str, *, production: bool) -> Existence:
        """TD0.2 for the patient of the request, whose INS has been checked."""
        patient = self.request.patient.ins
        if patient is None:
            return Existence("NF", "")
        body = transactions.test_existence(patient, sender_oid=sender_oid, now=self.client.now(), production=production)
        with self._said(transactions.EXISTS) as said:
            answer, spoken = await self.send(transactions.EXISTS, body)
            if spoken.fault is not None:
                raise self.client.verdicts.fault(code_of(spoken.fault), transactions.EXISTS.name, self.attempt)
            said.answer = f"HTTP {answer.status}"
            try:
                return answers.existence(spoken.payload)
            except Unreadable as error:
                raise http_fault(answer, transactions.EXISTS.name, feeding=False, html=error.html) from error

    def _said(
        self, transaction: Transaction, submission_set: str = "", document: str = ""
    ) -> AbstractContextManager[Answer]:
        """One transaction, for the traces."""
        config = self.client.config
        facts = {"iti": transaction.iti, "submission_set": submission_set, "document": document}
        facts |= {"patient": self.patient, "structure": self.speaker.structure}
        request = " ".join(f"{name}={facts[name]}" for name in ("submission_set", "document") if facts[name])
        kept = {name: value for name, value in facts.items() if value}
        url = config.url + getattr(config, transaction.service)
        return saying("dmp", url, self.speaker.id, transaction.name, request, kept)

    async def send(
        self, transaction: Transaction, body: str, attachments: Sequence[Attachment] = ()
    ) -> tuple[HttpAnswer, answers.Envelope]:
        """Sign, send, read. Raises `Unavailable`, `OutcomeUnknown`, `OperatorFault`, or `Refused` for an HTTP 4xx."""
        config, name = self.client.config, transaction.name
        url = config.url + getattr(config, transaction.service)
        assertion = vihf.assertion(
            self.request,
            self.speaker,
            patient_cx=self.patient_cx,
            sector=self.sector,
            vihf=config.vihf,
            lps=config.lps,
            seal=self.seal(),
            now=self.client.now(),
        )
        sent = soap.request(url, transaction.action, assertion, body, attachments, mtom=bool(attachments))
        self._keep(name, "request", sent.content_type, sent.parts)
        self.digests[name] = await self._archive(transaction, Kind.SOAP_REQUEST, sent.parts)
        answer = await self.client.channel.call(sent, name, feeding=transaction.feeding)
        with suppress(OSError):  # the copy is for tests; the answer counts
            self._keep(name, "answer", answer.content_type, (answer.body,))
        with suppress(Unavailable):  # the effect has happened: that its answer is not kept undoes nothing
            await self._archive(transaction, Kind.SOAP_ANSWER, (answer.body,))
        try:
            if answer.status in (429, 503):
                raise Unreadable
            spoken = answers.envelope(answer)
        except Unreadable as error:
            raise http_fault(answer, name, feeding=transaction.feeding, html=error.html) from error
        if spoken.relates_to and spoken.relates_to != sent.message_id:
            kind: Any = OutcomeUnknown if transaction.feeding else Unavailable
            raise kind("DMP-RELATES-TO", name, UNKNOWN_TEXT)
        return answer, spoken

    def refusal(self, answer: RegistryAnswer, place: str) -> RouterError:
        """The fault of an answer that is no success, with what the DMP says of its code."""
        code = self.worst(answer)
        context = next((one.context for one in answer.errors if one.code == code and one.context), "")
        said = without_values(context, self.request)
        return self.client.verdicts.fault(code, place, self.attempt, said=said)

    def worst(self, answer: RegistryAnswer) -> str:
        """The code that decides when an answer has several: the most telling class first."""
        codes = [one.code for one in answer.errors if not one.warning] or [one.code for one in answer.errors]
        return min(codes, key=lambda code: _TELLING.index(self.client.verdicts.of(code)), default="INCONNU")

    async def _archive(self, transaction: Transaction, kind: Kind, parts: Sequence[bytes | memoryview]) -> str:
        """Hand over what proves a change in the DMP, and what was asked to be sure of it."""
        if transaction is transactions.EXISTS:
            return ""
        one = Kept(delivery_id=self.delivery_id, event_id=self.event_id, kind=kind, name=transaction.name, parts=parts)
        return await self.client.keeper.keep(one)

    def _keep(self, name: str, what: str, content_type: str, parts: Sequence[bytes | memoryview]) -> None:
        """In qualification, what was said as a file: `<delivery>-<transaction>-request.mime`."""
        folder: Path | None = self.client.config.keep
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        kind = "mime" if "multipart" in content_type else "xml"
        head = f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n".encode() if kind == "mime" else b""
        path = folder / f"{self.delivery_id}-{_FILE.sub('-', name.lower())}-{what}.{kind}"
        path.write_bytes(b"".join((head, *parts)))


def _codes(read: RegistryAnswer) -> list[str]:
    return [error.code for error in read.errors][:_CODES]


_CODES: Final = 5
"""Codes of an answer that the traces tell."""
_TELLING: Final = ("business", "config", "permanent", "requery", "duplicate", "retry", "limited", "success")
