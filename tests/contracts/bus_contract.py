"""What every bus promises (`contracts.Bus`): one suite, inherited by the tests of each implementation.

A subclass gives the fixtures `bus` (an open bus) and `again` (opens the same bus once more, as another process
would), and `wait`: seconds a rebalance may take.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence

import pytest

from router.contracts import Bus, Consumer, Outgoing, Partition, Record, Settle, TopicPlan
from router.errors import Fenced, MessageFault, OperatorFault
from router.exchange import Origin
from tests.typed import present

MIB = 1024 * 1024


def outgoing(topic: str, key: str, values: Iterable[str]) -> list[Outgoing]:
    return [Outgoing(topic, key, value.encode(), {"id": value}) for value in values]


def texts(records: Iterable[Record]) -> list[str]:
    return [record.value.decode() for record in records]


class BusContract:
    """Every promise of the protocol, one test each."""

    wait = 10.0

    @pytest.fixture
    def topic(self, bus: Bus) -> str:
        """A new topic of four partitions."""
        name = f"in.t{uuid.uuid4().hex[:10]}"
        bus.create([TopicPlan(name, 4, 14 * 86_400.0, 32 * MIB)])
        return name

    def drain(self, consumer: Consumer, count: int, **limits: int) -> list[Record]:
        """Poll until so many records came, or the time is over."""
        records: list[Record] = []
        end = time.monotonic() + self.wait
        while len(records) < count and time.monotonic() < end:
            budget = {"max_records": 500, "max_bytes": 64 * MIB, **limits}
            records += consumer.poll(timeout=0.2, **budget)
        return records

    def until(self, condition: Callable[[], bool], consumers: Sequence[Consumer]) -> None:
        """Poll the consumers, each in a thread of its own, until the condition holds. They are to get nothing."""
        end = time.monotonic() + self.wait
        got: list[Record] = []

        def poll(consumer: Consumer) -> None:
            while not condition() and time.monotonic() < end:
                got.extend(consumer.poll(max_records=1, max_bytes=1, timeout=0.05))

        threads = [threading.Thread(target=poll, args=(consumer,)) for consumer in consumers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == []
        assert condition(), "the group did not settle in time"

    def settled(self, consumer: Consumer, count: int = 4) -> None:
        self.until(lambda: len(consumer.assignment()) == count, [consumer])

    def test_a_record_comes_back_whole(self, bus: Bus, topic: str) -> None:
        """Key, bytes and headers with accents come back as they were, with the origin that publish returned."""
        record = Outgoing(topic, "clé-é", b"\x00\xff" * 10, {"lieu": "hôpital – Besançon", "vide": ""})
        (origin,) = bus.producer("p-1").publish([record])
        consumer = bus.consumer("g", [topic], member="m-0")
        (got,) = self.drain(consumer, 1)
        assert (got.origin, got.key, got.value, dict(got.headers)) == (
            origin,
            record.key,
            record.value,
            dict(record.headers),
        )
        assert abs(got.timestamp - time.time()) < 60
        consumer.close()

    def test_a_partition_keeps_its_order(self, bus: Bus, topic: str) -> None:
        """Records of one key come in the order in which they were published, over many batches."""
        producer = bus.producer("p-1")
        for start in range(0, 100, 10):
            producer.publish(
                [
                    record
                    for key in ("a", "b", "c")
                    for record in outgoing(topic, key, (f"{key}{n:03}" for n in range(start, start + 10)))
                ]
            )
        consumer = bus.consumer("g", [topic], member="m-0")
        records = self.drain(consumer, 300, max_records=7)
        for key in ("a", "b", "c"):
            assert texts(r for r in records if r.key == key) == [f"{key}{n:03}" for n in range(100)]
            assert len({r.partition for r in records if r.key == key}) == 1
        consumer.close()

    def test_origins_are_in_the_order_of_the_records(self, bus: Bus, topic: str) -> None:
        """publish returns where each record went, in the order given, and read finds it there."""
        records = [record for n in range(20) for record in outgoing(topic, f"k{n % 5}", [f"v{n}"])]
        origins = bus.producer("p-1").publish(records)
        assert [present(bus.read(origin)).value for origin in origins] == [record.value for record in records]

    def test_empty_keys_are_spread(self, bus: Bus, topic: str) -> None:
        """Records without a key do not all go to one partition."""
        origins = bus.producer("p-1").publish([Outgoing(topic, "", b"x") for _ in range(64)])
        assert len({origin.partition for origin in origins}) > 1

    def test_an_empty_batch_is_nothing(self, bus: Bus, topic: str) -> None:
        """Publishing no record writes nothing and raises nothing."""
        assert list(bus.producer("p-1").publish([])) == []
        assert list(bus.scan(topic)) == []

    def test_a_settled_batch_moves_offsets_and_writes_together(self, bus: Bus, topic: str) -> None:
        """After publish with settle the group resumes behind what it settled, and the outputs are there."""
        producer = bus.producer("p-1")
        producer.publish(outgoing(topic, "k", ["1", "2", "3"]))
        consumer = bus.consumer("g", [topic], member="m-0")
        first, *_ = self.drain(consumer, 3)
        partition = Partition(topic, first.partition)
        bus.producer("w-0").publish(
            outgoing(topic + ".out", "k", ["out"]), settle=Settle(consumer, {partition: first.offset + 1})
        )
        assert consumer.committed(partition) == first.offset + 1
        consumer.close()
        successor = bus.consumer("g", [topic], member="m-0")
        assert texts(self.drain(successor, 2)) == ["2", "3"]
        assert texts(bus.scan(topic + ".out")) == ["out"]
        successor.close()

    def test_a_settle_of_a_lost_partition_writes_nothing(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """A worker whose partition moved to another member is fenced, and none of its outputs can be read."""
        bus.producer("p-1").publish(outgoing(topic, "k", ["1"]))
        loser = bus.consumer("g", [topic], member="m-0")
        (record,) = self.drain(loser, 1)
        transacted = bus.producer("w-0")
        loser.close()
        heir = again().consumer("g", [topic], member="m-1")
        self.drain(heir, 1)
        with pytest.raises(Fenced):
            transacted.publish(
                outgoing(topic + ".out", "k", ["late"]),
                settle=Settle(loser, {Partition(topic, record.partition): record.offset + 1}),
            )
        assert list(bus.scan(topic + ".out")) == []
        heir.close()

    def test_a_stale_producer_is_fenced(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """Once a successor of the same name settles, its predecessor can't: nothing of it can be read."""
        bus.producer("p-1").publish(outgoing(topic, "k", ["1"]))
        consumer = bus.consumer("g", [topic], member="m-0")
        (record,) = self.drain(consumer, 1)
        settle = Settle(consumer, {Partition(topic, record.partition): record.offset + 1})
        old = bus.producer("w-0")
        old.publish(outgoing(topic + ".out", "k", ["first"]), settle=settle)
        successor = again().producer("w-0")
        other = again().consumer("other", [topic], member="m-0")
        (seen,) = self.drain(other, 1)
        successor.publish(
            outgoing(topic + ".out", "k", ["second"]), settle=Settle(other, {Partition(topic, seen.partition): 1})
        )
        with pytest.raises(Fenced):
            old.publish(outgoing(topic + ".out", "k", ["third"]), settle=settle)
        assert texts(bus.scan(topic + ".out")) == ["first", "second"]
        consumer.close()
        other.close()

    def test_uncommitted_records_come_again(self, bus: Bus, topic: str) -> None:
        """A member that restarts goes on from the committed offset, not from what it had read."""
        bus.producer("p-1").publish(outgoing(topic, "k", map(str, range(10))))
        first = bus.consumer("g", [topic], member="m-0")
        records = self.drain(first, 10)
        first.commit({Partition(topic, records[3].partition): records[3].offset + 1})
        first.close()
        second = bus.consumer("g", [topic], member="m-0")
        assert texts(self.drain(second, 6)) == [str(n) for n in range(4, 10)]
        second.close()

    def test_a_commit_of_what_is_not_ours_is_refused(self, bus: Bus, topic: str) -> None:
        """A member that left its group can't move its offsets."""
        consumer = bus.consumer("g", [topic], member="m-0")
        self.settled(consumer)
        partition = sorted(consumer.assignment())[0]
        consumer.close()
        with pytest.raises(Fenced):
            consumer.commit({partition: 1})

    def test_groups_do_not_disturb_each_other(self, bus: Bus, topic: str) -> None:
        """Every group gets every record."""
        bus.producer("p-1").publish(outgoing(topic, "k", ["1", "2"]))
        for group in ("g1", "g2"):
            consumer = bus.consumer(group, [topic], member="m-0")
            assert texts(self.drain(consumer, 2)) == ["1", "2"]
            consumer.close()

    def test_two_members_share_fairly_and_never_overlap(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """A second member takes its half, only after the first let go; when it leaves, the first has all again."""
        owners: dict[Partition, str] = {}
        overlaps: list[Partition] = []

        def watch(name: str) -> dict[str, Callable[[frozenset[Partition]], None]]:
            def assigned(partitions: frozenset[Partition]) -> None:
                overlaps.extend(p for p in partitions if p in owners)
                owners.update(dict.fromkeys(partitions, name))

            def revoked(partitions: frozenset[Partition]) -> None:
                for partition in partitions:
                    assert owners.pop(partition) == name

            return {"assigned": assigned, "revoked": revoked}

        first = bus.consumer("g", [topic], member="m-0", **watch("m-0"))
        self.settled(first)
        second = again().consumer("g", [topic], member="m-1", **watch("m-1"))
        members = [first, second]
        self.until(lambda: [len(m.assignment()) for m in members] == [2, 2], members)
        assert not first.assignment() & second.assignment()
        assert all(first.owns(p) and not second.owns(p) for p in first.assignment())
        second.close()
        self.settled(first)
        assert overlaps == []
        assert set(owners.values()) == {"m-0"}
        first.close()

    def test_no_record_is_handled_by_two_owners_at_once(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """While members come and go under load every record is settled exactly once, in order per key."""
        total, stop = 200, threading.Event()
        failures: list[BaseException] = []

        def member(name: str, lifetimes: Sequence[float]) -> None:
            try:
                own = again()
                for index, seconds in enumerate(lifetimes):
                    self._relay(own, topic, name, time.monotonic() + seconds, stop)
                    time.sleep(0.05 * index)
            except BaseException as error:
                failures.append(error)

        threads = [
            threading.Thread(target=member, args=("w-0", [60.0])),
            threading.Thread(target=member, args=("w-1", [0.4, 0.4, 60.0])),
        ]
        for thread in threads:
            thread.start()
        producer = bus.producer("p-1")
        for n in range(total // 4):
            producer.publish([record for k in "abcd" for record in outgoing(topic, k, [f"{k}{n:03}"])])
            time.sleep(0.02)
        end = time.monotonic() + 3 * self.wait
        while len(list(bus.scan(topic + ".out"))) < total and time.monotonic() < end and not failures:
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        results = list(bus.scan(topic + ".out"))
        for key in "abcd":
            assert texts(r for r in results if r.key == key) == [f"{key}{n:03}" for n in range(total // 4)]

    def _relay(self, bus: Bus, topic: str, name: str, until: float, stop: threading.Event) -> None:
        """Copy records to `<topic>.out` in settled transactions, as a pipeline worker would."""
        consumer = bus.consumer("relay", [topic], member=name)
        producer = bus.producer(name)
        try:
            while time.monotonic() < until and not stop.is_set():
                records = consumer.poll(max_records=5, max_bytes=MIB, timeout=0.1)
                ours = [record for record in records if consumer.owns(Partition(topic, record.partition))]
                if not ours:
                    continue
                offsets = {Partition(topic, r.partition): r.offset + 1 for r in ours}
                copies = [Outgoing(topic + ".out", r.key, r.value) for r in ours]
                try:
                    producer.publish(copies, settle=Settle(consumer, offsets))
                except Fenced:
                    return
        finally:
            consumer.close()
            producer.close()

    def test_a_restarted_member_takes_over(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """A new process under the same member name gets the partitions of the one that closed."""
        first = bus.consumer("g", [topic], member="m-0")
        self.settled(first)
        first.close()
        second = again().consumer("g", [topic], member="m-0")
        self.settled(second)
        second.close()

    def test_a_paused_partition_gives_nothing_until_resumed(self, bus: Bus, topic: str) -> None:
        """Pausing keeps the ownership and the position; resuming goes on where it was."""
        producer = bus.producer("p-1")
        consumer = bus.consumer("g", [topic], member="m-0")
        self.settled(consumer)
        consumer.pause(consumer.assignment())
        producer.publish(outgoing(topic, "k", ["1", "2"]))
        for _ in range(5):
            assert not consumer.poll(max_records=10, max_bytes=MIB, timeout=0.1)
        assert len(consumer.assignment()) == 4
        consumer.resume(consumer.assignment())
        assert texts(self.drain(consumer, 2)) == ["1", "2"]
        consumer.close()

    def test_pausing_one_partition_leaves_the_others(self, bus: Bus, topic: str) -> None:
        """Only what was paused waits."""
        producer = bus.producer("p-1")
        origins = producer.publish([r for n in range(16) for r in outgoing(topic, f"k{n}", [str(n)])])
        consumer = bus.consumer("g", [topic], member="m-0")
        self.settled_after_seek(consumer, topic)
        still = Partition(topic, origins[0].partition)
        consumer.pause([still])
        others = sum(1 for origin in origins if origin.partition != still.number)
        records = self.drain(consumer, others)
        assert len(records) == others
        assert {r.partition for r in records}.isdisjoint({still.number})
        consumer.close()

    def settled_after_seek(self, consumer: Consumer, topic: str) -> None:
        """Own every partition, then stand at the beginning of each, whatever was read meanwhile."""
        end = time.monotonic() + self.wait
        while len(consumer.assignment()) < 4 and time.monotonic() < end:
            consumer.poll(max_records=1, max_bytes=1, timeout=0.05)
        for partition in consumer.assignment():
            consumer.seek(partition, 0)

    def test_seek_reads_again(self, bus: Bus, topic: str) -> None:
        """A position moved back gives the same records again; committed offsets don't move."""
        bus.producer("p-1").publish(outgoing(topic, "k", ["1", "2", "3"]))
        consumer = bus.consumer("g", [topic], member="m-0")
        records = self.drain(consumer, 3)
        partition = Partition(topic, records[0].partition)
        consumer.seek(partition, records[1].offset)
        assert texts(self.drain(consumer, 2)) == ["2", "3"]
        assert consumer.committed(partition) is None, "a position is no commit"
        consumer.close()

    def test_a_batch_stays_within_its_bytes(self, bus: Bus, topic: str) -> None:
        """A poll returns at most max_bytes of values, and max_records records."""
        bus.producer("p-1").publish([Outgoing(topic, "k", bytes(10_000)) for _ in range(20)])
        consumer = bus.consumer("g", [topic], member="m-0")
        seen = 0
        while seen < 20:
            records = self.drain(consumer, 1, max_bytes=35_000, max_records=5)
            assert records, "the records did not come"
            assert len(records) <= 3
            seen += len(records)
        consumer.close()

    def test_an_oversize_record_comes_alone(self, bus: Bus, topic: str) -> None:
        """A record larger than the budget is returned by itself, and the others after it."""
        values = [b"a", bytes(50_000), b"c", b"d"]
        bus.producer("p-1").publish([Outgoing(topic, "k", value) for value in values])
        consumer = bus.consumer("g", [topic], member="m-0")
        batches: list[Sequence[Record]] = []
        end = time.monotonic() + self.wait
        while sum(map(len, batches)) < 4 and time.monotonic() < end:
            batches.append(consumer.poll(max_records=10, max_bytes=1000, timeout=0.2))
        assert [[len(r.value) for r in batch] for batch in batches if batch] == [[1], [50_000], [1, 1]]
        consumer.close()

    def test_twenty_megabytes_pass(self, bus: Bus, topic: str) -> None:
        """The largest message that a feed takes goes through, byte for byte."""
        value = os.urandom(20 * MIB)
        (origin,) = bus.producer("p-1").publish([Outgoing(topic, "k", value)])
        assert present(bus.read(origin)).value == value
        consumer = bus.consumer("g", [topic], member="m-0")
        (record,) = self.drain(consumer, 1, max_bytes=8 * MIB)
        assert record.value == value
        consumer.close()

    def test_more_than_a_topic_takes_is_the_messages_fault(self, bus: Bus, topic: str) -> None:
        """A record over the topic's limit is refused for good, and nothing of its batch is written."""
        with pytest.raises(MessageFault):
            bus.producer("p-1").publish([Outgoing(topic, "k", b"small"), Outgoing(topic, "k", bytes(33 * MIB))])
        assert list(bus.scan(topic)) == [] or texts(bus.scan(topic)) == ["small"]

    def test_headlines_leave_the_bytes_and_what_has_a_header(self, bus: Bus, topic: str) -> None:
        """Keys and headers by time, no bytes; without the records that have the header that is named."""
        producer = bus.producer("headlines")
        odd = {"text": '{"delivery":1} "delivery":'}
        for n, headers in enumerate(({"delivery": "d1"}, {}, odd, {"deliver": "y"})):
            producer.publish([Outgoing(topic, f"k{n}", b"bytes", headers)])
        assert [(one.key, one.value) for one in bus.headlines(topic)] == [(f"k{n}", b"") for n in range(4)]
        assert [one.key for one in bus.headlines(topic, lacking="delivery")] == ["k1", "k2", "k3"]
        assert [one.headers for one in bus.headlines(topic, lacking="delivery")][1] == odd
        assert list(bus.headlines(topic + ".nowhere")) == []
        ends = bus.ends(topic)
        assert list(bus.headlines(topic, begin=ends)) == []
        producer.publish([Outgoing(topic, "k9", b"later", {})])
        assert [one.key for one in bus.headlines(topic, begin=ends)] == ["k9"]
        assert len(list(bus.headlines(topic, begin={}))) == 5

    def test_scan_reads_without_a_group(self, bus: Bus, topic: str) -> None:
        """A scan ends at the present end, newest first when asked, with a limit."""
        bus.producer("p-1").publish(outgoing(topic, "k", map(str, range(150))))
        assert texts(bus.scan(topic)) == [str(n) for n in range(150)]
        assert texts(bus.scan(topic, newest_first=True, limit=3)) == ["149", "148", "147"]
        assert texts(itertools.islice(bus.scan(topic, limit=2), 5)) == ["0", "1"]

    def test_scan_of_an_unknown_topic_is_empty(self, bus: Bus) -> None:
        """A topic that does not exist has no records; asking does not create it."""
        name = f"dlq.{uuid.uuid4().hex}"
        assert list(bus.scan(name)) == []
        assert bus.read(Origin(name, 0, 0)) is None
        assert len(bus.check([TopicPlan(name, 4, None, MIB)])) == 1

    def test_trimmed_records_are_gone(self, bus: Bus, topic: str) -> None:
        """Records below the offset can't be read any more; those above stay, and so does their numbering."""
        producer = bus.producer("p-1")
        origins = producer.publish(outgoing(topic, "k", map(str, range(10))))
        bus.trim(Partition(topic, origins[0].partition), origins[4].offset)
        assert bus.read(origins[3]) is None
        assert present(bus.read(origins[4])).value == b"4"
        assert texts(bus.scan(topic)) == [str(n) for n in range(4, 10)]
        (after,) = producer.publish(outgoing(topic, "k", ["next"]))
        assert after.offset > origins[-1].offset
        consumer = bus.consumer("g", [topic], member="m-0")
        assert texts(self.drain(consumer, 7)) == [*map(str, range(4, 10)), "next"]
        consumer.close()

    def test_ends_say_where_the_next_record_comes(self, bus: Bus, topic: str) -> None:
        """Every partition is named; nothing stands at its end or behind; trimming up to the end leaves nothing."""
        producer = bus.producer("p-1")
        producer.publish(outgoing(topic, "k", map(str, range(5))))
        origins = producer.publish(outgoing(topic, "other", ["x"]))
        ends = bus.ends(topic)
        assert {partition.number for partition in ends} == set(range(len(ends)))
        for origin in origins:
            assert ends[Partition(topic, origin.partition)] > origin.offset
        for partition, end in ends.items():
            bus.trim(partition, end)
            bus.trim(partition, end)
        assert texts(bus.scan(topic)) == []
        assert bus.ends(topic) == ends
        (after,) = producer.publish(outgoing(topic, "k", ["next"]))
        assert after.offset >= ends[Partition(topic, after.partition)]
        assert bus.ends("no." + topic) == {}

    def test_positions_are_what_a_group_has_committed(self, bus: Bus, topic: str) -> None:
        """By any thread, without joining: for each partition in which it committed something."""
        bus.producer("p").publish([Outgoing(topic, f"k{n}", b"x") for n in range(20)])
        consumer = bus.consumer("g-positions", [topic], member="m-0")
        self.drain(consumer, 20)
        assert bus.positions("g-positions") == {}
        some = {Partition(topic, 0): 1, Partition(topic, 2): 2}
        consumer.commit(some)
        assert bus.positions("g-positions") == some
        consumer.commit({Partition(topic, 2): 1})
        assert bus.positions("g-positions") == {**some, Partition(topic, 2): 1}
        consumer.close()

    def test_a_topic_has_an_identity(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """The same for whoever opens the bus; none for a topic that does not exist."""
        found = bus.identities([topic, "in.nowhere"])
        assert set(found) == {topic} and len(found[topic]) >= 32
        assert bus.identities([]) == {}

    def test_lag_counts_what_is_not_consumed(self, bus: Bus, topic: str) -> None:
        """Lag is the number of records beyond the committed offset, per partition."""
        origins = bus.producer("p-1").publish(outgoing(topic, "k", map(str, range(5))))
        partition = Partition(topic, origins[0].partition)
        consumer = bus.consumer("g", [topic], member="m-0")
        self.drain(consumer, 5)
        consumer.commit({partition: origins[1].offset + 1})
        assert bus.lag("g")[partition] == 3
        consumer.close()

    def test_a_group_names_its_living_members(self, bus: Bus, topic: str) -> None:
        """Whoever reads is named under its group; who has closed is not, and a group that never was has nobody."""
        group = f"g{uuid.uuid4().hex[:8]}"
        first, second = (bus.consumer(group, [topic], member=f"sinks-{slot}") for slot in (0, 1))
        until = time.monotonic() + 20
        while not (first.assignment() and second.assignment()) and time.monotonic() < until:
            for consumer in (first, second):
                consumer.poll(max_records=1, max_bytes=1, timeout=0.05)
        assert bus.living([group, "nobody"]) == {group: ["sinks-0", "sinks-1"], "nobody": []}
        first.close()
        second.close()
        assert not bus.living([group])[group]

    def test_create_is_idempotent_and_check_is_silent_when_all_is_well(self, bus: Bus) -> None:
        """Plans that are applied twice change nothing, and then differ in nothing."""
        plans = [
            TopicPlan(f"in.{uuid.uuid4().hex}", 6, 14 * 86_400.0, 32 * MIB),
            TopicPlan(f"dlq.{uuid.uuid4().hex}", 2, None, 32 * MIB),
        ]
        assert len(bus.check(plans)) == 2
        bus.create(plans)
        bus.create(plans)
        assert list(bus.check(plans)) == []

    def test_a_keyed_topic_never_changes_its_partitions(self, bus: Bus, topic: str) -> None:
        """Another partition count is the operator's fault, told by create and by check."""
        plan = TopicPlan(topic, 5, 14 * 86_400.0, 32 * MIB)
        with pytest.raises(OperatorFault, match="partitions"):
            bus.create([plan])
        assert any("partitions" in sentence for sentence in bus.check([plan]))

    def test_a_drained_topic_can_be_migrated(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """While something is not consumed migration refuses; drained and unread, the topic gets its new partitions."""
        plan = TopicPlan(topic, 6, 14 * 86_400.0, 32 * MIB)
        bus.producer("p-1").publish(outgoing(topic, "k", ["1", "2"]))
        consumer = bus.consumer("g", [topic], member="m-0")
        records = self.drain(consumer, 2)
        consumer.close()
        with pytest.raises(OperatorFault, match="not consumed"):
            bus.migrate([plan])
        consumer = bus.consumer("g", [topic], member="m-0")
        self.drain(consumer, 2)
        consumer.commit({Partition(topic, records[0].partition): records[1].offset + 1})
        with pytest.raises(OperatorFault):
            bus.migrate([plan])
        consumer.close()
        assert bus.migrate([plan]) == [topic]
        assert bus.migrate([plan]) == []
        assert list(bus.check([plan])) == []
        after = again()
        after.producer("p-1").publish(outgoing(topic, "k", ["3"]))
        heir = after.consumer("g", [topic], member="m-0")
        assert texts(self.drain(heir, 1)) == ["3"]
        assert len(heir.assignment()) == 6
        heir.close()

    def test_waiting_poll_returns_soon_after_a_record(self, bus: Bus, again: Callable[[], Bus], topic: str) -> None:
        """A poll that waits hears of a record of another process long before its time-out."""
        consumer = bus.consumer("g", [topic], member="m-0")
        self.settled(consumer)
        producer = again().producer("p-1")
        timer = threading.Timer(0.3, lambda: producer.publish(outgoing(topic, "k", ["1"])))
        timer.start()
        start = time.monotonic()
        records = consumer.poll(max_records=1, max_bytes=MIB, timeout=self.wait)
        assert texts(records) == ["1"]
        assert time.monotonic() - start < 2.0
        timer.join()
        consumer.close()
