"""`segur-router archive`, on a site that kept one delivery."""

from __future__ import annotations

from pathlib import Path

from tests.cli.cli import command
from tests.cli.test_cli_printable import write


def test_what_explain_takes_leads_to_what_was_kept(tmp_path: Path) -> None:
    """An event shows what its deliveries left, as the delivery itself does, in the reader's language."""
    site = ("--site", str(write(tmp_path)), "--lang", "fr")
    by_event, by_delivery = (command("archive", "show", one, *site) for one in ("e" * 64, "d" * 32))
    assert by_event.code == by_delivery.code == 0
    assert by_event.out == by_delivery.out
    assert "en échec" in by_event.out and "dead_lettered" not in by_event.out
    unknown = command("archive", "show", "nothing", *site)
    assert unknown.code == 1 and "rien n'est gardé à ce propos" in unknown.err
