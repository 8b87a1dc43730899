"""`segur-router`: one command for those who connect senders, those who operate, and those who look."""

from __future__ import annotations

import typer

from router import private
from router.cli import (
    access,
    archive,
    audit,
    backup,
    check,
    console,
    demo,
    diff,
    directory,
    dlq,
    dlq_take_back,
    doctor,
    explain,
    init,
    keys,
    national,
    options,
    reference,
    run,
    search,
    send,
    simulate,
    status,
    token,
    topics,
    traces,
    try_,
    version,
    wait_for,
    withdraw,
)
from router.cli.output import one_sentence
from router.observe.logs import hush

app = typer.Typer(
    name="segur-router",
    cls=options.Command,
    help="Routes hospital documents (HL7 v2 / CDA) to the DMP and to MSSanté, and tells senders what became of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 good · 1 the answer is bad · 2 the command or a file is wrong · 3 something needed is away"
    " · 4 a bug of ours.",
)

options.add_to(app)
init.add_to(app)
run.add_to(app)
wait_for.add_to(app)
send.add_to(app)
demo.add_to(app)
simulate.add_to(app)
check.add_to(app)
try_.add_to(app)
diff.add_to(app)
console.add_to(app)
status.add_to(app)
doctor.add_to(app)
explain.add_to(app)
search.add_to(app)
dlq.add_to(app)
dlq_take_back.add_to(dlq.commands)
withdraw.add_to(app)
audit.add_to(app)
traces.add_to(app)
archive.add_to(app)
directory.add_to(app)
topics.add_to(app)
access.add_to(app)
token.add_to(app)
backup.add_to(app)
keys.add_to(app)
national.add_to(app)
reference.add_to(app)
version.add_to(app)


def main() -> None:
    """Entry point: every fault of ours ends as one sentence and an exit code."""
    private.mask()
    hush()
    with one_sentence():
        try:
            app()
        except BrokenPipeError:  # the reader of our output left (`| head`)
            raise SystemExit(0) from None


if __name__ == "__main__":
    main()
