"""The pipeline files as one person may see them: what each does, its examples, how it was last loaded."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from router.access.person import EVERY, Role
from router.audit.event import Action
from router.audit.rows import Wanted
from router.config.pipeline import PipelineFile, read_folder
from router.console.page import NotHere
from router.console.visit import Visit
from router.console.words import names_seen
from router.errors import ConfigFault, Problem
from router.runtime.examples import play_all

_NAME: Final = re.compile(r"(?m)^name:[ \t]*['\"]?([\w.-]+)")
_FEEDS: Final = re.compile(r"(?m)^feeds?:(.*(?:\n[ \t]*- .*)*)")
_WORD: Final = re.compile(r"[\w.-]+")
OTHERS: Final = "…"
"""In the place of a name that works for other structures only."""
_playing: Final = threading.Lock()
"""Examples are played by one person at a time: each opens a site of its own."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One line of what a pipeline does, in order. line: where it stands in the file"""

    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """The last time that a running router took this file, or refused it.

    at: Unix seconds;  digest: of the text that it took, "" for one that it refused
    """

    at: float
    digest: str
    refused: bool


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that is wrong as it is now. name: in its address;  used: the version that a running router goes on with,
    None when the audit's rows begin later
    """

    name: str
    path: Path
    problems: tuple[Problem, ...]
    used: Loaded | None

    @property
    def text(self) -> str:
        """As it stands on the disk."""
        return self.path.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True)
class Files:
    """files: by their name, those that are right and that this person sees
    refused: those that are wrong as they are now, and that she sees
    problems: of the others, by the name of the file; empty for whoever does not see the whole site
    hidden: whether there are such that she does not see
    """

    files: tuple[PipelineFile, ...]
    refused: tuple[RefusedFile, ...]
    problems: Mapping[str, Sequence[Problem]]
    hidden: bool


@dataclass(frozen=True, slots=True)
class Played:
    """results: by the name of the example;  faults: why the file could not be played"""

    results: Mapping[str, Sequence[Problem]]
    faults: tuple[Problem, ...] = ()


def all_files(visit: Visit) -> Files:
    """The files as they are now on the disk."""
    files, problems = _read(visit)
    seen = _seen(visit)
    shown = sorted((file for file in files.values() if seen(file)), key=lambda file: file.config.name)
    told, refused = _told(problems), _refused(visit, files, problems)
    if visit.person.may(Role.READER, EVERY):
        return Files(tuple(shown), refused, told, hidden=False)
    names = {one.path.name for one in refused}
    return Files(tuple(shown), refused, {name: told[name] for name in names}, hidden=bool(told.keys() - names))


def file(visit: Visit, name: str) -> PipelineFile:
    """Raises `NotHere` for one that is none, is refused, or reads feeds of other structures only."""
    found = _read(visit)[0].get(name)
    if found is None or not _seen(visit)(found):
        raise NotHere
    return found


def refused_file(visit: Visit, name: str) -> RefusedFile | None:
    """The refused file of this name, which is no name of a pipeline that is right; None when this person sees none."""
    files, problems = _read(visit)
    if name in files:
        return None
    return next((one for one in _refused(visit, files, problems) if one.name == name), None)


def _refused(visit: Visit, files: Mapping[str, PipelineFile], problems: Sequence[Problem]) -> tuple[RefusedFile, ...]:
    """Those that this person sees: of one that can't be read, the lines that say its name and its feeds are."""
    found, names = [], names_seen(visit.tools.services.config, visit.structures)
    everywhere = visit.person.may(Role.READER, EVERY)
    for file, faults in _told(problems).items():
        path = Path(faults[0].file)
        if not path.is_file():
            continue  # a fault of the folder
        text = path.read_text(encoding="utf-8", errors="replace")
        feeds = {name for line in _FEEDS.findall(text) for name in _WORD.findall(line)}
        hidden = {*visit.tools.services.config.feeds, *visit.tools.services.config.sinks} - names
        if not everywhere and (not feeds & names or hidden & {*_WORD.findall(text)}):
            continue
        said = _NAME.search(text)
        name = said[1] if said is not None and said[1] not in files else path.stem
        found.append(RefusedFile(name, path, tuple(faults), _loaded(visit, file, refused=False)))
    return tuple(found)


def last_loaded(visit: Visit, file: PipelineFile) -> Loaded | None:
    """What the audit says; None when no running router has loaded it anew since its rows begin."""
    return _loaded(visit, file.path.name, refused=None)


def _loaded(visit: Visit, file: str, *, refused: bool | None) -> Loaded | None:
    """file: its name;  refused: False for the last version that was taken, None for the last word"""
    wanted = Wanted(actions=(Action.RELOADED,), kind="pipeline", object=file, refused=refused)
    rows = visit.tools.services.audit.search(wanted, limit=1)
    if not rows:
        return None
    event = rows[0].event
    return Loaded(event.at, "" if event.refused else event.detail, event.refused)


def play(visit: Visit, file: PipelineFile) -> Played:
    """Play its examples now. They are fictitious, and nothing is sent."""
    with _playing:
        try:
            found = play_all(visit.tools.site, [str(file.path)])
        except ConfigFault as fault:
            return Played({}, tuple(fault.problems))
    return Played({one.example: one.problems for one in found})


def bare(visit: Visit) -> Callable[[str], str]:
    """What is written in a file, without the names of feeds and sinks that work for other structures only."""
    config = visit.tools.services.config
    hidden = sorted({*config.feeds, *config.sinks} - names_seen(config, visit.structures), key=len, reverse=True)
    if visit.structures is None or not hidden:
        return str
    names = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, hidden))})(?![\w.-])")
    return lambda text: names.sub(OTHERS, text)


def stages(file: PipelineFile, bare: Callable[[str], str]) -> list[Stage]:
    """Feed, condition, steps and sinks, in this order. bare: see the function of this name."""
    return [replace(one, name=bare(one.name), text=bare(one.text)) for one in _stages(file)]


def _stages(file: PipelineFile) -> list[Stage]:
    config = file.config
    found = [Stage("feed", ", ".join(config.feeds), file.line(["feed"]))]
    if config.when is not None:
        found.append(Stage("when", config.when, file.line(["when"])))
    for rank, step in enumerate(config.steps):
        found.append(Stage(step.name, _short(step.value), file.line(["steps", rank])))
    for name, use in config.sinks.items():
        said = use.model_dump(exclude_unset=True)
        found.append(Stage(f"→ {name}", _short(said), file.line(["sinks", name])))
    return found


def _short(value: object) -> str:
    """What stands behind a name in the file, on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_short(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    if hasattr(value, "model_dump"):
        return _short(value.model_dump(exclude_unset=True))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _read(visit: Visit) -> tuple[dict[str, PipelineFile], list[Problem]]:
    config = visit.tools.services.config
    return read_folder(config.pipelines, sinks=config.sink_types, feeds=set(config.feeds))


def _seen(visit: Visit) -> Callable[[PipelineFile], bool]:
    """Whether the person sees a pipeline: it reads a feed that works for one of the person's structures."""
    names = names_seen(visit.tools.services.config, visit.structures)
    return lambda file: visit.structures is None or any(feed in names for feed in file.config.feeds)


def _told(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    """By the name of the file."""
    found: dict[str, list[Problem]] = {}
    for one in problems:
        found.setdefault(Path(one.file).name, []).append(one)
    return found
