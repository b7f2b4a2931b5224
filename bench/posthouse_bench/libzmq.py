"""Beside libzmq: its own `local_thr`, `remote_thr`, `local_lat` and `remote_lat`, and the same four programs
on `lib/zmtp`, in every combination of the two sides."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .figures import alternated, ratio, spread
from .section import Section, heading, notes, progress
from .servers import PEERS, RELEASE, ROOT, free_port

NAME = "libzmq"
# Who binds and who connects. In `thr` the binding side receives, in `lat` it answers.
THEIRS = ("libzmq", "libzmq")
PAIRINGS = [THEIRS, ("posthouse", "libzmq"), ("libzmq", "posthouse"), ("posthouse", "posthouse")]
PROGRAMS = {"libzmq": PEERS, "posthouse": RELEASE / "examples"}
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Row:
    """`count` is messages of a throughput run or round trips of a latency run: about a second's worth."""

    tool: str  # thr or lat
    size: int
    count: int

    @property
    def label(self):
        what = "throughput" if self.tool == "thr" else "round trip"
        return f"libzmq {what} {self.size} B"


ROWS = [
    Row("thr", 64, 3_000_000), Row("thr", 1024, 750_000), Row("thr", 65536, 30_000),
    Row("lat", 64, 10_000), Row("lat", 1024, 10_000), Row("lat", 65536, 5_000),
]


def run(arguments, about, elapsed):
    rows = [row for row in ROWS if arguments.only in row.label]
    if not rows:
        return None
    results = {row: {pairing: [] for pairing in PAIRINGS} for row in rows}
    for row in rows:
        for repeat in range(-1, arguments.repeats + 2):
            for pairing in alternated(PAIRINGS, repeat):
                count = int(row.count * arguments.scale) if repeat >= 0 else row.count // 10
                progress(elapsed(), f"repeat {repeat + 1}, {row.label}: {' and '.join(pairing)}")
                figure = measure(row, pairing, count)
                if repeat >= 0:  # the one before is to warm up
                    results[row][pairing].append(figure)
    about |= {"repeats": arguments.repeats + 2, "libzmq": version(), "seconds": round(elapsed())}
    raw = {"about": about, "rows": [
        {"tool": row.tool, "size": row.size, "count": row.count, "binds": pairing[0], "connects": pairing[1],
         "figures": figures} for row in rows for pairing, figures in results[row].items()]}
    return Section(NAME, markdown(about, results), raw)


def measure(row, pairing, count):
    """One run; messages a second, or microseconds one way."""
    binds, connects = pairing
    port = free_port()
    local = program(binds, f"local_{row.tool}", f"tcp://127.0.0.1:{port}", row.size, count)
    wait_until_bound(port, local)
    remote = program(connects, f"remote_{row.tool}", f"tcp://127.0.0.1:{port}", row.size, count)
    try:
        outputs = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in (local, remote)]
    finally:
        for process in (local, remote):
            process.kill()
            process.wait()
    name, output = ("throughput: ([0-9.]+) \\[msg/s\\]", outputs[0]) if row.tool == "thr" else (
        "latency: ([0-9.]+) \\[us\\]", outputs[1])
    found = re.search(name, output)
    if not found:
        raise RuntimeError(f"no result of {pairing} in {outputs}")
    return float(found[1])


def program(side, name, address, size, count):
    return subprocess.Popen([PROGRAMS[side] / name, address, str(size), str(count)],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_until_bound(port, process):
    """Looks in the kernel's table, because a connection for a try would be a peer."""
    listening = f":{port:04X} 00000000:0000 0A"
    began = time.monotonic()
    while listening not in Path("/proc/net/tcp").read_text():
        if process.poll() is not None or time.monotonic() - began > 10:
            process.kill()
            raise RuntimeError(f"{process.args[0]} did not bind: {process.communicate()[0]}")
        time.sleep(0.005)


def version():
    return "libzmq " + (ROOT / "target" / "peers" / "libzmq.version").read_text().strip()


def markdown(about, results):
    lines = heading("Beside libzmq", about, about["seconds"], f"lib/zmtp of this tree; {about['libzmq']}")
    lines += ["Thousand messages a second, PUSH to PULL over TCP (`local_thr`, `remote_thr`):", "",
              "| size | libzmq to libzmq | libzmq to ours | ratio | ours to libzmq | ratio | ours to ours | ratio |",
              "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [line(row, figures, 1000) for row, figures in results.items() if row.tool == "thr"]
    lines += ["", "Microseconds one way, half of a round trip, REQ to REP over TCP (`local_lat`, `remote_lat`):", "",
              "| size | libzmq asks libzmq | libzmq asks ours | ratio | ours asks libzmq | ratio | ours asks ours | ratio |",
              "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    lines += [line(row, figures, 1, 1) for row, figures in results.items() if row.tool == "lat"]
    return "\n".join(lines) + "\n" + notes(NAME)


def line(row, figures, unit, digits=0):
    base = figures[THEIRS]
    cells = [spread(base, unit, digits)]
    for pairing in PAIRINGS[1:]:
        cells += [spread(figures[pairing], unit, digits), f"**{ratio(figures[pairing], base)}**"]
    return f"| {row.size} B | " + " | ".join(cells) + " |"
