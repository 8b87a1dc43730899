"""Topics of a site, partitions of a key, and the bus of the site file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from router.bus.opening import open_bus
from router.bus.plans import DAY, default_plan, partition_of, site_plans
from router.bus.settings import BusConfig, KafkaConfig, KafkaSasl, SqliteBusConfig
from router.errors import OperatorFault

CONFIG: TypeAdapter[SqliteBusConfig | KafkaConfig] = TypeAdapter(BusConfig)


def test_a_site_has_every_topic_of_its_flow() -> None:
    """in, raw where asked for, out, held and dead letters per sink, intake, pipeline, receipts, journal."""
    plans = site_plans(["sil", "ris"], ["mssante.chu"], raw_feeds=["ris"])
    assert [plan.name for plan in plans] == [
        "raw.ris",
        "in.sil",
        "in.ris",
        "out.mssante.chu",
        "held.mssante.chu",
        "dlq.intake",
        "dlq.pipeline",
        "dlq.mssante.chu",
        "receipts",
        "journal",
    ]
    assert len({plan.name for plan in plans}) == len(plans)


def test_retention_keeps_what_is_unresolved() -> None:
    """held and dead letters never expire; everything else outlives Kafka's memory of offsets by far."""
    for plan in site_plans(["sil"], ["dmp.chu"], raw_feeds=["sil"]):
        if plan.name.startswith(("held.", "dlq.")):
            assert plan.retention is None
        else:
            assert plan.retention is not None
            assert plan.retention >= 14 * DAY
    assert default_plan("something.else").retention is None


def test_answers_to_outside_producers_do_not_pile_up() -> None:
    """A feed's topic of answers is planned once, and keeps them two weeks: nobody trims it."""
    (plan,) = [p for p in site_plans(["a", "b"], [], ack_topics=["answers", "answers"]) if p.name == "answers"]
    assert plan.retention == 14 * DAY


def test_a_key_has_one_partition_for_ever() -> None:
    """The hash is written down: another version of Python or of the router gives the same partition."""
    assert [partition_of(key, 24) for key in ("a", "clé", "0123456789abcdef")] == [3, 12, 3]
    spread = Counter(partition_of(f"key-{n}", 8) for n in range(8000))
    assert min(spread.values()) > 800


def test_the_type_chooses_the_bus(tmp_path: Path) -> None:
    """`type: sqlite` and `type: kafka`; keys of the one are refused in the other."""
    assert isinstance(CONFIG.validate_python({"type": "sqlite", "path": str(tmp_path / "b.db")}), SqliteBusConfig)
    assert isinstance(CONFIG.validate_python({"type": "kafka", "servers": "k1:9092"}), KafkaConfig)
    with pytest.raises(ValidationError):
        CONFIG.validate_python({"type": "sqlite", "servers": "k1:9092"})
    bus = open_bus(SqliteBusConfig(path=tmp_path / "b.db"))
    assert list(bus.scan("in.a")) == []
    bus.close()


def test_a_password_is_named_and_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from the environment or from a file; where it is in neither, the operator is told which."""
    monkeypatch.setenv("BUS_PASSWORD", "secret-1")
    assert KafkaSasl(username="r", password_env="BUS_PASSWORD").password() == "secret-1"
    (tmp_path / "password").write_text("secret-2\n")
    named = KafkaSasl(username="r", password_file=tmp_path / "password")
    assert named.password() == "secret-2"
    assert "secret" not in repr(named)
    with pytest.raises(OperatorFault, match="password_env or password_file"):
        KafkaSasl(username="r", password_env="NOT_THERE").password()
