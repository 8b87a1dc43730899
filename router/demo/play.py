"""Playing the story: progress, the table, where to look, and the last line."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from router.demo.people import make_accounts
from router.demo.row import Row
from router.demo.stage import Stage, stage
from router.demo.story import SCENES
from router.language import _, translated
from router.starter.pipeline_files import FIRST, FIRST_ID
from router.terminal.rows import Rows


async def play(folder: Path, *, seed: int, keep: bool, console: Console, bus: dict[str, Any] | None = None) -> bool:
    """The whole story in `folder`; whether every outcome was as promised. `keep` stays up until Ctrl-C."""
    started = time.monotonic()
    async with stage(folder, seed=seed, bus=bus) as played:
        console.print(f"[bold]segur-router[/] — {_('a day in a hospital, on simulators')}")
        console.print(f"  {_('the router starts …')} [dim]{_near(played.site)}[/]")
        await played.start()
        rows: list[Row] = []
        for scene in SCENES:
            async for row in scene(played):
                rows.append(row)
                mark = "[red]✗[/]" if row.broken else "[green]✓[/]"
                console.print(f"  {mark} {_(row.scene)}  [dim]{_(row.asked)}[/]")
                for sentence in row.broken:
                    console.print(f"      [red]{_('not kept')}[/]: {translated(sentence)}", soft_wrap=True)
        console.print()
        _table(rows).show(console)
        _where(console, played, lasting=bus is None or keep)
        kept = sum(not row.broken for row in rows)
        console.print(f"[dim]{time.monotonic() - started:.0f} s[/]")
        console.print(_("demo: {kept} of {count} outcomes as promised", kept=kept, count=len(rows)), highlight=False)
        if keep:
            await _stay(console, played)
        return kept == len(rows)


def _table(rows: list[Row]) -> Rows:
    table = Rows("", _("Message"), "MSH-10", _("Asked"), "ACK", "DMP", _("Mail"), _("Back to the sender"))
    for row in rows:
        mark = "[red]✗[/]" if row.broken else "[green]✓[/]"
        table.add(mark, _(row.scene), row.control_id, _(row.asked), row.ack, row.dmp, row.mail, row.back)
    return table


def _where(console: Console, played: Stage, *, lasting: bool) -> None:
    """`lasting`: bus and databases are still there when the operator reads this."""
    folder, site = _near(played.folder), _near(played.site)
    console.print()
    console.print(f"[bold]{_('Where to look')}[/]")
    lines = [
        (_("mails as they left"), f"{folder}/mails/*.eml"),
        (_("the archives"), _("`unzip -l IHE_XDM.ZIP` of a mail, or {folder}", folder=f"{folder}/mailboxes")),
        (_("DMP, request and answer"), f"{folder}/dmp/"),
    ]
    if lasting:
        lines += [
            (_("the story of one message"), f"{_command()} explain <MSH-10> --site {site}"),
            (_("Dead letters").lower(), f"{_command()} dlq ls --site {site}"),
        ]
    else:
        lines.append(("explain, dlq", _("bus and database end with the demo; --keep keeps them until Ctrl-C")))
    lines.append((_("the log of the router"), str(_near(played.log))))
    width = max(len(name) for name, _text in lines)
    for name, text in lines:
        console.print(f"  {name:<{width}}  {text}", markup=False, soft_wrap=True)


def _command() -> str:
    """As it was called, so that the lines can be pasted."""
    return sys.argv[0] if Path(sys.argv[0]).name == "segur-router" else "segur-router"


def _near(path: Path) -> Path:
    """Relative to where the operator stands, when it is below."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


async def _stay(console: Console, played: Stage) -> None:
    ports, site = played.ports, _near(played.site)
    console.print()
    console.print(f"[bold green]{_('Still up until Ctrl-C. In another terminal:')}[/]")
    sample = _near(played.folder) / "pipelines" / "samples" / FIRST
    for line in (
        f"{_command()} send {sample} --to 127.0.0.1:{ports['sil']}",
        f"{_command()} explain {FIRST_ID} --site {site}",
        f"{_command()} dlq ls --site {site}",
        f"curl -s http://127.0.0.1:{ports['admin']}/metrics | grep segur_",
        _("the console, in a browser: {address}", address=f"http://127.0.0.1:{ports['console']}"),
    ):
        console.print(f"  {line}", soft_wrap=True)
    for one in make_accounts(played.site):
        account = _("account {name} password {password}", name=f"{one.name:<16}", password=one.password)
        note = _("{role}; of this demo alone, told only here", role=_(one.role))
        console.print(f"    {account}   ({note})", markup=False, highlight=False, soft_wrap=True)
    provider = _("or by the hospital's identity provider, a simulated one: the other button of the login page")
    console.print(f"  {provider}", soft_wrap=True)
    for person in played.people:
        account = _("account {name} password {password}", name=f"{person.name:<16}", password=person.password)
        console.print(f"    {account}   ({', '.join(person.groups)})", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  {_('ports:')} {', '.join(f'{name} {port}' for name, port in ports.items())}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
