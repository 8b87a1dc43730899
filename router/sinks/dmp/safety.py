"""What of a DMP sink's configuration may not run in an environment: `check` says it, the sink refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from router.contracts.sink_type import Unsafe
from router.language import filled
from router.sinks.dmp.settings import DmpConfig

LIMIT: Final = 5.0
"""Feeding transactions per second of a structure, which the DMP does not admit in production."""


def unsafe(config: DmpConfig, environment: str) -> Iterator[Unsafe]:
    """Production speaks to production hosts only, qualification to none of them (decisions D9)."""
    host = urlsplit(config.url).hostname or ""
    hosts = ", ".join(config.production_hosts)
    if environment == "production" and host not in config.production_hosts:
        text = filled("is no address of the DMP of production ({names})", names=hosts)
        yield Unsafe("url", text, "write that address, or `environment: qualification`", code="DMP-ENVIRONMENT")
    if environment != "production" and host in config.production_hosts:
        text = "is the DMP of production, and this site is for qualification"
        yield Unsafe("url", text, "write the address of the test platform", code="DMP-ENVIRONMENT")
    if environment == "production" and config.max_per_second >= LIMIT:
        text = filled("the DMP admits fewer than {limit} deposits per second and structure", limit=f"{LIMIT:.0f}")
        yield Unsafe("max_per_second", text, "4 or less", code="DMP-RATE")
    if environment == "production" and config.keep is not None:
        yield Unsafe("keep", "keeps clear documents on disk: qualification only", "leave it out", code="DMP-KEEP")
