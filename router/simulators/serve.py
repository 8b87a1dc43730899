"""Running the simulators in one process: what `segur-router simulate` and the demo call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from router.errors import OperatorFault, Unavailable
from router.language import filled
from router.locks import TurnLock
from router.simulators.annuaire import AnnuaireConfig, AnnuaireSimulator
from router.simulators.authority import Authority, Certificates
from router.simulators.dmp import DmpConfig, DmpSimulator
from router.simulators.hl7_peer import Hl7Peer
from router.simulators.idp import IdpConfig, IdpSimulator
from router.simulators.mssante import MssanteConfig, MssanteSimulator
from router.simulators.sender.people import HOPITAL_A

_TURN_SECONDS = 60.0

Told = Callable[[dict[str, str | int]], None]
"""Is called once with the names and ports of what listens, when everything does."""


@dataclass(slots=True)
class World:
    """Everything outside the router, running."""

    dmp: DmpSimulator
    mssante: MssanteSimulator
    sender: Hl7Peer
    annuaire: AnnuaireSimulator
    certificates: Certificates = field(repr=False)

    def ports(self) -> dict[str, str | int]:
        """Names and ports, to print or to write in a site file."""
        return {
            "dmp": self.dmp.url,
            "dmp_control": self.dmp.control_port,
            "smtp": self.mssante.smtp_port,
            "imap": self.mssante.imap_port,
            "mssante_control": self.mssante.control_port,
            "sender": self.sender.port,
            "sender_control": self.sender.control_port,
            "annuaire": self.annuaire.url,
            "annuaire_control": self.annuaire.control_port,
            "certificates": str(self.certificates.folder),
        }


@asynccontextmanager
async def world(
    folder: Path,
    *,
    dmp: DmpConfig | None = None,
    mssante: MssanteConfig | None = None,
    structures: dict[str, str] | None = None,
) -> AsyncIterator[World]:
    """Start a DMP, an operator, an annuaire, a return endpoint; certificates are made in `folder` for these structures.

    The certificates of `dmp` and `mssante` are their own: leave the arguments out to get ones that share `folder`.
    """
    certificates = ensure_certificates(folder, structures)
    async with AsyncExitStack() as stack:
        yield World(
            await stack.enter_async_context(DmpSimulator(dmp or DmpConfig(certificates=certificates))),
            await stack.enter_async_context(MssanteSimulator(mssante or MssanteConfig(certificates=certificates))),
            await stack.enter_async_context(Hl7Peer()),
            await stack.enter_async_context(AnnuaireSimulator()),
            certificates,
        )


def ensure_certificates(folder: Path, structures: dict[str, str] | None = None) -> Certificates:
    """The certificates in `folder`; those that are missing are made, by the authority that made the others.

    Several processes may ask at once: one makes them. Nothing that is there is replaced. Raises `OperatorFault` for a
    folder with an authority that is not ours, where something is missing.
    """
    wanted = structures or {HOPITAL_A.finess: HOPITAL_A.name}
    folder.mkdir(parents=True, exist_ok=True)
    found = Certificates(folder)
    turn = TurnLock(folder / ".lock")
    try:
        if not turn.take(_TURN_SECONDS):
            raise Unavailable("SIMULATOR-CERTIFICATES", str(folder), "another process makes certificates there")
        missing = found.missing(wanted) if found.ca.exists() else found.names(wanted)
        if missing:
            _make(found, missing, wanted)
    finally:
        turn.close()
    return found


def _make(found: Certificates, missing: list[str], structures: dict[str, str]) -> None:
    authority = Authority.kept(found.folder)
    if authority is None and found.ca.exists():
        text = filled("{name} is missing, and the authority of this folder is not a simulated one", name=missing[0])
        raise OperatorFault("SIMULATOR-CERTIFICATES", str(found.folder), text)
    if authority is None:
        authority = Authority()
        authority.keep(found.folder)
    for name in missing:
        found.issue(authority, name, structures.get(name.partition("-")[0], ""))


async def serve_dmp(config: DmpConfig, told: Told) -> None:
    """Run a DMP until cancelled."""
    async with DmpSimulator(config) as dmp:
        told({"dmp": dmp.url, "dmp_control": dmp.control_port})
        await asyncio.Event().wait()


async def serve_mssante(config: MssanteConfig, told: Told) -> None:
    """Run an MSSanté operator until cancelled."""
    async with MssanteSimulator(config) as operator:
        told(
            {
                "smtp": operator.smtp_port,
                "imap": operator.imap_port,
                "mssante_control": operator.control_port,
            }
        )
        await asyncio.Event().wait()


async def serve_annuaire(config: AnnuaireConfig, told: Told) -> None:
    """Run an annuaire until cancelled."""
    async with AnnuaireSimulator(config) as annuaire:
        told({"annuaire": annuaire.url, "annuaire_control": annuaire.control_port})
        await asyncio.Event().wait()


async def serve_sender(port: int, told: Told, *, control_port: int | None = 0) -> None:
    """Run a return endpoint until cancelled."""
    async with Hl7Peer(port=port, control_port=control_port) as peer:
        told({"sender": peer.port, "sender_control": peer.control_port})
        await asyncio.Event().wait()


async def serve_idp(config: IdpConfig, told: Told) -> None:
    """Run an identity provider until cancelled."""
    async with IdpSimulator(config) as idp:
        told({"issuer": idp.issuer, "idp_control": idp.control_port})
        await asyncio.Event().wait()
