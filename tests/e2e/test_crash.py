"""`kill -9` at random moments under load: nothing acknowledged at `acks=all` is lost or doubled.

Idempotent librdkafka producers go on through every restart. Each acknowledged record must be found
at the offset it was acknowledged with, in order, once. Committed offsets must never go back.

POSTHOUSE_CRASH_ROUNDS sets the number of kills (50), POSTHOUSE_CRASH_SEED repeats a run's moments.
"""

import os
import random
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROUNDS = int(os.environ.get("POSTHOUSE_CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("POSTHOUSE_CRASH_SEED", str(random.SystemRandom().randrange(2**32))))
PRODUCERS = 3
PARTITIONS = 4
COMMIT_GROUP = "crash-commits"


class Writer(threading.Thread):
    """One idempotent producer; remembers where each of its records was acknowledged."""

    def __init__(self, bootstrap, name, topic, codec):
        super().__init__(name=name, daemon=True)
        self.topic, self.stopping = topic, threading.Event()
        self.acknowledged = [{} for _ in range(PARTITIONS)]  # sequence -> offset
        self.failures = []
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 1,
            "compression.type": codec, "message.timeout.ms": 0, "retry.backoff.ms": 20,
            "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "socket.timeout.ms": 5000,
            "queue.buffering.max.messages": 2000, "error_cb": self.on_error,
        })

    def on_error(self, error):
        if error.fatal():
            self.failures.append(f"{self.name}: {error}")

    def on_delivery(self, error, message):
        if error is not None:
            self.failures.append(f"{self.name}: {error}")
        else:
            self.acknowledged[message.partition()][int(message.value().split()[1])] = message.offset()

    def run(self):
        sequence = 0
        while not self.stopping.is_set() and not self.failures:
            try:
                self.producer.produce(self.topic, b"%s %d " % (self.name.encode(), sequence) + b"." * 80,
                                      partition=sequence % PARTITIONS, on_delivery=self.on_delivery)
                sequence += 1
            except BufferError:
                self.producer.poll(0.01)
            self.producer.poll(0)
        left = self.producer.flush(60)
        if left:
            self.failures.append(f"{self.name}: {left} records were never acknowledged")

    def count(self):
        return sum(map(len, self.acknowledged))


class Committer(threading.Thread):
    """Commits ever larger offsets and remembers the last one that was acknowledged."""

    def __init__(self, bootstrap, topic):
        super().__init__(daemon=True)
        self.bootstrap, self.topic, self.stopping = bootstrap, topic, threading.Event()
        self.acknowledged = 0

    def run(self):
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": COMMIT_GROUP,
                             "enable.auto.commit": False, "socket.timeout.ms": 3000,
                             "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50})
        offset = 0
        while not self.stopping.is_set():
            offset += 1
            try:
                done = consumer.commit(offsets=[TopicPartition(self.topic, 0, offset)], asynchronous=False)
                if all(partition.error is None for partition in done):
                    self.acknowledged = offset
            except KafkaException:
                time.sleep(0.01)
        consumer.close()


@pytest.mark.timeout(60 + 10 * ROUNDS)
def test_nothing_acknowledged_is_lost_by_kill_9(node):
    print(f"seed {SEED}, {ROUNDS} kills")
    moments = random.Random(SEED)
    admin = AdminClient({"bootstrap.servers": node.kafka})
    admin.create_topics([NewTopic("crash", PARTITIONS, 1)])["crash"].result(20)
    writers = [Writer(node.kafka, f"writer-{i}", "crash", codec)
               for i, codec in enumerate(("none", "lz4", "zstd")[:PRODUCERS])]
    committer = Committer(node.kafka, "crash")
    for thread in (*writers, committer):
        thread.start()

    commits_seen = 0
    for _ in range(ROUNDS):
        time.sleep(moments.uniform(0.02, 0.5))
        committed_before = committer.acknowledged
        node.kill()
        node.start()
        found = committed(node.kafka)
        assert found >= committed_before, f"commit {committed_before} was acknowledged, {found} is there"
        commits_seen = max(commits_seen, found)
        assert not (failures := [f for w in writers for f in w.failures]), failures

    for thread in (*writers, committer):
        thread.stopping.set()
    for thread in (*writers, committer):
        thread.join(90)
    assert not (failures := [f for w in writers for f in w.failures]), failures
    assert committed(node.kafka) >= committer.acknowledged

    records = check_records(node, writers)
    total = sum(writer.count() for writer in writers)
    print(f"{ROUNDS} kills, {total} records acknowledged, {records} found, "
          f"{committer.acknowledged} commits acknowledged, 0 lost, 0 doubled")
    assert total > ROUNDS * 10 and committer.acknowledged > ROUNDS, "too little was done to mean anything"


def committed(bootstrap):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": COMMIT_GROUP})
    try:
        return max(0, consumer.committed([TopicPartition("crash", 0)], timeout=30)[0].offset)
    finally:
        consumer.close()


def check_records(node, writers):
    """Every acknowledged record lies at its offset; each writer's records are in order, once."""
    found = 0
    for partition in range(PARTITIONS):
        at_offset = {offset: value for offset, value in read_all(node.kafka, partition)}
        found += len(at_offset)
        last_of = {}
        for offset in sorted(at_offset):
            name, sequence = at_offset[offset].split()[:2]
            sequence = int(sequence)
            assert sequence > last_of.get(name, -1), f"{name} {sequence} at {offset} is doubled or out of order"
            last_of[name] = sequence
        for writer in writers:
            for sequence, offset in writer.acknowledged[partition].items():
                value = at_offset.get(offset)
                assert value is not None, f"{writer.name} {sequence} was acknowledged at {offset} and is gone"
                assert value.split()[:2] == [writer.name.encode(), b"%d" % sequence]
    return found


def read_all(bootstrap, partition):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition("crash", partition), timeout=20)
        consumer.assign([TopicPartition("crash", partition, 0)])
        position = 0
        while position < end:
            messages = consumer.consume(10_000, timeout=20)
            assert messages, f"partition {partition} ends at {end}, reading stopped at {position}"
            for message in messages:
                assert message.error() is None, message.error()
                position = message.offset() + 1
                yield message.offset(), message.value()
    finally:
        consumer.close()
