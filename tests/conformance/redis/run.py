"""Runs Redis's own Tcl suite (Debian's source package) against a node, and counts.

    tests/conformance/redis/run.py [--suite DIR] [--address HOST:PORT] [--units unit/pubsub,...] [--check]

DIR is an unpacked source of Redis 7.0.15 (`apt-get source redis`); Tcl has to be installed. Without
--address a node is started. With --check the run fails when a unit passes fewer tests than `allow` says.
FINDINGS.md explains the rest.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
RESULT = re.compile(r"^\[(ok|err|skip|ignore|exception)\]")
SECONDS = 180
UNITS = (
    "unit/pubsub", "unit/pubsubshard", "unit/type/stream", "unit/type/stream-cgroups",
    "unit/hyperloglog", "unit/protocol", "unit/keyspace", "unit/expire", "unit/scan", "unit/multi",
    "unit/type/list", "unit/type/hash", "unit/type/set", "unit/type/zset", "unit/type/string",
)
sys.path.insert(0, str(ROOT / "tests"))


def main():
    arguments = parse()
    units = arguments.units.split(",") if arguments.units else UNITS
    allowed = dict(line.split() for line in (HERE / "allow").read_text().splitlines() if line.strip())
    lost = []
    for unit in units:
        counts, failures, ended = run_unit(arguments, unit)
        print(f"{unit:28} ok {counts['ok']:4}  err {counts['err']:4}  skip {counts['skip']:4}  {ended}", flush=True)
        for failure in failures if arguments.verbose else []:
            print(f"    {failure}")
        if counts["ok"] < int(allowed.get(unit, 0)):
            lost.append(unit)
    print(f"fewer than allowed: {' '.join(lost) or 'none'}")
    return 1 if arguments.check and lost else 0


def run_unit(arguments, unit):
    if arguments.address:
        return run(arguments.suite, arguments.address, unit)
    from posthouse_node import Node
    with tempfile.TemporaryDirectory() as directory:
        node = Node(directory).start()
        try:
            return run(arguments.suite, node.addresses["redis"], unit)
        finally:
            node.kill()


def run(suite, address, unit):
    """How many tests of a unit had which result, and how the unit ended."""
    host, port = address.rsplit(":", 1)
    command = ["./runtest", "--host", host, "--port", port, "--durable", "--clients", "1", "--single", unit,
               "--ignore-encoding", "--ignore-digest", "--tags", "-needs:debug -needs:repl -external:skip"]
    if unit != "unit/protocol":
        command.append("--singledb")
    process = subprocess.Popen(command, cwd=suite, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=SECONDS)
        ended = "to its end" if process.returncode == 0 else f"ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        ended = f"hung for {SECONDS} s"
    counts = dict.fromkeys(("ok", "err", "skip", "ignore", "exception"), 0)
    failures = []
    for line in COLOUR.sub("", output.decode(errors="replace")).splitlines():
        if result := RESULT.match(line):
            counts[result[1]] += 1
            if result[1] in ("err", "exception"):
                failures.append(line)
    return counts, failures, ended


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default=ROOT / "target" / "redis-suite")
    parser.add_argument("--address", help="a server that is already there")
    parser.add_argument("--units", help="only these, with commas between")
    parser.add_argument("--verbose", action="store_true", help="also print what failed")
    parser.add_argument("--check", action="store_true", help="fail when a unit passes fewer than allowed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
