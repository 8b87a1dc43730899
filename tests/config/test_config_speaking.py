"""A site file never lets a message leave in the name of another structure (decisions D11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from router.config.site import Site
from router.errors import ConfigFault

A, B = "750100125", "690123456"


def site(folder: Path, **changes: Any) -> Path:
    """Two hospitals, one documents feed that names both, one ADT feed, one relay."""
    sink = {"type": "dmp", "url": "https://127.0.0.1:1/dmp", "lps": {"homologation": "T"}}
    sink |= {"auth": {"certificate": "a.pem"}, "sign": {"certificate": "s.pem"}}
    written: dict[str, Any] = {
        "environment": "qualification",
        "structures": {
            A: {"name": "A", "source_oid": "1.2.3.4", "dmp": "dmp.a"},
            B: {"name": "B", "source_oid": "1.2.3.5", "dmp": "dmp.b"},
        },
        "feeds": {
            "sil": {"mllp": {"port": 0}, "rules": {"structures": [A, B]}},
            "gam": {"kind": "adt", "mllp": {"port": 0}},
            "relais": {"kind": "relay", "mllp": {"port": 0}},
        },
        "sinks": {"dmp.a": sink, "dmp.b": sink},
    }
    path = folder / "router.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(written | changes, file)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        Site(path)
    return [f"{one.path}: {one.text}" for one in caught.value.problems]


def test_feeds_of_two_hospitals_name_those_they_speak_for(tmp_path: Path) -> None:
    """A documents feed without `structures` is refused when the site has several; ADT and relays need none."""
    assert Site(site(tmp_path))
    feeds = {"sil": {"mllp": {"port": 0}}, "gam": {"kind": "adt", "mllp": {"port": 0}}}
    assert problems(site(tmp_path, feeds=feeds)) == ["feeds.sil: speaks for no structure: the site has several"]


def test_one_hospital_needs_no_list(tmp_path: Path) -> None:
    """A feed without `structures` speaks for the site's only structure."""
    assert Site(
        site(
            tmp_path,
            structures={A: {"name": "A", "source_oid": "1.2.3.4", "dmp": "dmp.a"}},
            feeds={"sil": {"mllp": {"port": 0}}},
        )
    )


def test_a_structure_that_is_nowhere_is_told_at_its_place(tmp_path: Path) -> None:
    """In a feed's list and in the table of MSH-4."""
    feeds = {"sil": {"mllp": {"port": 0}, "rules": {"structures": [A, "111111111"]}}}
    assert problems(site(tmp_path, feeds=feeds, facilities={"LABO": "222222222"})) == [
        "feeds.sil.rules.structures[1]: 111111111 is not in `structures`",
        "facilities.LABO: 222222222 is not in `structures`",
    ]


def test_clients_need_certificates_and_the_feeds_own_structures(tmp_path: Path) -> None:
    """A list of certificate names that no listener asks for would admit nobody, or everybody."""
    feed = {"mllp": {"port": 0}, "rules": {"structures": [A]}, "clients": {"sil": [A, B]}, "token": {"env": "T"}}
    assert problems(site(tmp_path, feeds={"sil": feed})) == [
        "feeds.sil.clients: needs client certificates on mllp",
        f"feeds.sil.clients.sil[1]: {B} is not one that this feed may speak for",
        "feeds.sil.token: is for HTTP, which this feed does not take",
    ]


def test_two_structures_never_share_a_dmp_sink(tmp_path: Path) -> None:
    """Its certificates are one structure's: the other's documents would be signed in a foreign name."""
    structures = {
        A: {"name": "A", "source_oid": "1.2.3.4", "dmp": "dmp.a"},
        B: {"name": "B", "source_oid": "1.2.3.5", "dmp": "dmp.a"},
    }
    text = f"structures.{B}.dmp: dmp.a is already that of {A}: a DMP sink speaks for one structure"
    assert problems(site(tmp_path, structures=structures)) == [text]


def test_a_mailbox_is_one_plain_address(tmp_path: Path) -> None:
    """Told at the start, not by the first mail."""
    structures = {A: {"name": "A", "source_oid": "1.2.3.4", "mailbox": "CHU <pfi@a.mssante.fr>"}}
    feeds = {"sil": {"mllp": {"port": 0}}}
    text = f"structures.{A}.mailbox: must be one plain mail address"
    assert problems(site(tmp_path, structures=structures, feeds=feeds)) == [text]
