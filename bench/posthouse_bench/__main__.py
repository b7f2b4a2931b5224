"""Runs the rows on both servers and writes a Markdown table of ratios.

Every repeat starts each server once on a fresh directory and does all rows on it; which server goes
first alternates. A figure is the median over the repeats, with its smallest and largest.
"""

import argparse
import json
import statistics
import sys
import time
from datetime import date
from pathlib import Path

from .report import markdown
from .rows import CORE, FULL, work
from .servers import Kafka, Posthouse, Sink, machine


def main():
    arguments = parse()
    rows = FULL if arguments.full else CORE
    rows = [row for row in rows if arguments.only in f"{row.title} {row.kind} {row.label}"]
    results = {}
    idle = {"posthouse": [], "kafka": []}
    for repeat in range(arguments.repeats):
        products = [Posthouse, Kafka] if repeat % 2 == 0 else [Kafka, Posthouse]
        for product in products:
            run_product(product, rows, repeat, arguments.scale, results, idle)
    limits = client_limits(rows, arguments.scale) if arguments.limits else {}
    about = {
        "date": date.today().isoformat(), "machine": machine(), "repeats": arguments.repeats,
        "posthouse": Posthouse.version(None), "kafka": Kafka.version(None),
        "seconds": round(time.monotonic() - START),
    }
    table = markdown(about, rows, results, idle, limits)
    print(table)
    if arguments.out:
        arguments.out.write_text(table)
        raw = {"about": about, "rows": {str(index): results.get(index) for index in range(len(rows))}}
        arguments.out.with_suffix(".json").write_text(json.dumps(raw, indent=1))


def run_product(product, rows, repeat, scale, results, idle):
    """All rows on one start of each way that the rows want the server to flush."""
    for flush in sorted({row.flushes(product.name) for row in rows}):
        with product(flush) as server:
            idle[product.name].append((server.ready_seconds, server.resident_bytes()))
            for index, row in enumerate(rows):
                if row.flushes(product.name) != flush:
                    continue
                print(f"[{time.monotonic() - START:5.0f} s] repeat {repeat + 1}, {product.name}: "
                      f"{row.title}, {row.label}", file=sys.stderr)
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


def parse():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every row, not the core ones")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each row on each server (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much work a run is (1.0)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--no-limits", dest="limits", action="store_false",
                        help="do not measure the clients' own limits")
    parser.add_argument("--out", type=Path, help="write the table here, and the raw figures beside it")
    return parser.parse_args()


START = time.monotonic()
if __name__ == "__main__":
    main()
