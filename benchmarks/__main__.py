"""Two versions in turns (`python -m benchmarks --against REV`), or one, role by role (`--profile`)."""

from __future__ import annotations

import argparse
import signal
import tempfile
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks import paired, profile
from benchmarks.load import Tally, serve_sink
from benchmarks.paired import NEWER, OLDER, SCENARIOS, SETS, Measure, Side
from benchmarks.place import place
from benchmarks.rolling.older import ROOT, NoHistory, unpack
from benchmarks.run import bus_keys


def main() -> int:
    """0 when nothing was lost, repeated, inverted or refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--against", metavar="REV", help="compare with the code of this revision, in turns")
    parser.add_argument("--of", metavar="REV", help="compare this revision instead of the files as they are now")
    what.add_argument("--profile", action="store_true", help="where each role spends its time (py-spy, or perf)")
    parser.add_argument(
        "--scenario", nargs="+", choices=(*SCENARIOS, *SETS), default=["one-patient", "light-1k", "light-100k"]
    )
    parser.add_argument("--rounds", type=int, default=2, help="of older, newer, newer, older (default 2)")
    parser.add_argument("--bus", choices=("sqlite", "kafka"), default="sqlite")
    parser.add_argument("--seconds", type=int, default=15, help="of a profile (default 15)")
    options = parser.parse_args()
    options.scenario = [one for name in options.scenario for one in SETS.get(name, (name,))]
    if "mixed" in options.scenario and any(SCENARIOS[name].scenario == "relay" for name in options.scenario):
        parser.error("mixed has a receiver of its own: run it without scenarios of the relay")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))  # the routers are to end with us
    console = Console(width=140)
    if options.profile:
        return _profile(console, options)
    with tempfile.TemporaryDirectory(prefix="segur-pair-") as name:
        folder = Path(name)
        try:
            older = unpack(options.against, folder / "older-code").folder
            newer = unpack(options.of, folder / "newer-code").folder if options.of else ROOT
        except NoHistory as error:
            console.print(f"[red]not in this checkout:[/] {error}")
            return 2

        def tell(turn: str, one: Measure) -> None:
            rate, p99 = one.result.rate, one.result.p99
            console.print(f"[dim]{turn}: {rate:.0f}/s, p99 {p99:.0f} ms, CPU {1000 * one.total.cpu:.2f} ms[/]")

        codes = {OLDER: older, NEWER: newer}
        found = uvloop.run(paired.compare(options.scenario, options.rounds, codes, options.bus, folder, tell))
    console.print(paired.table(found))
    if wrong := paired.bad(found):
        console.print(f"[red]{wrong} messages were lost, repeated, inverted or refused[/]")
    return int(wrong > 0)


def _profile(console: Console, options: argparse.Namespace) -> int:
    tool = profile.profiler()
    console.print(profile.readable(tool))
    if not tool:
        return 2
    kept = Path(tempfile.mkdtemp(prefix="segur-profile-"))
    for name in options.scenario:
        (kept / name).mkdir()
        profile.show(console, uvloop.run(_watched(tool, name, options, kept / name)))
    return 0


async def _watched(tool: str, name: str, options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """One scenario, again and again for as long as it is watched."""
    import asyncio

    run = SCENARIOS[name]
    with bus_keys(options.bus) as keys, tempfile.TemporaryDirectory(prefix="segur-bench-") as site:
        async with place(Path(site) / "site", bus=keys, national=run.scenario == "national") as played:
            tally = Tally()
            sink = await serve_sink(tally, played.relay_port) if run.scenario != "mixed" else None
            await played.start()
            side = Side(played, tally)
            await side.turn(run, options.bus)
            watching = asyncio.create_task(profile.watch(tool, played.workers(), options.seconds, folder))
            while not watching.done():
                await side.turn(run, options.bus)
            if sink is not None:
                sink.close()
            return await watching


if __name__ == "__main__":
    raise SystemExit(main())
