"""The Postgres door through PostgreSQL's JDBC driver, as DBeaver, DataGrip and Java programs use it."""

import json
import subprocess
import sys

import pytest
from conftest import JARS, ROOT

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def jdbc(shared_node):
    """Runs steps on one connection; see ``tests/clients/jdbc.py``."""
    url = f"jdbc:postgresql://{shared_node.addresses['postgres']}/posthouse?user=ada"

    def run(*steps):
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "clients" / "jdbc.py"],
            input=json.dumps([url, str(JARS), steps]), capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def labels(answer):
    return [label for label, _ in answer["columns"]]


def test_a_java_program_writes_and_reads(jdbc, topic):
    name = f'"{topic}"'
    insert = f"INSERT INTO {name} (id, word, delay) VALUES (?, ?, ?)"
    select = f"SELECT word, delay FROM {name} WHERE id = ? AND word LIKE ?"
    # Seven times, because the driver prepares on the server from the fifth on.
    _, counts, *selected, counted, fetched, wrong, after = jdbc(
        ["update", f"CREATE TOPIC {name} (id BIGINT, word TEXT, delay DOUBLE) WITH (format = 'json')", []],
        ["update", insert, *([n, f"word {n}", n / 2] for n in range(20)), [99, None, -1.0]],
        *(["query", select, n, "word%"] for n in range(7)),
        ["query", f"SELECT count(*), sum(id) / 2, max(word)::text, 1, true AND false FROM {name}"],
        ["pages", f"SELECT * FROM {name}", 4],
        ["query", f"SELECT nowhere FROM {name}"],
        ["query", "SELECT 1"],
    )
    assert counts == [1] * 21
    for n, answer in enumerate(selected):
        assert answer["columns"] == [["word", "text"], ["delay", "float8"]]
        assert [[word, float(delay)] for word, delay in answer["rows"]] == [[f"word {n}", n / 2]]
    assert labels(counted) == ["count", "?column?", "max", "?column?", "?column?"]
    assert counted["rows"][0][0] == "21"
    assert fetched == 21
    assert wrong["error"][0] == "42703" and "nowhere" in wrong["error"][1], wrong
    assert after["rows"] == [["1"]]


def test_a_database_browser_finds_topics_and_columns(jdbc, topic):
    name = f'"{topic}"'
    _, tables, columns, schemas, types, keys = jdbc(
        ["update", f"CREATE TOPIC {name} (id BIGINT, flown TIMESTAMP) WITH (format = 'json')", []],
        ["metadata", "getTables", None, "public", topic, ["TABLE"]],
        ["metadata", "getColumns", None, "public", topic, "%"],
        ["metadata", "getSchemas"],
        ["metadata", "getTypeInfo"],
        ["metadata", "getPrimaryKeys", None, "public", topic],
    )
    assert [row[2:4] for row in tables["rows"]] == [[topic, "TABLE"]]
    place = {label: at for at, label in enumerate(labels(columns))}
    described = [(row[place["COLUMN_NAME"]], row[place["TYPE_NAME"]]) for row in columns["rows"]]
    assert described[:2] == [("id", "int8"), ("flown", "timestamp")]
    assert ("_key", "text") in described or ("_key", "bytea") in described
    assert "public" in [row[0] for row in schemas["rows"]]
    assert {"int8", "text", "timestamp"} <= {row[0] for row in types["rows"]}
    assert keys["rows"] == []
