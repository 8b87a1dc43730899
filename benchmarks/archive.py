"""What the archive costs: two routers take national messages by turns, one that keeps them and one that does not.

    python -m benchmarks.archive [--rounds 5] [--messages 100] [--size 100000]

Both seal the bus. The figure is processor time of all processes of a router per message, and of each role. What else
the machine does disturbs it, so each pair of rounds gives a ratio, and their median is told.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.place import Place, place
from benchmarks.run import Result, Run, national

LIMIT: Final = 5.0
"""Per cent of the stages' processor time that the archive may take."""
_WARM: Final = 30


async def turns(folder: Path, rounds: int, run: Run) -> list[tuple[Result, Result]]:
    """(without the archive, with it) of each round; which of the two is first changes."""
    key = folder / "master.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    sealed: dict[str, Any] = {"encryption": {"master_key": {"file": str(key)}}}
    found = []
    async with contextlib.AsyncExitStack() as opened:
        without = await opened.enter_async_context(place(folder / "without", bus=sealed, national=True))
        kept = await opened.enter_async_context(place(folder / "with", bus=sealed | {"archive": {}}, national=True))
        for one in (without, kept):
            await one.start()
            await national(one, Run(run.scenario, run.size, _WARM, run.connections), "sqlite", 99)
        for number in range(rounds):
            order: Sequence[Place] = (without, kept) if number % 2 else (kept, without)
            told = {id(one): await national(one, run, "sqlite", number) for one in order}
            found.append((told[id(without)], told[id(kept)]))
            print(_line(str(number + 1), *found[-1]), flush=True)
    return found


def _line(name: str, without: Result, kept: Result) -> str:
    more = kept.cpu_own_ms - without.cpu_own_ms
    roles = ", ".join(f"{role} {kept.cpu_ms[role] - ms:+.2f}" for role, ms in sorted(without.cpu_ms.items()))
    share = 100 * more / without.cpu_own_ms
    return f"| {name} | {without.cpu_own_ms:.2f} | {kept.cpu_own_ms:.2f} | {share:+.1f} % | {roles} |"


def main() -> int:
    """0 when the archive takes no more than it may, and nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--size", type=int, default=100_000)
    asked = parser.parse_args()
    print("| round | without, ms a message | with | more | of it, ms |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="segur-archive-") as folder:
        run = Run("national", asked.size, asked.messages, 8)
        found = uvloop.run(turns(Path(folder), asked.rounds, run))
    shares = [100 * (kept.cpu_own_ms / without.cpu_own_ms - 1) for without, kept in found]
    print(f"\nmedian {statistics.median(shares):+.1f} % (limit {LIMIT:g} %)")
    lost = sum(one.lost + one.repeated + one.refused for pair in found for one in pair)
    return int(lost > 0 or statistics.median(shares) > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
