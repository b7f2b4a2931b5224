"""The demo's answers equal those that DuckDB computes from the same files."""

import json
import math
import subprocess

import duckdb
import pytest

from posthouse_node import BINARY, ROOT

NYC = ROOT / "examples" / "nyc"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    out = directory / "answers.json"
    done = subprocess.run(
        [str(BINARY), "demo", "--exit", "--data-dir", str(directory / "data"), "--answers-json", str(out)],
        capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def reference():
    database = duckdb.connect()
    for table in ("flights", "weather"):
        database.execute(f"CREATE TABLE {table} AS FROM read_csv('{NYC}/{table}.csv.zst', nullstr='NA')")
    database.execute(f"CREATE TABLE airlines AS FROM read_csv('{NYC}/airlines.csv')")
    return database


def same(found, expected):
    assert len(found) == len(expected), (len(found), len(expected))
    for ours, theirs in zip(found, expected):
        for left, right in zip(ours, theirs, strict=True):
            if isinstance(right, float):
                assert math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-6), (ours, theirs)
            else:
                assert left == right, (ours, theirs)


def test_every_flight_is_there(answers, reference):
    expected = reference.execute("SELECT count(*) FROM flights").fetchone()[0]
    assert expected == 336_776
    assert answers["flights"] == expected
