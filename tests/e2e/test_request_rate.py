"""A user that asks more than its rate of requests waits, at every door, and others do not."""

import time
import urllib.request

import confluent_kafka.admin
import psycopg
import pytest
import redis

from clients.access import ADMIN_PASSWORD, admin, guarded_node, make_user

WAIT = 30  # seconds for what must come
PASSWORD = "alice-password"


@pytest.fixture
def node(tmp_path):
    node = guarded_node(tmp_path, "--set", "kafka.sasl_plain=loopback").start()
    make_user(node, "alice")
    admin(node, "user", "alter", "alice", "--request-rate", "1")
    yield node
    assert node.stop() == 0, node.log()


def by_kafka(node):
    client = confluent_kafka.admin.AdminClient({
        "bootstrap.servers": node.kafka, "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN", "sasl.username": "alice", "sasl.password": PASSWORD})
    return lambda: client.list_topics(timeout=WAIT)


def by_redis(node):
    return redis.Redis(**node.at("redis"), username="alice", password=PASSWORD, socket_timeout=WAIT).ping


def by_http(node):
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, node.http, "alice", PASSWORD, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    return lambda: opener.open(node.http + "/whoami", timeout=WAIT).read()


def by_postgres(node):
    where = {**node.postgres, "user": "alice"}
    connection = psycopg.connect(**where, password=PASSWORD, autocommit=True)
    return lambda: connection.execute("SELECT 1").fetchone()


def waited(node):
    """How many requests have waited."""
    url = node.http + "/metrics"
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, node.http, "admin", ADMIN_PASSWORD, is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    text = opener.open(url, timeout=WAIT).read().decode()
    counts = [line.split()[-1] for line in text.splitlines()
              if line.startswith("posthouse_broker_rate_wait_seconds_count") and '"requests"' in line]
    return sum(map(float, counts))


@pytest.mark.parametrize("ask_by", [by_kafka, by_redis, by_http, by_postgres])
def test_one_who_asks_too_often_waits(node, ask_by):
    ask = ask_by(node)
    deadline = time.monotonic() + WAIT
    while waited(node) == 0:  # the administrator's own requests are not counted
        for _ in range(3):
            ask()
        assert time.monotonic() < deadline, "nothing has waited"
    admin(node, "user", "alter", "alice", "--request-rate", "none")
    ask()
    before = waited(node)
    for _ in range(5):
        ask()
    assert waited(node) == before, "there is no rate any more"
