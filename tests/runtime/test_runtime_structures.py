"""Two hospitals on one site: each message leaves in the name of its own, or not at all (decisions D11)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from router.config.pipeline import read_folder
from router.config.site import Site
from router.contracts import Header
from router.errors import Refused
from router.exchange import Event, Exchange, Origin
from router.gateway.received import Received
from router.hl7.message import Message
from router.payload import unpack_order
from router.runtime.examples import Player
from router.runtime.site_services import SiteServices
from router.simulators.sender import HOPITAL_A, HOPITAL_B, Maker
from tests.config.test_config_speaking import site

A, B = HOPITAL_A.finess, HOPITAL_B.finess
PIPELINE = """
name: tout
description: tout
feed: sil
steps: []
sinks:
  dmp: {when: request.dmp}
  mssante: {}
examples:
  - {name: un, message: un.hl7, expect: {ack: AE}}
"""
STRANGER = "X^^^^^&1.2.250.1.71.4.2.2&ISO^FINEG^^^130000001"
AE = ("AE", "R65", "PRT^1^8^1^10")


def structure(name: str, **sinks: str) -> dict[str, Any]:
    return {"name": name, "source_oid": "1.2.3.4", "mailbox": f"pfi@{name.lower()}.mssante.fr", **sinks}


class World:
    """A site's check and its one pipeline, without bus or sinks."""

    def __init__(self, folder: Path, pipeline: str = PIPELINE, **changes: Any) -> None:
        mail = {"type": "mssante", "host": "127.0.0.1", "tls": {"ca": "ca.pem"}}
        sink = {"type": "dmp", "url": "https://127.0.0.1:1/dmp", "lps": {"homologation": "T"}}
        sink |= {"auth": {"certificate": "a.pem"}, "sign": {"certificate": "s.pem"}}
        given = {
            "structures": {
                A: structure("A", dmp="dmp.a", mssante="mssante.commun"),
                B: structure("B", dmp="dmp.b", mssante="mssante.commun"),
            },
            "feeds": {"sil": {"mllp": {"port": 0}, "rules": {"structures": [A, B]}}},
            "sinks": {"dmp.a": sink, "dmp.b": sink, "mssante.commun": mail},
            "facilities": {"HOPITAL-B": B},
        }
        (folder / "pipelines").mkdir()
        (folder / "pipelines" / "un.hl7").write_text("MSH|")
        (folder / "pipelines" / "tout.yaml").write_text(pipeline)
        path = site(folder, **given | changes)
        read = Site(path)
        files, problems = read_folder(read.pipelines, sinks=read.config.sink_types, feeds=set(read.config.feeds))
        assert problems == []
        self.services = SiteServices(read)
        self.player = Player(self.services)
        self.pipeline = self.player.compiled(files["tout"], "sil")

    def answer(self, data: bytes, *structures: str) -> tuple[str, ...]:
        """(`AA`) or (`AE`, rule, place) of the first fault. `structures`: all that the client may speak for."""
        received = Received(data=data, source="mllp", at=time.time(), structures=frozenset(structures))
        verdict = self.player.check("sil", received, Message.parse(data))
        return ("AE", verdict.faults[0].rule, verdict.faults[0].err.location) if verdict.faults else ("AA",)

    def route(self, data: bytes) -> list[tuple[str, ...]]:
        """(sink, mailbox or Struct_IdNat) of each delivery, (code,) of each refusal."""
        event = Event("e", "sil", "k", data, {Header.CHECKED: "x"}, Origin("in.sil", 0, 0))
        routed = self.pipeline.process(Exchange(event))
        told: list[Any] = [(one.code,) for one in routed.receipts]  # type: ignore[union-attr]
        for one in routed.deliveries:  # type: ignore[union-attr]
            order = unpack_order(one.payload)
            assert order.structure is not None
            told.append((one.sink, order.structure.mailbox if "mss" in one.sink else order.structure.id_nat))
        return sorted(told)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.services.close()


def biology(maker: Maker, **options: Any) -> bytes:
    return maker.message(maker.document("biology", maker.patient()), **options)


def test_each_hospital_speaks_for_itself(world: World) -> None:
    """The mailbox and the number of the VIHF are those of PRT-8."""
    for hospital, name in ((HOPITAL_A, "a"), (HOPITAL_B, "b")):
        message = biology(Maker(1, structure=hospital))
        assert world.answer(message) == ("AA",)
        mailbox = f"pfi@{name}.mssante.fr"
        assert world.route(message) == [(f"dmp.{name}", hospital.id_nat), ("mssante.commun", mailbox)]


def test_a_structure_that_the_site_does_not_know_is_AE(world: World) -> None:
    """Whatever is asked; a stranger's number never reaches a pipeline."""
    for options in ({}, {"dmp": False}):
        stranger = biology(Maker(2), fields={"PRT-8": STRANGER}, **options)
        assert world.answer(stranger) == AE
        with pytest.raises(Refused, match="SITE-STRUCTURE"):  # accepted by an older router: a dead letter of its own
            world.route(stranger)


def test_a_letter_without_a_sender_is_that_of_its_facility(world: World) -> None:
    """MSH-4 names the structure; a facility that the table doesn't know is AE."""
    letter = biology(Maker(3, structure=HOPITAL_B), dmp=False, drop=["PRT"])
    assert world.answer(letter) == ("AA",)
    assert world.route(letter) == [("mssante.commun", "pfi@b.mssante.fr")]
    assert world.answer(biology(Maker(3), dmp=False, drop=["PRT"])) == AE


def test_a_client_speaks_for_its_own_structures_only(world: World) -> None:
    """Two hospitals on one feed: the certificate of one does not sign as the other (D11)."""
    of_a, of_b = biology(Maker(7)), biology(Maker(7, structure=HOPITAL_B))
    assert [world.answer(of_a, A), world.answer(of_b, B), world.answer(of_b, A, B)] == [("AA",)] * 3
    assert world.answer(of_b, A) == AE
    letter = biology(Maker(8), dmp=False, drop=["PRT"])
    assert world.answer(letter, A) == ("AA",)  # the client's only structure, where the feed has several


def test_one_hospital_refuses_another_number_too(tmp_path: Path) -> None:
    """A site with one structure does not lend its name to whoever writes to it."""
    structures = {A: structure("A", dmp="dmp.a", mssante="mssante.commun")}
    made = World(tmp_path, structures=structures, feeds={"sil": {"mllp": {"port": 0}}}, facilities={})
    assert made.answer(biology(Maker(4))) == ("AA",)
    assert made.answer(biology(Maker(4, structure=HOPITAL_B))) == AE
    letter = biology(Maker(4), dmp=False, drop=["PRT"])
    assert made.answer(letter) == ("AA",)
    assert made.route(letter) == [("mssante.commun", "pfi@a.mssante.fr")]
    made.services.close()


def test_a_sink_that_the_structure_lacks_costs_that_destination_alone(tmp_path: Path) -> None:
    """A hospital without a DMP sink: its mails leave, and its sender is told of the DMP."""
    structures = {
        A: structure("A", dmp="dmp.a", mssante="mssante.commun"),
        B: structure("B", mssante="mssante.commun"),
    }
    made = World(tmp_path, structures=structures)
    mails = [("SITE-SINK",), ("mssante.commun", "pfi@b.mssante.fr")]
    assert made.route(biology(Maker(5, structure=HOPITAL_B))) == mails
    made.services.close()


def test_a_pipeline_never_sends_through_another_hospitals_dmp_sink(tmp_path: Path) -> None:
    """An instance named in a pipeline file serves the structure that owns it, and no other."""
    made = World(tmp_path, PIPELINE.replace("  dmp:", "  dmp.a:"))
    assert made.route(biology(Maker(6)))[0] == ("dmp.a", HOPITAL_A.id_nat)
    assert made.route(biology(Maker(6, structure=HOPITAL_B)))[0] == ("SITE-SINK",)
    made.services.close()
