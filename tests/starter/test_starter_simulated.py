"""`segur-router simulate site`: what stands outside a site, and what is never simulated."""

from __future__ import annotations

import asyncio
import imaplib
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from router.config.site import Site
from router.errors import ConfigFault, OperatorFault
from router.runtime.site_services import SiteServices
from router.simulators.serve import ensure_certificates
from router.starter.profiles import PROFILES, Profile
from router.starter.simulated import Stand, simulated
from router.starter.site_text import site_text
from router.starter.write import SITE
from router.tls import client_context

Change = Callable[[Any], object]


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _elsewhere(profile: Profile) -> Profile:
    """The same profile on ports that are free now."""
    endpoints = {name: (_free(), what) for name, (_, what) in profile.endpoints.items()}
    return replace(profile, endpoints=endpoints, dmp=_free(), smtp=_free(), imap=_free())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: keys take time."""
    folder = tmp_path_factory.mktemp("certificates")
    ensure_certificates(folder, dict(PROFILES["ght"].certificates))
    return folder


@pytest.fixture(autouse=True)
def _beside(tmp_path: Path, certificates: Path) -> None:
    shutil.copytree(certificates, tmp_path / "certificates")


def _site(folder: Path, name: str = "minimal", change: Change | None = None) -> Site:
    path = folder / SITE
    path.write_text(site_text(_elsewhere(PROFILES[name])), encoding="utf-8")
    if change is not None:
        yaml = YAML()
        read = yaml.load(path.read_text(encoding="utf-8"))
        change(read)
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(read, file)
    return Site(path)


async def _stands(site: Site) -> list[Stand]:
    async with simulated(site) as stands:
        for stand in stands:
            for address in stand.addresses:
                host, _, port = address.partition("://")[2].partition("/")[0].partition(":")
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
        return stands


def test_everything_that_a_site_names_listens(tmp_path: Path) -> None:
    """Two hospitals at one DMP and one operator: sinks of one address share a simulator."""
    stands = asyncio.run(_stands(_site(tmp_path, "ght")))
    assert [stand.sinks for stand in stands] == [
        ("dmp.hopital-a", "dmp.hopital-b"),
        ("mssante.hopital-a", "mssante.hopital-b"),
        ("hl7.sil",),
        ("hl7.ris",),
        ("hl7.dpi",),
    ]
    assert all(stand.control.startswith("http://127.0.0.1:") for stand in stands)


def test_a_port_that_is_taken_is_said_with_its_sink(tmp_path: Path) -> None:
    """Two runs of the same site: the second names the sink and the address."""
    site = _site(tmp_path)

    async def twice() -> None:
        async with simulated(site):
            await _stands(site)

    with pytest.raises(OperatorFault, match=r"another process listens on https://127\.0\.0\.1") as caught:
        asyncio.run(twice())
    assert caught.value.place == "dmp.hopital-a"


def _set(*path: str, value: object) -> Change:
    def change(site: Any) -> None:
        for key in path[:-1]:
            site = site[key]
        site[path[-1]] = value

    return change


DMP, MSS = ("sinks", "dmp.hopital-a"), ("sinks", "mssante.hopital-a")
NEVER: dict[str, tuple[Change, str]] = {
    "a real address": (_set(*MSS, "host", value="smtp.example.test"), "host: smtp.example.test is not this machine"),
    "a real mailbox": (_set(*MSS, "imap", "host", value="192.0.2.1"), "imap.host: 192.0.2.1 is not this machine"),
    "a real DMP": (_set(*DMP, "url", value="https://dmp.example.test/v2"), "url: dmp.example.test is not this machine"),
    "another authority": (_set(*DMP, "server_ca", value="certificates/igc.pem"), "server_ca: is not the authority of"),
    "implicit TLS": (_set(*MSS, "mode", value="tls"), "mode: the simulated operator takes starttls only"),
    "tokens": (
        _set(*MSS, "login", value={"auth": "xoauth2", "token": {"env": "T"}}),
        "login.auth: the simulated operator takes externe, plain, aucune",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), NEVER.values(), ids=NEVER)
def test_what_a_simulator_does_not_stand_in_for(tmp_path: Path, change: Change, sentence: str) -> None:
    """Nothing listens, nothing is written beside real certificates; the key is named with its line."""
    site = _site(tmp_path, change=change)
    with pytest.raises(ConfigFault) as caught:
        asyncio.run(_stands(site))
    (problem,) = caught.value.problems
    assert sentence in f"{problem.path}: {problem.text}"
    assert problem.line > 1


def test_production_is_never_simulated(tmp_path: Path) -> None:
    """A document of production must not be taken by a simulator that looks like the DMP."""

    def production(site: Any) -> None:
        site["environment"] = "production"
        del site["sinks"]["mssante.hopital-a"]["keep"]

    with pytest.raises(ConfigFault) as caught:
        asyncio.run(_stands(_site(tmp_path, change=production)))
    assert "never stands in" in caught.value.problems[0].text


LOGINS = {
    "certificate alone, mailbox by certificate": ("aucune", {"auth": "externe"}),
    "certificate alone, mailbox by password": ("aucune", {"auth": "plain", "password": {"env": "P"}}),
    "password": ("plain", {"auth": "plain", "password": {"env": "P"}}),
    "certificate": ("externe", {"auth": "externe"}),
}


@pytest.mark.parametrize(("smtp", "imap"), LOGINS.values(), ids=LOGINS)
def test_both_sides_of_a_site_agree_on_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smtp: str, imap: dict[str, Any]
) -> None:
    """However the site file logs in, its sink and its mailbox get into the simulated operator."""
    monkeypatch.setenv("P", "secret of the mailbox")

    def logins(site: Any) -> None:
        sink = site["sinks"]["mssante.hopital-a"]
        password = {"password": {"env": "P"}} if smtp == "plain" else {}
        sink["mailbox"] = site["structures"]["750100125"]["mailbox"]
        sink["login"] = {"auth": smtp, **password}
        sink["imap"]["login"] = imap

    asyncio.run(_log_in(_site(tmp_path, change=logins)))


async def _log_in(site: Site) -> None:
    """Connect as the sink does, and read the mailbox."""
    async with simulated(site):
        services = SiteServices(site)
        try:
            await services.sink("mssante.hopital-a").probe()
        finally:
            services.close()
        await asyncio.to_thread(_read_mailbox, site.config.sinks["mssante.hopital-a"])


def _read_mailbox(sink: Any) -> None:
    with imaplib.IMAP4(sink.imap.host, sink.imap.port) as client:
        client.starttls(client_context(sink.tls.ca, sink.tls.certificate, sink.tls.key))
        if sink.imap.login.auth == "externe":
            client.authenticate("EXTERNAL", lambda _: sink.mailbox.encode())
        else:
            client.login(sink.mailbox, sink.imap.login.password.read())
        assert client.select("INBOX")[0] == "OK"


def test_each_hospital_reads_its_own_mailbox(tmp_path: Path) -> None:
    """Two mailboxes at one operator: the certificate says whose it is, and nobody reads the reports of the other."""
    site = _site(tmp_path, "ght")
    first, second = site.config.structures.values()

    async def play() -> None:
        async with simulated(site) as stands:
            operator: Any = stands[1].simulator
            for rank, one in enumerate((first, second), start=1):
                for _ in range(rank):
                    operator.post.deliver(one.mailbox, b"Subject: report\r\n\r\n")
            sinks = [site.config.sinks[one.sink_of("mssante")] for one in (first, second)]
            assert [await asyncio.to_thread(_mails, sink) for sink in sinks] == [b"1", b"2"]

    asyncio.run(play())


def _mails(sink: Any) -> bytes:
    """How many mails the INBOX of this sink's certificate holds. It names no account, as the router does."""
    with imaplib.IMAP4(sink.imap.host, sink.imap.port) as client:
        client.starttls(client_context(sink.tls.ca, sink.tls.certificate, sink.tls.key))
        client.authenticate("EXTERNAL", lambda _: b"")
        (count,) = client.select("INBOX")[1]
        assert isinstance(count, bytes)
        return count


def test_the_identity_provider_of_the_console_is_simulated_on_this_machine_alone(tmp_path: Path) -> None:
    """One that is asked by http on 127.0.0.1 stands; another one is a real one, and is left alone."""
    (tmp_path / "oidc.secret").write_text("s3cret")
    address, groups = f"http://127.0.0.1:{_free()}", {"pfi-lecture": {"*": "reader"}}
    oidc = {"issuer": address, "client_id": "pfi", "client_secret": {"file": "oidc.secret"}, "groups": groups}

    def console(issuer: str) -> Change:
        named = {"port": 0, "address": "http://127.0.0.1:8443", "oidc": oidc | {"issuer": issuer}}
        return lambda site: site.update({"console": named})

    async def described() -> str:
        async with simulated(_site(tmp_path, change=console(address))) as stands:
            (stand,) = [one for one in stands if one.sinks == ("console.oidc",)]
            assert stand.addresses == (address,)
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /.well-known/openid-configuration HTTP/1.1\r\nConnection: close\r\n\r\n")
            told = (await reader.read()).decode()
            writer.close()
            return told

    assert f'"issuer": "{address}"' in asyncio.run(described())
    for other in ("https://idp.chu.example", "http://localhost:9081"):
        stands = asyncio.run(_stands(_site(tmp_path, change=console(other))))
        assert not [one for one in stands if "console.oidc" in one.sinks]
