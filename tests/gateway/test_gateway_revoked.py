"""Listeners and the revocation lists of their clients."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from pydantic import ValidationError

from router.gateway.settings import HttpConfig, MllpConfig, TlsConfig
from tests.gateway.gateway_parts import Client, hl7
from tests.gateway.test_gateway_whole import Authority, opened, play


class Clients:
    """Two clients of one authority: `sil`, and `ris` whose certificate is revoked."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.server, self.clients = Authority(folder), Authority(folder, "clients")
        certificate, key = self.server.issue("localhost", "server")
        self.pairs = {name: self.clients.issue(name) for name in ("sil", "ris")}
        self.crl = folder / "clients.crl"
        self.revoke("ris", expired=settings.pop("expired", False))
        tls = TlsConfig(certificate=certificate, key=key, client_ca=self.clients.path, crl=self.crl, **settings)
        self.gateway = opened(folder, mllp={"sil": MllpConfig(port=0, tls=tls)}, http=HttpConfig(port=0, tls=tls))

    def revoke(self, *names: str, expired: bool = False) -> None:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.clients._name)
        builder = builder.last_update(now - dt.timedelta(days=3))
        builder = builder.next_update(now + dt.timedelta(days=-1 if expired else 1))
        for name in names:
            shown = x509.load_pem_x509_certificate(self.pairs[name][0].read_bytes())
            entry = x509.RevokedCertificateBuilder().serial_number(shown.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - dt.timedelta(days=2)).build())
        made = builder.sign(self.clients._key, hashes.SHA256())
        self.crl.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    async def mllp(self, name: str) -> bool:
        """Whether a message of this client is answered."""
        context = ssl.create_default_context(cafile=str(self.server.path))
        context.load_cert_chain(*self.pairs[name])
        client = None
        try:
            client = await Client.connect(self.gateway.ports["sil"], ssl=context, server_hostname="localhost")
            return bool(await client.ask(hl7(name)))
        except (OSError, EOFError):
            return False
        finally:
            if client is not None:
                client.close()

    async def http(self, name: str) -> bool:
        """Whether a request of this client is answered at all."""
        context = ssl.create_default_context(cafile=str(self.server.path))
        context.load_cert_chain(*self.pairs[name])
        async with httpx.AsyncClient(verify=context, timeout=5) as client:
            try:
                await client.get(f"https://localhost:{self.gateway.ports['http']}/")
            except httpx.HTTPError:
                return False
            return True

    async def admitted(self) -> list[str]:
        return [f"{way.__name__} {name}" for name in self.pairs for way in (self.mllp, self.http) if await way(name)]


BOTH_OF_SIL = ["mllp sil", "http sil"]


@pytest.mark.parametrize("settings", [{}, {"expired": True}, {"crl_expired": "refuser"}])
def test_a_revoked_client_is_turned_away(tmp_path: Path, settings: dict[str, Any]) -> None:
    """By a current list, and by an expired one that the site still accepts; the others are served."""

    async def story() -> None:
        world = Clients(tmp_path, **settings)
        await world.gateway.start()
        assert await world.admitted() == BOTH_OF_SIL
        await world.gateway.close()

    play(story())


def test_an_expired_list_turns_all_away_where_the_site_says_so(tmp_path: Path) -> None:
    """`refuser`: no client until there is a new list; then the listener serves without a restart."""

    async def story() -> None:
        world = Clients(tmp_path, expired=True, crl_expired="refuser")
        await world.gateway.start()
        assert await world.admitted() == []
        world.revoke("ris")
        await world.gateway._tick()
        assert await world.admitted() == BOTH_OF_SIL
        await world.gateway.close()

    play(story())


def test_a_new_list_counts_without_a_restart(tmp_path: Path) -> None:
    """A client that is revoked while the router runs is turned away at its next connection."""

    async def story() -> None:
        world = Clients(tmp_path)
        await world.gateway.start()
        assert await world.admitted() == BOTH_OF_SIL
        world.revoke("ris", "sil")
        await world.gateway._tick()
        assert await world.admitted() == []
        await world.gateway.close()

    play(story())


def test_lists_without_client_certificates_are_refused(tmp_path: Path) -> None:
    """`crl` without `client_ca` would check nobody."""
    with pytest.raises(ValidationError, match="client_ca"):
        TlsConfig(certificate=tmp_path / "c", key=tmp_path / "k", crl=tmp_path / "l")
