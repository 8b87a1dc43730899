"""The listeners under garbage for as long as wanted: `python benchmarks/reader/listeners.py --seconds 600`.

Forty vandals at a time on the MLLP and the HTTP port, as in `tests/gateway/test_gateway_fuzz.py`, each round with
seeds of its own, and a good sender beside them. Fails when the good sender is not answered AA within a minute, when
the event loop met an exception nobody caught, when bytes are held at the end, or when memory grew by more than 64 MB
after the first tenth of the run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.reader.bench import memory
from router.contracts import Outgoing
from router.gateway.http_listener import HttpListener
from router.gateway.settings import HttpConfig
from tests.gateway.gateway_parts import Client, Counted, MemoryBus, hl7, listening, make_intake, relay
from tests.gateway.test_gateway_fuzz import posted, vandal

VANDALS = 40
GROWTH = 64 * 2**20


class Forgetful(MemoryBus):
    """A bus that keeps nothing, so that the run's memory is the gateway's."""

    def publish(self, records: Sequence[Outgoing], *, settle: Any = None) -> Any:
        origins = super().publish(records, settle=settle)
        self.topics.clear()
        self.batches.clear()
        return origins


async def run(seconds: float) -> list[str]:
    """What went wrong; nothing, one hopes."""
    wrong: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(str(context)))
    intake = make_intake(Forgetful(), observer=Counted())
    started, rounds, base = time.monotonic(), 0, 0
    async with listening(intake, max_frame=65536, max_connections=500) as listener:
        http = HttpListener(HttpConfig(port=0, max_body=65536, idle_timeout=2), {"sil": relay()}, intake)
        await http.start()
        while (spent := time.monotonic() - started) < seconds and not wrong:
            if not base and spent > seconds / 10:
                base = memory("VmRSS")
            ports = (listener.port, http.port)
            vandals = [asyncio.create_task(vandal(ports[n % 2], rounds * VANDALS + n)) for n in range(VANDALS)]
            good = await Client.connect(listener.port)
            await good.send(hl7(f"m{rounds}"))
            if (await good.answer(60))[1] != f"MSA|AA|m{rounds}" or b" 200 " not in await posted(
                http.port, hl7(f"h{rounds}")
            ):
                wrong.append(f"round {rounds}: a good sender was not answered AA")
            good.close()
            await asyncio.gather(*vandals)
            rounds += 1
        grown = memory("VmRSS") - (base or memory("VmRSS"))
        await http.close(5)
    if grown > GROWTH:
        wrong.append(f"memory grew by {grown >> 20} MB")
    if intake.budget.held:
        wrong.append(f"{intake.budget.held} bytes are still held")
    print(f"{rounds} rounds of {VANDALS} vandals, memory grew by {grown >> 20} MB, {len(wrong)} findings")
    return wrong


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0)
    wrong = asyncio.run(run(arguments.parse_args().seconds))
    for one in wrong[:20]:
        print(one)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
