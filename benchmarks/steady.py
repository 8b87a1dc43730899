"""Small relays at a steady rate, in a process of their own: what receives large documents does not delay them.

`python -m benchmarks.steady IN OUT RATE COUNT PREFIX` sends to the port IN of a router, receives what it delivers at
the port OUT, and prints a line of JSON: what was lost, repeated, refused, and each latency in seconds.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import uvloop

from benchmarks.load import Tally, drive, latencies, serve_sink, template
from benchmarks.place import until

SIZE: Final = 1_000
_CONNECTIONS: Final = 8
_SETTLE: Final = 60.0


async def steady(came: int, left: int, rate: float, count: int, prefix: str) -> dict[str, Any]:
    """See the module. came: where the router listens;  left: where it delivers"""
    tally = Tally()
    sink = await serve_sink(tally, left)
    await drive(
        template(SIZE), tally, port=came, count=count, connections=_CONNECTIONS, rate=rate, prefix=prefix
    )  # fmt: skip
    await until(lambda: len(tally.arrived) >= len(tally.acked), _SETTLE)
    sink.close()
    lost = len(tally.acked.keys() - tally.arrived.keys())
    return {"lost": lost, "repeated": tally.repeated, "refused": tally.refused, "seconds": latencies(tally)}


def main(words: list[str]) -> None:
    came, left, rate, count, prefix = words
    print(json.dumps(uvloop.run(steady(int(came), int(left), float(rate), int(count), prefix))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
