"""The DMP sink: what it promises is in `router.contracts.Sink`, what it does for a delivery in `job`.

Set and signature identifiers derive from the delivery's id, so a repeat is the same lot again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from router.contracts import Attempt, Outcome
from router.errors import OperatorFault, Refused
from router.exchange import Delivery
from router.payload import reply_context, unpack, unpack_order
from router.request import Action
from router.sinks.dmp import vihf
from router.sinks.dmp.channel import Channel, Pace
from router.sinks.dmp.credentials import Watched, load_identity, load_seal
from router.sinks.dmp.deleting import Deletion
from router.sinks.dmp.dialogue import Dialogue, DmpClient
from router.sinks.dmp.existence import UNEXPLAINED, Existences
from router.sinks.dmp.identities import Identities
from router.sinks.dmp.job import LARGE, Job, SinkContext
from router.sinks.dmp.preflight import Case, Moment, check, doubts
from router.sinks.dmp.safety import unsafe
from router.sinks.dmp.settings import LEG, DmpConfig
from router.sinks.dmp.verdicts import Verdicts
from router.sinks.tools import Tools
from router.structures import StructureConfig
from router.xds import metadata
from router.xds.tables import tables

T = TypeVar("T")


class DmpSink:
    """Feeds the DMP for one structure. Lives on one event loop."""

    def __init__(self, name: str, config: DmpConfig, tools: Tools) -> None:
        """Raises `OperatorFault`: a certificate can't be used, or production and qualification would mix (D9)."""
        for found in unsafe(config, tools.environment):
            raise OperatorFault(found.code, found.key, found.text)
        self.name = name
        self.on_unknown: Literal["verify", "repeat", "hold"] = config.on_unknown
        self._config = config
        self._tools = tools
        monotonic = tools.clock.monotonic
        sign = (config.sign.certificate, config.sign.key)
        auth = (config.auth.certificate, config.auth.key, config.server_ca, config.crl)
        self._seal = Watched(sign, partial(load_seal, config.sign), monotonic, f"{name} sign")
        self._identity = Watched(auth, partial(load_identity, config), monotonic, f"{name} auth")
        self._channel = Channel(config, self._identity, tools.clock.now)
        self._client = DmpClient(
            config, self._channel, Verdicts(config.verdicts), self._seal.get, tools.clock.now, tools.keeper
        )
        self._identities = Identities(monotonic)
        self._existences = Existences(tools.clock)
        self._slots = asyncio.Semaphore(config.connections)
        self._context = SinkContext(
            name,
            config,
            tools,
            tables(config.tables),
            ZoneInfo(config.naive_time) if config.naive_time else None,
            Pace(
                config.max_per_second, monotonic, turns=tools.turns, software=f"{config.url}|{config.lps.homologation}"
            ),
            asyncio.Lock(),
        )

    async def deliver(self, delivery: Delivery, attempt: Attempt) -> Outcome:
        """Check at the moment of sending, then make the transactions of the action.

        Only as many at once as there are connections, so that memory is bounded.
        """
        async with self._slots:
            attempt.recheck()
            return await self._believed(self._deliver, self._job(delivery, attempt))

    async def _believed(self, work: Callable[[Job], Awaitable[T]], job: Job) -> T:
        """Do it in the name of the job's structure; a rejected identity is ours only if a good one is rejected too."""
        self._own(job.structure)
        try:
            done = await work(job)
        except OperatorFault as fault:
            raise await self._identities.judge(job.dialogue, job.structure, fault) from fault
        self._identities.accepted(job.dialogue)
        return done

    def _own(self, structure: StructureConfig) -> None:
        """Raises `OperatorFault` `DMP-CERT-STRUCTURE`: a certificate in use is another structure's (decisions D11)."""
        for what, named in (("sign", self._seal.get().structure), ("auth", self._identity.get().structure)):
            if named and named != structure.id_nat:
                raise OperatorFault("DMP-CERT-STRUCTURE", what, "ce certificat est celui d'une autre structure")

    async def _deliver(self, job: Job) -> Outcome:
        moment = Moment(
            self._config, self._context.codes, self._tools.environment, self._tools.clock.now(), self._tools.value_sets
        )
        if sum(map(len, job.case.documents)) > LARGE:  # the bytes are hashed
            await asyncio.to_thread(check, job.case, moment)
            job.attempt.recheck()
        else:
            check(job.case, moment)
        _ = job.structure  # nothing is signed in the name of a structure that the site does not know (D11)
        if job.case.request.action is Action.DELETE:
            return await Deletion(job).delete()
        outcome = await self._fed(job)
        doubt = doubts(job.case, moment)
        return replace(outcome, text=" ; ".join(filter(None, (outcome.text, doubt)))) if doubt else outcome

    async def _fed(self, job: Job) -> Outcome:
        if self._config.preflight == "off":
            return await job.feed()
        production = self._tools.environment == "production"
        why = await self._existences.ask(job.dialogue, job.patient, job.structure.source_oid, production=production)
        try:
            return await job.feed()
        except Refused as refusal:
            raise (why if why is not None and refusal.code in UNEXPLAINED else refusal) from None

    async def verify(self, delivery: Delivery, attempt: Attempt) -> Outcome | None:
        """TD3.1b, after the delay that the DMP needs to show what it took (dmp §5.5).

        A document that is found was fed. For a deletion one that is found was not deleted, as far as we can see.
        """
        await asyncio.sleep(self._config.visibility_delay)
        async with self._slots:
            return await self._believed(self._verify, self._job(delivery, attempt))

    async def _verify(self, job: Job) -> Outcome | None:
        _ = job.structure
        if job.case.request.action is Action.DELETE:
            return None if await Deletion(job).still_shown() else job.done("Deleted", "suppression vérifiée par TD3.1b")
        found = [await job.dialogue.find(header.uid) for header in job.case.request.documents]
        return job.done("Success", "dépôt vérifié par TD3.1b") if all(found) else None

    def context(self, delivery: Delivery) -> Mapping[str, str]:
        """What feedback answers with."""
        return reply_context(unpack_order(delivery.payload), LEG)

    async def probe(self) -> None:
        """Connect with our certificate and ask for anything."""
        await self._channel.probe(self._config.url + self._config.repository)

    async def close(self) -> None:
        await self._channel.close()

    def _job(self, delivery: Delivery, attempt: Attempt) -> Job:
        order, documents = unpack(delivery.payload)
        request, structure = order.request, order.structure
        dialogue = Dialogue(
            client=self._client,
            delivery_id=delivery.id,
            request=request,
            speaker=vihf.subject(request.sender, structure, self._config.vihf, self._config.lps, request.documents),
            sector=structure.sector if structure else StructureConfig.model_fields["sector"].default,
            patient_cx=metadata.patient_id(request) if request.patient.ins else "",
            attempt=attempt.number,
            unknown=attempt.unknown,
            patient=self._tools.pseudonyms.of("ins", request.patient.ins.value) if request.patient.ins else "",
            event_id=delivery.event_id,
        )
        return Job(self._context, delivery, attempt, Case(order, documents), dialogue)
