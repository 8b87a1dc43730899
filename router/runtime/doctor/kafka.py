"""Kafka, where the site has it: brokers, topics and their settings as `topics plan` compares them, and our rights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from router.bus.opening import open_bus
from router.bus.settings import KafkaConfig
from router.language import filled
from router.runtime.doctor.check import Installation, Verdict, good, wrong
from router.runtime.presence import groups_of
from router.runtime.site_services import SiteServices


def look(installation: Installation) -> Iterator[Verdict]:
    """Raises `OperatorFault` when the brokers refuse us, `Unavailable` when none answers."""
    config = installation.site.config.bus
    if not isinstance(config, KafkaConfig):
        return
    services = SiteServices(installation.site)
    plans = services.plans()
    with closing(open_bus(services.bus_config())) as bus:
        differences = list(bus.check(plans))
        lacking = getattr(bus, "lacking", None)
        rights = lacking([plan.name for plan in plans], groups_of(installation.site.config.sinks)) if lacking else {}
    for difference in differences:
        yield wrong("topics", difference, "segur-router topics plan")
    broker = config.servers.split(",")[0]
    user = config.sasl.username if config.sasl is not None else "…"
    for (kind, name), operations in rights.items():
        text = filled("our account lacks {names}", names=", ".join(operations))
        fix = " ".join(f"--operation {one}" for one in operations)
        where = "--cluster" if kind == "cluster" else f"--{kind} {name}"
        yield wrong(
            f"{kind} {name}".strip(),
            text,
            f"kafka-acls --bootstrap-server {broker} --add --allow-principal User:{user} {fix} {where}",
        )
    if not differences and not rights:
        yield good("brokers", config.servers)
