"""Beside redis-server over TLS: redis-benchmark in the clear, over TLS, and over TLS as a user with a password and
a rule about keys."""

from .figures import alternated, median, ratio, spread
from .redis import CLIENTS, KEYS, PAYLOAD, REQUESTS, Row, measure_warmed_up
from .section import progress
from .tls_servers import PLAIN, WAYS, TlsPosthouseRedis, TlsRedisServer

PEERS = {"posthouse": TlsPosthouseRedis, "redis": TlsRedisServer}
COMMANDS = ("PING", "SET", "GET")


def run(arguments, keys, elapsed):
    """What each row came to: {(row, way): {peer: [outcome of each repeat]}}."""
    rows = [Row(command, pipeline) for command in COMMANDS for pipeline in REQUESTS]
    rows = [row for row in rows if arguments.only in row.label]
    results = {(row, way): {name: [] for name in PEERS} for row in rows for way in WAYS}
    for repeat in range(arguments.repeats if rows else 0):
        for name in alternated(list(PEERS), repeat):
            for guarded in (False, True):
                run_server(PEERS[name](keys, guarded), rows, results, repeat, arguments.scale, elapsed)
    return results


def run_server(server, rows, results, repeat, scale, elapsed):
    """Every row on one start of a server; the ways of a row follow each other."""
    ways = [way for way in WAYS if way.guarded == server.guarded]
    with server:
        for row in rows:
            for way in alternated(ways, repeat):
                progress(elapsed(), f"repeat {repeat + 1}, {server.name}: {row.label}, {way.title}")
                outcome = measure_warmed_up(row, server, server.reach(way), int(REQUESTS[row.pipeline] * scale))
                results[row, way][server.name].append(outcome)


def markdown(results):
    lines = [
        f"Redis's own `redis-benchmark`, {CLIENTS} connections, {KEYS:,} keys, values of {len(PAYLOAD)} bytes, "
        "changes on the disk",
        "within a second; thousand requests a second, then the server's CPU time for a request.", "",
        "| command | how | Posthouse | redis-server | ratio | of plain | p99 ms | CPU µs | ratio | of plain |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    return lines + [line(row, way, outcome, results[row, PLAIN]) for (row, way), outcome in results.items()]


def line(row, way, outcome, plain):
    def both(field, runs=outcome):
        return [[run[field] for run in runs[name]] for name in PEERS]

    def of_plain(field):
        if way == PLAIN:
            return "–"
        return " / ".join(ratio(own, clear) for own, clear in zip(both(field), both(field, plain)))

    ours, theirs = both("requests_per_second")
    (our_p99, their_p99), (our_cpu, their_cpu) = both("p99_ms"), both("cpu_us_per_request")
    pipeline = f" `-P {row.pipeline}`" if row.pipeline > 1 else ""
    return (f"| {row.command}{pipeline} | {way.title} | {spread(ours, 1000)} | {spread(theirs, 1000)} | "
            f"**{ratio(ours, theirs)}** | {of_plain('requests_per_second')} | "
            f"{median(our_p99):.2f} / {median(their_p99):.2f} | {median(our_cpu):.2f} / {median(their_cpu):.2f} | "
            f"**{ratio(our_cpu, their_cpu)}** | {of_plain('cpu_us_per_request')} |")
