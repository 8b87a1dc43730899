"""`check` tells which documents no pipeline takes, as far as the conditions show."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from router.config.pipeline import read_folder
from router.config.site import Site
from router.config.site_models import FeedConfig
from router.config.unmatched import unmatched


def warnings(*conditions: str | None, feed: dict[str, Any] | None = None) -> list[str]:
    files: list[Any] = [SimpleNamespace(config=SimpleNamespace(feeds=("sil",), when=one)) for one in conditions]
    return list(unmatched({"sil": FeedConfig.model_validate(feed or {})}, files))


def test_a_feed_without_a_pipeline_is_told() -> None:
    """Every document of it would be a dead letter."""
    assert warnings() == ["feed sil: no pipeline reads it, every document becomes a dead letter"]


@pytest.mark.parametrize(
    "conditions",
    [
        (None,),
        ('document.type == "11502-2"', '!(document.type in ["11502-2"])'),
        ("request.dmp", "!request.dmp"),
        ('message.type == "ORU^R01"', 'message.type.startsWith("MDM")'),
        ('field("PID-3.1") == "1"',),
        ('message.sending_app == "SIL"',),
        ("document.level == 3", 'document.level == 1 && "document.type" != ""'),
    ],
)
def test_nothing_is_told_where_all_match_or_nobody_can_tell(conditions: tuple[str | None, ...]) -> None:
    """Conditions that complete each other; and those that ask about what a sender alone knows."""
    assert warnings(*conditions) == []


@pytest.mark.parametrize(
    ("conditions", "example"),
    [
        (("request.dmp",), "request.dmp = false"),
        (('message.type == "ORU^R01"',), 'message.type = "MDM^T02"'),
        (('request.action == "initial"', "request.mssante"), 'request.action = "replace", request.mssante = false'),
    ],
)
def test_a_document_that_nobody_takes_is_described(conditions: tuple[str, ...], example: str) -> None:
    """With the words of the conditions, so that the missing one can be written."""
    (text,) = warnings(*conditions)
    assert text == f"feed sil: no pipeline takes a document with {example}: it becomes a dead letter"


def test_a_type_of_document_that_nobody_takes_is_described() -> None:
    """The types are those of JDV_J07."""
    (text,) = warnings('document.type == "11502-2"')
    assert text.startswith('feed sil: no pipeline takes a document with document.type = "')


@pytest.mark.parametrize("feed", [{"unmatched": "ignore"}, {"kind": "adt"}, {"kind": "relay"}])
def test_feeds_that_may_leave_messages_aside_are_not_told(feed: dict[str, Any]) -> None:
    """ADT, relays, and whoever says so."""
    assert warnings(feed=feed) == []


def test_the_pipelines_that_come_with_the_router_take_every_document() -> None:
    """Whichever feed it comes on."""
    site = Site(Path("router.yaml"))
    files, problems = read_folder(site.pipelines, sinks=site.config.sink_types, feeds=set(site.config.feeds))
    assert (problems, list(unmatched(site.config.feeds, files.values()))) == ([], [])
