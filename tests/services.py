"""Real services for the suite: one Kafka broker and one PostgreSQL server per session, started when first asked for.

A test module imports the fixtures that it uses:

    from tests.services import kafka_servers, postgresql_url  # noqa: F401

Never a silent skip: what is missing is installed when we may (root on Debian), otherwise the test fails and
says what to install. `KAFKA_BOOTSTRAP_SERVERS` and `SEGUR_TEST_POSTGRESQL` (a URL whose user may create
databases) use existing ones instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[1]
BROKER = ROOT / "deploy" / "dev" / "kafka" / "broker"
_POSTGRESQL_BINARIES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker. `pid` is 0 when it isn't ours: such a one must not be killed or stopped by a test."""

    servers: str
    pid: int

    def freeze(self) -> None:
        """SIGSTOP, as a machine that swaps or a hypervisor that migrates would."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if not self.pid:
            pytest.fail("this test stops the broker: unset KAFKA_BOOTSTRAP_SERVERS so that it has its own")
        os.kill(self.pid, number)


@contextlib.contextmanager
def running_broker() -> Iterator[Broker]:
    """A broker of one's own, for a test that breaks it."""
    process = subprocess.Popen(
        [sys.executable, str(BROKER), "--follow-parent"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        found = _answers(process)
        if "KAFKA_BOOTSTRAP_SERVERS" not in found:
            process.wait(30)
            pytest.fail(f"no Kafka broker: {process.stderr.read() if process.stderr else ''}")
        yield Broker(found["KAFKA_BOOTSTRAP_SERVERS"], int(found.get("KAFKA_PID", 0)))
    finally:
        process.terminate()
        process.wait(30)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _answers(process: subprocess.Popen[str]) -> dict[str, str]:
    """`NAME=value` lines of the script, until it is ready or over."""
    found: dict[str, str] = {}
    for line in process.stdout or ():
        name, _, value = line.strip().partition("=")
        found[name] = value
        if name == "KAFKA_PID" or os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            break
    return found


@functools.cache
def shared_broker() -> Broker:
    """The session's broker."""
    opened = contextlib.ExitStack()
    atexit.register(opened.close)
    return opened.enter_context(running_broker())


@pytest.fixture
def kafka_servers() -> str:
    """Bootstrap address of the session's broker."""
    return shared_broker().servers


class PostgresServer:
    """A server of Debian's packages, in a temporary folder, on a loopback port, not run by root."""

    def __init__(self) -> None:
        self._binaries = _postgresql_binaries()
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._folder = Path(tempfile.mkdtemp(prefix="segur-postgresql-"))
        self.port = _free_port()
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", str(self._folder / "data"), "-A", "trust", "-E", "UTF8", "-U", "segur", "--no-sync")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://segur@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start (again) and wait until it answers."""
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        command += ["-k", str(self._folder), "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as_user())
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once, as a crash would: sessions are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / name), *arguments], check=False, capture_output=True, **self._as_user()
        )
        if done.returncode:
            pytest.fail(f"{name} failed: {done.stderr.decode()}")

    def _as_user(self) -> dict[str, object]:
        known = pwd.getpwnam(self._user)
        if os.geteuid() != 0:
            return {"cwd": str(self._folder)}
        return {"cwd": str(self._folder), "user": known.pw_uid, "group": known.pw_gid, "extra_groups": []}


def _postgresql_binaries() -> Path:
    """Where `initdb` is; installed first when it isn't and we may."""
    found = _find_postgresql()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "postgresql"]):
            subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
        found = _find_postgresql()
    if found is None:
        pytest.fail("PostgreSQL is missing: install it (Debian: `sudo apt-get install postgresql`), then try again.")
    return found


def _find_postgresql() -> Path | None:
    versions = sorted(_POSTGRESQL_BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@functools.cache
def shared_postgresql() -> str:
    """URL of the session's server; its user may create databases."""
    existing = os.environ.get("SEGUR_TEST_POSTGRESQL")
    if existing:
        return existing
    server = PostgresServer()
    atexit.register(server.remove)
    return server.url


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """URL of a new, empty database of the session's server; dropped after the test."""
    server, name = shared_postgresql(), f"segur_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def own_postgresql() -> Iterator[PostgresServer]:
    """A server of one's own, for a test that stops it."""
    server = PostgresServer()
    yield server
    server.remove()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
