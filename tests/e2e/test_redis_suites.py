"""Redis's own tests, and redis-py's own, against the node: what passes keeps passing.

The programs that run them, what is expected of each and why are in `tests/conformance/redis`.
"""

import subprocess
import sys

import pytest

from posthouse_node import ROOT

HERE = ROOT / "tests" / "conformance" / "redis"
SUITE = ROOT / "target" / "redis-suite"
REDIS_PY = ROOT / "target" / "redis-py" / "source"
UNITS = (
    "unit/pubsub", "unit/type/stream", "unit/type/stream-cgroups", "unit/protocol", "unit/keyspace",
    "unit/expire", "unit/scan", "unit/multi", "unit/sort", "unit/type/hash", "unit/type/set",
    "unit/type/string", "unit/type/incr", "unit/type/list", "unit/type/zset",
)


def check(program, *arguments):
    command = [sys.executable, HERE / program, "--check", *arguments]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not SUITE.exists(), reason=f"not unpacked: run {HERE / 'build'}")
@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_of_redis_own_suite_passes_as_before(unit):
    check("run.py", "--units", unit)


@pytest.mark.skipif(not REDIS_PY.exists(), reason=f"not unpacked: run {HERE / 'build'}")
@pytest.mark.timeout(700)
def test_redis_py_passes_its_own_tests_as_before():
    check("redis_py.py")
