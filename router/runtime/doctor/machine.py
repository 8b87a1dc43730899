"""The machine: clock, limits, versions, character set, systemd."""

from __future__ import annotations

import ctypes
import locale as system_locale
import os
import re
import resource
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from router.gateway.places import needed_descriptors
from router.language import filled, filled_plural
from router.runtime.doctor.check import Installation, Verdict, good, remark, wrong
from router.runtime.doctor.clocks import others
from router.runtime.supervisor.workers import last_state

SKEW: Final = 2.0
"""Seconds between our clock and another's that are worth a note; the DMP refuses an assertion that begins later."""
FAR: Final = 30.0
_UNSYNCHRONISED: Final = 0x40
"""STA_UNSYNC of adjtimex(2)."""
_OPENSSL: Final = (3, 0, 0)
_PROCESS_BYTES: Final = 130 * 2**20
"""What a worker needs beside the messages that it holds (docs/soak.md)."""
_UNIT: Final = "segur-router"


def clock(installation: Installation) -> Iterator[Verdict]:
    """NTP as the kernel knows it, then what other clocks say."""
    synchronised = ntp()
    fix = "apt install chrony"
    if synchronised is None:
        yield remark("NTP", "whether the clock is kept by NTP can't be seen here")
    elif synchronised:
        yield good("NTP")
    else:
        text = "the kernel says that nothing keeps this clock right: signatures and assertions are dated by it"
        yield wrong("NTP", text, fix)
    for name, skew in others(installation):
        told = filled("our clock differs by {seconds} s", seconds=f"{skew:+.1f}")
        if abs(skew) > FAR:
            yield wrong(name, told, fix)
        elif abs(skew) > SKEW:
            yield remark(name, told, fix)
        else:
            yield good(name, told)


class _Timex(ctypes.Structure):
    """`struct timex` of Linux, as far as `status`; the rest is room for the kernel to write into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("largest_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def ntp() -> bool | None:
    """Whether the kernel takes its clock for synchronised; None where it can't be asked."""
    if sys.platform != "linux":
        return None
    asked = _Timex()
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(asked)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return not asked.status & _UNSYNCHRONISED


# ------------------------------------------------------------------------------------------------- limits


def limits(installation: Installation) -> Iterator[Verdict]:
    """Open files and memory, against what this site may need."""
    needed = needed_descriptors(connections(installation))
    hard = open_files(installation)
    told = filled("{count} open files are allowed, {wanted} may be needed", count=hard, wanted=needed)
    if hard != resource.RLIM_INFINITY and hard < needed:
        yield wrong("open files", told, f"LimitNOFILE={needed}")
    else:
        yield good("open files")
    yield from _memory(installation)


def open_files(installation: Installation) -> int:
    """How many files may be open at most: of the router that runs, else of this process. -1: without end."""
    said = last_state(installation.site.data / "run" / "state.json") if installation.running else None
    text = _text(Path(f"/proc/{said.pid}/limits")) if said is not None else ""
    found = re.search(r"^Max open files\s+\S+\s+(\d+|unlimited)", text, re.MULTILINE)
    if found is None:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return resource.RLIM_INFINITY if found[1] == "unlimited" else int(found[1])


def connections(installation: Installation) -> int:
    """Connections of senders that the listeners of this site may have at once."""
    config = installation.site.config
    listeners = [feed.mllp for feed in config.feeds.values() if feed.mllp is not None]
    return sum(one.max_connections for one in listeners) + (config.http.max_connections if config.http else 0)


def _memory(installation: Installation) -> Iterator[Verdict]:
    config = installation.site.config
    processes = sum(config.processes.values())
    wanted = (processes + 1) * _PROCESS_BYTES + 3 * config.limits.stage_bytes
    there = memory()
    if there is None:
        yield remark("memory", "how much memory there is can't be seen here")
        return
    told = filled("{megabytes} MB, {wanted} may be needed", megabytes=there // 2**20, wanted=wanted // 2**20)
    fix = "limits: {stage_bytes: …}"
    yield wrong("memory", told, fix) if there < wanted else good("memory", told)


def memory() -> int | None:
    """Bytes that this machine, or this container, has at most; None where nobody says."""
    found = []
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _text(Path(name))
        if text.isdigit():
            found.append(int(text))
    total = re.search(r"^MemTotal:\s+(\d+) kB", _text(Path("/proc/meminfo")), re.MULTILINE)
    found += [int(total[1]) * 1024] if total else []
    return min(found, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


# ----------------------------------------------------------------------------------------------- versions


def versions(_installation: Installation) -> Iterator[Verdict]:
    """Python, OpenSSL, and the libraries as the package asks for them."""
    told = ssl.OPENSSL_VERSION
    yield (
        good("OpenSSL", told) if ssl.OPENSSL_VERSION_INFO[:3] >= _OPENSSL else wrong("OpenSSL", told, "OpenSSL >= 3.0")
    )
    try:
        asked = metadata.requires("segur-router") or []
    except metadata.PackageNotFoundError:
        yield remark("segur-router", "runs from a folder of sources: what it asks of its libraries is not known")
        return
    wanted = metadata.metadata("segur-router")["Requires-Python"] or ""
    python = sys.version.split()[0]
    yield good("Python", python) if meets(python, wanted) else wrong("Python", python, f"Python {wanted}")
    odd = list(_odd(asked))
    yield from odd
    if not odd:
        yield good("libraries")


def _odd(asked: list[str]) -> Iterator[Verdict]:
    for line in asked:
        if ";" in line:  # an extra
            continue
        found = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(.*)", line.strip())
        if found is None:
            continue
        name, wanted = found[1], found[2].strip("() ")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield wrong(name, "is not installed", f"pip install '{name}{wanted}'")
            continue
        if not meets(version, wanted):
            text = filled("version {found}, {wanted} is needed", found=version, wanted=wanted)
            yield wrong(name, text, f"pip install '{name}{wanted}'")


def meets(version: str, wanted: str) -> bool:
    """Whether a version meets `>=6.1`, `~=3.0.12`, `==2`, and several of them with commas (PEP 440, numbers only)."""
    have = _numbers(version)
    for one in filter(None, (part.strip() for part in wanted.split(","))):
        rule = re.fullmatch(r"(~=|==|>=|<=|!=|<|>)\s*(.+)", one)
        if rule is None:
            continue
        sign, need = rule[1], _numbers(rule[2])
        size = max(len(have), len(need))
        ours, theirs = have + (0,) * (size - len(have)), need + (0,) * (size - len(need))
        held = {
            ">=": ours >= theirs,
            "<=": ours <= theirs,
            ">": ours > theirs,
            "<": ours < theirs,
            "==": ours == theirs,
            "!=": ours != theirs,
            "~=": ours >= theirs and have[: len(need) - 1] == need[:-1],
        }
        if not held[sign]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[a-z+]", version.removeprefix("v"))[0]))


# ------------------------------------------------------------------------------------- character set, units


def locale(installation: Installation) -> Iterator[Verdict]:
    """Texts are UTF-8; the time zones that the site file names are known."""
    encoding = system_locale.getencoding() if sys.flags.utf8_mode == 0 else "utf-8"
    if encoding.lower().replace("-", "") == "utf8":
        yield good("charset", encoding)
    else:
        yield wrong("charset", filled("{name} can't show accents", name=encoding), "LANG=C.UTF-8")
    offset = time.strftime("%Z %z")
    yield good("time zone", offset)
    for sink in installation.site.config.sinks.values():
        zone = getattr(sink, "naive_time", "")
        if zone and not _known(zone):
            text = filled("the time zone {name} is not known here", name=zone)
            yield wrong("time zone", text, "apt install tzdata")


def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def systemd(_installation: Installation) -> Iterator[Verdict]:
    """The unit, where there is one: whether its last run ended well, and how often it was started again."""
    tool = shutil.which("systemctl")
    if tool is None or not Path("/run/systemd/system").is_dir():
        return
    names = "LoadState,ActiveState,Result,NRestarts,LimitNOFILE,UnitFileState"
    asked = [tool, "show", _UNIT, f"--property={names}"]
    done = subprocess.run(
        asked, capture_output=True, text=True, timeout=5, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if found.get("LoadState") != "loaded":
        return
    if found.get("UnitFileState") == "disabled":
        yield wrong(_UNIT, "is not started when the machine starts", f"systemctl enable {_UNIT}")
    if found.get("Result", "success") != "success":
        text = filled("its last run ended with: {why}", why=found["Result"])
        yield wrong(_UNIT, text, f"journalctl -u {_UNIT} -n 50")
    if found.get("NRestarts", "0") != "0":
        text = filled_plural(
            "was started again {count} time", "was started again {count} times", int(found["NRestarts"] or 0)
        )
        yield remark(_UNIT, text, f"journalctl -u {_UNIT}")
    yield good(_UNIT, found.get("ActiveState", ""))
