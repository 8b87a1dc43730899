"""What may have left since a backup of the embedded bus was made, although that bus says nothing of it.

Events that were accepted and not yet decided when the bus was copied, and receipts that were not yet answered, are
decided and answered after the restore. Their deliveries may have been made before the disaster: they are held.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from router.contracts import RECEIPTS, Bus, Partition, in_topic
from router.engine.delivery.worker_settings import nothing_doubtful
from router.exchange import Origin

FILE: Final = "restored.json"
"""In the data folder: what the last restore found and did."""
Ranges = Mapping[str, tuple[int, int]]
"""`<topic>/<partition>` -> from which offset, and up to which one."""


def ranges(bus: Bus, feeds: list[str]) -> dict[str, tuple[int, int]]:
    """What their groups have not consumed yet."""
    from router.engine.pipeline.worker import GROUP as PIPELINES  # not for a sinks process, which asks `of_site` alone
    from router.feedback.worker import GROUP as FEEDBACK

    found: dict[str, tuple[int, int]] = {}
    for group, topics in ((PIPELINES, [in_topic(feed) for feed in feeds]), (FEEDBACK, [RECEIPTS])):
        consumed = bus.positions(group)
        for topic in topics:
            for place, end in bus.ends(topic).items():
                if (start := consumed.get(place, 0)) < end:
                    found[str(place)] = start, end
    return found


def of_site(data: Path) -> Callable[[Origin], bool]:
    """For the sink workers of a site: whether what was made of this record may have left before the restore."""
    try:
        said: Ranges = json.loads((data / FILE).read_bytes()).get("doubtful", {})
    except FileNotFoundError:
        return nothing_doubtful
    return lambda origin: _within(said, origin)


def _within(said: Ranges, origin: Origin) -> bool:
    start, end = said.get(str(Partition(origin.topic, origin.partition)), (0, 0))
    return start <= origin.offset < end
