"""What is measured: each row is one kind of work, done by the same client on either server."""

import itertools
import threading
import time
from dataclasses import dataclass

import psycopg

from . import clients

PACED_RATE = 1000  # records a second, in the latency rows
WARM_UP_SHARE = 5  # a warm-up of a fifth of the records comes first and is discarded
TOOL_SHARE = 5  # as many times the records, because it sends millions a second and its start counts


@dataclass(frozen=True)
class Row:
    """One kind of work. `flush` is (ours, Kafka's): whether each side forces records to the disk."""

    title: str
    kind: str  # produce-java, produce-rdkafka, produce-tool, consume-java, consume-rdkafka, latency, latency-scan
    size: int
    partitions: int
    producers: int = 1
    acks: str = "all"
    flush: tuple = (True, False)

    @property
    def label(self):
        return f"{self.size} B, {self.partitions} p, {self.producers} prod, acks={self.acks}"

    def flushes(self, server):
        return self.flush[0] if server == "posthouse" else self.flush[1]


CORE = [
    Row("produce, Kafka's tool", "produce-java", 1000, 16),
    Row("produce, Kafka's tool", "produce-java", 100, 16),
    Row("produce, Kafka's tool, one partition", "produce-java", 1000, 1, acks="1"),
    Row("produce, librdkafka's tool", "produce-tool", 100, 16, producers=50),
    Row("produce, librdkafka's tool", "produce-tool", 100, 16),
    Row("produce, librdkafka in threads of one Python process", "produce-rdkafka", 100, 16, producers=50),
    Row("produce, Kafka's tool; Kafka flushes every append", "produce-java", 1000, 16, flush=(True, True)),
    Row("consume, Kafka's tool", "consume-java", 1000, 16),
    Row("consume, librdkafka", "consume-rdkafka", 100, 16),
    Row("latency at 1,000/s, librdkafka", "latency", 1000, 16),
    Row("latency at 1,000/s during a full SQL scan", "latency-scan", 1000, 16),
    Row("latency at 1,000/s; Kafka flushes every append", "latency", 1000, 16, flush=(True, True)),
    Row("latency at 1,000/s; neither forces to disk", "latency", 1000, 16, flush=(False, False)),
]

FULL = [
    Row("produce", kind, size, partitions, producers, acks, flush)
    for size, partitions, (kind, producers), acks, flush in itertools.product(
        (100, 1000), (1, 16), (("produce-java", 1), ("produce-tool", 50)), ("1", "all"),
        ((True, False), (True, True), (False, False)))
] + [
    Row("latency at 1,000/s", "latency", size, partitions, 1, acks, flush)
    for size, partitions, acks, flush in itertools.product(
        (100, 1000), (1, 16), ("1", "all"), ((True, False), (True, True), (False, False)))
] + [
    Row("consume", kind, size, partitions)
    for kind, size, partitions in itertools.product(
        ("consume-java", "consume-rdkafka"), (100, 1000), (1, 16))
]


def work(row, server, topic, scale):
    """Does the row's work once, after a discarded warm-up, and returns what the client measured.

    The broker's CPU time covers the measured part only.
    """
    clients.create_topic(server.bootstrap, topic, row.partitions, server.topic_settings())
    warm_up, measured = steps(row, server.bootstrap, topic, scale)
    warm_up()
    cpu_before = server.cpu_seconds()
    if row.kind == "latency-scan" and server.name == "posthouse":
        result = with_scans(server, topic, measured)
    else:
        result = measured()
    result["cpu_seconds"] = server.cpu_seconds() - cpu_before
    result["resident_bytes"] = server.resident_bytes()
    return result


def steps(row, bootstrap, topic, scale):
    """The row's discarded first part and its measured part, as two calls."""
    records = int(scale * (300_000 if row.size >= 1000 else 1_000_000))
    size, acks = row.size, row.acks

    def java(count):
        return lambda: clients.java_produce(bootstrap, topic, count, size, acks)

    def rdkafka(seconds):
        return lambda: clients.rdkafka_produce(bootstrap, topic, row.producers, seconds, size, acks)

    def tool(count):
        return lambda: clients.rdkafka_tool_produce(bootstrap, topic, row.producers, count, size, acks)

    def paced(seconds):
        return lambda: clients.open_loop(
            bootstrap, topic, PACED_RATE, seconds, size, acks, row.partitions)

    match row.kind:
        case "produce-java":
            return java(records // WARM_UP_SHARE), java(records)
        case "produce-rdkafka":
            return rdkafka(1), rdkafka(5 * scale)
        case "produce-tool":
            return tool(records), tool(TOOL_SHARE * records)
        case "consume-java":
            return java(records), lambda: clients.java_consume(bootstrap, topic, records, size)
        case "consume-rdkafka":
            return java(records), lambda: clients.rdkafka_consume(
                bootstrap, topic, row.partitions, records, size)
        case "latency":
            return paced(2), paced(8 * scale)
        case "latency-scan":
            return (lambda: (java(records)(), paced(1)())), paced(8 * scale)
    raise ValueError(f"row kind {row.kind!r} is unknown")


def with_scans(server, topic, measured):
    """Runs `measured` while another connection scans the whole topic, again and again."""
    stop = threading.Event()
    scans = [0]

    def scan():
        with psycopg.connect(host="127.0.0.1", port=server.postgres, user="bench", dbname="posthouse",
                             autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(f'SELECT count(*), max("_value") FROM "{topic}"').fetchall()
                scans[0] += 1

    thread = threading.Thread(target=scan, daemon=True)
    thread.start()
    time.sleep(0.2)
    try:
        result = measured()
    finally:
        stop.set()
        thread.join(60)
    if scans[0] == 0:
        raise RuntimeError("no scan ended while latency was measured")
    return result | {"scans": scans[0]}
