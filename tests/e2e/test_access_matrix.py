"""Every door, every kind of credentials, plain and over TLS: exactly the allowed cells succeed.

A cell writes one record to the topic `orders` with a client that people have, and tells how that went:
`ok`, `unauthenticated` (who are you?) or `denied` (you may not), by the protocol's own error.
"""

import time

import confluent_kafka
import psycopg
import pytest
import redis
import requests
from confluent_kafka import KafkaError

from clients.access import admin, guarded_node, make_token, make_user
from tls_files import Certificates

SECONDS = 30
RIGHT = "Read,Write topic orders"

# What a client shows, and what becomes of it. `expired` is a token that has ended, in the password's place;
# Postgres clients never send the password itself, so that there it is simply wrong.
CREDENTIALS = {
    "none": "unauthenticated",
    "wrong": "unauthenticated",
    "nobody": "unauthenticated",
    "expired": "unauthenticated",
    "disabled": "unauthenticated",
    "stranger": "denied",
    "friend": "ok",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certs")).make()


@pytest.fixture(scope="module")
def node(tmp_path_factory, certificates):
    flags = [*certificates.flags(), "--set", "postgres.tls=allow", "--set", "kafka.sasl_plain=loopback",
             "--set", "authentication.failure_delay_max=0 ms"]
    node = guarded_node(tmp_path_factory.mktemp("matrix"), *flags).start()
    admin(node, "topic", "create", "orders")
    make_user(node, "friend", [RIGHT])
    make_user(node, "stranger")
    make_user(node, "disabled", [RIGHT])
    admin(node, "user", "alter", "disabled", "--disabled", "true")
    node.expired = make_token(node, "friend", "--expires", "1 ms")
    yield node
    assert node.stop() == 0, node.log()


def shown(node, credentials):
    """The user and the password that a cell's client has."""
    return {
        "none": (None, None),
        "wrong": ("friend", "not the password"),
        "nobody": ("nobody", "friend-password"),
        "expired": ("friend", node.expired),
    }.get(credentials, (credentials, f"{credentials}-password"))


def over_http(node, certificates, tls, user, password):
    base = f"https://{node.addresses['http.tls']}" if tls else node.http
    answer = requests.post(
        f"{base}/topics/orders/records", data=b"1", auth=(user, password) if user else None,
        verify=str(certificates.authority), timeout=SECONDS,
    )
    return {401: "unauthenticated", 403: "denied"}.get(answer.status_code, "ok" if answer.ok else answer.text)


def over_redis(node, certificates, tls, user, password):
    where = {"ssl": True, "ssl_ca_certs": str(certificates.authority)} if tls else {}
    client = redis.Redis(
        **node.at("redis.tls" if tls else "redis"), **where, username=user, password=password,
        socket_timeout=SECONDS,
    )
    try:
        client.publish("orders", b"1")
        return "ok"
    except redis.exceptions.NoPermissionError as error:
        assert "this user has no permissions" in str(error), error
        return "denied"
    except redis.exceptions.AuthenticationError:
        return "unauthenticated"
    finally:
        client.close()


def over_postgres(node, certificates, tls, user, password):
    how = {"sslmode": "verify-full", "sslrootcert": str(certificates.authority)} if tls else {"sslmode": "disable"}
    try:
        with psycopg.connect(
            **{**node.postgres, "user": user or "friend"}, password=password or "", autocommit=True,
            connect_timeout=SECONDS, **how,
        ) as connection:
            connection.execute("INSERT INTO orders (_value) VALUES ('1')")
        return "ok"
    except psycopg.errors.InsufficientPrivilege:
        return "denied"
    except psycopg.OperationalError as error:
        expected = ("password authentication failed", "no password supplied", "empty password")
        assert any(text in str(error) for text in expected), error
        return "unauthenticated"


def over_kafka(mechanism):
    def attempt(node, certificates, tls, user, password):
        config = {"bootstrap.servers": node.addresses["kafka.tls" if tls else "kafka"]}
        if tls:
            config["ssl.ca.location"] = str(certificates.authority)
        transport = "SSL" if tls else "PLAINTEXT"
        if user is None:
            config["security.protocol"] = transport
        else:
            config |= {
                "security.protocol": f"SASL_{transport}", "sasl.mechanism": mechanism,
                "sasl.username": user, "sasl.password": password,
            }
        return produced(config)

    return attempt


def produced(config):
    told, outcome = [], []
    producer = confluent_kafka.Producer({
        **config, "error_cb": told.append, "message.timeout.ms": 3000, "allow.auto.create.topics": False,
    })
    producer.produce("orders", b"1", on_delivery=lambda error, _: outcome.append(error))
    deadline = time.monotonic() + SECONDS
    while not outcome and time.monotonic() < deadline:
        producer.poll(0.1)
        if any(error.code() == KafkaError._AUTHENTICATION for error in told):
            return "unauthenticated"
    assert outcome, told
    if outcome[0] is None:
        return "ok"
    if outcome[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return "denied"
    # Somebody who does not log in has the connection closed, as by Kafka: the client says no more than that.
    assert outcome[0].code() == KafkaError._MSG_TIMED_OUT, (outcome, told)
    return "unauthenticated"


DOORS = {
    "http": over_http,
    "redis": over_redis,
    "postgres": over_postgres,
    "kafka-plain": over_kafka("PLAIN"),
    "kafka-scram-256": over_kafka("SCRAM-SHA-256"),
    "kafka-scram-512": over_kafka("SCRAM-SHA-512"),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("door", DOORS)
def test_exactly_the_allowed_cells_succeed(node, certificates, door, credentials, tls):
    user, password = shown(node, credentials)
    assert DOORS[door](node, certificates, tls, user, password) == CREDENTIALS[credentials]
