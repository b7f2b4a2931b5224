"""Beside redis-server: single commands by Redis's own `redis-benchmark`."""

import csv
import io
import itertools
import subprocess
from dataclasses import dataclass

from .figures import alternated, ratio, spread
from .section import Section, heading, notes, progress
from .servers import PEERS, PosthouseRedis, RedisServer

NAME = "redis"
SERVERS = {"posthouse": PosthouseRedis, "redis": RedisServer}
CLIENTS = 50
KEYS = 100_000
PAYLOAD = "x" * 64
PATIENCE_SECONDS = 120
# Requests of a run, by how many are sent before an answer is waited for: about a second's worth.
REQUESTS = {1: 40_000, 16: 400_000}

COMMANDS = {
    "PING": ["PING"],
    "SET": ["SET", "key:__rand_int__", PAYLOAD],
    "GET": ["GET", "key:__rand_int__"],
    "INCR": ["INCR", "counter:__rand_int__"],
    "LPUSH": ["LPUSH", "list", PAYLOAD],
    "RPOP": ["RPOP", "list"],
    "SADD": ["SADD", "set", "element:__rand_int__"],
    "HSET": ["HSET", "hash", "field:__rand_int__", PAYLOAD],
    "ZADD": ["ZADD", "sorted", "__rand_int__", "element:__rand_int__"],
    "XADD": ["XADD", "stream", "*", "field", PAYLOAD],
    "PUBLISH": ["PUBLISH", "channel", PAYLOAD],
}
MORE = {
    "MSET of 10": ["MSET", *itertools.chain(*((f"key{n}:__rand_int__", PAYLOAD) for n in range(10)))],
    "LRANGE of 100": ["LRANGE", "list", "0", "99"],
    "HGET": ["HGET", "hash", "field:__rand_int__"],
    "PFADD": ["PFADD", "hyperloglog", "element:__rand_int__"],
    "EXPIRE": ["EXPIRE", "key:__rand_int__", "1000"],
}


@dataclass(frozen=True)
class Row:
    """`flush`: every change is forced to the disk before it is answered."""

    command: str
    pipeline: int
    flush: bool = False

    @property
    def label(self):
        return f"redis-benchmark {self.command} -P {self.pipeline}" + (", forced" if self.flush else "")


def rows_of(full):
    commands = COMMANDS | MORE if full else COMMANDS
    rows = [Row(command, pipeline) for command in commands for pipeline in REQUESTS]
    return rows + [Row(command, pipeline, True) for command in ("SET", "XADD") for pipeline in REQUESTS]


def run(arguments, about, elapsed):
    rows = [row for row in rows_of(arguments.full) if arguments.only in row.label]
    if not rows:
        return None
    results = {row: {name: [] for name in SERVERS} for row in rows}
    for flush in sorted({row.flush for row in rows}):
        for repeat in range(arguments.repeats):
            for name in alternated(list(SERVERS), repeat):
                with SERVERS[name](flush) as server:
                    for row in rows:
                        if row.flush == flush:
                            progress(elapsed(), f"repeat {repeat + 1}, {name}: {row.label}")
                            results[row][name].append(measure(row, server, arguments.scale))
    about |= {"posthouse": PosthouseRedis.version(), "redis": RedisServer.version(), "seconds": round(elapsed())}
    raw = {"about": about, "rows": [
        {"command": row.command, "pipeline": row.pipeline, "flush": row.flush} | results[row] for row in rows]}
    return Section(NAME, markdown(about, results), raw)


def measure(row, server, scale):
    """What a row comes to; the server's CPU time covers the measured part."""
    requests = int(REQUESTS[row.pipeline] * scale) // (10 if row.flush and row.pipeline == 1 else 1)
    reach = ["-p", str(server.port)]
    once(row, reach)
    return measure_warmed_up(row, server, reach, requests)


def measure_warmed_up(row, server, reach, requests):
    """One run after a discarded one of a fifth; `reach` is what redis-benchmark is told about the server."""
    benchmark(row, reach, max(requests // 5, CLIENTS))
    before = server.cpu_seconds()
    result = benchmark(row, reach, requests)
    return result | {"cpu_us_per_request": (server.cpu_seconds() - before) / requests * 1e6}


def once(row, reach):
    """Makes the key, so that what is measured is not fifty clients that make one stream."""
    subprocess.run([PEERS / "redis-cli", *reach, *(COMMANDS | MORE)[row.command]],
                   check=True, capture_output=True, timeout=PATIENCE_SECONDS)


def benchmark(row, reach, requests):
    command = (COMMANDS | MORE)[row.command]
    output = subprocess.run(
        [PEERS / "redis-benchmark", *reach, "-n", str(requests), "-c", str(CLIENTS),
         "-P", str(row.pipeline), "-r", str(KEYS), "--csv", *command],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    lines = list(csv.DictReader(io.StringIO(output.stdout)))
    if not lines or "rror" in output.stderr:
        raise RuntimeError(f"no result in {output.stdout} {output.stderr}")
    figures = lines[-1]
    return {"requests_per_second": float(figures["rps"]), "p50_ms": float(figures["p50_latency_ms"]),
            "p99_ms": float(figures["p99_latency_ms"])}


def markdown(about, results):
    lines = heading("Beside redis-server: single commands", about, about["seconds"],
                    f"{about['posthouse']}; {about['redis']}")
    lines += [
        f"Redis's own `redis-benchmark`, {CLIENTS} connections, {KEYS:,} keys, values of {len(PAYLOAD)} bytes;",
        "thousand requests a second, then the server's CPU time for a request.", "",
        "| command | forced to disk | Posthouse | redis-server | ratio | p99 ms | CPU µs | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [line(row, outcome) for row, outcome in results.items()]
    return "\n".join(lines) + "\n" + notes(NAME)


def line(row, outcome):
    def both(field):
        return [[run[field] for run in outcome[name]] for name in SERVERS]
    ours, theirs = both("requests_per_second")
    (our_p99, their_p99), (our_cpu, their_cpu) = both("p99_ms"), both("cpu_us_per_request")
    pipeline = f" `-P {row.pipeline}`" if row.pipeline > 1 else ""
    forced = "each answer" if row.flush else "XADD's only" if row.command == "XADD" else "every second"
    return (f"| {row.command}{pipeline} | {forced} | {spread(ours, 1000)} | {spread(theirs, 1000)} | "
            f"**{ratio(ours, theirs)}** | {middle(our_p99)} / {middle(their_p99)} | "
            f"{middle(our_cpu)} / {middle(their_cpu)} | **{ratio(our_cpu, their_cpu)}** |")


def middle(values):
    return f"{sorted(values)[len(values) // 2]:.2f}"
