"""Who may use ZeroMQ endpoints of a node that asks its clients who they are: pyzmq with PLAIN and CURVE.

A refused peer is told `400`, which libzmq's CURVE client reports as an event of the socket's monitor.
"""

import time
from contextlib import contextmanager

import psycopg
import pytest
import zmq
from clients.access import ADMIN_PASSWORD, admin, guarded_node, make_token
from clients.zmq_monitored import LIMIT_MS, LIMIT_SECONDS, handshake, is_turned_away, peer
from zmq.utils.monitor import recv_monitor_message

TCP = "tcp://127.0.0.1:0"

pytestmark = pytest.mark.timeout(150)


def eventually(check, what):
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = guarded_node(tmp_path_factory.mktemp("zeromq-auth")).start()
    yield node
    assert node.stop() == 0, node.log()


@pytest.fixture
def sql(node):
    with psycopg.connect(**{**node.postgres, "user": "admin"}, password=ADMIN_PASSWORD, autocommit=True) as connection:
        yield connection.execute


@pytest.fixture
def ada(sql):
    """A user with a password and a key, who may write to `orders` and nothing else; the key."""
    public, secret = zmq.curve_keypair()
    sql("CREATE TOPIC orders")
    sql(f"CREATE USER ada PASSWORD 'ada-password' CURVE KEY '{public.decode()}'")
    sql("CREATE USER bob PASSWORD 'bob-password'")
    sql("GRANT INSERT ON orders TO ada")
    yield public, secret
    sql("DROP USER IF EXISTS ada, bob")
    sql("DROP TOPIC orders")


@contextmanager
def endpoint(sql, **settings):
    """Declares an endpoint, gives its address, and drops it."""
    pairs = ", ".join(f"{name} = '{value}'" for name, value in {"bind": TCP, **settings}.items())
    sql(f"CREATE ENDPOINT e WITH ({pairs})")
    try:
        row = sql("SHOW ENDPOINTS").fetchone()
        assert row[4] == "running", row
        yield row[3]
    finally:
        sql("DROP ENDPOINT e")


def count(sql):
    return sql("SELECT count(*) FROM orders").fetchone()[0]


def test_plain_lets_in_the_endpoints_user_and_nobody_else(node, sql, ada):
    token = make_token(node, "ada")
    with endpoint(sql, socket="PULL", topic="orders", mechanism="plain", user="ada") as address:
        for wrong in [(b"ada", b"wrong"), (b"bob", b"bob-password"), (b"nobody", b"ada-password")]:
            with peer(zmq.PUSH, address, plain=wrong) as (_, monitor):
                assert handshake(monitor) == 400, wrong
        for right in [b"ada-password", token.encode()]:
            before = count(sql)
            with peer(zmq.PUSH, address, plain=(b"ada", right)) as (socket, monitor):
                assert handshake(monitor) == "ok"
                socket.send(b"bread")
                eventually(lambda: count(sql) == before + 1, "the message is kept")


def test_an_expired_token_lets_nobody_in(node, sql, ada):
    token = make_token(node, "ada", "--expires", "1s")
    with endpoint(sql, socket="PULL", topic="orders", mechanism="plain", user="ada") as address:
        def is_refused():
            with peer(zmq.PUSH, address, plain=(b"ada", token.encode())) as (_, monitor):
                return handshake(monitor) == 400

        eventually(is_refused, "the token has expired")


def test_a_peer_without_the_mechanism_does_not_come_in(sql, ada):
    with endpoint(sql, socket="PULL", topic="orders", mechanism="plain", user="ada") as address:
        with peer(zmq.PUSH, address) as (_, monitor):
            assert is_turned_away(monitor)


def test_curve_lets_in_the_keys_of_the_endpoints_user(sql, ada):
    server_public, server_secret = zmq.curve_keypair()
    settings = {"mechanism": "curve", "curve_secret_key": server_secret.decode(), "user": "ada"}
    with endpoint(sql, socket="REP", topic="orders", **settings) as address:
        with peer(zmq.REQ, address, curve=(server_public, zmq.curve_keypair())) as (_, monitor):
            assert handshake(monitor) == 400
        with peer(zmq.REQ, address, curve=(server_public, ada)) as (socket, monitor):
            assert handshake(monitor) == "ok"
            socket.send(b"milk")
            assert b"offset" in socket.recv()
        sql(f"ALTER USER ada NO CURVE KEY '{ada[0].decode()}'")
        with peer(zmq.REQ, address, curve=(server_public, ada)) as (_, monitor):
            assert handshake(monitor) == 400


def test_what_the_user_may_not_do_is_denied_and_taken_back_while_connected(sql, ada):
    with endpoint(sql, socket="REP", topic="orders", mechanism="plain", user="bob") as address:
        with peer(zmq.REQ, address, plain=(b"bob", b"bob-password")) as (socket, monitor):
            assert handshake(monitor) == "ok"
            socket.send(b"no")
            assert socket.recv_multipart()[:2] == [b"posthouse-error", b"denied"]
            sql("GRANT INSERT ON orders TO bob")
            socket.send(b"yes")
            assert b"offset" in socket.recv()
            sql("REVOKE INSERT ON orders FROM bob")
            socket.send(b"no more")
            assert socket.recv_multipart()[:2] == [b"posthouse-error", b"denied"]


def test_a_peer_is_put_out_when_its_user_may_not_log_in_any_more(sql, ada):
    with endpoint(sql, socket="PULL", topic="orders", mechanism="plain", user="ada") as address:
        with peer(zmq.PUSH, address, plain=(b"ada", b"ada-password")) as (_, monitor):
            assert handshake(monitor) == "ok"
            sql("ALTER USER ada NOLOGIN")
            events = set()
            while zmq.EVENT_DISCONNECTED not in events:
                assert monitor.poll(LIMIT_MS), "it is still connected"
                events.add(recv_monitor_message(monitor)["event"])
            assert handshake(monitor) == 400


def test_a_declaration_names_a_user_and_its_own_credentials_still_hold(sql, ada):
    with pytest.raises(psycopg.Error, match="user is missing|is missing"):
        sql(f"CREATE ENDPOINT e WITH (socket = PULL, bind = '{TCP}', topic = orders, mechanism = plain)")
    own = {"mechanism": "plain", "plain_username": "anyone", "plain_password": "told", "user": "ada"}
    with endpoint(sql, socket="PULL", topic="orders", **own) as address:
        with peer(zmq.PUSH, address, plain=(b"ada", b"ada-password")) as (_, monitor):
            assert handshake(monitor) == 400
        with peer(zmq.PUSH, address, plain=(b"anyone", b"told")) as (_, monitor):
            assert handshake(monitor) == "ok"
    with endpoint(sql, socket="PULL", topic="orders", user="ada") as address:
        before = count(sql)
        with peer(zmq.PUSH, address) as (socket, monitor):
            assert handshake(monitor) == "ok"
            socket.send(b"from anybody on this machine")
            eventually(lambda: count(sql) == before + 1, "the message is kept")


def test_only_a_superuser_declares_endpoints_for_a_superuser(node, sql, ada):
    sql("GRANT ALTER, DESCRIBE ON CLUSTER TO bob")
    with psycopg.connect(**{**node.postgres, "user": "bob"}, password="bob-password", autocommit=True) as bob:
        declare = f"CREATE ENDPOINT e WITH (socket = PULL, bind = '{TCP}', topic = orders, user = '%s')"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute(declare % "admin")
        bob.execute(declare % "ada")
        bob.execute("DROP ENDPOINT e")
    assert "ada" in admin(node, "user", "list").stdout
