"""The demo's answers equal those that DuckDB computes from the same files."""

import json
import math
import subprocess

import duckdb
import pytest

from posthouse_node import BINARY, ROOT

NYC = ROOT / "examples" / "nyc"

REFERENCE = {
    "delay_by_airport_and_month": """
        SELECT month, avg(dep_delay) FILTER (origin = 'EWR'), avg(dep_delay) FILTER (origin = 'JFK'),
               avg(dep_delay) FILTER (origin = 'LGA')
        FROM flights GROUP BY month ORDER BY month""",
    "worst_hour": """
        SELECT f.origin, strftime(f.at AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S'), f.departures, f.minutes, f.worst, w.temp, w.wind_speed, w.precip, w.visib
        FROM (SELECT origin, time_hour AS at, count(dep_delay) AS departures, sum(dep_delay) AS minutes,
                     max(dep_delay) AS worst FROM flights GROUP BY ALL) f
        JOIN weather w ON w.origin = f.origin AND w.time_hour = f.at
        ORDER BY f.minutes DESC NULLS LAST LIMIT 1""",
    "most_delayed_carriers": """
        SELECT name, count(*), avg(arr_delay),
               100.0 * sum(CASE WHEN arr_delay > 15 THEN 1 ELSE 0 END) / count(arr_delay)
        FROM flights JOIN airlines USING (carrier) GROUP BY name ORDER BY 3 DESC LIMIT 5""",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Runs the demo once, beside whatever holds the default ports."""
    directory = tmp_path_factory.mktemp("demo")

    def run():
        out = directory / "answers.json"
        done = subprocess.run(
            [str(BINARY), "demo", "--exit", "--data-dir", str(directory / "data"), "--answers-json", str(out)],
            capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(out.read_text()), done.stdout + done.stderr
    return run


@pytest.fixture(scope="module")
def answers(demo):
    return demo()[0]


@pytest.fixture(scope="module")
def reference():
    database = duckdb.connect()
    for table in ("flights", "weather"):
        database.execute(f"CREATE TABLE {table} AS FROM read_csv('{NYC}/{table}.csv.zst', nullstr='NA')")
    database.execute(f"CREATE TABLE airlines AS FROM read_csv('{NYC}/airlines.csv')")
    return database


def assert_same(found, expected):
    """Numbers to nine digits, everything else exactly; times are UTC, as text."""
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for left, right in zip(ours, theirs, strict=True):
            if isinstance(right, str):
                left = left.removesuffix("Z")
            if isinstance(right, (int, float)):
                assert math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9), (ours, theirs)
            else:
                assert left == right, (ours, theirs)


def test_every_flight_is_there(answers, reference):
    expected = reference.execute("SELECT count(*) FROM flights").fetchone()[0]
    assert expected == 336_776
    assert answers["flights"] == expected


@pytest.mark.parametrize("question", REFERENCE)
def test_an_answer_equals_the_reference(answers, reference, question):
    expected = reference.execute(REFERENCE[question]).fetchall()
    assert expected
    assert_same(answers[question], expected)


def test_a_second_run_on_the_same_directory_does_not_load_twice(demo, answers):
    again, _ = demo()
    assert again == answers
