"""The site file `router.yaml`: one hospital's (or group's) feeds, structures, sinks and where things are kept."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast

from pydantic import BaseModel

from router import private
from router.bus.settings import KafkaConfig
from router.cisis.addresses import clean
from router.config.load import Source
from router.config.reading import Reading
from router.config.sentences import nearest, one_of
from router.config.site_models import FeedConfig, SiteConfig, SiteRest
from router.config.speaking import speaking
from router.errors import ConfigFault, Problem, in_order
from router.language import N_, filled
from router.sinks.registry import SINK_TYPES, carrying_messages
from router.strict import FILE_OR_ADDRESS
from router.structures import FINESS, LENGTH, StructureConfig, keyed

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class SiteFile:
    """A site file as far as it can be read, with every problem of it: what `check` looks at."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigFault` for a file that can't be read at all."""
        self.path = path.resolve()
        self.folder = self.path.parent
        source = Source(path, absent=N_("go to the folder of the site, or name the file with `--site FILE`"))
        data = source.data
        structures = data.get("structures")
        for finess, structure in (structures if isinstance(structures, dict) else {}).items():
            if isinstance(structure, dict):
                structure.setdefault("finess", finess)
        self.source = Reading[SiteConfig](source, SiteConfig, SiteRest, data)
        self.config = _absolute(self.source.config, self.folder)
        self.problems = in_order(
            [
                *self.source.problems,
                *_names(self.source, self.config),
                *speaking(self.source, self.config),
                *_ports(self.source, self.config),
                *_environment(self.source, self.config),
            ]
        )

    @property
    def pipelines(self) -> Path | None:
        """The folder of the pipeline files, None when the file does not say it in a way that can be read."""
        return None if self.source.lost(["pipelines"]) else self.config.pipelines

    @property
    def feeds(self) -> set[str] | None:
        """Names of the feeds that the file writes, wrong ones included; None when it has no such table."""
        written = self.source.names("feeds")
        return {*written, *(name.lower() for name in written if self.source.lost(["feeds", name]))} or None

    @property
    def sink_types(self) -> dict[str, str] | None:
        """Instance -> type, as far as its name or its configuration says it; None when there is no such table."""
        written = {name: name.partition(".")[0] for name in self.source.names("sinks")}
        return {**written, **self.config.sink_types} or None


class Site:
    """A site file that was read and makes sense: absolute paths, structures that know their number."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigFault` with every problem of the file."""
        file = SiteFile(path)
        if problems := [one for one in file.problems if one.severity == "error"]:
            raise ConfigFault(problems)
        self.path, self.folder, self.source, self.config = file.path, file.folder, file.source, file.config

    @property
    def data(self) -> Path:
        return self.config.data

    @property
    def pipelines(self) -> Path:
        return self.config.pipelines

    def secret(self) -> bytes:
        """The key of the pseudonyms; made once, readable by us alone, when the file names none."""
        if self.config.secret is not None:
            return self.config.secret.read().encode()
        path = self.data / "pseudonyms.key"
        if not path.exists():
            private.make(self.data)
            draft = path.with_suffix(f".{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32))
            try:
                os.link(draft, path)  # the first of several processes wins
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip().encode()


def _absolute(value: T, folder: Path) -> T:
    """The same model with every relative path started at `folder`; what does not change stays the same object."""
    if isinstance(value, Path):
        return cast(T, value if value.is_absolute() else folder / value)
    if isinstance(value, BaseModel):
        changed = {}
        for name, field in type(value).model_fields.items():
            old = getattr(value, name)
            new = _file(old, folder) if FILE_OR_ADDRESS in field.metadata else _absolute(old, folder)
            if new is not old:
                changed[name] = new
        return cast(T, _changed(value, changed)) if changed else value
    if isinstance(value, dict):
        made = {key: _absolute(one, folder) for key, one in value.items()}
        return cast(T, made) if any(made[key] is not value[key] for key in made) else value
    return value


def _file(value: str | None, folder: Path) -> str | None:
    """The same for a text that may be an address: that one stays as it is."""
    return value if value is None or "://" in value or Path(value).is_absolute() else str(folder / value)


def _changed(model: M, values: dict[str, object]) -> M:
    """A copy with other values. What the file does not say stays unsaid: a default path is no choice of the site."""
    copied = model.model_copy(update=values)
    copied.model_fields_set.intersection_update(model.model_fields_set)
    return copied


def _names(source: Reading[SiteConfig], site: SiteConfig) -> list[Problem]:
    """References inside the file that lead nowhere."""
    problems = [
        source.problem(["sinks", name], filled("is named like another type than its own ({kind})", kind=config.type))
        for name, config in site.sinks.items()
        if name.split(".")[0] != config.type
    ]
    for finess, structure in site.structures.items():
        problems += _structure(source, site, finess, structure)
    for name, feed in site.feeds.items():
        problems += _feed(source, site, name, feed)
    known = [*source.names("sinks"), *SINK_TYPES]
    problems += [
        source.problem(["retry", name], "is neither a sink nor a type of sink", nearest(name, known))
        for name in site.retry
        if name not in known
    ]
    return problems


def _sink(source: Reading[SiteConfig], site: SiteConfig, name: str, kinds: list[str]) -> tuple[str, str] | None:
    """(what is wrong, what to write) with the name of a sink that must be of one of these types; None when it is one.

    A sink that can't be read is told where it stands.
    """
    written = name.partition(".")[0] if source.lost(["sinks", name]) else site.sink_types.get(name)
    if written in kinds or (source.lost(["sinks"]) and name.partition(".")[0] in kinds):
        return None
    known = [one for one in source.names("sinks") if one.partition(".")[0] in kinds]
    text = filled("no {kind} sink is named {name}", kind="/".join(kinds), name=repr(name))
    return text, nearest(name, known) or one_of(known)


def _structure(
    source: Reading[SiteConfig], site: SiteConfig, finess: str, structure: StructureConfig
) -> Iterator[Problem]:
    path = ["structures", finess]
    yield from _finess(source, finess)
    for kind, declared in SINK_TYPES.items():
        instance = structure.sink_of(kind)
        if instance and (wrong := _sink(source, site, instance, [kind])):
            yield source.problem([*path, kind], *wrong)
        for needed, sentence in declared.needs.items() if instance else ():
            if not getattr(structure, needed) and not source.lost([*path, needed]):
                yield source.problem(path, sentence, filled("add `{name}`", name=needed))
    senders: list[tuple[list[str | int], str]] = [([], structure.mailbox)]
    senders += [(["applications", rank], one.mailbox) for rank, one in enumerate(structure.applications)]
    for place, mailbox in senders:
        if mailbox and clean(mailbox) is None:
            yield source.problem([*path, *place, "mailbox"], "must be one plain mail address")


def _finess(source: Reading[SiteConfig], number: str) -> Iterator[Problem]:
    """A FINESS has nine characters; its last digit is a key, which a test number need not have."""
    path = ["structures", number]
    if not FINESS.fullmatch(number):
        text = "is no FINESS: it has nine digits, with 2A or 2B first in Corsica"
        short = number.isdigit() and len(number) < LENGTH
        yield source.problem(path, text, "write it in quotes: YAML drops the zero before a number" if short else "")
    elif not keyed(number):
        text = "its last digit is not the key of a FINESS: is it right?"
        yield source.problem(path, text, severity="warning")


def _feed(source: Reading[SiteConfig], site: SiteConfig, name: str, feed: FeedConfig) -> Iterator[Problem]:
    if feed.reply and (wrong := _sink(source, site, feed.reply, carrying_messages())):
        yield source.problem(["feeds", name, "reply"], *wrong)
    ways = ("mllp", "http", "folder", "raw_topic")
    if not any(getattr(feed, way) or source.lost(["feeds", name, way]) for way in ways):
        yield source.problem(["feeds", name], "has no way in", "add mllp, http, folder or raw_topic")
    if feed.http and site.http is None and not source.lost(["http"]):
        yield source.problem(["feeds", name, "http"], "the site has no `http` port", "add `http: {port: …}`")


def _ports(source: Reading[SiteConfig], site: SiteConfig) -> list[Problem]:
    """Two listeners on one port."""
    found: list[tuple[list[str | int], int, str]] = [
        (["feeds", name, "mllp", "port"], feed.mllp.port, name) for name, feed in site.feeds.items() if feed.mllp
    ]
    if site.http is not None:
        found.append((["http", "port"], site.http.port, "http"))
    if site.console is not None:
        found.append((["console", "port"], site.console.port, "console"))
    if "admin" in site.model_fields_set:
        found.append((["admin", "port"], site.admin.port, "admin"))
    problems: list[Problem] = []
    seen: dict[int, str] = {}
    for path, port, owner in found:
        other = seen.setdefault(port, owner) if port else owner
        if other in ("http", "console", "admin") and other != owner:
            text = filled("port {port} is already that of {name}", port=port, name=repr(other))
            problems.append(source.problem(path, text))
        elif other != owner:
            text = filled("port {port} is already that of feed {name}", port=port, name=repr(other))
            problems.append(source.problem(path, text))
    return problems


def _environment(source: Reading[SiteConfig], site: SiteConfig) -> list[Problem]:
    """Production and qualification never mix (decisions D9); what must survive stands where it does."""
    problems: list[Problem] = []
    if source.lost(["environment"]):
        return problems
    for name, feed in site.feeds.items():
        if "environment" in feed.rules.model_fields_set and feed.rules.environment != site.environment:
            path: list[str | int] = ["feeds", name, "rules", "environment"]
            problems.append(
                source.problem(path, filled("must agree with the site's: {environment}", environment=site.environment))
            )
    if site.archive is not None and site.encryption is None and not source.lost(["encryption"]):
        problems.append(source.problem(["archive"], "needs `encryption`: nothing is kept in clear for years"))
    if site.environment == "production" and isinstance(site.bus, KafkaConfig):
        if site.database.url is None and site.database.url_secret is None and not source.lost(["database"]):
            problems.append(source.problem(["database"], "Kafka in production needs PostgreSQL for the ledger"))
        problems += _copies(source, site.bus)
    return problems


def _copies(source: Reading[SiteConfig], bus: KafkaConfig) -> Iterator[Problem]:
    """What is acknowledged must survive the loss of a broker."""
    for name, least in (("replication_factor", 3), ("min_insync_replicas", 2)):
        if getattr(bus, name) < least:
            sentence = filled(
                "is {least} or more in production: what is acknowledged must survive the loss of a broker", least=least
            )
            yield source.problem(["bus", name], sentence)
