"""`python -m benchmarks.soak`: kill, freeze, cut and lock the real router under load, and count what is lost.

The real router (`segur-router run`) works under a steady load of relays and of documents that are published, replaced
and deleted, while processes are killed and frozen, sockets cut, answers held back, databases locked, second slots come
and go, and on Kafka the broker falls; hostile peers attack every way in all the while. A checker that asks the router
nothing compares what the sender handed over with what the neighbours got and what the sender was told. The last line
says what it found; the exit code is 1 when anything was lost, duplicated, inverted, delayed by strangers, or told
wrongly, and the folder is then kept for study.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from math import inf
from pathlib import Path

from benchmarks.soak.report import lines, markdown
from benchmarks.soak.run import Plan, play


def main() -> int:
    """0 when no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=25, help="SIGKILLs, all kinds together (default: 25)")
    parser.add_argument("--seed", type=int, help="of traffic and faults; printed (default: drawn)")
    parser.add_argument("--bus", choices=("sqlite", "kafka"), default="sqlite", help="kafka: with PostgreSQL")
    parser.add_argument("--pause", type=float, default=1.4, help="mean seconds between two kills (default: 1.4)")
    parser.add_argument("--minutes", type=float, default=inf, help="of faults at most, however few were killed by then")
    parser.add_argument(
        "--hostile", action=argparse.BooleanOptionalAction, default=True, help="strangers attack (default: yes)"
    )
    parser.add_argument(
        "--sealed", action="store_true", help="seal the bus, keep an archive, change the master key under load"
    )
    parser.add_argument("--report", type=Path, help="write a Markdown report there")
    parser.add_argument("--folder", type=Path, help="work there and keep it (default: a temporary folder)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1, 10**6)
    plan = Plan(
        options.kills, seed, options.bus, options.pause, options.minutes, hostile=options.hostile, sealed=options.sealed
    )
    folder = options.folder or Path(tempfile.mkdtemp(prefix="segur-soak-"))
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)

    print(f"soak: {plan.kills} kills on {plan.bus}, --seed {seed}, in {folder}", flush=True)
    result = play(folder, plan, tell)
    if options.report:
        options.report.write_text(markdown(result), encoding="utf-8")
    broken = bool(result.violations)
    print("\n".join(lines(result)))
    if not broken and not options.folder:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept for study: {folder}")
    print(result.last_line)
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
