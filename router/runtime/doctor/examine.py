"""Runs the checks side by side, each within its time. Nothing that a check does stops the others, or raises."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from router.errors import RouterError
from router.language import N_, filled, in_language, language
from router.runtime.doctor import database, encryption, files, kafka, machine, network, people
from router.runtime.doctor.check import Check, Installation, Result, Verdict, remark, wrong

CHECKS: tuple[Check, ...] = (
    Check("site", N_("the site file and the pipelines"), files.site),
    Check("clock", N_("this machine's clock: NTP, and what others say"), machine.clock, 30),
    Check("disk", N_("room and inodes of the data folder"), files.disk),
    Check("rights", N_("who owns the data folder, and who else may reach it"), files.rights),
    Check("keys", N_("keys, certificates and secrets: there, ours alone, not ended"), files.keys),
    Check("encryption", N_("the master key: there, ours alone, and the right one"), encryption.look, 30),
    Check("folders", N_("watched folders"), files.folders),
    Check("dns", N_("the names that the site file has"), network.names),
    Check("peers", N_("a connection, with TLS, to each server that the site file names"), network.peers, 25),
    Check("ports", N_("the ports that the listeners need"), network.ports),
    Check("kafka", N_("brokers, rights, topics and their settings"), kafka.look, 40),
    Check("database", N_("PostgreSQL: version, rights, connections"), database.look, 15),
    Check("people", N_("who can log in to the console, and which tokens end soon"), people.look, 15),
    Check("limits", N_("open files, memory"), machine.limits),
    Check("versions", N_("Python, OpenSSL and libraries"), machine.versions),
    Check("locale", N_("character set and time zones"), machine.locale),
    Check("systemd", N_("the unit, where systemd starts the router"), machine.systemd),
)
NAMES = tuple(check.name for check in CHECKS)


def examine(installation: Installation, only: Collection[str] = (), checks: Sequence[Check] = CHECKS) -> list[Result]:
    """The results, in the order of the checks. `only`: names; none: all. A check that takes too long is left alone."""
    runs = [_Run(check) for check in checks if not only or check.name in only]
    for run in runs:
        run.start(installation)
    return [run.result() for run in runs]


@dataclass
class _Run:
    """One check in a thread of its own: a thread that hangs ends with the process."""

    check: Check
    found: list[Verdict] = field(default_factory=list)
    began: float = 0.0
    took: float = 0.0
    done: threading.Event = field(default_factory=threading.Event)

    def start(self, installation: Installation) -> None:
        self.began = time.monotonic()
        speaking = language()

        def work() -> None:
            with in_language(speaking):
                _look(self.check, installation, self.found)
            self.took = time.monotonic() - self.began
            self.done.set()

        threading.Thread(target=work, name=f"check-{self.check.name}", daemon=True).start()

    def result(self) -> Result:
        left = self.check.seconds - (time.monotonic() - self.began)
        if self.done.wait(max(0.0, left)):
            return Result(self.check.name, tuple(self.found), self.took)
        text = filled("no answer within {seconds} s", seconds=f"{self.check.seconds:g}")
        return Result(self.check.name, (*self.found, wrong(self.check.name, text)), self.check.seconds)


def _look(check: Check, installation: Installation, found: list[Verdict]) -> None:
    """Add what the check finds, one by one: what comes before it fails, or hangs, is not lost."""
    try:
        for verdict in check.look(installation):
            found.append(verdict)
    except RouterError as fault:
        found.append(wrong(f"{fault.code} {fault.place}".strip(), fault.text))
    except OSError as error:
        where = str(error.filename or check.name)
        found.append(wrong(where, error.strerror or type(error).__name__))
    except Exception as error:  # a bug in one check must not hide what the others find
        place = traceback.extract_tb(error.__traceback__)[-1]
        at = f"{place.filename.rpartition('/router/')[2]}:{place.lineno}"
        text = filled("this check failed: {error} at {where}", error=type(error).__name__, where=at)
        found.append(remark(check.name, text))
