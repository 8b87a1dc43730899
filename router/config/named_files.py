"""The files that a site names, looked at before the router needs them: certificates, keys, authorities, lists, secrets.

What each key of the site file holds is a table, `LOOKS`; a test finds every path of the models there or in `MADE`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from router import private
from router.cda.schema import SchemaGate
from router.cisis.valuesets import ValueSets
from router.config.members import Where, members
from router.config.site import SiteFile
from router.directory import liste_blanche
from router.directory.fetch import remote
from router.errors import MessageFault, OperatorFault, Problem
from router.gateway.tls import Certificates
from router.language import N_, filled, filled_plural
from router.sealing.master import master
from router.sealing.settings import MasterKey
from router.secret import Secret
from router.sinks.certificate_files import Pem, Trouble, authorities, certificate, key, lists
from router.sinks.registry import SINK_TYPES
from router.xds.tables import tables

MADE: Final = frozenset(
    {"data", "keep", "pipelines", "bus.path", "audit.anchor", "archive.folder", "feeds.*.folder.path"}
)
"""Folders and files that the router makes, and the pipelines, which are looked at by themselves."""


@dataclass(frozen=True, slots=True)
class Named:
    """One path that the site file says, and the model that it stands in."""

    where: Where
    path: Path
    model: BaseModel


def named(model: BaseModel) -> Iterator[Named]:
    """Every path of the file, in the order of the models."""
    return (Named(one.where, one.value, one.model) for one in members(model) if isinstance(one.value, Path))


def look(site: SiteFile, now: datetime | None = None) -> Iterator[Problem]:
    """What is wrong with the files that this site names, each at its place in the site file."""
    now = now or datetime.now(UTC)
    told: list[Where] = []
    for one in named(site.config):
        find = LOOKS.get(str(one.where[-1]))
        for trouble in find(one, now) if find is not None and _said(site, one.where) else ():
            if trouble.severity == "error":
                told.append(one.where)
            yield site.source.problem(one.where, trouble.text, trouble.hint, severity=trouble.severity)
    yield from _directory(site)
    yield from _variables(site)
    for where, load in _loads(site):
        if not any(other[: len(where)] == where for other in told):
            try:
                load()
            except OperatorFault as fault:
                yield site.source.problem(where, fault.text)


def _said(site: SiteFile, where: Where) -> bool:
    """Whether the file itself names it: a default is no choice of the site's."""
    return site.source.source.holds(where) or not site.source.source.holds(where[:-1])


def _missing(path: Path) -> Trouble | None:
    """Why a file can't be read, None when it can."""
    if path.is_dir():
        return Trouble(filled("{name} is a folder, not a file", name=str(path)))
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return Trouble(filled("{name} can't be read: {reason}", name=str(path), reason=error.strerror))


def _pem(look_at: Callable[[Pem], Iterator[Trouble]], one: Named, now: datetime) -> Iterator[Trouble]:
    if missing := _missing(one.path):
        yield missing
        return
    yield from look_at(Pem(one.path, one.path.read_bytes(), now, one.model))


def _secret(one: Named, _now: datetime) -> Iterator[Trouble]:
    """A file that holds a secret: ours alone."""
    if missing := _missing(one.path):
        yield missing
        return
    if not one.path.read_bytes().strip():
        yield Trouble(filled("{name} is empty", name=str(one.path)))
    if private.open_to_others(one.path):
        text = filled("other accounts of this machine can read {name}", name=str(one.path))
        yield Trouble(text, N_("chmod 600"), "warning")
    if isinstance(one.model, MasterKey):
        try:
            master(one.model)
        except OperatorFault as fault:
            yield Trouble(fault.text)


def _opening(open_it: Callable[[Path], object], one: Named, _now: datetime) -> Iterator[Trouble]:
    """What is read at the start, read by those who read it then."""
    if not one.path.exists():
        yield Trouble(filled("there is no {name}", name=str(one.path)))
        return
    try:
        open_it(one.path)
    except OperatorFault as fault:
        yield Trouble(fault.text)


Look = Callable[[Named, datetime], Iterator[Trouble]]
#: Last key of a path in the site file -> what is looked at.
LOOKS: Final[Mapping[str, Look]] = {
    "certificate": partial(_pem, certificate),
    "key": partial(_pem, key),
    **dict.fromkeys(("ca", "client_ca", "server_ca"), partial(_pem, authorities)),
    "crl": partial(_pem, lists),
    **dict.fromkeys(("file", "password_file"), _secret),
    "cda_schema": partial(_opening, lambda path: SchemaGate(path, "error")),
    "value_sets": partial(_opening, ValueSets.load),
    "tables": partial(_opening, tables),
}


# --------------------------------------------------------------------------------------------- the directory


def _directory(site: SiteFile) -> Iterator[Problem]:
    """The liste blanche and the extraction, when a file holds them; asked of nobody when an address does."""
    directory = site.config.directory
    asked = any(SINK_TYPES[sink.type].directory for sink in site.config.sinks.values())
    sources = [(("directory", "liste_blanche", "source"), directory.liste_blanche.source if asked else "")]
    sources.append((("directory", "annuaire", "extraction"), directory.annuaire.extraction or ""))
    for where, source in sources:
        if not source or site.source.lost(where) or source.startswith("https://"):
            continue
        if remote(source):
            text = "must be https: the list's authenticity rests on TLS alone"
            yield site.source.problem(where, text, "write https://")
        elif missing := _missing(Path(source)):
            yield site.source.problem(where, missing.text)
        elif where[1] == "liste_blanche":
            yield from _liste_blanche(site, where, Path(source))


def _liste_blanche(site: SiteFile, where: Where, path: Path) -> Iterator[Problem]:
    least = site.config.directory.liste_blanche.minimum
    try:
        count = len(liste_blanche.read(path).domains)
    except MessageFault as fault:
        text = filled("{name} is no liste blanche: {reason}", name=str(path), reason=fault.text)
        yield site.source.problem(where, text)
        return
    if count < least and not site.source.lost([*where[:-1], "minimum"]):
        text = filled_plural(
            "{count} name, fewer than {least}", "{count} names, fewer than {least}", count, least=least
        )
        yield site.source.problem(where, text, "a shorter `minimum`, or the whole list")


# --------------------------------------------------------------------------------------- variables, and the rest


def _variables(site: SiteFile) -> Iterator[Problem]:
    """Environment variables that are not set here; where the router runs they may be."""
    for one in members(site.config):
        if isinstance(one.value, Secret) and one.value.env is not None and not os.environ.get(one.value.env):
            text = filled("{name} is not set in this environment", name=one.value.env)
            yield site.source.problem((*one.where, "env"), text, severity="warning")


def _loads(site: SiteFile) -> Iterator[tuple[Where, Callable[[], object]]]:
    """What listeners and sinks do with their files when they start: told of as one when no file alone is wrong."""
    config = site.config
    listeners: list[tuple[Where, Any]] = [(("feeds", name, "mllp"), feed.mllp) for name, feed in config.feeds.items()]
    listeners.append((("http",), config.http))
    for where, listener in listeners:
        if listener is not None and listener.tls is not None:
            yield (*where, "tls"), partial(Certificates, listener.tls)
    for name, sink in config.sinks.items():
        for at, load in SINK_TYPES[sink.type].loads(sink).items():
            yield ("sinks", name, *at.split(".")), load
