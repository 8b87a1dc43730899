"""The simulated DMP: HTTPS with client certificates, its transactions, its bad days, and what it received."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import time
from dataclasses import asdict
from types import TracebackType
from typing import Any, Final, Literal, Self

from cryptography import x509

from router.simulators.control import control_server
from router.simulators.dmp import certificate, counting, soap, vihf
from router.simulators.dmp.asked import Asked, Meant, documents_of
from router.simulators.dmp.config import DmpConfig, Received
from router.simulators.dmp.refusals import Fault, RegistryError
from router.simulators.dmp.registry import Document, PatientState, Registry
from router.simulators.dmp.table import TRANSACTIONS, Transaction
from router.simulators.dmp.transactions import SUCCESS, Desk, Result, failure
from router.simulators.http import HttpServer, Request, Response
from router.simulators.script import Planned, Script, pseudonym

BASE_PATH: Final = "/si-dmp-server/v2/services"
_SUITES: Final = (
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)

_TROUBLE: Final = (
    *("outage", "restore", "reset", "delay", "refuse", "fault", "http_status", "status", "cut"),
    *("patient", "existence", "touch", "disown", "own"),
)


class DmpSimulator:
    """`async with DmpSimulator(config) as dmp:` listens on `dmp.port` until the block ends.

    `documents` and `received` tell what arrived; `outage`, `delay`, `refuse`, `fault`, `http_status`, `cut`,
    `patient`, `touch` and `disown` make trouble. The control port offers the same as JSON commands.
    """

    def __init__(self, config: DmpConfig | None = None) -> None:
        self.config = config or DmpConfig()
        self.registry = Registry(patients=dict(self.config.patients))
        self.received: list[Received] = []
        self._script: Script[Asked] = Script()
        self._faults = 0
        self._disowned: set[str] = set()
        self._restore: asyncio.Task[None] | None = None
        authority = self._authority()
        trust = vihf.Trust(authority, self.config.structures, self.config.vihf_max_age, self.config.clock_skew)
        self._trust = trust
        self._desk = Desk(
            self.registry, trust, self.config.keep_content, self.config.deleted_visible, self.config.checks
        )
        self._server = HttpServer(self._handle, host=self.config.host, port=self.config.port, context=self._context())
        self._control = (
            control_server(self._commands(), self.config.control_port) if self.config.control_port is not None else None
        )

    # ------------------------------------------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when a port is taken."""
        await self._server.start()
        if self._control is not None:
            await self._control.start()

    async def stop(self) -> None:
        if self._restore is not None:
            self._restore.cancel()
        await self._server.stop()
        if self._control is not None:
            await self._control.stop()

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def control_port(self) -> int:
        return self._control.port if self._control is not None else 0

    @property
    def url(self) -> str:
        """What a client is configured with; the transactions are below it."""
        scheme = "https" if self.config.certificates else "http"
        return f"{scheme}://{self.config.host}:{self.port}{BASE_PATH}"

    @property
    def documents(self) -> dict[str, Document]:
        """By uniqueId, in order of arrival."""
        return self.registry.documents

    def _authority(self) -> x509.Certificate | None:
        found = self.config.certificates
        return x509.load_pem_x509_certificate(found.ca.read_bytes()) if found else None

    def _context(self) -> ssl.SSLContext | None:
        if self.config.certificates is None:
            return None
        context = self.config.certificates.server_context(tls12_only=True)
        context.set_ciphers(_SUITES)
        return context

    # ----------------------------------------------------------------------------------------------- trouble

    async def outage(self, seconds: float | None = None) -> None:
        """Refuse connections, for some seconds or until `restore`."""
        await self._server.stop()
        if seconds is not None:
            self._restore = asyncio.get_running_loop().create_task(self._restore_after(seconds))

    async def restore(self) -> None:
        if not self._server.listening:
            await self._server.start()

    async def _restore_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.restore()

    def delay(self, seconds: float, count: int | None = None, transaction: str = "") -> None:
        """Answer that much later, the next `count` calls (None: until reset) of a transaction ("": all)."""
        self._script.plan("delay", count=count, matches=Meant(transaction), seconds=seconds)

    def refuse(
        self,
        code: str,
        count: int | None = 1,
        transaction: str = "",
        context: str = "",
        document: str = "",
        skip: int = 0,
    ) -> None:
        """Refuse the next calls with an XDS or DMP error code, without any effect.

        document: only calls about this uniqueId. skip: so many such calls go by first.
        """
        meant = Meant(transaction, document, skip)
        self._script.plan("refuse", count=count, matches=meant, code=code, context=context)

    def fault(
        self, text: str, subcode: str = "", role: str = "Sender", count: int | None = 1, transaction: str = ""
    ) -> None:
        """Answer the next calls with a SOAP fault, without any effect."""
        self._script.plan("fault", count=count, matches=Meant(transaction), text=text, subcode=subcode, role=role)

    def http_status(
        self,
        status: int,
        count: int | None = 1,
        transaction: str = "",
        when: Literal["before", "after"] = "before",
        body: str = "<html><body>Service indisponible</body></html>",
    ) -> None:
        """Answer the next calls with a bare HTTP status and an HTML page, before the work is done or after it."""
        self._script.plan(f"http-{when}", count=count, matches=Meant(transaction), status=status, body=body)

    def cut(
        self, when: Literal["before", "after"], count: int | None = 1, transaction: str = "", document: str = ""
    ) -> None:
        """Cut the connection before the work is done, or after it and before the answer (then of one document too)."""
        self._script.plan(f"cut-{when}", count=count, matches=Meant(transaction, document))

    def status(self, status: str, count: int | None = 1, transaction: str = "TD2.1") -> None:
        """Do the work and answer with this ebXML status, e.g. PartialSuccess."""
        self._script.plan("status", count=count, matches=Meant(transaction), status=status)

    def patient(self, matricule: str, state: PatientState) -> None:
        """Open, close or remove somebody's DMP."""
        self.registry.patients[matricule] = state

    def existence(self, matricule: str, state: PatientState) -> None:
        """What TD0.2 says of somebody's DMP, whatever TD2.1 does."""
        self.registry.told[matricule] = state

    def touch(self, unique_id: str, status: str = "") -> None:
        """What a doctor may do in the DMP meanwhile: the document gets a new entryUUID, and perhaps a status."""
        self.registry.touch(unique_id, status)

    def disown(self, identity: str) -> None:
        """Reject the VIHF of a structure (Struct_IdNat) or of one sender (NameID), until `own`."""
        self._disowned.add(identity)

    def own(self, identity: str) -> None:
        """Know it again."""
        self._disowned.discard(identity)

    async def reset(self, *, everything: bool = False) -> None:
        """End all trouble; with `everything` also forget what was received."""
        self._script.reset()
        self._disowned.clear()
        await self.restore()
        if everything:
            self.received.clear()
            self.registry.documents.clear()
            self.registry.sets.clear()
            self.registry.patients = dict(self.config.patients)

    # ------------------------------------------------------------------------------------------------ a call

    async def _handle(self, request: Request) -> Response | None:
        at = time.time()
        if self.config.dump is not None:
            name = f"{len(self.received) + 1:06d}.request"
            (self.config.dump / name).write_bytes(request.body)
        transaction = _transaction(request)
        asked = Asked(transaction)
        if (delay := self._script.take(asked, "delay")) is not None:
            await asyncio.sleep(float(delay.arguments["seconds"]))
        if self._script.take(asked, "cut-before") is not None:
            return None
        if (status := self._script.take(asked, "http-before")) is not None:
            return _page(status)
        return await self._answer(request, transaction, at)

    async def _answer(self, request: Request, transaction: Transaction | None, at: float) -> Response | None:
        relates = ""
        try:
            if self.config.checks == "none" and transaction is not None and transaction.name == "TD2.1":
                (result, relates), structure = counting.count(request.body), ""
            else:
                call = soap.read_call(request.headers.get("content-type", ""), request.body)
                relates = call.message_id
                transaction = TRANSACTIONS.get(call.action)
                result, structure = self._work(request, call)
        except Fault as fault:
            self._note(at, transaction, Result("", ok=False), "", answered=True, fault=fault)
            return self._fault(fault, transaction, relates)
        asked = Asked(transaction, frozenset(result.documents))
        cut = self._script.take(asked, "cut-after") is not None
        page = self._script.take(asked, "http-after")
        self._note(at, transaction, result, structure, answered=not cut and page is None)
        if cut:
            return None
        if page is not None:
            return _page(page)
        if (status := self._script.take(asked, "status")) is not None:
            result.body = result.body.replace(SUCCESS, str(status.arguments["status"]))
        action = transaction.response if transaction else ""
        body = soap.envelope(action, relates, result.body)
        if self.config.multipart == "always":
            kind, body = soap.multipart(body)
            return Response(200, body, kind)
        return Response(200, body, f'application/soap+xml; charset=UTF-8; action="{action}"')

    def _work(self, request: Request, call: soap.Call) -> tuple[Result, str]:
        known = TRANSACTIONS.get(call.action)
        path = request.path.partition("?")[0]
        if known is None or path != f"{BASE_PATH}/{known.path}":
            raise Fault("action inconnue de ce service")
        if known.mtom != call.mtom:
            raise Fault("MTOM attendu" if known.mtom else "MTOM inattendu")
        asked = Asked(known, documents_of(call, self.registry))
        if (planned := self._script.take(asked, "fault")) is not None:
            told = planned.arguments
            raise Fault(str(told["text"]), str(told["subcode"]), str(told["role"]))
        now = dt.datetime.now(dt.UTC)
        shown = certificate.load(request.certificate) if request.certificate else None
        look = vihf.peek if self.config.checks == "none" else vihf.check
        said = look(call.assertion, self._trust, now, shown)
        if not self._disowned.isdisjoint({said.structure, said.name_id}):
            raise Fault("Erreur d'authentification de la personne morale")
        if (planned := self._script.take(asked, "refuse")) is not None:
            errors = (RegistryError(str(planned.arguments["code"]), str(planned.arguments["context"])),)
            body = failure(errors, query=known.name == "TD3.1b")
            return Result(body, ok=False, patient=said.patient, errors=errors), said.structure
        return self._desk.run(known.name, call, said, now), said.structure

    def _fault(self, fault: Fault, transaction: Transaction | None, relates: str) -> Response:
        action = transaction.response if transaction else f"{soap.WSA}/fault"
        body = soap.envelope(action, relates, soap.fault_body(fault))
        self._faults += 1
        often = self.config.multipart
        if often == "always" or (often == "faults" and self._faults % 2 == 0):
            kind, body = soap.multipart(body)
            return Response(500, body, kind)
        return Response(500, body, "application/soap+xml; charset=UTF-8")

    def _note(
        self,
        at: float,
        transaction: Transaction | None,
        result: Result,
        structure: str,
        *,
        answered: bool,
        fault: Fault | None = None,
    ) -> None:
        code, context = (fault.subcode or "Fault", fault.text) if fault else ("", "")
        if result.errors:
            code, context = result.errors[0].code, "; ".join(one.context for one in result.errors)
        self.received.append(
            Received(
                len(self.received) + 1,
                at,
                transaction.name if transaction else "",
                result.ok,
                code,
                context,
                result.set_id,
                result.documents,
                result.replaced,
                pseudonym(result.patient[:15]) if result.patient else "",
                structure,
                pseudonym(result.author) if result.author else "",
                answered,
            )
        )

    # ----------------------------------------------------------------------------------------------- control

    def _commands(self) -> dict[str, Any]:
        return {
            "documents": lambda: [one.shown() for one in self.documents.values()],
            "received": lambda since=0: [asdict(one) for one in self.received[since:]],
            "url": lambda: self.url,
            **{name: getattr(self, name) for name in _TROUBLE},
        }


def _page(planned: Planned[Asked]) -> Response:
    """The HTTP answer that was planned, without SOAP."""
    return Response(int(planned.arguments["status"]), str(planned.arguments["body"]).encode(), "text/html")


def _transaction(request: Request) -> Transaction | None:
    """The transaction a request says it is, from its Content-Type: enough to script it before it is read."""
    kind = request.headers.get("content-type", "")
    return next((one for action, one in TRANSACTIONS.items() if f'"{action}"' in kind), None)
