"""A pipeline whose last change was refused is told by programs too, with every reason."""

from __future__ import annotations

from pathlib import Path

from router.access.person import EVERY, Role
from tests.console.console_world import A, B, World


def test_a_program_reads_why_a_pipeline_is_refused(world: World) -> None:
    """Its text, its faults with their places; playing it tells the same, and plays nothing."""
    world.write_pipeline()
    path = Path(world.services.config.pipelines) / "documents.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("profile: cisis", "profil: cisis"), encoding="utf-8")
    for rights in ({EVERY: Role.ADMINISTRATOR}, {A: Role.OPERATOR}):
        program = world.program(rights)
        told = program.get("/api/pipelines/documents")
        assert told.status_code == 200, told.text
        body = told.json()
        assert (body["pipeline"]["name"], body["stages"], body["loaded"]) == ("documents", [], None)
        assert "profil: cisis" in body["text"] and len(body["pipeline"]["digest"]) == 12
        assert body["faults"] and all(one["line"] and one["text"] for one in body["faults"])
        played = program.send("/api/pipelines/documents/play", {}).json()
        assert (played["passed"], played["examples"], played["faults"]) == (False, [], body["faults"])
    assert world.program({B: Role.OPERATOR}).get("/api/pipelines/documents").status_code == 404
    assert world.program({EVERY: Role.READER}).get("/api/pipelines/nothing").status_code == 404


def test_a_right_pipeline_has_no_fault(world: World) -> None:
    """The same answer, with nothing in it to mend."""
    world.write_pipeline()
    body = world.program({A: Role.READER}).get("/api/pipelines/documents").json()
    assert (body["faults"], body["used"]) == ([], None) and body["stages"]
