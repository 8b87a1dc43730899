"""A pipeline file that reads feeds of two hospitals: each sees the names that work for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from router.access.person import EVERY, Role
from tests.console.console_world import PIPELINE, A, World


def test_a_shared_file_does_not_name_another_hospitals_feeds(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nowhere: list, stages, text, page and API; who sees the whole site reads the file as it is."""
    world = World(tmp_path_factory.mktemp("shared"))
    world.write_pipeline()
    shared = PIPELINE.replace("feed: sil", "feed: [sil, labo]  # labo since 2026").replace("du labo.", "de tous.")
    (Path(world.services.config.pipelines) / "documents.yaml").write_text(shared, encoding="utf-8")
    try:
        mine, all_ = world.program({A: Role.READER}), world.program({EVERY: Role.READER})
        for path in ("/api/pipelines", "/api/pipelines/documents"):
            assert "sil" in mine.get(path).text and "labo" not in mine.get(path).text, path
            assert "labo" in all_.get(path).text
        assert "feed: [sil, …]  # … since 2026" in mine.get("/api/pipelines/documents").json()["text"]
        marie = world.client("marie")
        for path in ("/pipelines", "/pipelines/documents"):
            page = marie.get(path)
            assert page.status_code == 200 and "sil" in page.text and "labo" not in page.text, path
    finally:
        world.close()
