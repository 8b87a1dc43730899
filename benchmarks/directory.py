"""A million mailboxes: how long an import takes, in how much memory, and what a look-up costs.

`python -m benchmarks.directory [--lines 1000000]`. Limits: 60 s of one core and 300 MB for the import,
1 ms for a look-up. Each
import runs in a process of its own, so that its memory is its own; the second one also compares with the first.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from router.directory.annuaire import Annuaire
from router.simulators.annuaire.extraction import HEADER

DOMAINS: Final = 5_000
LOOK_UPS: Final = 2_000
IMPORT_SECONDS, IMPORT_MEGABYTES, LOOK_UP_SECONDS = 60.0, 300.0, 0.001


def rpps(number: int) -> str:
    return f"1{number:010}"


def lines(count: int, churn: int) -> Iterator[str]:
    """An extraction of the size and shape of the published one; another `churn`, some other addresses."""
    blank = "|".join([""] * 7)
    for number in range(count):
        moved = churn if number % 100 == 0 else 0
        address = f"prenom{number}.nom{moved}@domaine{number % DOMAINS}.mssante.fr"
        structure = f"1{number % 90_000:09}"
        person = f"8|{rpps(number // 2)}|8{rpps(number // 2)}"
        skill = f"10|Médecin|SM{number % 60}|Spécialité {number % 60}"
        place = f"HOPITAL {number % 90_000}|{blank}|||75001|75|FRANCE"
        yield f"PER|{address}|{person}|1|{structure}|Service {number % 40}|DR|NOM|PRENOM|C|Civil|{skill}|O|{place}"


def write(path: Path, count: int, churn: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{HEADER}\n")
        file.writelines(f"{line}\n" for line in lines(count, churn))
    return path


def load(folder: Path, file: Path) -> None:
    """In a process of its own: import, then say seconds, megabytes and what changed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, worked = time.perf_counter(), time.process_time()
    report = Annuaire(folder).load(file)
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"import: {report.lines} lines in {seconds:.1f} s ({work:.1f} s of one core), "
        f"{most:.0f} MB at most ({before:.0f} MB before),",
        end=" ",
    )
    print(f"+{report.added} -{report.removed} ~{report.moved}, {len(report.domains)} domains")
    if work > IMPORT_SECONDS or most > IMPORT_MEGABYTES:
        raise SystemExit("too slow, or too large")


def look_ups(folder: Path, count: int) -> None:
    annuaire = Annuaire(folder)
    times = []
    for _ in range(LOOK_UPS):
        number = rpps(random.randrange(count // 2))
        began = time.perf_counter()
        found = annuaire.mailboxes(rpps=number)
        annuaire.professions(number)
        times.append(time.perf_counter() - began)
        assert len(found) == 2
    times.sort()
    median, late = times[LOOK_UPS // 2], times[LOOK_UPS * 99 // 100]
    print(f"look-up of mailboxes and profession: median {median * 1e6:.0f} µs, 99 % below {late * 1e6:.0f} µs")
    if median > LOOK_UP_SECONDS:
        raise SystemExit("too slow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--load", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.load:
        load(*asked.load)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for churn in (0, 1):
            file = write(folder / "extraction.txt", asked.lines, churn)
            words = [sys.executable, "-m", "benchmarks.directory", "--load", str(folder / "kept"), str(file)]
            subprocess.run(words, check=True)
        look_ups(folder / "kept", asked.lines)
        size = (folder / "kept" / "annuaire.sqlite").stat().st_size / 2**20
        print(f"store: {size:.0f} MB on disk")


if __name__ == "__main__":
    main()
