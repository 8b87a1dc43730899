"""Everything that is wrong with a site and its pipelines, at once: `segur-router check`.

What `run` refuses is among it (`refusals`, the problems of the files). The rest runs, and does not do what it should.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from router.config.cel_tree import NotCel, parse
from router.config.conditions import field_oddity, oddities
from router.config.named_files import look
from router.config.pipeline import PipelineDraft
from router.config.safety import in_container, refusals
from router.config.site import SiteFile
from router.config.site_models import SiteRest
from router.config.starting import needs, starting, unfound
from router.config.unmatched import impossible, unmatched
from router.errors import ConfigFault, Problem, in_order
from router.language import filled
from router.steps.registry import STEPS


@dataclass(slots=True)
class Checked:
    """Problems in the order of files and lines, and the names of the pipelines that were read."""

    problems: list[Problem] = field(default_factory=list)
    pipelines: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Problem]:
        return [one for one in self.problems if one.severity == "error"]


def check(path: Path, *, container: bool = False, files: bool = True) -> Checked:
    """The site file, the files that it names, its pipelines, and what they take together.

    container: also what nobody outside a container would reach; files: whether those that the site names are here
    """
    try:
        site = SiteFile(path)
    except ConfigFault as fault:
        return _without_site(path.parent / SiteRest().pipelines, list(fault.problems))
    drafts, wrong = read_drafts(site.pipelines, site)
    found = [*site.problems, *refusals(site), *(in_container(site) if container else ())]
    found += [*starting(site), *look(site)] if files else ()
    found += unmatched(site, drafts, whole=not wrong and site.pipelines is not None)
    checked = Checked(in_order(_once(found)), [draft.config.name for draft in drafts])
    for draft in drafts:
        found = [
            *draft.problems,
            *needs(site, draft),
            *unfound(site, draft),
            *impossible(site, draft),
            *_oddities(draft),
        ]
        checked.problems += in_order(_once(found))
    checked.problems += wrong
    return checked


def _without_site(folder: Path, problems: list[Problem]) -> Checked:
    """The site file is no YAML: what its pipelines say by themselves is told all the same."""
    checked = Checked(problems)
    for path in sorted(folder.glob("*.yaml")):
        try:
            draft = PipelineDraft(path, sinks=None, feeds=None)
        except ConfigFault as fault:
            checked.problems += fault.problems
        else:
            checked.problems += in_order(_once([*draft.problems, *_oddities(draft)]))
    return checked


def read_drafts(folder: Path | None, site: SiteFile) -> tuple[list[PipelineDraft], list[Problem]]:
    """Every `*.yaml` of the folder as far as it can be read, and what is wrong with the others, or with the folder."""
    drafts: list[PipelineDraft] = []
    problems: list[Problem] = []
    if folder is None:
        return drafts, problems
    if not folder.is_dir():
        text = filled("there is no folder {name}", name=str(folder))
        return drafts, [site.source.problem(["pipelines"], text, "write `pipelines: …`")]
    paths = sorted(folder.glob("*.yaml"))
    for path in paths:
        try:
            drafts.append(PipelineDraft(path, sinks=site.sink_types, feeds=site.feeds))
        except ConfigFault as fault:
            problems += fault.problems
    if not paths:
        problems.append(Problem(str(folder), 1, 1, "", "holds no pipeline", "add a file such as biologie.yaml"))
    for path in sorted(folder.glob("*.yml")):
        text = "is not read: only files that end in .yaml are"
        problems.append(Problem(str(path), 1, 1, "", text, "rename it", "warning"))
    return drafts, [*problems, *_twins(drafts)]


def _twins(drafts: Sequence[PipelineDraft]) -> Iterator[Problem]:
    """Two files of one name."""
    first: dict[str, PipelineDraft] = {}
    for draft in drafts:
        other = first.setdefault(draft.config.name, draft)
        if other is not draft and draft.config.name:
            yield draft.source.problem(["name"], filled("is already the name of {name}", name=other.path.name))


def _oddities(draft: PipelineDraft) -> Iterator[Problem]:
    """Conditions and addresses that can be read, and that mean nothing of HL7 or of the value sets."""
    for path, source in draft.conditions():
        try:
            tree = parse(source)
        except NotCel:
            continue
        for found in oddities(tree):
            yield draft.source.problem(path, found.reason, found.hint, severity=found.severity, column=found.column)
    for rank, step in enumerate(draft.config.steps):
        for address in STEPS[step.name].addresses(step.value):
            text, severity = field_oddity(address)
            if text:
                yield draft.source.problem(["steps", rank, step.name, address], text, severity=severity)


def _once(problems: Collection[Problem]) -> list[Problem]:
    """Two rules may say the same of one place."""
    return list(dict.fromkeys(problems))
