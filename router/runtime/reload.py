"""The pipelines that run now: reloaded in one piece, refused without harm.

A file that is wrong, or of which an example no longer comes out as it says, keeps its last good version running; also
across a restart of the worker, from the copies in `<data>/run/pipelines`.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from router.audit.event import Action, AuditEvent
from router.audit.trail import SYSTEM
from router.config.pipeline import PipelineFile, read_folder
from router.engine.pipeline.compiled import CompiledPipeline
from router.errors import ConfigFault, Problem, RouterError
from router.exchange import Exchange
from router.measures import MEASURES
from router.runtime.examples import failing_examples
from router.runtime.pipelines import Compiler
from router.runtime.site_services import SiteServices

WATCH_SECONDS: Final = 1.0
log = structlog.get_logger()


class PipelineSet:
    """The pipelines that run now, by feed."""

    def __init__(
        self, services: SiteServices, *, refused: Callable[[Sequence[Problem]], None] = lambda _: None
    ) -> None:
        """`refused` hears of every problem at a reload. Call `load` or `resume` before the first `of`."""
        self._services = services
        self._refused = refused
        self._compiler = Compiler(services)
        self._copies = services.site.data / "run" / "pipelines"
        self._good: dict[Path, PipelineFile] = {}
        self._by_feed: Mapping[str, tuple[CompiledPipeline, ...]] = {}
        self._seen: dict[Path, tuple[int, int]] = {}
        self._stop = threading.Event()

    @property
    def parse(self) -> Callable[[Exchange], Exchange]:
        """The reader that all pipelines share."""
        return self._compiler.parse

    def of(self, feed: str) -> Sequence[CompiledPipeline]:
        """Pipelines of a feed, in the order of their names."""
        return self._by_feed.get(feed, ())

    def load(self) -> list[Problem]:
        """Read the folder: what is right runs from the next batch on. Returns the problems of the rest."""
        files, problems = self._read()
        self._take(files.values())
        self._measure(problems)
        return problems

    def resume(self) -> list[Problem]:
        """`load` of a worker that starts (again): files that are wrong now run as they last were right.

        A file that changed since it last ran must also do what its examples say. Returns the problems of those that
        have no good version to go on with.
        """
        files, problems = self._read()
        changed = [file for file in files.values() if (old := self._kept(file.path)) and old.digest != file.digest]
        failing = failing_examples(self._services.site, changed) if changed else []
        refused = {problem.file for problem in failing}
        files = {name: file for name, file in files.items() if str(file.path) not in refused}
        problems = problems + failing
        wrong = {Path(problem.file) for problem in problems}
        kept = [file for path in sorted(wrong) if (file := self._kept(path)) is not None]
        self._take([*files.values(), *kept])
        standing = {file.path.name for file in kept}
        if replaced := [problem for problem in problems if Path(problem.file).name in standing]:
            self._services.observer.count("reload_total", result="refused")
            self._refused(replaced)
        self._measure(replaced)
        return [problem for problem in problems if Path(problem.file).name not in standing]

    def reload(self) -> list[Problem]:
        """`load`, but a file that changed must also do what its examples say."""
        files, problems = self._read()
        running = {file.path: file.digest for file in self._good.values()}
        changed = [file for file in files.values() if running.get(file.path) != file.digest]
        failing = failing_examples(self._services.site, changed) if changed else []
        refused = {problem.file for problem in failing}
        self._take([file for file in files.values() if str(file.path) not in refused])
        self._measure(problems + failing)
        return problems + failing

    def watch(self) -> threading.Thread:
        """Reload on change, in a thread of its own, until `close`."""
        thread = threading.Thread(target=self._watch, name="pipelines-watch", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        self._stop.set()

    # ------------------------------------------------------------------------------------------- internals

    def _read(self) -> tuple[dict[str, PipelineFile], list[Problem]]:
        site = self._services.site
        self._seen = self._stamps()  # before the look: what changes during it is seen at the next
        return read_folder(site.pipelines, sinks=site.config.sink_types, feeds=set(site.config.feeds), examples=False)

    def _take(self, files: Iterable[PipelineFile]) -> None:
        """Run these, and the last good version of every other file that is still there; all at once."""
        present = {path.name for path in self._services.site.pipelines.glob("*.yaml")}
        good = {path: file for path, file in self._good.items() if path.name in present}
        for file in files:
            good[self._services.site.pipelines / file.path.name] = file
        by_feed: dict[str, list[CompiledPipeline]] = {}
        for pipeline in self._compiler.registers():
            by_feed.setdefault(pipeline.feed, []).append(pipeline)
        for file in sorted(good.values(), key=lambda one: one.config.name):
            for pipeline in self._compiler.pipelines(file):
                by_feed.setdefault(pipeline.feed, []).append(pipeline)
        self._good = good
        self._by_feed = {feed: tuple(some) for feed, some in by_feed.items()}
        for file in good.values():
            self._keep(file)
        self._begin_at_zero()

    def _measure(self, problems: Sequence[Problem]) -> None:
        """As long as a file is refused, `status` and an alert say so."""
        self._services.observer.set("pipelines_refused", len({problem.file for problem in problems}))

    def _begin_at_zero(self) -> None:
        """Counters of each pipeline: a rate of Prometheus needs a value before the first event."""
        for name in ("", *(pipeline.name for some in self._by_feed.values() for pipeline in some)):
            for disposition in MEASURES["events_total"].words["disposition"]:
                self._services.observer.count("events_total", 0, pipeline=name, disposition=disposition)

    def _keep(self, file: PipelineFile) -> None:
        """A copy of a version that runs, for the worker's next start."""
        copy = self._copies / file.path.name
        try:
            if copy.exists() and copy.read_text(encoding="utf-8") == file.text:
                return
            self._copies.mkdir(parents=True, exist_ok=True)
            draft = copy.with_suffix(f".{os.getpid()}")
            draft.write_text(file.text, encoding="utf-8")
            draft.replace(copy)
        except OSError as error:  # the pipeline runs all the same
            log.warning("pipeline not copied", file=file.path.name, error=type(error).__name__)

    def _kept(self, path: Path) -> PipelineFile | None:
        site = self._services.site
        try:
            return PipelineFile(
                self._copies / path.name,
                sinks=site.config.sink_types,
                feeds=set(site.config.feeds),
                examples=False,
            )
        except ConfigFault:  # never ran here, or the site has changed under it
            return None

    def _watch(self) -> None:
        last = self._seen
        while not self._stop.wait(WATCH_SECONDS):
            stamps, before = self._stamps(), last
            last = stamps
            if stamps == self._seen or stamps != before:  # nothing new, or still being written
                continue
            try:
                self._again()
            except Exception:  # the pipelines that run go on, and the next change is looked at
                log.error("pipelines not read again", exc_info=True, alert="reload")

    def _again(self) -> None:
        before = {path.name: file.digest for path, file in self._good.items()}
        problems = self.reload()
        self._audited(before, problems)
        self._services.observer.count("reload_total", result="refused" if problems else "applied")
        for file in sorted(self._good.values(), key=lambda one: one.config.name):
            log.info("pipeline runs", pipeline=file.config.name, digest=file.digest)
        if problems:
            self._refused(problems)

    def _audited(self, before: Mapping[str, str], problems: Sequence[Problem]) -> None:
        """What runs anew, what no longer runs, and what was refused; pipelines wait for no database."""
        after = {path.name: file.digest for path, file in self._good.items()}
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        refused = sorted({Path(problem.file).name for problem in problems})
        event = AuditEvent(
            at=self._services.clock.now(),
            who=SYSTEM,
            action=Action.RELOADED,
            kind="pipeline",
            source=f"{socket.gethostname()} {os.getpid()}",
        )
        said = [replace(event, object=name, detail=after.get(name, "removed")) for name in changed]
        said += [replace(event, object=name, refused=True) for name in refused]
        try:
            self._services.audit.record_all(said)
        except RouterError as fault:
            log.error("reload not audited", code=fault.code, place=fault.place, alert="audit-away")

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        stamps = {}
        for path in self._services.site.pipelines.glob("*.yaml"):
            try:
                found = path.stat()
            except FileNotFoundError:  # removed between the listing and the look
                continue
            stamps[path] = (found.st_mtime_ns, found.st_size)
        return stamps
