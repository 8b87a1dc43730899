"""Playing the story: progress, the table, where to look, and the last line."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from router.demo.people import make_accounts
from router.demo.stage import Stage, stage
from router.demo.story import SCENES, Row
from router.language import _
from router.starter.pipeline_files import FIRST, FIRST_ID


async def play(folder: Path, *, seed: int, keep: bool, console: Console, bus: dict[str, Any] | None = None) -> bool:
    """The whole story in `folder`; whether every outcome was as promised. `keep` stays up until Ctrl-C."""
    started = time.monotonic()
    async with stage(folder, seed=seed, bus=bus) as played:
        console.print("[bold]segur-router[/] — une journée à l'hôpital, sur simulateurs")
        console.print(f"  démarrage du routeur … [dim]{_near(played.site)}[/]")
        await played.start()
        rows: list[Row] = []
        for scene in SCENES:
            async for row in scene(played):
                rows.append(row)
                mark = "[red]✗[/]" if row.broken else "[green]✓[/]"
                console.print(f"  {mark} {row.scene}  [dim]{row.asked}[/]")
                for sentence in row.broken:
                    console.print(f"      [red]{_('not kept')}[/]: {sentence}", soft_wrap=True)
        console.print()
        console.print(_table(rows))
        _where(console, played, lasting=bus is None or keep)
        kept = sum(not row.broken for row in rows)
        console.print(f"[dim]{time.monotonic() - started:.0f} s[/]")
        console.print(_("demo: {kept} of {count} outcomes as promised", kept=kept, count=len(rows)), highlight=False)
        if keep:
            await _stay(console, played)
        return kept == len(rows)


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("", _("Message"), "MSH-10", _("Asked"), "ACK", "DMP", _("Mail"), _("Back to the sender")):
        table.add_column(name, overflow="fold")
    for row in rows:
        mark = "[red]✗[/]" if row.broken else "[green]✓[/]"
        table.add_row(mark, row.scene, row.control_id, row.asked, row.ack, row.dmp, row.mail, row.back)
    return table


def _where(console: Console, played: Stage, *, lasting: bool) -> None:
    """`lasting`: bus and databases are still there when the operator reads this."""
    folder, site = _near(played.folder), _near(played.site)
    console.print()
    console.print(f"[bold]{_('Where to look')}[/]")
    console.print(f"  mails as sent        {folder}/mails/*.eml")
    console.print(f"  the archives         unzip -l IHE_XDM.ZIP of a mail, or {folder}/mailboxes")
    console.print(f"  DMP, request/answer  {folder}/dmp/")
    if lasting:
        console.print(f"  one message's story  {_command()} explain <MSH-10> --site {site}")
        console.print(f"  dead letters         {_command()} dlq ls --site {site}")
    else:
        console.print("  explain, dlq         broker and database end with the demo; --keep keeps them until Ctrl-C")
    console.print(f"  the router's log     {_near(played.log)}")


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
    console.print(f"  {_command()} send {sample} --to 127.0.0.1:{ports['sil']}")
    console.print(f"  {_command()} explain {FIRST_ID} --site {site}")
    console.print(f"  {_command()} dlq ls --site {site}")
    console.print(f"  curl -s http://127.0.0.1:{ports['admin']}/metrics | grep segur_")
    console.print(f"  the console, in a browser: http://127.0.0.1:{ports['console']}")
    for one in make_accounts(played.site):
        told = f"{one.name:<16} password {one.password}   ({one.role}; of this demo alone, told only here)"
        console.print(f"    account {told}", markup=False, highlight=False, soft_wrap=True)
    console.print("  or by the hospital's identity provider, a simulated one: the other button of the login page")
    for person in played.people:
        told = f"{person.name:<16} password {person.password}   ({', '.join(person.groups)})"
        console.print(f"    account {told}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  ports: {', '.join(f'{name} {port}' for name, port in ports.items())}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
