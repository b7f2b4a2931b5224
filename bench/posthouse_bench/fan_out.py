"""Beside redis-server: one publisher to many subscribers, by `bench/fanout`."""

import itertools
import json
import subprocess
from dataclasses import dataclass

from .figures import alternated, median, ratio, spread
from .section import Section, heading, notes, progress
from .servers import Copier, PosthouseRedis, RELEASE, RedisServer

NAME = "fan-out"
SERVERS = {"posthouse": PosthouseRedis, "redis": RedisServer}
SUBSCRIBERS = (1, 10, 100, 1000)
PAYLOADS = {False: (64,), True: (64, 1024)}
PIPELINES = (1, 16)
SECONDS, WARM_UP_SECONDS = 3.0, 0.5


@dataclass(frozen=True)
class Row:
    """`pipeline`: how many requests the publisher sends before it waits for their answers."""

    subscribers: int
    pipeline: int
    payload: int

    @property
    def label(self):
        return f"fan-out to {self.subscribers}, {self.payload} B, -P {self.pipeline}"


def run(arguments, about, elapsed):
    rows = [Row(subscribers, pipeline, payload) for payload, pipeline, subscribers in
            itertools.product(PAYLOADS[arguments.full], PIPELINES, SUBSCRIBERS)]
    rows = [row for row in rows if arguments.only in row.label]
    if not rows:
        return None
    results = {row: {name: [] for name in SERVERS} for row in rows}
    for repeat in range(arguments.repeats):
        for name in alternated(list(SERVERS), repeat):
            with SERVERS[name](False) as server:
                for row in rows:
                    progress(elapsed(), f"repeat {repeat + 1}, {name}: {row.label}")
                    results[row][name].append(measure(row, server, arguments.scale))
    limits = harness_limits(rows, arguments.scale) if arguments.limits else {}
    about |= {"posthouse": PosthouseRedis.version(), "redis": RedisServer.version(), "seconds": round(elapsed())}
    raw = {"about": about, "rows": [
        {"subscribers": row.subscribers, "pipeline": row.pipeline, "payload": row.payload,
         "limit": limits.get(row)} | results[row] for row in rows]}
    return Section(NAME, markdown(about, results, limits), raw)


def harness_limits(rows, scale):
    """What the harness receives of a server that only copies bytes."""
    limits = {}
    for row in rows:
        with Copier(False) as server:
            limits[row] = measure(row, server, scale)
    return limits


def measure(row, server, scale):
    output = subprocess.run(
        [RELEASE / "posthouse-bench-fanout", "run", server.bootstrap, "--pid", str(server.process.pid),
         "--subscribers", str(row.subscribers), "--pipeline", str(row.pipeline), "--payload", str(row.payload),
         "--warm-up", str(WARM_UP_SECONDS), "--seconds", str(SECONDS * scale)],
        capture_output=True, text=True, timeout=120)
    if output.returncode:
        raise RuntimeError(f"{row.label} on {server.name}: {output.stderr}")
    return json.loads(output.stdout)


def markdown(about, results, limits):
    lines = heading("Beside redis-server: one publisher, many subscribers", about, about["seconds"],
                    f"{about['posthouse']}; {about['redis']}")
    lines += [
        "`bench/fanout`, our own: thousand messages delivered a second, and the server's CPU seconds for a million",
        "of them. The publisher waits for the answers to 1 or 16 requests before it sends the next.", "",
        "| subscribers | payload | sent at once | Posthouse | redis-server | ratio | harness's limit "
        "| CPU s a million | ratio | p50 ms | p99 ms |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [line(row, outcome, limits.get(row)) for row, outcome in results.items()]
    return "\n".join(lines) + "\n" + notes(NAME)


def line(row, outcome, limit):
    def both(figure):
        return [[figure(run) for run in outcome[name]] for name in SERVERS]
    ours, theirs = both(lambda run: run["delivered_per_second"])
    our_cpu, their_cpu = both(lambda run: run["server_cpu_seconds"] / run["delivered"] * 1e6)
    delays = [both(lambda run, field=field: run[field] / 1000) for field in ("p50_us", "p99_us")]
    shown_limit = f"{limit['delivered_per_second'] / 1000:,.0f}" if limit else "–"
    shown_delays = " | ".join(f"{median(our):.2f} / {median(their):.2f}" for our, their in delays)
    return (f"| {row.subscribers:,} | {row.payload} B | {row.pipeline} | {spread(ours, 1000)} | {spread(theirs, 1000)} | "
            f"**{ratio(ours, theirs)}** | {shown_limit} | {median(our_cpu):.2f} / {median(their_cpu):.2f} | "
            f"**{ratio(our_cpu, their_cpu)}** | {shown_delays} |")
