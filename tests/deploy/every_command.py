"""`python every_command.py FOLDER`: each command on a site with a story, and one PDF; tells as JSON how they ended."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from router.rendering.pdfa import claimed
from tests.cli import test_cli_printable as printable
from tests.cli.cli import command
from tests.rendering.narratives import document
from tests.rendering.test_rendering_pdf import rendered


def cases(folder: Path) -> dict[str, list[list[str]]]:
    """Those that show what senders wrote, and those that write files or read the bus."""
    site = ["--site", str(folder / "router.yaml")]
    quiet: dict[str, list[list[str]]] = {
        "backup": [[str(folder / "backups"), *site, "--verify"]],
        "ledger migrate": [site],
        "register rebuild": [site],
        "cisis value-sets list": [[]],
        "cisis rules": [[]],
        "version": [[]],
        "init": [[str(folder / "new")]],
    }
    return {**printable.cases(folder), **quiet}


def main(folder: Path) -> None:
    folder.mkdir()
    printable.write(folder)
    told = {}
    for name, (words, *_) in cases(folder).items():
        said = command(*name.split(), *words)
        told[name] = {"code": said.code, "said": said.out + said.err}
    pdf = rendered(document("<paragraph>Créatinine</paragraph>")).pdf
    print(json.dumps({"commands": told, "pdf": claimed(pdf or b"")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
