"""Garbage on every port: a proper error or a close, no crash, and no memory taken for it."""

import os
import random
import socket
import struct

import psycopg
import pytest
import requests

from clients import Record, confluent
from clients.watch import resident

MEBIBYTE = 1 << 20
REST = [Record(b"k", b"still here")]


def send(address, payload, close_write=True):
    """Sends bytes, and returns what comes back until the other side closes or falls silent."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.settimeout(2)
        try:
            connection.sendall(payload)
            if close_write:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while block := connection.recv(65536):
                answer += block
            return answer
        except OSError:
            return b""


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version, correlation=7):
    return struct.pack(">hhih", key, version, correlation, 4) + b"test"


KAFKA_GARBAGE = {
    "a 2 GB length": struct.pack(">i", 2**31 - 1) + b"x" * 100,
    "a negative length": struct.pack(">i", -5) + b"x" * 100,
    "half a frame": struct.pack(">i", 100) + b"x" * 10,
    "an empty frame": frame(b""),
    "an unknown request": frame(header(9999, 0)),
    "a version too new": frame(header(3, 99)),
    "a produce of version 0": frame(header(0, 0) + struct.pack(">hii", -1, 1000, 0)),
    "an array of two billion": frame(header(3, 1) + struct.pack(">i", 2**31 - 1)),
    "a compact array of two billion": frame(header(3, 12) + b"\x00" + b"\xff\xff\xff\xff\x07"),
    "a batch with magic 7": frame(
        header(0, 7) + struct.pack(">hhii", -1, -1, 1000, 1) + struct.pack(">h", 1) + b"t"
        + struct.pack(">ii", 1, 0) + struct.pack(">i", 61) + b"\x00" * 16 + b"\x07" + b"\x00" * 44),
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a TLS greeting": bytes.fromhex("16030100c8010000c40303") + os.urandom(180),
}


@pytest.mark.parametrize("name", KAFKA_GARBAGE)
def test_the_kafka_door_survives(shared_node, topic, name):
    before = resident(shared_node)
    for _ in range(20):
        send(shared_node.kafka, KAFKA_GARBAGE[name])
    assert resident(shared_node) - before < 32 * MEBIBYTE
    confluent.produce(shared_node.kafka, topic, REST)
    assert confluent.consume(shared_node.kafka, topic, "beginning", 1) [0].value == b"still here"


def test_an_api_versions_request_of_an_unknown_version_is_told_what_there_is(shared_node):
    answer = send(shared_node.kafka, frame(header(18, 99)))
    correlation, error, count = struct.unpack(">ihi", answer[4:14])
    assert (correlation, error) == (7, 35) and count > 20


@pytest.mark.parametrize("door", ["kafka", "http", "postgres"])
def test_random_bytes_leave_a_door_open(shared_node, door):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    noise = random.Random(seed)
    before = resident(shared_node)
    for _ in range(100):
        send(shared_node.addresses[door], noise.randbytes(noise.randrange(1, 4096)))
    assert shared_node.process.poll() is None, shared_node.log()
    assert resident(shared_node) - before < 64 * MEBIBYTE
    assert "panicked" not in shared_node.log()


@pytest.mark.parametrize("length", [2**31 - 1, 2**30, 0, 3, -1])
def test_the_postgres_door_takes_no_memory_for_a_length(shared_node, length):
    before = resident(shared_node)
    for _ in range(20):
        send(shared_node.addresses["postgres"], struct.pack(">i", length) + b"\x00\x03\x00\x00user\x00x\x00\x00")
    assert resident(shared_node) - before < 32 * MEBIBYTE
    assert shared_node.process.poll() is None


def test_a_http_request_that_is_too_large_is_refused(shared_node):
    answer = send(shared_node.addresses["http"],
                  b"POST /topics/x/records HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", False)
    assert answer.split(b" ")[1] in (b"413", b"400")


@pytest.mark.parametrize("kind", ["text", "prepared", "http"])
def test_a_statement_of_any_depth_leaves_the_node_running(shared_node, kind):
    def ask(condition, conditions):
        sql = f"SELECT 1 AS one WHERE {' OR '.join([condition] * conditions)}"
        if kind == "http":
            answer = requests.post(f"{shared_node.http}/sql", data=sql, timeout=60)
            return "one" if answer.ok else answer.json()["sqlstate"]
        with psycopg.connect(**shared_node.postgres, autocommit=True) as connection:
            try:
                row = connection.execute(sql, prepare=kind == "prepared").fetchone()
                return "one" if row == (1,) else row
            except psycopg.Error as error:
                return error.sqlstate

    assert ask("1 + 1 = 2", 1000) == "one"
    assert ask("1 + 1 = 2", 200_000) == "54001"
    assert ask("(1 = 2 AND 2 = 3) OR NOT 2 = 1", 900) == "one"
    assert ask("2 = ANY (ARRAY[1])", 5000) == "54001", "also what is rewritten for PostgreSQL's sake"
