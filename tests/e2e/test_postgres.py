"""The Postgres door of a real node, through psql and psycopg."""

import shutil
import signal
import subprocess
import time

import psycopg
import pytest

ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000) a, generate_series(1, 100000) b"

pytestmark = pytest.mark.timeout(120)


def url(node):
    return f"postgresql://ada@{node.addresses['postgres']}/posthouse"


@pytest.fixture(scope="module")
def psql(shared_node):
    """Runs psql with a script on its standard input; returns the finished process."""
    assert shutil.which("psql"), "these tests need psql: apt-get install postgresql-client"

    def run(script, *flags, check=True):
        done = subprocess.run(
            ["psql", "--no-psqlrc", "--tuples-only", "--no-align", *flags, url(shared_node)],
            input=script, capture_output=True, text=True, timeout=60,
        )
        assert not check or (done.returncode == 0 and "ERROR" not in done.stderr), done.stderr
        return done

    return run


@pytest.fixture
def table(psql, topic):
    """A topic with declared columns and three rows, as a quoted name."""
    name = f'"{topic}"'
    psql(f"""
        CREATE TOPIC {name} (origin TEXT, delay DOUBLE, flown TIMESTAMP) WITH (partitions = 2, format = 'json');
        INSERT INTO {name} (origin, delay, flown) VALUES
            ('JFK', 1.5, '2013-01-01 09:00:00'), ('EWR', -3, NULL), (NULL, NULL, '2013-06-30 23:59:59.5');
    """)
    return name


@pytest.fixture
def connection(shared_node):
    with psycopg.connect(url(shared_node), autocommit=True) as connection:
        yield connection


def test_psql_shows_rows_as_postgresql_would(psql, table):
    done = psql(f"SELECT origin, delay, flown FROM {table} ORDER BY origin NULLS LAST;")
    assert done.stdout.splitlines() == [
        "EWR|-3|", "JFK|1.5|2013-01-01 09:00:00", "||2013-06-30 23:59:59.5",
    ]


def test_psql_describes_what_there_is(psql, table):
    name = table.strip('"')
    for command in ("\\d", "\\dt"):
        assert f"public|{name}|table|" in psql(command).stdout
    described = psql(f"\\d {table}").stdout
    assert "origin|text" in described
    assert "delay|double precision" in described
    assert "flown|timestamp without time zone" in described
    assert "posthouse" in psql("\\l").stdout
    assert "public" in psql("\\dn").stdout


def test_psql_points_at_the_error(psql, table):
    done = psql(f"SELECT origin,\n       dely FROM {table};", check=False)
    assert "LINE 2:        dely" in done.stderr, done.stderr
    caret = done.stderr.splitlines()[2]
    assert caret.index("^") == len("LINE 2:        ")
    assert "HINT:" in done.stderr


def test_psql_copies_out(psql, table):
    csv = psql(f"COPY (SELECT origin, delay FROM {table} ORDER BY delay) TO STDOUT (FORMAT csv, HEADER);")
    assert csv.stdout == "origin,delay\nEWR,-3\nJFK,1.5\n,\n"
    binary = psql("COPY (SELECT 1) TO STDOUT (FORMAT binary);", check=False)
    assert "COPY in binary format is not supported" in binary.stderr


def test_psql_copies_in_and_out_again(psql, topic, tmp_path):
    name = f'"{topic}"'
    source, copy = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("".join(f"{row},\"text, {row}\"\n" for row in range(2500)))
    psql(f"CREATE TOPIC {name} (a BIGINT, b TEXT);\n"
         f"\\copy {name} (a, b) FROM '{source}' WITH (FORMAT csv)\n"
         f"\\copy (SELECT a, b FROM {name} ORDER BY a) TO '{copy}' WITH (FORMAT csv)\n")
    assert copy.read_text() == source.read_text()


def test_control_c_in_psql_cancels_the_query(shared_node):
    process = subprocess.Popen(
        ["psql", "--no-psqlrc", "-c", ENDLESS, url(shared_node)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "canceling statement due to user request" in errors


def test_psycopg_binds_and_reads_in_text_and_binary(connection, table):
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        cursor.execute(f"SELECT origin, delay, flown FROM {table} WHERE delay > %s", (0,))
        row = cursor.fetchone()
        assert row[:2] == ("JFK", 1.5)
        assert row[2].isoformat() == "2013-01-01T09:00:00"
    inserted = connection.execute(f"INSERT INTO {table} (origin, delay) VALUES (%s, %s)", ("LGA", 4.0))
    assert (inserted.rowcount, inserted.statusmessage) == (1, "INSERT 0 1")


def test_a_statement_prepared_by_psycopg_is_used_again(connection):
    for number in range(20):
        row = connection.execute("SELECT %s::bigint + 1", (number,), prepare=True).fetchone()
        assert row == (number + 1,)


def test_a_server_side_cursor_reads_in_parts(shared_node):
    with psycopg.connect(url(shared_node)) as connection, connection.cursor("c") as cursor:
        cursor.itersize = 100
        cursor.execute("SELECT value FROM generate_series(1, 1000) ORDER BY value")
        assert [row[0] for row in cursor] == list(range(1, 1001))


def test_psycopg_copies_rows(connection, topic):
    connection.execute(f'CREATE TOPIC "{topic}" (a BIGINT, b TEXT)')
    rows = [(1, "one"), (2, None), (3, "tab\tand\nline")]
    with connection.cursor() as cursor:
        with cursor.copy(f'COPY "{topic}" (a, b) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)
        with cursor.copy(f'COPY (SELECT a, b FROM "{topic}" ORDER BY a) TO STDOUT') as copy:
            copy.set_types(["int8", "text"])
            assert list(copy.rows()) == rows


def test_a_failed_transaction_must_be_rolled_back(shared_node):
    with psycopg.connect(url(shared_node)) as connection:
        with pytest.raises(psycopg.errors.UndefinedColumn) as failure:
            connection.execute("SELECT nope FROM (SELECT 1 AS a) t")
        assert failure.value.diag.statement_position == "8"
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("SELECT 1")
        connection.rollback()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_cancel_and_timeout_end_a_query(connection):
    connection.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute(ENDLESS)
    connection.execute("RESET statement_timeout")
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_message_too_large_is_refused_before_it_is_read(shared_node):
    import socket

    host, port = shared_node.addresses["postgres"].rsplit(":", 1)
    for first in (b"\x7f\xff\xff\xff", b"\0\0\0\x12\0\x03\0\0user\0ada\0\0Q\x7f\xff\xff\xff", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(first)
            answer = b""
            while part := client.recv(4096):
                answer += part
            assert b"FATAL" in answer
