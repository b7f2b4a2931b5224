"""Beside Apache Kafka: every repeat starts each server once on a fresh directory and does all rows on it."""

import statistics

from .report import markdown
from .rows import CORE, FULL, work
from .section import Section, progress
from .servers import Kafka, Posthouse, Sink

NAME = "kafka"


def run(arguments, about, elapsed):
    rows = FULL if arguments.full else CORE
    rows = [row for row in rows if arguments.only in f"{row.title} {row.kind} {row.label}"]
    if not rows:
        return None
    results = {}
    idle = {"posthouse": [], "kafka": []}
    for repeat in range(arguments.repeats):
        products = [Posthouse, Kafka] if repeat % 2 == 0 else [Kafka, Posthouse]
        for product in products:
            run_product(product, rows, repeat, arguments.scale, results, idle, elapsed)
    limits = client_limits(rows, arguments.scale) if arguments.limits else {}
    about |= {"posthouse": Posthouse.version(), "kafka": Kafka.version(), "seconds": round(elapsed())}
    raw = {"about": about, "rows": {str(index): results.get(index) for index in range(len(rows))}}
    return Section(NAME, markdown(about, rows, results, idle, limits), raw)


def run_product(product, rows, repeat, scale, results, idle, elapsed):
    """All rows on one start of each way that the rows want the server to flush."""
    for flush in sorted({row.flushes(product.name) for row in rows}):
        with product(flush) as server:
            idle[product.name].append((server.ready_seconds, server.resident_bytes()))
            for index, row in enumerate(rows):
                if row.flushes(product.name) != flush:
                    continue
                progress(elapsed(), f"repeat {repeat + 1}, {product.name}: {row.title}, {row.label}")
                outcome = work(row, server, f"bench-{index}-{repeat}", scale)
                results.setdefault(index, {}).setdefault(product.name, []).append(outcome)


def client_limits(rows, scale):
    """What each producing client does against a listener that discards."""
    limits = {}
    with Sink(False) as sink:
        for index, row in enumerate(rows):
            if row.kind.startswith("produce"):
                outcomes = [work(row, sink, f"bench-{index}", scale) for _ in range(3)]
                limits[index] = statistics.median(o["records_per_second"] for o in outcomes)
    return limits
