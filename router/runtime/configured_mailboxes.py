"""The mailboxes, labels and structures that a site file names, for the comparison with annuaire and liste blanche."""

from __future__ import annotations

from collections.abc import Iterator

from router.config.site_models import SiteConfig
from router.directory.check import Configured
from router.directory.mailboxes import finess
from router.sinks.mssante.settings import MssanteConfig
from router.structures import StructureConfig


def configured_mailboxes(config: SiteConfig) -> tuple[Configured, ...]:
    """In the order of the site file: structures, their applications, sinks, the site's own table."""
    found: list[Configured] = []
    for number, structure in config.structures.items():
        found += _structure(number, structure)
    for name, sink in config.sinks.items():
        if isinstance(sink, MssanteConfig) and sink.mailbox:
            found.append(Configured(f"sinks.{name}.mailbox", sink.mailbox, sends=True))
    for rank, line in enumerate(config.directory.mailboxes):
        place = f"directory.mailboxes.{rank}"
        found.append(Configured(place, line.address, rpps=line.rpps, finess=finess(line.structure)))
    return tuple(found)


def _structure(number: str, structure: StructureConfig) -> Iterator[Configured]:
    place = f"structures.{number}"
    yield Configured(place, finess=number, name=structure.name)
    if structure.mailbox:
        yield Configured(
            f"{place}.mailbox", structure.mailbox, True, finess=number, name=structure.name, label=structure.label
        )
    for rank, one in enumerate(structure.applications):
        mailbox = one.mailbox or structure.mailbox
        if mailbox:
            yield Configured(
                f"{place}.applications.{rank}", mailbox, True, finess=number, name=structure.name, label=one.label
            )
