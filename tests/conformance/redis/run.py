"""Runs Redis's own Tcl suite (Debian's source package) against a node, and says what is different.

    tests/conformance/redis/run.py [--suite DIR] [--address HOST:PORT] [--units unit/pubsub,...] [--check]

DIR is an unpacked source of Redis 7.0.15 (`build` puts it under target/); Tcl has to be installed.
Without --address each unit gets a node of its own. With --check the run fails when a test fails that
`expected` does not name, when one that it names passes, or when a unit passes fewer tests than `allow`
says. `skip` names the tests that would end a unit early. FINDINGS.md gives the reasons.
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
RESULT = re.compile(r"^\[(ok|err|skip|ignore|exception)\]:? ?(.*)")
SECONDS = 240
UNITS = (
    "unit/pubsub", "unit/pubsubshard", "unit/type/stream", "unit/type/stream-cgroups",
    "unit/hyperloglog", "unit/protocol", "unit/keyspace", "unit/expire", "unit/scan", "unit/multi",
    "unit/sort", "unit/type/list", "unit/type/list-2", "unit/type/list-3", "unit/type/hash",
    "unit/type/set", "unit/type/zset", "unit/type/string", "unit/type/incr", "unit/quit",
)
# What is looked at is answers, not the disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
sys.path.insert(0, str(ROOT / "tests"))


def main():
    arguments = parse()
    units = arguments.units.split(",") if arguments.units else UNITS
    wrong, total = [], 0
    for unit in units:
        counts, failed, ended = run_unit(arguments, unit)
        total += counts["ok"]
        print(f"{unit:28} ok {counts['ok']:4}  err {counts['err']:4}  skip {counts['skip']:4}  {ended}", flush=True)
        if arguments.verbose:
            print("".join(f"    {name}\n" for name in failed), end="", flush=True)
        wrong += differences(unit, counts, failed, ended)
    print(f"{total} passed; {'not as expected:' if wrong else 'all as expected'}")
    print("".join(f"    {line}\n" for line in wrong), end="")
    return 1 if arguments.check and wrong else 0


def differences(unit, counts, failed, ended):
    """What is not as `allow` and `expected` have it."""
    expected = {name for known, name in lines("expected") if known == unit}
    least = dict(lines("allow")).get(unit, "0")
    found = [f"{unit}: {name}" for name in failed if name not in expected]
    found += [f"{unit}: passes now, take it out of `expected`: {name}" for name in expected - set(failed)]
    if counts["ok"] < int(least):
        found.append(f"{unit}: {counts['ok']} passed, {least} are allowed for; it {ended}")
    return found


def lines(name):
    """Unit and what is said of it."""
    text = (HERE / name).read_text().splitlines()
    return [line.split(maxsplit=1) for line in text if line.strip() and not line.startswith("#")]


def run_unit(arguments, unit):
    if arguments.address:
        return run(arguments.suite, arguments.address, unit)
    from posthouse_node import Node
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        node = Node(directory).start()
        try:
            return run(arguments.suite, node.addresses["redis"], unit)
        finally:
            node.kill()


def run(suite, address, unit):
    """How many tests of a unit had which result, which failed, and how the unit ended."""
    host, port = address.rsplit(":", 1)
    # Runs side by side have ports of their own; the suite wants the port 10,000 above to be one, too.
    command = ["./runtest", "--host", host, "--port", port, "--durable", "--clients", "1", "--single", unit,
               "--baseport", str(20000 + os.getpid() % 300 * 100), "--ignore-encoding", "--ignore-digest", "--tags", "-needs:debug -needs:repl -external:skip"]
    for known, name in lines("skip"):
        command += ["--skiptest", name] if known == unit else []
    # These change the database, or wait for answers that come one database later.
    if unit not in ("unit/protocol", "unit/type/list", "unit/multi", "unit/keyspace"):
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
    failed = []
    for line in COLOUR.sub("", output.decode(errors="replace")).splitlines():
        if result := RESULT.match(line):
            counts[result[1]] += 1
            if result[1] in ("err", "exception"):
                failed.append(re.sub(r" in tests/unit/\S+\.tcl.*", "", result[2]))
    return counts, failed, ended


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default=ROOT / "target" / "redis-suite")
    parser.add_argument("--address", help="a server that is already there")
    parser.add_argument("--units", help="only these, with commas between")
    parser.add_argument("--verbose", action="store_true", help="also print what failed")
    parser.add_argument("--check", action="store_true", help="fail when anything is not as expected")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
