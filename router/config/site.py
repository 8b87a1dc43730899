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
from router.config.site_models import FeedConfig, SiteConfig
from router.config.speaking import speaking
from router.errors import ConfigFault, Problem
from router.language import N_, filled
from router.sinks.registry import SINK_TYPES, carrying_messages
from router.structures import StructureConfig

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


class Site:
    """A site file that was read and makes sense: absolute paths, structures that know their number."""

    def __init__(self, path: Path) -> None:
        """Raises `ConfigFault` with every problem of the file."""
        self.path = path.resolve()
        self.folder = self.path.parent
        source = Source(path)
        data = source.data
        for finess, structure in (data.get("structures") or {}).items():
            if isinstance(structure, dict):
                structure.setdefault("finess", finess)
        self.config = _absolute(source.read_as(SiteConfig, data), self.folder)
        self.source = source
        problems = [
            *_names(source, self.config),
            *speaking(source, self.config),
            *_ports(source, self.config),
            *_environment(source, self.config),
        ]
        if problems:
            raise ConfigFault(sorted(problems, key=lambda found: (found.line, found.column)))

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
        for name in type(value).model_fields:
            old = getattr(value, name)
            if (new := _absolute(old, folder)) is not old:
                changed[name] = new
        return cast(T, _changed(value, changed)) if changed else value
    if isinstance(value, dict):
        made = {key: _absolute(one, folder) for key, one in value.items()}
        return cast(T, made) if any(made[key] is not value[key] for key in made) else value
    return value


def _changed(model: M, values: dict[str, object]) -> M:
    """A copy with other values. What the file does not say stays unsaid: a default path is no choice of the site."""
    copied = model.model_copy(update=values)
    copied.model_fields_set.intersection_update(model.model_fields_set)
    return copied


def _names(source: Source, site: SiteConfig) -> list[Problem]:
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
    problems += [
        source.problem(["retry", name], "is neither a sink nor a type of sink")
        for name in site.retry
        if name not in {*site.sinks, *SINK_TYPES}
    ]
    return problems


def _structure(source: Source, site: SiteConfig, finess: str, structure: StructureConfig) -> Iterator[Problem]:
    for kind, declared in SINK_TYPES.items():
        instance = structure.sink_of(kind)
        if instance and site.sink_types.get(instance) != kind:
            text = filled("no {kind} sink is named {name}", kind=kind, name=repr(instance))
            yield source.problem(["structures", finess, kind], text)
        for needed, sentence in declared.needs.items() if instance else ():
            if not getattr(structure, needed):
                yield source.problem(["structures", finess], sentence, filled("add `{name}`", name=needed))
    senders: list[tuple[list[str | int], str]] = [([], structure.mailbox)]
    senders += [(["applications", rank], one.mailbox) for rank, one in enumerate(structure.applications)]
    for place, mailbox in senders:
        if mailbox and clean(mailbox) is None:
            yield source.problem(["structures", finess, *place, "mailbox"], "must be one plain mail address")


def _feed(source: Source, site: SiteConfig, name: str, feed: FeedConfig) -> Iterator[Problem]:
    if feed.reply and site.sink_types.get(feed.reply) not in carrying_messages():
        text = filled("no {kind} sink is named {name}", kind="/".join(carrying_messages()), name=repr(feed.reply))
        yield source.problem(["feeds", name, "reply"], text)
    if not (feed.mllp or feed.folder or feed.http or feed.raw_topic):
        yield source.problem(["feeds", name], "has no way in", "add mllp, http, folder or raw_topic")
    if feed.http and site.http is None:
        yield source.problem(["feeds", name, "http"], "the site has no `http` port")


def _ports(source: Source, site: SiteConfig) -> list[Problem]:
    """Two listeners on one port."""
    problems: list[Problem] = []
    seen: dict[int, str] = {}
    for name, feed in site.feeds.items():
        if feed.mllp is not None and feed.mllp.port:
            other = seen.setdefault(feed.mllp.port, name)
            if other != name:
                path: list[str | int] = ["feeds", name, "mllp", "port"]
                text = filled("port {port} is already that of feed {name}", port=feed.mllp.port, name=repr(other))
                problems.append(source.problem(path, text))
    return problems


def _environment(source: Source, site: SiteConfig) -> list[Problem]:
    """Production and qualification never mix (decisions D9)."""
    problems = []
    for name, feed in site.feeds.items():
        if "environment" in feed.rules.model_fields_set and feed.rules.environment != site.environment:
            path: list[str | int] = ["feeds", name, "rules", "environment"]
            problems.append(
                source.problem(path, filled("must agree with the site's: {environment}", environment=site.environment))
            )
    if site.environment == "production":
        for name, config in site.sinks.items():
            for key, sentence in _NOT_IN_PRODUCTION.items():
                if getattr(config, key, None) not in (None, False, "", "plain-allowed"):
                    problems.append(source.problem(["sinks", name, key], sentence))
        if isinstance(site.bus, KafkaConfig) and site.database.url is None and site.database.url_secret is None:
            problems.append(source.problem(["database"], "Kafka in production needs PostgreSQL for the ledger"))
        if isinstance(site.bus, KafkaConfig):
            problems += _copies(source, site.bus)
    return problems


def _copies(source: Source, bus: KafkaConfig) -> Iterator[Problem]:
    """What is acknowledged must survive the loss of a broker."""
    for name, least in (("replication_factor", 3), ("min_insync_replicas", 2)):
        if getattr(bus, name) < least:
            sentence = filled(
                "is {least} or more in production: what is acknowledged must survive the loss of a broker", least=least
            )
            yield source.problem(["bus", name], sentence)


_NOT_IN_PRODUCTION = {
    "keep": N_("keeps clear documents on disk: qualification only"),
    "redirect_all_mail": N_("sends everything to one address: qualification only (decisions D9)"),
}
