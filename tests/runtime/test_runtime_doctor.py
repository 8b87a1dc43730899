"""`segur-router doctor`: every kind of trouble is found, told with what to do, and hides nothing else."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from router.config.site import Site
from router.contracts.peers import Peer
from router.errors import Unavailable
from router.runtime.doctor import clocks, files, machine, network
from router.runtime.doctor.check import Check, Installation, Verdict, good, wrong
from router.runtime.doctor.examine import CHECKS, examine
from router.runtime.doctor.probe import probe
from router.simulators.authority import Authority
from router.tls import client_context
from tests.cli.cli import command

SITE = """\
environment: qualification
data: var
admin: {{port: 0}}
feeds: {{sil: {{kind: relay, {way_in}}}}}
sinks: {{hl7.dpi: {{type: hl7, host: 127.0.0.1, port: {port}{tls}}}}}
"""
PIPELINE = "{name: relais, feed: sil, sinks: {hl7.dpi: {}}, examples: [{name: x, message: x.hl7, expect: {ack: AA}}]}\n"


def _installation(folder: Path, *, port: int = 1, tls: str = "", way_in: str = "mllp: {port: 0}") -> Installation:
    path = folder / "router.yaml"
    path.write_text(SITE.format(port=port, tls=tls, way_in=way_in))
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / "relais.yaml").write_text(PIPELINE)
    (folder / "pipelines" / "x.hl7").write_text("MSH|")
    return Installation(Site(path), running=False)


def _wrong(found: Iterator[Verdict]) -> list[tuple[str, str]]:
    return [(one.text, one.fix) for one in found if one.level == "wrong"]


# ------------------------------------------------------------------------------------------------- running


def test_checks_run_side_by_side_within_their_time(tmp_path: Path) -> None:
    """One that hangs is given up, one that breaks is told as such, and the others say what they found."""
    never = threading.Event()

    def hangs(_: Installation) -> Iterator[Verdict]:
        yield good("before")
        never.wait(30)

    def breaks(_: Installation) -> list[Verdict]:
        raise KeyError("DUPONT")

    def away(_: Installation) -> list[Verdict]:
        raise Unavailable("LEDGER-AWAY", "database", "the database does not answer")

    checks = [
        Check("hangs", "", hangs, 0.3),
        Check("breaks", "", breaks),
        Check("away", "", away),
        Check("well", "", lambda _: [good("well")]),
    ]
    begun = time.monotonic()
    results = examine(_installation(tmp_path), checks=checks)
    never.set()
    assert time.monotonic() - begun < 5
    assert [(one.check, one.wrong) for one in results] == [
        ("hangs", True), ("breaks", False), ("away", True), ("well", False)
    ]  # fmt: skip
    assert [one.subject for one in results[0].verdicts] == ["before", "hangs"]
    assert "KeyError" in results[1].verdicts[0].text and "DUPONT" not in str(results[1])
    assert results[2].verdicts[0] == wrong("LEDGER-AWAY database", "the database does not answer")


def test_only_the_checks_that_are_chosen_run(tmp_path: Path) -> None:
    """By name, in the order of the list; every name is there once."""
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert [one.check for one in examine(_installation(tmp_path), ["versions", "disk"])] == ["disk", "versions"]


# -------------------------------------------------------------------------------------------------- peers


class Server:
    """A listener on the loopback that does with each connection what a test wants."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self._serve(connection)
                except OSError:  # the client has left
                    continue

    def close(self) -> None:
        self._socket.close()


@contextmanager
def _server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    server = Server(serve)
    try:
        yield server.port
    finally:
        server.close()


class World:
    """An authority, its certificates in files, and TLS on both sides."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, Authority()
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self.authority.pem())
        self.authority.issue("serveur", "server", hosts=("localhost", "127.0.0.1")).write(folder, "server")
        self.authority.issue("client", "auth").write(folder, "client")

    def server(self, *, clients: Path | None = None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context

    def client(self) -> ssl.SSLContext:
        return client_context(self.ca, self.folder / "client.pem", self.folder / "client.key")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _tls(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(100)

    return serve


def _probe(peer: Peer) -> Verdict:
    (found,) = probe("hl7.dpi", peer, time.time())
    return found


def test_a_server_with_tls_is_reached_with_our_certificate(world: World) -> None:
    """Its version of TLS and the days that its certificate has are told."""
    with _server(_tls(world.server(clients=world.ca))) as port:
        found = _probe(Peer("127.0.0.1", port, tls=world.client))
    assert found.level == "good", found
    assert found.text.startswith("TLSv1.3, its certificate ends in 3")


def test_a_server_that_refuses_our_certificate_is_told_as_such(world: World, tmp_path: Path) -> None:
    """In TLS 1.3 the refusal comes after the handshake."""
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    with _server(_tls(world.server(clients=other.ca))) as port:
        found = _probe(Peer("127.0.0.1", port, tls=world.client))
    assert (found.level, found.text) == ("wrong", "the server refuses our certificate")


@pytest.mark.parametrize(
    ("name", "trusted", "text"),
    [
        ("127.0.0.1", False, "its chain ends at an authority that we do not trust"),
        ("pas.le.meme", True, "its certificate bears another name"),
    ],
)
def test_a_certificate_that_we_do_not_trust_is_told_with_what_to_write(
    world: World, tmp_path: Path, name: str, trusted: bool, text: str
) -> None:
    """An unknown authority, and another name than that of the site file."""
    (tmp_path / "other").mkdir()
    ca = world.ca if trusted else World(tmp_path / "other").ca
    with _server(_tls(world.server())) as port:
        found = _probe(Peer("127.0.0.1", port, tls=lambda: client_context(ca), server_name=name))
    assert found.level == "wrong"
    assert found.text in (text, "its issuer is unknown to us") and found.fix


def test_a_port_without_tls_and_one_where_nobody_listens(world: World) -> None:
    """Neither is taken for the other, nor for a silent firewall."""
    with _server(lambda connection: connection.sendall(b"220 bonjour\r\n")) as port:
        assert "no common ground in TLS" in _probe(Peer("127.0.0.1", port, tls=world.client)).text
        assert _probe(Peer("127.0.0.1", port)).level == "good"
    closed = socket.create_server(("127.0.0.1", 0))
    port = int(closed.getsockname()[1])
    closed.close()
    assert "nobody listens there" in _probe(Peer("127.0.0.1", port)).text
    assert _probe(Peer("nulle.part.invalid", 25)).text == "its name is not known"


def test_our_own_files_are_told_apart_from_the_partner(world: World) -> None:
    """A certificate of ours that is missing is no fault of the server's, which is not asked."""
    found = _probe(Peer("127.0.0.1", 1, tls=lambda: client_context(world.ca, world.folder / "absent.pem")))
    assert found.text.startswith("our own files: FileNotFoundError")


SMTP = {b"EHLO": b"250-mail.test\r\n250 STARTTLS\r\n", b"STARTTLS": b"220 go\r\n"}
IMAP = {b"a STARTTLS": b"a OK go\r\n"}


@pytest.mark.parametrize(
    ("protocol", "greeting", "answers"), [("smtp", b"220-mail\r\n220 ici\r\n", SMTP), ("imap", b"* OK ici\r\n", IMAP)]
)
def test_tls_is_asked_for_in_the_protocol_and_nobody_logs_in(
    world: World, protocol: str, greeting: bytes, answers: dict[bytes, bytes]
) -> None:
    """After STARTTLS and the handshake we say goodbye: no name, no password, no mail."""
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(greeting)
        while True:
            line = connection.recv(1000)
            heard.append(line)
            connection.sendall(next(answer for start, answer in answers.items() if line.startswith(start)))
            if b"STARTTLS" in line:
                break
        with world.server().wrap_socket(connection, server_side=True) as secure:
            heard.append(secure.recv(1000))

    with _server(serve) as port:
        found = _probe(Peer("127.0.0.1", port, tls=world.client, starttls=protocol))  # type: ignore[arg-type]
        deadline = time.monotonic() + 5
        while len(heard) < len(answers) + 1 and time.monotonic() < deadline:
            time.sleep(0.02)
    assert found.level == "good", found
    assert heard[-1] in (b"QUIT\r\n", b"x LOGOUT\r\n")
    assert not [line for line in heard if line.split()[0].upper() in (b"AUTH", b"MAIL", b"LOGIN")]


def test_an_smtp_server_without_starttls_is_told(world: World) -> None:
    """It answers, but never offers it."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 ici\r\n")
        connection.recv(1000)
        connection.sendall(b"250-mail.test\r\n250 SIZE\r\n")
        connection.recv(1000)

    with _server(serve) as port:
        found = _probe(Peer("127.0.0.1", port, tls=world.client, starttls="smtp"))
    assert found.text.startswith("the server does not offer STARTTLS")


def test_the_peers_are_those_of_the_site_file(tmp_path: Path) -> None:
    """Each sink, its mailbox, and the lists that the file names; a default address is not asked."""
    installation = _installation(tmp_path)
    assert list(network.peers_of(installation.site)) == ["hl7.dpi"]
    path = installation.site.path
    path.write_text(
        path.read_text().replace("sinks: {", "sinks: {mssante.a: {type: mssante, host: smtp.test, tls: {ca: ca.pem}, "
                                 "imap: {host: imap.test, port: 993, mode: tls}}, ")
        + "directory: {liste_blanche: {source: 'https://liste.test/l.xml'}}\n"
    )  # fmt: skip
    found = {name: (peer.host, peer.port, peer.starttls) for name, peer in network.peers_of(Site(path)).items()}
    assert found == {
        "mssante.a": ("smtp.test", 587, "smtp"),
        "mssante.a/imap": ("imap.test", 993, ""),
        "hl7.dpi": ("127.0.0.1", 1, ""),
        "directory/liste_blanche": ("liste.test", 443, ""),
    }
    path.write_text(path.read_text().replace("directory:", "#"))
    assert "directory/liste_blanche" not in network.peers_of(Site(path))


# -------------------------------------------------------------------------------------------------- files


def test_a_data_folder_that_others_can_reach_is_told_with_the_command(tmp_path: Path) -> None:
    """Its mode, and a site file that any account may change."""
    installation = _installation(tmp_path)
    data = installation.site.data
    assert next(iter(files.rights(installation))).level == "note"
    data.mkdir()
    data.chmod(0o700)
    assert _wrong(files.rights(installation)) == []
    data.chmod(0o755)
    installation.site.path.chmod(0o666)
    found = _wrong(files.rights(installation))
    assert [fix for _, fix in found] == [f"chmod 700 {data}", f"chmod o-w {installation.site.path}"]


def test_keys_are_ours_alone_and_belong_to_their_certificates(world: World, tmp_path: Path) -> None:
    """A key that others read, a key of another certificate, a file that is not there."""
    tls = ", tls: {ca: ca.pem, certificate: client.pem, key: client.key}"
    installation = _installation(tmp_path, tls=tls)
    (tmp_path / "client.key").chmod(0o600)
    assert _wrong(files.keys(installation)) == []
    (tmp_path / "client.key").chmod(0o644)
    assert _wrong(files.keys(installation)) == [
        ("other accounts can read this private key", f"chmod 600 {tmp_path / 'client.key'}")
    ]
    (tmp_path / "client.key").chmod(0o600)
    (tmp_path / "client.key").write_bytes((tmp_path / "server.key").read_bytes())
    assert [text for text, _ in _wrong(files.keys(installation))] == [
        "certificate and key do not belong together, or the key's password is wrong"
    ]
    (tmp_path / "ca.pem").unlink()
    assert any("can't be read: No such file" in text for text, _ in _wrong(files.keys(installation)))


def test_a_secret_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set, with the line to write; its value is never shown."""
    monkeypatch.delenv("SEGUR_DOCTOR_KEY", raising=False)
    installation = _installation(tmp_path)
    path = installation.site.path
    path.write_text(path.read_text() + "secret: {env: SEGUR_DOCTOR_KEY}\n")
    installation = Installation(Site(path), running=False)
    assert _wrong(files.keys(installation)) == [("environment variable is not set", "export SEGUR_DOCTOR_KEY=…")]
    monkeypatch.setenv("SEGUR_DOCTOR_KEY", "tres-secret")
    assert "tres-secret" not in str(list(files.keys(installation)))


def test_watched_folders_and_ports(tmp_path: Path) -> None:
    """A folder that is none; a port that something else has, and the command that shows who."""
    installation = _installation(tmp_path, way_in="folder: {path: depot}")
    assert [fix for _, fix in _wrong(files.folders(installation))] == [f"install -d -m 770 {tmp_path / 'depot'}"]
    (tmp_path / "depot").mkdir()
    assert _wrong(files.folders(installation)) == []
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = _installation(tmp_path, way_in=f"mllp: {{port: {port}}}")
        assert _wrong(network.ports(taken)) == [("Address already in use", f"ss -ltnp 'sport = :{port}'")]
        (mine,) = network.ports(Installation(taken.site, running=True))
        assert (mine.level, mine.subject) == ("note", "ports")
    (unheard,) = network.ports(Installation(taken.site, running=True))
    assert (unheard.level, unheard.subject) == ("note", f"feed sil 127.0.0.1:{port}")
    assert "restart it" in unheard.text
    assert _wrong(network.ports(taken)) == []


def test_the_site_and_its_pipelines_are_looked_at_too(tmp_path: Path) -> None:
    """What `check` refuses is wrong here as well, with its line."""
    installation = _installation(tmp_path)
    assert _wrong(files.site(installation)) == []
    (tmp_path / "pipelines" / "relais.yaml").write_text(PIPELINE.replace("hl7.dpi", "hl7.autre"))
    found = [one for one in files.site(installation) if one.level == "wrong"]
    assert len(found) == 1 and "relais.yaml:1" in found[0].subject


# ------------------------------------------------------------------------------------------------ machine


def test_names_that_nobody_knows_are_told_with_their_place(tmp_path: Path) -> None:
    """The name, where the site file has it, and the command to try; the others are well."""
    installation = _installation(tmp_path)
    path = installation.site.path
    path.write_text(path.read_text().replace("host: 127.0.0.1", "host: nulle.part.invalid"))
    (found,) = network.names(Installation(Site(path), running=False))
    assert (found.level, found.subject) == ("wrong", "nulle.part.invalid (hl7.dpi)")
    assert found.fix == "getent hosts nulle.part.invalid"


@pytest.mark.parametrize(
    ("version", "wanted", "met"),
    [
        ("3.0.12", "~=3.0.12", True),
        ("3.0.14", "~=3.0.12", True),
        ("3.1.0", "~=3.0.12", False),
        ("6.1", ">=6.1", True),
        ("6.0.9", ">=6.1", False),
        ("2.12.0rc1", ">=2.12,<3", True),
        ("3", ">=2.12,<3", False),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_pip_does(version: str, wanted: str, met: bool) -> None:
    """`>=`, `~=` and several conditions, by numbers."""
    assert machine.meets(version, wanted) is met


def test_clocks_that_differ_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is well, ten are worth a note, a minute is wrong; NTP that does not keep the clock is wrong."""
    skews = {"a": 1.0, "b": -10.0, "c": 60.0}
    monkeypatch.setattr(machine, "others", lambda _: skews.items())
    monkeypatch.setattr(machine, "ntp", lambda: False)
    found = list(machine.clock(_installation(tmp_path)))
    assert [(one.subject, one.level) for one in found] == [
        ("NTP", "wrong"), ("a", "good"), ("b", "note"), ("c", "wrong")
    ]  # fmt: skip
    assert found[2].text == "our clock differs by -10.0 s"
    assert machine.ntp() is False  # the patched one
    monkeypatch.undo()
    assert machine.ntp() in (True, False, None)
    assert list(clocks.others(_installation(tmp_path))) == []


def test_limits_of_this_process_are_compared_with_what_the_site_may_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More connections than files may be open; less memory than the stages may hold."""
    installation = _installation(tmp_path, way_in="mllp: {port: 0, max_connections: 100000000}")
    monkeypatch.setattr(machine, "memory", lambda: 100 * 2**20)
    found = _wrong(machine.limits(installation))
    assert [fix for _, fix in found] == ["LimitNOFILE=100000256", "limits: {stage_bytes: …}"]


# -------------------------------------------------------------------------------------------- the command


def test_the_command_tells_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    """One line each, with what to type; its exit codes; JSON; a name that is no check; a site file that is wrong."""
    site = str(_installation(tmp_path).site.path)
    said = command("doctor", "--site", site, "--only", "peers,ports", "--lang", "en")
    assert said.code == 1
    assert "✗ peers    hl7.dpi 127.0.0.1:1: nobody listens there, or a firewall refuses" in said.out
    assert "→ nc -vz 127.0.0.1 1" in said.out and "2 checks: 1 thing is wrong" in said.out
    well = command("doctor", "--site", site, "--only", "ports,versions", "--lang", "fr")
    assert (well.code, "2 contrôles : tout va bien" in well.out) == (0, True), well
    found = command("doctor", "--site", site, "--only", "peers", "--json").json
    assert (found[0]["check"], found[0]["wrong"], found[0]["verdicts"][0]["level"]) == ("peers", True, "wrong")
    unknown = command("doctor", "--site", site, "--only", "pears", "--lang", "en")
    assert (unknown.code, "no such check: pears" in unknown.err) == (2, True)
    assert "peers" in command("doctor", "--list").out
    Path(site).write_text("environment: nulle-part\n")
    broken = command("doctor", "--site", site, "--lang", "en")
    assert broken.code == 1 and "router.yaml:1" in broken.out
