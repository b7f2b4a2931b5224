"""Runs redis-py's own tests (its source distribution) against a node, and says what is different.

    tests/conformance/redis/redis_py.py [--address HOST:PORT] [--check]

`build` unpacks them and makes their virtual environment, under target/. Without --address a node is
started. `expected-redis-py` names every test that fails; with --check the run fails when another one
does, or when one of those passes. FINDINGS.md gives the reasons.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SUITE = ROOT / "target" / "redis-py"
SECONDS = 600
MODULES = ("commands", "encoding", "lock", "pipeline", "pubsub", "scripting")
FAILED = re.compile(r"^(?:FAILED|ERROR) tests/(\S+)", re.MULTILINE)
# What is looked at is answers, not the disk.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
sys.path.insert(0, str(ROOT / "tests"))


def main():
    arguments = parse()
    if arguments.address:
        output = run(arguments.address)
    else:
        from posthouse_node import Node
        with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
            node = Node(directory).start()
            try:
                output = run(node.addresses["redis"])
            finally:
                node.kill()
    print(output.splitlines()[-1])
    failed = {name.split(" ")[0] for name in FAILED.findall(output)}
    text = (HERE / "expected-redis-py").read_text().splitlines()
    expected = {line.strip() for line in text if line.strip() and not line.startswith("#")}
    wrong = [f"fails: {name}" for name in sorted(failed - expected)]
    wrong += [f"passes now, take it out of `expected-redis-py`: {name}" for name in sorted(expected - failed)]
    if " passed" not in output:
        wrong.append("no test has passed")
    print("".join(f"    {line}\n" for line in wrong), end="")
    return 1 if arguments.check and wrong else 0


def run(address):
    """What pytest says."""
    command = [
        SUITE / "venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore",
        "--timeout", "30", "-m", "not onlycluster and not redismod", "--redis-url", f"redis://{address}/0",
        *(f"tests/test_{module}.py" for module in MODULES),
    ]
    done = subprocess.run([str(word) for word in command], cwd=SUITE / "source", capture_output=True,
                          text=True, timeout=SECONDS)
    return done.stdout or done.stderr


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", help="a server that is already there")
    parser.add_argument("--check", action="store_true", help="fail when anything is not as expected")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
