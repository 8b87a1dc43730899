"""Real services for the demo and the suite: one Kafka broker, one PostgreSQL server, started here and stopped here.

`KAFKA_BOOTSTRAP_SERVERS` and `SEGUR_DATABASE_URL` name existing ones that are used instead.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from router.errors import OperatorFault, Unavailable

BROKER: Final = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "kafka" / "broker"
EXISTING_BROKER: Final = "KAFKA_BOOTSTRAP_SERVERS"
EXISTING_DATABASE: Final = "SEGUR_DATABASE_URL"
_POSTGRESQL_BINARIES: Final = Path("/usr/lib/postgresql")
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 30.0
_FREEZE_SECONDS: Final = 10.0


@contextmanager
def kafka_and_postgresql() -> Iterator[dict[str, Any]]:
    """Keys `bus` and `database` of a site file. Raises `OperatorFault` for what is not installed."""
    with ExitStack() as opened:
        url = os.environ.get(EXISTING_DATABASE) or opened.enter_context(_own_postgresql()).sqlalchemy_url
        broker = opened.enter_context(running_broker())
        yield {
            "bus": {
                "type": "kafka",
                "servers": broker.servers,
                "replication_factor": 1,
                "min_insync_replicas": 1,
                "session_timeout": 6,
            },
            "database": {"url": url},
        }


# ------------------------------------------------------------------------------------------------------ Kafka


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker. `pid` is 0 when it isn't ours: such a one must not be stopped.

    tls, sasl, certificates: only of one that was started with `--tls` and `--sasl`.
    """

    servers: str
    pid: int
    tls: str = ""
    sasl: str = ""
    certificates: Path = Path()

    def freeze(self) -> None:
        """Stopped, as by a machine that swaps or a hypervisor that migrates. Raises `OperatorFault` if not ours."""
        self._check_ours()
        freeze(self.pid)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL. Raises `OperatorFault` if not ours."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        self._check_ours()
        os.kill(self.pid, number)

    def _check_ours(self) -> None:
        if not self.pid:
            raise OperatorFault("SERVICE", EXISTING_BROKER, "this broker isn't ours to stop: unset the variable")


def freeze(pid: int) -> None:
    """SIGSTOP, and no thread of the process runs any more. Raises `Unavailable` when it goes on for ten seconds.

    The signal waits for one thread to be scheduled; on a busy machine the others work on for tens of milliseconds.
    """
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + _FREEZE_SECONDS
    while not _stopped(pid):
        if time.monotonic() > deadline:
            raise Unavailable("SERVICE", str(pid), f"the process did not stop within {_FREEZE_SECONDS:g} s")
        time.sleep(0.001)


def _stopped(pid: int) -> bool:
    """Whether every thread of a process is stopped (Linux; elsewhere one can't see, and it is said to be)."""
    threads = Path(f"/proc/{pid}/task")
    if not threads.is_dir():
        return True
    try:
        # The third field; the second is a name in parentheses and may hold anything.
        return all(stat.read_text().rpartition(")")[2].split()[0] in "tT" for stat in threads.glob("*/stat"))
    except (FileNotFoundError, ProcessLookupError):  # a thread that ended just now: the others still run
        return False


@contextmanager
def running_broker(*options: str) -> Iterator[Broker]:
    """A broker of one's own, or the one of the environment. Raises `OperatorFault` without Java or Maven.

    options: of `deploy/dev/kafka/broker`; with some, the broker is always one's own.
    """
    existing = os.environ.get(EXISTING_BROKER)
    if existing and not options:
        yield Broker(existing, 0)
        return
    if not BROKER.exists():
        raise OperatorFault("SERVICE", str(BROKER), f"a broker is started from a checkout only: set {EXISTING_BROKER}")
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, str(BROKER), "--follow-parent", *options],
            env={name: value for name, value in os.environ.items() if name != EXISTING_BROKER},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        try:
            found = _answers(process)
            if "KAFKA_PID" not in found:
                process.wait(_STOP_SECONDS)
                said.seek(0)
                raise OperatorFault("SERVICE", "kafka", said.read().strip() or "the broker did not start")
            yield Broker(
                found[EXISTING_BROKER],
                int(found["KAFKA_PID"]),
                found.get("KAFKA_TLS_SERVERS", ""),
                found.get("KAFKA_SASL_SERVERS", ""),
                Path(found.get("KAFKA_CERTIFICATES", "")),
            )
        finally:
            process.terminate()
            process.wait(_STOP_SECONDS)
            if process.stdout:
                process.stdout.close()


def _answers(process: subprocess.Popen[str]) -> dict[str, str]:
    """`NAME=value` lines of the script, until it is ready or over."""
    found: dict[str, str] = {}
    for line in process.stdout or ():
        name, _, value = line.strip().partition("=")
        found[name] = value
        if name == "KAFKA_PID":
            break
    return found


# ------------------------------------------------------------------------------------------------- PostgreSQL


@contextmanager
def _own_postgresql() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


class PostgresServer:
    """A server of the installed binaries, in a temporary folder, on a loopback port, never run by root."""

    def __init__(self) -> None:
        """Raises `OperatorFault` when PostgreSQL is not installed."""
        self._binaries = postgresql_binaries()
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="segur-postgresql-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            os.chown(self._folder, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "-D", str(self._folder / "data"), "-A", "trust", "-E", "UTF8", "-U", "segur", "--no-sync")

    @property
    def url(self) -> str:
        """For libpq."""
        return f"postgresql://segur@127.0.0.1:{self.port}/postgres"

    @property
    def sqlalchemy_url(self) -> str:
        """For a site file."""
        return self.url.replace("postgresql:", "postgresql+psycopg:", 1)

    def start(self) -> None:
        """Start (again) and wait until it answers. Raises `Unavailable`."""
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        command += ["-k", str(self._folder), "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  # one call, before any thread of ours
                **self._as_user(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), must=False):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable("SERVICE", "postgresql", (self._folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once, as a crash would: sessions are cut."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, *arguments: str, must: bool = True) -> int:
        command = [str(self._binaries / name), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, **self._as_user())
        if must and done.returncode:
            raise Unavailable("SERVICE", name, done.stderr.decode(errors="replace").strip())
        return done.returncode

    def _as_user(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": str(self._folder)}
        if os.geteuid() == 0:
            options |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return options


def postgresql_binaries() -> Path:
    """The folder of `initdb`, newest version first. Installs the package when we may; else raises `OperatorFault`."""
    found = _find_postgresql()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "postgresql"]):
            subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
        found = _find_postgresql()
    if found is None:
        raise OperatorFault(
            "SERVICE",
            "postgresql",
            "PostgreSQL is missing: install it (Debian: `sudo apt-get install postgresql`) or set " + EXISTING_DATABASE,
        )
    return found


def _find_postgresql() -> Path | None:
    versions = sorted(_POSTGRESQL_BINARIES.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _account() -> pwd.struct_passwd:
    """Who runs the server: us, or `postgres` when we are root. Raises `OperatorFault` when there is no such user."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise OperatorFault(
            "SERVICE", "postgresql", "root can't run a server and there is no user `postgres`"
        ) from None


def _end_with_parent() -> None:
    """Linux: the server stops at once when we end, however we end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
