"""One member of a consumer group in a process of its own, so that a test can end it in any way.

`python member.py CLIENT BOOTSTRAP GROUP TOPIC [--instance ID] [--session SECONDS]` writes one JSON
object a line to stdout, as things happen:

    {"assignment": [0, 1]}              the partitions it has now, whenever they change
    {"rebalance": "revoked"}            its listener was called
    {"record": [partition, offset, "value"]}
    {"committed": {"0": 10}}            after `commit`: the next offset to read, by partition
    {"fatal": "..."}                    the client has given up

It reads `commit` and `close` from stdin, one a line. The range assignor is used, which all share.
"""

import argparse
import asyncio
import json
import queue
import sys
import threading

HEARTBEAT_SECONDS = 1


def tell(**event):
    print(json.dumps(event), flush=True)


class Commands(threading.Thread):
    """Lines of stdin."""

    def __init__(self):
        super().__init__(daemon=True)
        self.lines = queue.Queue()
        self.start()

    def run(self):
        for line in sys.stdin:
            self.lines.put(line.strip())

    def take(self):
        try:
            return self.lines.get_nowait()
        except queue.Empty:
            return None


class Assignment:
    """Tells of the assignment whenever it has changed."""

    def __init__(self):
        self.last = None

    def show(self, partitions):
        partitions = sorted(partitions)
        if partitions != self.last:
            self.last = partitions
            tell(assignment=partitions)


def librdkafka(options):
    from confluent_kafka import Consumer, KafkaException

    settings = {
        "bootstrap.servers": options.bootstrap, "group.id": options.group,
        "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": options.session * 1000,
        "heartbeat.interval.ms": HEARTBEAT_SECONDS * 1000,
        "partition.assignment.strategy": options.assignor,
        "reconnect.backoff.max.ms": 200, "fetch.wait.max.ms": 100,
    }
    if options.instance:
        settings["group.instance.id"] = options.instance
    consumer = Consumer(settings)
    consumer.subscribe([options.topic], on_revoke=lambda *_: tell(rebalance="revoked"))
    commands, assignment = Commands(), Assignment()
    while (command := commands.take()) != "close":
        try:
            if command == "commit":
                done = consumer.commit(asynchronous=False)
                tell(committed={p.partition: p.offset for p in done})
            message = consumer.poll(0.05)
            assignment.show([p.partition for p in consumer.assignment()])
        except KafkaException as error:
            tell(fatal=str(error))
            return
        if message is None:
            continue
        if message.error() is None:
            tell(record=[message.partition(), message.offset(), message.value().decode()])
        elif message.error().fatal():
            tell(fatal=str(message.error()))
            return
    consumer.close()


def kafka_python(options):
    from kafka import ConsumerRebalanceListener, KafkaConsumer
    from kafka.coordinator.assignors.range import RangePartitionAssignor
    from kafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            tell(rebalance="revoked")

        def on_partitions_assigned(self, assigned):
            pass

    consumer = KafkaConsumer(
        bootstrap_servers=options.bootstrap, group_id=options.group,
        auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=options.session * 1000,
        heartbeat_interval_ms=HEARTBEAT_SECONDS * 1000, group_instance_id=options.instance,
        partition_assignment_strategy=[RangePartitionAssignor], fetch_max_wait_ms=100,
        reconnect_backoff_max_ms=200,
    )
    consumer.subscribe([options.topic], listener=Listener())
    commands, assignment, positions = Commands(), Assignment(), {}
    while (command := commands.take()) != "close":
        try:
            if command == "commit":
                consumer.commit()
                tell(committed=positions)
            batches = consumer.poll(timeout_ms=50)
        except KafkaError as error:
            tell(fatal=repr(error))
            return
        assignment.show([p.partition for p in consumer.assignment()])
        for message in (message for batch in batches.values() for message in batch):
            positions[message.partition] = message.offset + 1
            tell(record=[message.partition, message.offset, message.value.decode()])
    consumer.close()


def aiokafka(options):
    asyncio.run(_aiokafka(options))


async def _aiokafka(options):
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor
    from aiokafka.errors import CommitFailedError, KafkaError

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked):
            tell(rebalance="revoked")

        def on_partitions_assigned(self, assigned):
            pass

    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap, group_id=options.group,
        auto_offset_reset="earliest", enable_auto_commit=False,
        session_timeout_ms=options.session * 1000,
        heartbeat_interval_ms=HEARTBEAT_SECONDS * 1000, group_instance_id=options.instance,
        partition_assignment_strategy=[RangePartitionAssignor], fetch_max_wait_ms=100,
    )
    consumer.subscribe([options.topic], listener=Listener())
    await consumer.start()
    commands, assignment, positions = Commands(), Assignment(), {}
    while (command := commands.take()) != "close":
        try:
            if command == "commit":
                await consumer.commit()
                tell(committed=positions)
            batches = await consumer.getmany(timeout_ms=50)
        except CommitFailedError:
            continue
        except KafkaError as error:
            tell(fatal=str(error))
            return
        assignment.show([p.partition for p in consumer.assignment()])
        for message in (message for batch in batches.values() for message in batch):
            positions[message.partition] = message.offset + 1
            tell(record=[message.partition, message.offset, message.value.decode()])
    await consumer.stop()


CLIENTS = {"librdkafka": librdkafka, "kafka-python": kafka_python, "aiokafka": aiokafka}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=CLIENTS)
    for name in ("bootstrap", "group", "topic"):
        parser.add_argument(name)
    parser.add_argument("--instance")
    parser.add_argument("--session", type=int, default=30)
    parser.add_argument("--assignor", default="range")
    options = parser.parse_args()
    CLIENTS[options.client](options)
