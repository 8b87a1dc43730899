"""`segur-router traces`: the traces of exchanges that the national requirement asks for."""

from __future__ import annotations

import sys

import typer

from router.cli import audited, criteria, rights
from router.cli.audit import Form, FormOption
from router.cli.free_text import AuditedOption
from router.cli.periods import period
from router.cli.site import DEFAULT_SITE, SiteOption, open_site

commands = typer.Typer(no_args_is_help=True, help="Traces of exchanges with servers: who, when, what, the answer.")


@commands.callback()
def _traces() -> None:
    """A group of one command, so that `export` is named."""


def add_to(app: typer.Typer) -> None:
    app.add_typer(commands, name="traces")


@commands.command()
def export(
    site: SiteOption = DEFAULT_SITE,
    since: criteria.SinceOption = "",
    until: criteria.UntilOption = "",
    form: FormOption = Form.CSV,
    reason: AuditedOption = "",
) -> None:
    """Every request to the MSSanté operator, the mailboxes and the DMP on the standard output, failures included.

    Times are French, with their offset. No content, no patient. That somebody took them stands in the audit.
    """
    from router.audit.event import Action
    from router.audit.export import TRACES, trace_line, written

    with open_site(site) as services:
        rights.need_administrator(services, Action.EXPORTED, "traces")
        first, end = period(since, until, services.clock.now())
        told = " ".join(filter(None, (f"format={form}", since and f"since={since}", until and f"until={until}")))
        audited.record(services, Action.EXPORTED, "traces", reason=reason, detail=told)
        sys.stdout.writelines(written(map(trace_line, services.traces.every(first, end)), TRACES, form.value))
