"""The options by which `search`, `explain` and `dlq` choose events: the same everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from router.cli import audited
from router.cli.output import fail
from router.cli.periods import period
from router.language import translated

if TYPE_CHECKING:
    from router.journal.criteria import Criteria
    from router.runtime.site_services import SiteServices

RecipientOption = Annotated[
    str, typer.Option(metavar="TEXT", help="Address, domain, RPPS, or name as the sender wrote it.")
]
StructureOption = Annotated[str, typer.Option(metavar="FINESS", help="The structure that sends.")]
SenderOption = Annotated[str, typer.Option(metavar="NAME", help="MSH-3 or MSH-4, or both: `SIL|LABO`.")]
TypeOption = Annotated[str, typer.Option("--type", metavar="CODE", help="Type of the document, e.g. 11502-2.")]
PatientOption = Annotated[
    str, typer.Option(metavar="TEXT", help="INS, IPP, his mailbox, or names and birth date: `DUPONT Marie 31/01/1950`.")
]
OutcomeOption = Annotated[
    str, typer.Option(metavar="WORD", help="delivered, failed, waiting, filtered, superseded or refused.")
]
CodeOption = Annotated[
    str, typer.Option("--code", "--cause", metavar="CODE", help="Only this code: MSS-552 (or 552, or 5.2.2), R45…")
]
FeedOption = Annotated[str, typer.Option(metavar="NAME", help="Only this feed.")]
PipelineOption = Annotated[str, typer.Option(metavar="NAME", help="Only this pipeline.")]
SinkOption = Annotated[str, typer.Option(metavar="NAME", help="Only this sink.")]
SinceOption = Annotated[
    str, typer.Option(metavar="TIME", help="From then on: today, yesterday, 30m, 2h, 3d, or a date, in French time.")
]
UntilOption = Annotated[str, typer.Option(metavar="TIME", help="Up to then: the same words; a day counts whole.")]


def patient_asked(services: SiteServices, patient: str) -> list[str]:
    """The pseudonyms of a patient, whose search is audited. Fails with a sentence for what can be no patient."""
    from router.journal.criteria import BadCriterion
    from router.runtime.asking import pseudonyms

    try:
        names = pseudonyms(services, patient)
    except BadCriterion as fault:
        fail(translated(fault.text))
    audited.patient_asked(services, names)
    return names


def code_asked(text: str) -> str:
    """A code as the journal and the ledger keep it. Fails with a sentence, which tells the forms, for what is none."""
    from router.journal.criteria import BadCriterion, code_of, verify_code

    code = code_of(text)
    try:
        verify_code(code)
    except BadCriterion as fault:
        fail(translated(fault.text))
    return code


def asked(services: SiteServices, *, patient: str = "", since: str = "", until: str = "", **texts: Any) -> Criteria:
    """The criteria of these options. Fails with a sentence, which tells the forms, for what can't be meant."""
    from router.journal.criteria import BadCriterion, Criteria
    from router.runtime.asking import of_site

    first, end = period(since, until, services.clock.now())
    try:
        wanted = of_site(services, replace(Criteria(since=first, until=end), **texts), patient)
        wanted.verify()
        if wanted.patients:
            audited.patient_asked(services, wanted.patients)
    except BadCriterion as fault:
        fail(translated(fault.text))
    return wanted
