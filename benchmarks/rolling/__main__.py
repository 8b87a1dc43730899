"""`python -m benchmarks.rolling`: replace each pod under load, one after the other, and tell what senders notice.

Every role runs as the Helm chart starts it, `segur-router run --only <role>` with its slot in the environment, on a
Kafka and a PostgreSQL of their own; two gateways, two pipelines, two sinks, one feedback, one journal. Each pod gets
SIGTERM, has the grace of the chart to end, and a new one starts under the same slot with an empty data folder; after
that one of each role gets SIGKILL. A checker that asks the router nothing compares what was sent with what arrived.
With `--from REV` the pods begin with the code of that revision (`released`: that of the last release): the chart's hook
migrates the tables, an older pod falls, and each pod is replaced by one of the present code.
Exit code 1: something was lost, duplicated, inverted, fenced, or a sender waited more than a second.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.rolling.older import released
from benchmarks.rolling.plan import REPLICAS, Plan, every_turn, upgrade_turns
from benchmarks.rolling.report import broken, last_line, lines
from benchmarks.rolling.run import play


def main() -> int:
    """0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rolling", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the traffic; printed (default: drawn)")
    parser.add_argument("--role", choices=tuple(REPLICAS), help="replace the pods of this role only")
    parser.add_argument("--from", dest="older", metavar="REV", default="", help="upgrade from this revision")
    parser.add_argument("--rest", type=float, default=3.0, help="seconds of load between two pods (default: 3)")
    parser.add_argument(
        "--pre-stop", type=float, default=0.0,
        help="seconds from leaving the Service to SIGTERM; the chart gives gateways 10 (default: 0, the harder case)",
    )  # fmt: skip
    parser.add_argument("--report", type=Path, help="write the table there")
    parser.add_argument("--folder", type=Path, help="work there and keep it (default: a temporary folder)")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1, 10**6)
    older = released() if options.older == "released" else options.older
    turns = tuple(one for one in (upgrade_turns() if older else every_turn()) if options.role in (None, one.role))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="segur-rolling-"))
    began = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)

    print(f"rolling: --seed {seed}, in {folder}", flush=True)
    result = play(folder, Plan(seed, older, turns, options.rest, options.pre_stop), tell)
    out = [*lines(result), last_line(result)]
    print("\n".join(out))
    if options.report:
        options.report.write_text("\n".join(out) + "\n", encoding="utf-8")
    if broken(result) or options.folder:
        print(f"kept for study: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return int(bool(broken(result)))


if __name__ == "__main__":
    raise SystemExit(main())
