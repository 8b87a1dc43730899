"""A soak whose site seals its bus and keeps an archive: the master key changes under load, then the disk is read."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from benchmarks.soak.checker import Violation
from benchmarks.soak.observations import asked

#: What a message or a document begins with, in clear; the second also in base64, wherever in a line it begins.
CLEAR: Final = (
    b"MSH|^~\\&|",
    b"<ClinicalDocument",
    b"PENsaW5pY2FsRG9jdW1lbnQ",
    b"xDbGluaWNhbERvY3VtZW50",
    b"Q2xpbmljYWxEb2N1bWVudC",
)
_BLOCK: Final = 1 << 20
_TRIES: Final = 60


@dataclass
class Seals:
    """The master keys of a site in `folder`, and the places where nothing may stand in clear."""

    site: Path
    places: tuple[Path, ...]
    rotated: int = 0
    read: int = 0
    kept: dict[str, int] = field(default_factory=dict)

    @classmethod
    def on(cls, site: Path, *places: Path) -> Seals:
        """Turn sealing on in a site that has not run yet. places: files and folders of bus and archive."""
        made = cls(site, places)
        made._write({"master_key": made._key("first")})
        return made

    def _key(self, name: str) -> dict[str, str]:
        path = self.site.parent / f"{name}.key"
        if not path.exists():
            path.write_text(secrets.token_hex(32))
            path.chmod(0o600)
        return {"file": str(path)}

    def _write(self, encryption: dict[str, Any]) -> None:
        yaml = YAML()
        site = yaml.load(self.site.read_text())
        site |= {"encryption": encryption, "archive": {}}
        draft = self.site.with_suffix(".new")
        with draft.open("w", encoding="utf-8") as file:
            yaml.dump(site, file)
        draft.replace(self.site)

    async def rotate(self) -> None:
        """A new master key, every wrap made anew, the old key retired and gone: while everything works and falls."""
        self._write({"master_key": self._key("second"), "earlier": {"before": self._key("first")}})
        await self._given("keys", "rotate")
        await self._given("keys", "rotate", "--retire")
        self._write({"master_key": self._key("second")})
        (self.site.parent / "first.key").unlink()
        self.rotated += 1

    async def _given(self, *words: str) -> None:
        """A command that is given again while a fault keeps a database locked."""
        for _ in range(_TRIES):
            if await asked(self.site, *words, "--json"):
                return
            await asyncio.sleep(1)
        raise TimeoutError(f"{' '.join(words)}: refused for {_TRIES} s")

    async def judged(self) -> list[Violation]:
        """Whether something stands in clear, and whether every content that was kept is what was kept."""
        found = [Violation("unsealed", "?", f"{name} in {path}") for path, name in self._clear()]
        told = json.loads(await asked(self.site, "archive", "verify", "--json") or "{}")
        self.kept = {"contents": told.get("stored", 0)}
        found += [Violation("unsealed", "?", f"{one['code']} of {one['kind']}") for one in told.get("wrong", [])]
        if not self.kept["contents"]:
            found.append(Violation("unsealed", "?", "the archive has kept nothing"))
        return found

    def _clear(self) -> Iterator[tuple[Path, str]]:
        overlap = max(map(len, CLEAR))
        for place in self.places:
            for path in sorted(place.rglob("*") if place.is_dir() else place.parent.glob(f"{place.name}*")):
                if not path.is_file():
                    continue
                before = b""
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        self.read += len(block)
                        if word := next((word for word in CLEAR if word in before + block), None):
                            yield path, word.decode()
                            break
                        before = block[-overlap:]
