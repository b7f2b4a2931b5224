"""Whoever connects to a node that asks who its clients are, and does not say so, is closed in time."""

import base64
import http.client
import socket
import struct

import psycopg
import pytest

from clients.access import ADMIN_PASSWORD, guarded_node

WAIT = 30  # seconds for what must come


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("login-timeout")
    node = guarded_node(directory, "--set", "authentication.login_timeout=1 s").start()
    yield node
    assert node.stop() == 0, node.log()


def kafka_hello():
    """ApiVersions, version 0, which is answered before login."""
    body = struct.pack(">hhih", 18, 0, 1, -1)
    return struct.pack(">i", len(body)) + body


def postgres_hello():
    body = struct.pack(">i", 196608) + b"user\0admin\0\0"
    return struct.pack(">i", len(body) + 4) + body


HELLO = {
    "kafka": kafka_hello(),
    "redis": b"PING\r\n",
    "http": b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n",
    "postgres": postgres_hello(),
}


def connect(node, door):
    at = node.at(door)
    return socket.create_connection((at["host"], at["port"]), timeout=WAIT)


def read_to_the_end(connection):
    """What comes until the node closes; a time-out is a failure."""
    read = b""
    while chunk := connection.recv(4096):
        read += chunk
    return read


@pytest.mark.parametrize("door", HELLO)
def test_a_client_that_says_nothing_of_itself_is_closed(node, door):
    with connect(node, door) as silent, connect(node, door) as talking:
        talking.sendall(HELLO[door])
        assert read_to_the_end(talking), "what may be asked before login is answered"
        read_to_the_end(silent)


def test_a_redis_client_that_has_logged_in_stays_and_one_that_logs_out_does_not(node):
    with connect(node, "redis") as known, connect(node, "redis") as stranger:
        words = [b"AUTH", b"admin", ADMIN_PASSWORD.encode()]
        login = b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        known.sendall(login)
        assert known.recv(64) == b"+OK\r\n"
        read_to_the_end(stranger)  # which came later
        known.sendall(b"PING\r\n")
        assert known.recv(64) == b"+PONG\r\n"
        known.sendall(b"RESET\r\n")
        assert read_to_the_end(known) == b"+RESET\r\n"


def test_an_http_connection_that_somebody_known_uses_stays(node):
    at = node.at("http")
    known = http.client.HTTPConnection(at["host"], at["port"], timeout=WAIT)
    proof = base64.b64encode(f"admin:{ADMIN_PASSWORD}".encode()).decode()

    def ask():
        known.request("GET", "/whoami", headers={"Authorization": f"Basic {proof}"})
        answer = known.getresponse()
        return answer.status, answer.read()

    assert ask()[0] == 200
    local = known.sock.getsockname()
    with connect(node, "http") as stranger:
        read_to_the_end(stranger)
    assert ask()[0] == 200
    assert known.sock.getsockname() == local, "it is the same connection"
    known.close()


def test_a_zeromq_peer_that_says_nothing_of_itself_is_closed(node):
    with psycopg.connect(**{**node.postgres, "user": "admin"}, password=ADMIN_PASSWORD, autocommit=True) as sql:
        sql.execute("CREATE TOPIC orders")
        sql.execute("CREATE ENDPOINT e WITH (socket = 'PULL', topic = 'orders', bind = 'tcp://127.0.0.1:0',"
                    " mechanism = 'plain', user = 'admin')")
        host, port = sql.execute("SHOW ENDPOINTS").fetchone()[3].removeprefix("tcp://").split(":")
        # Half of the 30 s that a handshake has where nobody is asked.
        with socket.create_connection((host, int(port)), timeout=WAIT / 2) as silent:
            assert read_to_the_end(silent)[:1] == b"\xff", "the endpoint's own greeting"
        sql.execute("DROP ENDPOINT e")
        sql.execute("DROP TOPIC orders")
