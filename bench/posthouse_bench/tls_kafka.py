"""Beside Apache Kafka over TLS: the same work in the clear, over TLS, and over TLS with a password and rules."""

import itertools
from dataclasses import dataclass

from . import clients
from .figures import alternated, median, ratio, spread
from .section import progress
from .tls_servers import GUARDED, PLAIN, TLS, TlsKafka, TlsPosthouse

PEERS = {"posthouse": TlsPosthouse, "kafka": TlsKafka}
PARTITIONS = 16
PRODUCERS = 50  # of librdkafka
PACED_RATE = 1000
RECORDS = {1000: 200_000, 100: 800_000}


@dataclass(frozen=True)
class Row:
    """One kind of work, and the ways it is done."""

    title: str
    kind: str  # produce-java, produce-rdkafka, consume-java, consume-rdkafka, latency
    size: int
    ways: tuple = (PLAIN, TLS)

    @property
    def label(self):
        return f"{self.title}, {self.size} B"


EVERY_WAY = (PLAIN, TLS, GUARDED)
CORE = [
    Row("produce, Kafka's tool", "produce-java", 1000, EVERY_WAY),
    Row("produce, Kafka's tool", "produce-java", 100),
    Row("produce, librdkafka", "produce-rdkafka", 100),
    Row("consume, Kafka's tool", "consume-java", 1000, EVERY_WAY),
    Row("consume, librdkafka", "consume-rdkafka", 100),
    Row("latency at 1,000/s, librdkafka", "latency", 1000, EVERY_WAY),
]
FULL = [
    Row(title, kind, size, EVERY_WAY)
    for (title, kind), size in itertools.product(
        (("produce, Kafka's tool", "produce-java"), ("produce, librdkafka", "produce-rdkafka"),
         ("consume, Kafka's tool", "consume-java"), ("consume, librdkafka", "consume-rdkafka"),
         ("latency at 1,000/s, librdkafka", "latency")), (1000, 100))
]


def run(arguments, keys, elapsed):
    """What each row came to: {(row, way): {peer: [outcome of each repeat]}}."""
    rows = FULL if arguments.full else CORE
    rows = [row for row in rows if arguments.only in f"kafka {row.label}"]
    results = {(row, way): {name: [] for name in PEERS} for row in rows for way in row.ways}
    for repeat in range(arguments.repeats):
        for name in alternated(list(PEERS), repeat):
            for guarded in sorted({way.guarded for _, way in results}):
                run_server(PEERS[name](keys, guarded), results, repeat, arguments.scale, elapsed)
    return results


def run_server(server, results, repeat, scale, elapsed):
    """All rows that one start of a server is for; the ways of a row follow each other."""
    rows = dict.fromkeys(row for row, way in results if way.guarded == server.guarded)
    with server:
        filled = {}
        for row in rows:
            for way in alternated([way for way in row.ways if way.guarded == server.guarded], repeat):
                progress(elapsed(), f"repeat {repeat + 1}, {server.name}: {row.label}, {way.title}")
                results[row, way][server.name].append(work(row, way, server, filled, scale))


def work(row, way, server, filled, scale):
    """Does the row's work after a discarded part of it; the server's CPU time covers the measured part."""
    records = int(RECORDS[row.size] * scale)
    if row.kind.startswith("consume"):
        if row.size not in filled:
            filled[row.size] = fill(server, row.size, records)
        discarded, measured = consuming(row, way, server, filled[row.size], records)
    else:
        discarded, measured = producing(row, way, server, records, scale)
    discarded()
    before = server.cpu_seconds()
    outcome = measured()
    return outcome | {"cpu_seconds": server.cpu_seconds() - before}


def fill(server, size, records):
    """A topic to consume from, the same whichever way it is read."""
    topic = new_topic(server, f"bench-filled-{size}", True)
    bootstrap, security = server.administrators()
    clients.java_produce(bootstrap, topic, records, size, "all", security)
    return topic


def new_topic(server, name, forced):
    """`forced`: Posthouse forces records to the disk, its default; Kafka, by its own default, never does."""
    bootstrap, security = server.administrators()
    settings = {} if forced or server.name != "posthouse" else {"posthouse.durability": "relaxed"}
    clients.create_topic(bootstrap, name, PARTITIONS, settings, security)
    return name


def consuming(row, way, server, topic, records):
    bootstrap, security = server.reach(way)

    def java(count):
        return lambda: clients.java_consume(bootstrap, topic, count, row.size, security)

    def rdkafka(count):
        return lambda: clients.rdkafka_consume(bootstrap, topic, PARTITIONS, count, row.size, security)

    client = java if row.kind == "consume-java" else rdkafka
    return client(records // 5), client(records)


def producing(row, way, server, records, scale):
    bootstrap, security = server.reach(way)
    topic = new_topic(server, f"bench-{row.kind}-{row.size}-{'tls' if way.tls else 'plain'}", row.kind != "latency")

    def java(count):
        return lambda: clients.java_produce(bootstrap, topic, count, row.size, "all", security)

    def rdkafka(seconds):
        return lambda: clients.rdkafka_produce(bootstrap, topic, PRODUCERS, seconds, row.size, "all", security)

    def paced(seconds):
        return lambda: clients.open_loop(
            bootstrap, topic, PACED_RATE, seconds, row.size, "all", PARTITIONS, security)

    match row.kind:
        case "produce-java":
            return java(records // 5), java(records)
        case "produce-rdkafka":
            return rdkafka(1), rdkafka(3 * scale)
        case "latency":
            return paced(1), paced(5 * scale)
    raise ValueError(f"row kind {row.kind!r} is unknown")


def markdown(results):
    lines = [
        f"{PARTITIONS} partitions, acks=all. As each product comes: Posthouse forces every acknowledged record to the",
        "disk, Kafka does not; in the rows of latency neither does. \"Of plain\" is each product's own figure over its",
        "own in the clear: what TLS costs it.", "",
        "| work | how | Posthouse | Kafka | ratio | of plain | CPU s per GB | ratio | of plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for (row, way), outcome in results.items():
        if row.kind != "latency":
            lines.append(throughput_line(row, way, outcome, results[row, PLAIN]))
    lines += ["", "Throughput in thousand records a second. Latency, open loop:", "",
              "| work | how | percentile | Posthouse ms | Kafka ms | ratio |",
              "| --- | --- | --- | --- | --- | --- |"]
    for (row, way), outcome in results.items():
        if row.kind == "latency":
            lines += latency_lines(row, way, outcome)
    return lines


def throughput_line(row, way, outcome, plain):
    ours, theirs = (figures(outcome, name, "records_per_second") for name in PEERS)
    our_cpu, their_cpu = (cpu_per_gb(outcome, name) for name in PEERS)
    return (f"| {row.label} | {way.title} | {spread(ours, 1000)} | {spread(theirs, 1000)} | **{ratio(ours, theirs)}** | "
            f"{of_plain(way, outcome, plain, lambda runs, name: figures(runs, name, 'records_per_second'))} | "
            f"{median(our_cpu):.2f} / {median(their_cpu):.2f} | **{ratio(our_cpu, their_cpu)}** | "
            f"{of_plain(way, outcome, plain, cpu_per_gb)} |")


def of_plain(way, outcome, plain, figure):
    """Ours and theirs, each over its own in the clear."""
    if way == PLAIN:
        return "–"
    return " / ".join(ratio(figure(outcome, name), figure(plain, name)) for name in PEERS)


def latency_lines(row, way, outcome):
    for percentile, field in (("p50", "p50_ms"), ("p99", "p99_ms")):
        ours, theirs = (figures(outcome, name, field) for name in PEERS)
        yield (f"| {row.label} | {way.title} | {percentile} | {spread(ours, 1, 2)} | {spread(theirs, 1, 2)} | "
               f"**{ratio(ours, theirs)}** |")


def figures(outcome, name, field):
    return [run[field] for run in outcome[name]]


def cpu_per_gb(outcome, name):
    return [run["cpu_seconds"] / (run["bytes"] / 1e9) for run in outcome[name]]
