"""Runs librdkafka's own C test suite against a Kafka listener and counts.

    tests/conformance/librdkafka/run.py [--bootstrap HOST:PORT] [--tests 0001,0005] [--check]

Without --bootstrap a posthouse node is started for it. With --check the run fails when a test named
in `allow` does not pass. FINDINGS.md says why each of the others does not.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RUNNER = ROOT / "target" / "librdkafka-suite" / "test-runner"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
ROW = re.compile(r"^\|\s*(?P<name>\d{4}_\S+|<MAIN>)\s*\|\s*(?P<result>PASSED|FAILED|SKIPPED)\s*\|[^|]*\|(?P<why>.*)$")
SECONDS = 900
sys.path.insert(0, str(ROOT / "tests"))


def main():
    arguments = parse()
    subprocess.run([HERE / "build"], check=True)
    if arguments.bootstrap:
        results = run(arguments.bootstrap, arguments.tests)
    else:
        from posthouse_node import Node
        with tempfile.TemporaryDirectory(dir=ROOT / "target") as directory:
            node = Node(directory, env={"POSTHOUSE_BROKER_DEFAULT_PARTITIONS": "4"}).start()
            try:
                results = run(node.kafka, arguments.tests)
            finally:
                node.stop()
    for name, (result, why) in sorted(results.items()):
        if result == "FAILED":
            print(f"{name}: {why}")
    count = Counter(result for result, _ in results.values())
    allowed = [line.split()[0] for line in (HERE / "allow").read_text().splitlines() if line.strip()]
    lost = [name for name in allowed if name in results and results[name][0] != "PASSED"]
    gained = [name for name, (result, _) in results.items() if result == "PASSED" and name not in allowed]
    print(f"not in allow yet, but passed: {' '.join(sorted(gained)) or 'none'}")
    print(f"in allow, but not passed: {' '.join(lost) or 'none'}")
    print(f"{count['PASSED']} passed, {count['FAILED']} failed, {count['SKIPPED']} skipped")
    return 1 if arguments.check and lost else 0


def run(bootstrap, tests):
    """Each test's result and, where it failed, its last words."""
    workplace = Path(RUNNER).resolve().parent
    with tempfile.TemporaryDirectory() as directory:
        conf = Path(directory) / "test.conf"
        conf.write_text(f"metadata.broker.list={bootstrap}\n")
        environment = {**os.environ, "TEST_KAFKA_VERSION": "3.9.0", "RDKAFKA_TEST_CONF": str(conf)}
        if tests:
            environment["TESTS"] = tests
        done = subprocess.run([RUNNER, "-L", "-Q", "-E", "-p3"], cwd=workplace, env=environment,
                              capture_output=True, timeout=SECONDS)
    text = COLOUR.sub("", (done.stdout + done.stderr).decode(errors="replace"))
    rows = [row for line in text.splitlines() if (row := ROW.match(line))]
    if not rows:
        raise SystemExit(f"the suite gave no summary:\n{text[-3000:]}")
    return {row["name"]: (row["result"], row["why"].strip()) for row in rows if row["name"] != "<MAIN>"}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="a listener that is already there")
    parser.add_argument("--tests", help="only these, by number")
    parser.add_argument("--check", action="store_true", help="fail when a test in `allow` does not pass")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
