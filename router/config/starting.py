"""What `run` would refuse when it starts, beyond the files of the site: folders, the password of the bus, schemas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from router import private
from router.bus.settings import KafkaConfig
from router.config.pipeline import PipelineDraft
from router.config.site import SiteFile
from router.errors import OperatorFault, Problem
from router.language import filled
from router.software import TRACES, installed
from router.steps.look_up import STEP as LOOK_UP
from router.steps.registry import STEPS

Where = list[str | int]


def starting(site: SiteFile) -> Iterator[Problem]:
    """Problems of the site file, each at its place. Nothing is made or written."""
    places: list[tuple[Where, Path]] = [(["data"], site.config.data)]
    places += [(["feeds", name, "folder", "path"], feed.folder.path) for name, feed in site.config.feeds.items()
               if feed.folder is not None]  # fmt: skip
    for path, folder in places:
        if not site.source.lost(path):
            yield from _folder(site, path, folder)
    yield from _closed(site)
    yield from _bus(site)
    if site.config.traces is not None and not installed(TRACES):
        text = "the library of traces is not installed"
        yield site.source.problem(["traces"], text, "pip install 'segur-router[traces]'")


def needs(site: SiteFile, draft: PipelineDraft) -> Iterator[Problem]:
    """What a step of this pipeline wants of the site, and the site does not say."""
    for rank, step in enumerate(draft.config.steps):
        for key, text in STEPS[step.name].needs(step.value).items():
            if getattr(site.config, key) is None and not site.source.lost([key]):
                hint = filled("add `{name}` to the site file", name=key)
                yield draft.source.problem(["steps", rank, step.name], text, hint)


def unfound(site: SiteFile, draft: PipelineDraft) -> Iterator[Problem]:
    """Steps that look mailboxes up and can find none: no source is there, or nothing to find comes to them."""
    directory, feeds = site.config.directory, site.config.feeds
    known = {
        "table": bool(directory.mailboxes),
        "extraction": directory.annuaire.extraction is not None,
        "fhir": directory.fhir is not None,
    }
    mine = [feeds[name].rules.resolution_annuaire for name in draft.config.feeds if name in feeds]
    for rank, step in enumerate(draft.config.steps):
        if step.name != LOOK_UP:
            continue
        path: Where = ["steps", rank, step.name]
        if not any(known[name] for name in directory.sources) and not site.source.lost(["directory"]):
            text = "finds nobody: no source of mailboxes is configured"
            hint = "add `directory: {annuaire: {extraction: …}}`, or a table `directory: {mailboxes: …}`"
            yield draft.source.problem(path, text, hint, severity="warning")
        elif mine and all(one == "jamais" for one in mine) and not site.source.lost(["feeds"]):
            text = "never has anything to find: its feeds refuse a recipient without an address"
            hint = "add `rules: {resolution_annuaire: si-absente}` to the feed"
            yield draft.source.problem(path, text, hint, severity="warning")


def _folder(site: SiteFile, path: Where, folder: Path) -> Iterator[Problem]:
    """The router makes it, or writes in it: here, by another account, that may only be guessed."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        yield site.source.problem(path, filled("{name} is a file, not a folder", name=str(there)))
    elif not os.access(there, os.W_OK | os.X_OK):
        text = filled("this account can't write in {name}", name=str(there))
        yield site.source.problem(path, text, severity="warning")


def _closed(site: SiteFile) -> Iterator[Problem]:
    """No other account of the machine may reach the data folder (decisions D12)."""
    if site.source.lost(["data"]) or not private.open_to_others(site.config.data):
        return
    refused = site.config.environment == "production" and not site.source.lost(["environment"])
    text = filled("other accounts of this machine can reach {name}", name=str(site.config.data))
    yield site.source.problem(["data"], text, "chmod 700", severity="error" if refused else "warning")


def _bus(site: SiteFile) -> Iterator[Problem]:
    bus = site.config.bus
    if not isinstance(bus, KafkaConfig):
        return
    if bus.compression != "none":
        from router.bus.kafka.kafka_bus import check_codec

        try:
            check_codec(bus.compression)
        except OperatorFault as fault:
            yield site.source.problem(["bus", "compression"], fault.text)
    if bus.sasl is not None and not (bus.sasl.password_file and bus.sasl.password_file.exists()):
        try:
            bus.sasl.password()
        except OperatorFault as fault:
            if bus.sasl.password_env:
                text = filled("{name} is not set in this environment", name=bus.sasl.password_env)
                yield site.source.problem(["bus", "sasl", "password_env"], text, severity="warning")
            elif bus.sasl.password_file is None:
                yield site.source.problem(["bus", "sasl"], fault.text)
