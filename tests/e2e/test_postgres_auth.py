"""Who may come in at the Postgres door and what they find there: psql, psycopg and the JDBC driver."""

import json
import os
import re
import subprocess
import sys
import time

import psycopg
import pytest
from clients.access import ADMIN_PASSWORD, guarded_node
from conftest import JARS, ROOT
from tls_files import Certificates

LIMIT_SECONDS = 30
SECRET = "payroll"

pytestmark = pytest.mark.timeout(150)


def connect(node, user, password, **more):
    return psycopg.connect(**{**node.postgres, "user": user, "password": password, **more}, autocommit=True)


def psql(node, user, password, script, check=True, **more):
    place = node.postgres
    done = subprocess.run(
        ["psql", "--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "-h", place["host"], "-p", str(place["port"]),
         "-U", user, "-d", "posthouse"],
        input=script, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PGPASSWORD": password or "", **more},
    )
    assert not check or (done.returncode == 0 and "ERROR" not in done.stderr), done.stderr
    return done


def eventually(check, what):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not check():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("postgres-auth")
    certificates = Certificates(directory / "certificates").make("--client", "ada")
    node = guarded_node(directory, *certificates.flags("request"))
    node.certificates = certificates
    node.start()
    psql(node, "admin", ADMIN_PASSWORD, f"""
        CREATE TOPIC orders (id BIGINT, what TEXT);
        CREATE TOPIC {SECRET} (id BIGINT, salary TEXT);
        INSERT INTO orders VALUES (1, 'bread'), (2, 'milk');
        INSERT INTO {SECRET} VALUES (1, 'a lot');
        CREATE USER ada PASSWORD 'ada''s own' CERTIFICATE 'CN=ada';
        CREATE USER reader PASSWORD 'reads';
        CREATE USER writer WITH PASSWORD 'writes' NOSUPERUSER LOGIN;
        CREATE USER lister PASSWORD 'lists';
        CREATE USER nobody PASSWORD 'nothing';
        GRANT SELECT ON orders TO reader, ada;
        GRANT INSERT ON TABLE orders TO writer;
        GRANT DESCRIBE ON TOPIC "ord*" TO lister;
    """)
    yield node
    assert node.stop() == 0, node.log()


@pytest.fixture
def admin(node):
    with connect(node, "admin", ADMIN_PASSWORD) as connection:
        yield connection


@pytest.mark.parametrize("user, password", [
    ("reader", None), ("reader", "wrong"), ("reader", "writes"), ("absent", "reads"), ("READER", "reads"),
])
@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_without_the_right_password_nobody_comes_in(node, user, password, sslmode):
    done = psql(node, user, password, "SELECT 1;", check=False, PGSSLMODE=sslmode)
    assert done.returncode == 2 and done.stdout == ""
    why = f'password authentication failed for user "{user}"' if password else "no password supplied"
    assert why in done.stderr
    with pytest.raises(psycopg.OperationalError, match=why):
        connect(node, user, password, sslmode=sslmode)
    # Failures slow down what follows from the same address, until somebody gets it right.
    connect(node, "reader", "reads").close()


@pytest.mark.parametrize("more", [
    {"sslmode": "disable"}, {"sslmode": "require"},
    {"sslmode": "require", "channel_binding": "require"}, {"sslmode": "require", "channel_binding": "disable"},
])
def test_the_right_password_opens_a_session_as_its_user(node, more):
    with connect(node, "ada", "ada's own", **more) as connection:
        for word in ("current_user", "session_user", "user"):
            assert connection.execute(f"SELECT {word}").fetchone() == ("ada",), word
        assert connection.info.parameter_status("is_superuser") == "off"
        assert connection.execute("SELECT id FROM orders ORDER BY id").fetchall() == [(1,), (2,)]
    with connect(node, "admin", ADMIN_PASSWORD) as connection:
        assert connection.info.parameter_status("is_superuser") == "on"


def test_channel_binding_is_not_offered_in_the_clear(node):
    with pytest.raises(psycopg.OperationalError, match="channel binding"):
        connect(node, "ada", "ada's own", sslmode="disable", channel_binding="require")


def test_a_certificate_stands_for_its_user_and_for_nobody_else(node):
    certificate, key = node.certificates.client("ada")
    key.chmod(0o600)
    shown = {"sslmode": "require", "sslcert": str(certificate), "sslkey": str(key)}
    with connect(node, "ada", None, **shown) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("ada",)
    with pytest.raises(psycopg.OperationalError):
        connect(node, "reader", None, **shown)
    with connect(node, "reader", "reads", **shown) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("reader",)


def refused(connection, sql, sqlstate="42501"):
    with pytest.raises(psycopg.Error) as error:
        connection.execute(sql)
    assert error.value.sqlstate == sqlstate, error.value
    return str(error.value)


def test_each_may_do_what_was_granted_and_no_more(node):
    select, insert = "SELECT count(*) FROM orders", "INSERT INTO orders VALUES (3, 'tea')"
    with connect(node, "reader", "reads") as reader:
        assert reader.execute(select).fetchone()[0] >= 2
        assert "permission denied for topic orders" in refused(reader, insert)
    with connect(node, "writer", "writes") as writer:
        writer.execute(insert)
        assert "permission denied for topic orders" in refused(writer, select)
        refused(writer, "SELECT count(*) FROM orders WHERE _partition = 99")
        refused(writer, "EXPLAIN SELECT what FROM orders")
        refused(writer, "COPY orders TO STDOUT")
    with connect(node, "lister", "lists") as lister:
        refused(lister, select)
        refused(lister, insert)
        refused(lister, "INSERT INTO orders SELECT 1, 'x' WHERE false")
        assert [row[0] for row in lister.execute("SHOW TOPICS")] == ["orders"]
    for user, password in [("reader", "reads"), ("nobody", "nothing")]:
        with connect(node, user, password) as connection:
            for sql in ["CREATE TOPIC mine (a INT)", "DROP TOPIC orders", "ALTER TOPIC orders ADD COLUMN b INT",
                        "ALTER TOPIC orders SET (retention.ms = 1)", "CREATE USER x PASSWORD 'y'",
                        "ALTER USER admin PASSWORD 'mine'", "DROP USER admin", "GRANT ALL ON orders TO reader",
                        "REVOKE SELECT ON orders FROM reader", "ALTER USER reader SUPERUSER",
                        "CREATE ENDPOINT e WITH (socket = PULL)", "DROP ENDPOINT e", "SHOW ENDPOINTS"]:
                refused(connection, sql)
            for file in ["x.csv", "/etc/hosts.csv", "data/", "*.json"]:
                refused(connection, f"SELECT * FROM '{file}'")


def test_a_topic_that_may_not_be_seen_answers_as_one_that_does_not_exist(node):
    with connect(node, "nobody", "nothing") as connection:
        for sql in ["SELECT * FROM {}", "SELECT salary FROM {}", "INSERT INTO {} VALUES (1, 'x')", "DESCRIBE {}",
                    "DROP TOPIC {}", "DROP TOPIC IF EXISTS {}", "ALTER TOPIC {} ADD COLUMN c INT", "EXPLAIN SELECT * FROM {}",
                    "SHOW COLUMNS FROM {}", "COPY {} FROM STDIN", "COPY {} TO STDOUT"]:
            answers = []
            for name in (SECRET, "no_such_topic"):
                try:
                    rows = connection.execute(sql.format(name)).fetchall()
                    answers.append(repr(rows).replace(name, "NAME"))
                except psycopg.Error as error:
                    answers.append((error.sqlstate, str(error).replace(name, "NAME")))
            assert answers[0] == answers[1], sql
        # A name that is nearly right is nobody's business either.
        assert SECRET not in refused(connection, "SELECT * FROM payrol")


CATALOGS = [
    "SHOW TABLES", "SHOW TOPICS", "SELECT * FROM information_schema.tables", "SELECT * FROM information_schema.columns",
    "SELECT * FROM information_schema.views", "SELECT relname FROM pg_catalog.pg_class",
    "SELECT attname FROM pg_catalog.pg_attribute", "SELECT * FROM pg_catalog.pg_tables",
    "SELECT typname FROM pg_catalog.pg_type", "SELECT * FROM pg_catalog.pg_views", "SHOW USERS", "SHOW GRANTS",
    "SELECT * FROM pg_catalog.pg_stat_user_tables",
]


@pytest.mark.parametrize("user, password, sees_orders", [
    ("nobody", "nothing", False), ("lister", "lists", True), ("reader", "reads", True), ("writer", "writes", True),
])
def test_no_catalog_shows_what_may_not_be_seen(node, user, password, sees_orders):
    with connect(node, user, password) as connection:
        for sql in CATALOGS:
            text = repr(connection.execute(sql).fetchall())
            assert SECRET not in text and "salary" not in text and "__posthouse" not in text, (sql, text)
            assert not re.search(r"\badmin\b", text), (sql, text)
        tables = connection.execute("SELECT relname FROM pg_catalog.pg_class").fetchall()
        assert (("orders",) in tables) == sees_orders
    for command in ["\\d", "\\dt", "\\dt+", "\\d payroll", "\\d pay*", "\\l", "\\dn", "\\dv", "\\du"]:
        text = psql(node, user, password, command, check=False)
        assert "salary" not in text.stdout + text.stderr, command
        assert not re.search(r"\badmin\b", text.stdout + text.stderr), command
        if command not in ("\\d payroll",):
            assert SECRET not in text.stdout + text.stderr, (command, text)
    assert ("public|orders|table" in psql(node, user, password, "\\dt").stdout) == sees_orders


def test_an_administrator_sees_everything_and_psql_lists_the_users(node):
    shown = psql(node, "admin", ADMIN_PASSWORD, "\\dt\n\\du\n").stdout
    assert f"public|{SECRET}|table" in shown
    assert "admin|Superuser" in shown and re.search(r"^reader\|", shown, re.M), shown
    done = psql(node, "admin", ADMIN_PASSWORD, "SELECT count(*) FROM __posthouse_audit;")
    assert int(done.stdout) > 0


def test_a_permission_taken_back_holds_at_once_and_a_dropped_user_is_out(node, admin):
    admin.execute("CREATE USER guest PASSWORD 'g'")
    admin.execute("GRANT SELECT, INSERT ON orders TO guest")
    guest = connect(node, "guest", "g")
    select = guest.cursor()
    # Prepared on the server, so that no plan outlives the permission.
    for _ in range(7):
        select.execute("SELECT count(*) FROM orders WHERE id > %s", (0,), prepare=True)
    admin.execute("REVOKE SELECT ON orders FROM guest")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        select.execute("SELECT count(*) FROM orders WHERE id > %s", (0,), prepare=True)
    guest.execute("INSERT INTO orders VALUES (4, 'jam')")
    admin.execute("DENY INSERT ON orders TO PUBLIC")
    refused(guest, "INSERT INTO orders VALUES (5, 'jam')")
    admin.execute("REVOKE DENY INSERT ON orders FROM PUBLIC")
    guest.execute("INSERT INTO orders VALUES (5, 'jam')")
    grants = admin.execute("SHOW GRANTS FOR guest").fetchall()
    assert grants == [("guest", "allow", "Write", "topic", "orders")]

    admin.execute("ALTER USER guest NOLOGIN")

    def is_out():
        try:
            guest.execute("SELECT 1")
            return False
        except psycopg.OperationalError as error:
            return error.sqlstate in ("57P01", None)

    eventually(is_out, "a user who may not log in any more is out")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(node, "guest", "g")
    admin.execute("DROP USER guest")
    admin.execute("DROP USER IF EXISTS guest")
    assert admin.execute("SHOW GRANTS FOR guest").fetchall() == []


def test_revoking_some_of_all_leaves_the_rest(node, admin):
    admin.execute("CREATE USER most PASSWORD 'm'")
    admin.execute("GRANT ALL PRIVILEGES ON TABLE orders TO most")
    admin.execute("REVOKE INSERT, DROP ON orders FROM most")
    with connect(node, "most", "m") as most:
        most.execute("SELECT count(*) FROM orders")
        refused(most, "INSERT INTO orders VALUES (6, 'x')")
        refused(most, "DROP TOPIC orders")
    admin.execute("REVOKE ALL ON orders FROM most")
    with connect(node, "most", "m") as most:
        refused(most, "SELECT count(*) FROM orders")
    admin.execute("DROP USER most")


def test_statements_about_users_are_refused_with_their_codes(admin):
    assert "exists already" in refused(admin, "CREATE USER reader", "42710")
    admin.execute("CREATE USER IF NOT EXISTS reader")
    refused(admin, "DROP USER absent", "42704")
    refused(admin, "ALTER USER absent SUPERUSER", "42704")
    refused(admin, "DROP USER admin", "55000")
    refused(admin, "GRANT FLY ON orders TO reader", "42601")
    refused(admin, "ALTER USER reader PASSWORD 'md5" + "0" * 32 + "'", "0A000")


def test_a_password_is_changed_by_psql_without_the_node_seeing_it(node, admin):
    admin.execute("CREATE USER changer PASSWORD 'before'")
    hashed = admin.pgconn.encrypt_password(b"after", b"changer", b"scram-sha-256").decode()
    with connect(node, "changer", "before") as changer:
        assert changer.execute("SHOW password_encryption").fetchone() == ("scram-sha-256",)
        # What psql's \\password sends.
        changer.execute(f"ALTER USER changer PASSWORD '{hashed}'")
        refused(changer, f"ALTER USER reader PASSWORD '{hashed}'")
    connect(node, "changer", "after").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(node, "changer", "before")
    # Nor is it good at a door that asks by another mechanism.
    assert node.cli("user", "list", check=False, env={"POSTHOUSE_USER": "changer", "POSTHOUSE_PASSWORD": "before"}
                    ).returncode != 0
    admin.execute("DROP USER changer")


def test_no_password_is_in_an_error_a_log_or_the_audit_log(node, admin):
    word = "hunter2"
    for sql in [f"CREATE USER u PASSWORD {word}", f"CREATE USER u PASSWORD '{word}' '{word}'",
                f"CREATE USR u PASSWORD '{word}'", f"CREATE USER u WITH (PASSWORD '{word}')",
                f"EXPLAIN ALTER USER reader PASSWORD '{word}'", f"ALTER USER u SET PASSWORD '{word}'"]:
        with pytest.raises(psycopg.Error) as error:
            admin.execute(sql)
        assert word not in error.value.diag.message_primary + (error.value.diag.message_hint or ""), sql
    admin.execute(f"CREATE USER u PASSWORD '{word}'")
    admin.execute("DROP USER u")
    with pytest.raises(psycopg.OperationalError):
        connect(node, "reader", word)
    assert word not in node.log()
    for sql in [f"CREATE USER v PASSWORD {word}", f"CREATE USER v PASSWORD '{word}' x"]:
        done = node.cli("sql", sql, check=False, env={"POSTHOUSE_USER": "admin", "POSTHOUSE_PASSWORD": ADMIN_PASSWORD})
        assert done.returncode != 0
        assert word not in "\n".join(line for line in done.stderr.splitlines() if sql not in line), done.stderr

    def is_written():
        records = repr(admin.execute("SELECT _value FROM __posthouse_audit").fetchall())
        assert word not in records
        return "user u" in records and "login-refused" in records

    eventually(is_written, "the audit log has it")


def test_the_same_statements_run_over_http(node):
    as_admin = {"POSTHOUSE_USER": "admin", "POSTHOUSE_PASSWORD": ADMIN_PASSWORD}
    node.cli("sql", "CREATE USER web PASSWORD 'w'; GRANT SELECT ON orders TO web", env=as_admin)
    as_web = {"POSTHOUSE_USER": "web", "POSTHOUSE_PASSWORD": "w"}
    assert "bread" in node.cli("sql", "SELECT * FROM orders", env=as_web).stdout
    denied = node.cli("sql", f"SELECT * FROM {SECRET}", env=as_web, check=False)
    assert denied.returncode != 0 and "permission denied" in denied.stderr
    assert "web" in node.cli("sql", "SHOW USERS", env=as_admin).stdout
    node.cli("sql", "DROP USER web", env=as_admin)


@pytest.mark.skipif(not JARS.is_dir(), reason="tools/prepare fetches the JDBC driver")
def test_the_jdbc_driver_logs_in_and_sees_only_its_own(node):
    def run(user, password, *steps):
        url = f"jdbc:postgresql://{node.addresses['postgres']}/posthouse?user={user}&password={password}"
        return subprocess.run(
            [sys.executable, ROOT / "tests" / "clients" / "jdbc.py"],
            input=json.dumps([url, str(JARS), steps]), capture_output=True, text=True, timeout=120,
        )

    done = run("reader", "reads", ["metadata", "getTables", None, None, "%", None],
               ["query", f"SELECT * FROM {SECRET}"], ["query", "SELECT what FROM orders WHERE id = ?", 1])
    assert done.returncode == 0, done.stderr
    tables, denied, rows = json.loads(done.stdout)
    assert "orders" in json.dumps(tables) and SECRET not in json.dumps(tables)
    assert denied["error"][0] == "42501"
    assert rows["rows"] == [["bread"]]
    wrong = run("reader", "wrong", ["query", "SELECT 1"])
    assert wrong.returncode != 0 and "password authentication failed" in wrong.stderr
