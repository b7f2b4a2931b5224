"""Every door, every kind of credentials, plain and over TLS: exactly the allowed cells succeed.

A cell writes one record to the topic `orders` with a client that people have, and tells how that went:
`ok`, `unauthenticated` (who are you?) or `denied` (you may not), by the protocol's own error.
"""

import os
import subprocess
import time

import confluent_kafka
import psycopg
import pytest
import redis
import requests
import zmq
from confluent_kafka import KafkaError

from clients import java_kafka
from clients.access import ADMIN_PASSWORD, admin, guarded_node, make_token, make_user
from clients.browser import Browser
from clients.zmq_monitored import handshake, is_turned_away, peer
from conftest import JARS
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


def by_curl(node, certificates, tls, user, password):
    base = f"https://{node.addresses['http.tls']}" if tls else node.http
    status = ran([
        "curl", "--silent", "--output", os.devnull, "--write-out", "%{http_code}",
        "--cacert", certificates.authority, *(["--user", f"{user}:{password}"] if user else []),
        "--data-binary", "1", f"{base}/topics/orders/records"])
    return {"200": "ok", "401": "unauthenticated", "403": "denied"}.get(status, status)


def by_redis_cli(node, certificates, tls, user, password):
    at = node.at("redis.tls" if tls else "redis")
    said = ran([
        "redis-cli", "-h", at["host"], "-p", at["port"],
        *(["--tls", "--cacert", certificates.authority] if tls else []),
        *(["--user", user, "--pass", password, "--no-auth-warning"] if user else []), "PUBLISH", "orders", "1"])
    if said.isdigit():
        return "ok"
    if said.startswith("NOPERM"):
        return "denied"
    assert "NOAUTH Authentication required." in said and ("WRONGPASS" in said) == bool(user), said
    return "unauthenticated"


def by_psql(node, certificates, tls, user, password):
    at = node.postgres
    how = f"sslmode=verify-full sslrootcert={certificates.authority}" if tls else "sslmode=disable"
    said = ran(
        ["psql", "--no-psqlrc", "--no-password", "--quiet", "--set", "VERBOSITY=sqlstate",
         f"host={at['host']} port={at['port']} dbname={at['dbname']} user={user or 'friend'} {how}",
         "--command", "INSERT INTO orders (_value) VALUES ('1')"],
        {"PGPASSWORD": password} if password else {})
    if said in ("", "ERROR:  42501"):
        return "denied" if said else "ok"
    expected = "password authentication failed" if user else "no password supplied"
    assert expected in said, said
    return "unauthenticated"


def ran(command, env=None):
    """What a program prints, on both of its outputs."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS, env={**os.environ, **(env or {})})
    return done.stdout.strip()


DOORS = {
    "http": over_http,
    "redis": over_redis,
    "postgres": over_postgres,
    "kafka-plain": over_kafka("PLAIN"),
    "kafka-scram-256": over_kafka("SCRAM-SHA-256"),
    "kafka-scram-512": over_kafka("SCRAM-SHA-512"),
    "curl": by_curl,
    "redis-cli": by_redis_cli,
    "psql": by_psql,
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("door", DOORS)
def test_exactly_the_allowed_cells_succeed(node, certificates, door, credentials, tls):
    user, password = shown(node, credentials)
    assert DOORS[door](node, certificates, tls, user, password) == CREDENTIALS[credentials]


# --- Kafka's Java client: every cell in one JVM, which takes a second to start

JAVA_MODULES = {"PLAIN": "plain.Plain", "SCRAM-SHA-256": "scram.Scram", "SCRAM-SHA-512": "scram.Scram"}
JAVA_SAYS = {"unauthenticated": "SaslAuthenticationException", "denied": "TopicAuthorizationException"}


def java_settings(node, certificates, tls, mechanism, user, password):
    settings = {"bootstrap.servers": node.addresses["kafka.tls" if tls else "kafka"]}
    transport = "SSL" if tls else "PLAINTEXT"
    if tls:
        settings |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(certificates.authority)}
    if user is None:
        return settings | {"security.protocol": transport} | java_kafka.IN_VAIN
    module = f"org.apache.kafka.common.security.{JAVA_MODULES[mechanism]}LoginModule"
    return settings | {
        "security.protocol": f"SASL_{transport}", "sasl.mechanism": mechanism,
        "sasl.jaas.config": f'{module} required username="{user}" password="{password}";',
    }


def test_exactly_the_allowed_cells_of_java_succeed(node, certificates):
    cells = [
        (mechanism, credentials, tls)
        for mechanism in JAVA_MODULES for credentials in CREDENTIALS for tls in (False, True)
        if credentials != "none" or mechanism == "PLAIN"  # who shows nothing has no mechanism
    ]
    settings = [java_settings(node, certificates, tls, mechanism, *shown(node, credentials))
                for mechanism, credentials, tls in cells]
    outcomes = java_kafka.write_each(JARS, "orders", settings)
    assert len(outcomes) == len(cells)
    for (mechanism, credentials, tls), outcome in zip(cells, outcomes):
        expected = CREDENTIALS[credentials]
        # Somebody who does not log in has the connection closed, as by Kafka: the client waits in vain.
        says = "TimeoutException" if credentials == "none" else JAVA_SAYS.get(expected, "ok")
        assert outcome.split(" < ")[-1] == says, (mechanism, credentials, tls, outcome)


# --- pyzmq: endpoints stand for a user each, and have PLAIN or CURVE in the place of TLS


@pytest.fixture(scope="module")
def endpoints(node):
    """What declares an endpoint for a user, and the pair of keys that each user's peers have."""
    keys = {user: zmq.curve_keypair() for user in ("friend", "stranger", "disabled", "nobody")}
    server = zmq.curve_keypair()
    with psycopg.connect(**{**node.postgres, "user": "admin"}, password=ADMIN_PASSWORD, autocommit=True) as connection:
        for user in ("friend", "stranger", "disabled"):
            connection.execute(f"ALTER USER {user} CURVE KEY '{keys[user][0].decode()}'")
        addresses = {}
        for user in ("friend", "stranger", "disabled"):
            for mechanism, more in (("plain", ""), ("curve", f", curve_secret_key = '{server[1].decode()}'")):
                connection.execute(
                    f"CREATE ENDPOINT {user}_{mechanism} WITH (socket = REP, bind = 'tcp://127.0.0.1:0', "
                    f"topic = orders, mechanism = {mechanism}, user = {user}{more})")
        for row in connection.execute("SHOW ENDPOINTS"):
            assert row[4] == "running", row
            addresses[row[0]] = row[3]
        yield addresses, keys, server[0]
        for name in addresses:
            connection.execute(f"DROP ENDPOINT {name}")


def zeromq_shows(node, endpoints, mechanism, credentials):
    """Which endpoint a peer knocks at, and what it shows there."""
    addresses, keys, server = endpoints
    user, password = shown(node, credentials)
    door = credentials if credentials in ("stranger", "disabled") else "friend"
    address = addresses[f"{door}_{mechanism}"]
    if credentials == "none":
        return address, {}
    if mechanism == "plain":
        return address, {"plain": (user.encode(), password.encode())}
    pair = {"wrong": zmq.curve_keypair(), "nobody": keys["nobody"]}.get(credentials, keys.get(user))
    return address, {"curve": (server, pair)}


# A key does not expire: it is taken away, which test_zeromq_auth.py does.
ZEROMQ_CELLS = [
    (mechanism, credentials) for mechanism in ("plain", "curve") for credentials in CREDENTIALS
    if (mechanism, credentials) != ("curve", "expired")
]


@pytest.mark.parametrize("mechanism, credentials", ZEROMQ_CELLS)
def test_exactly_the_allowed_peers_of_zeromq_come_in(node, endpoints, mechanism, credentials):
    address, credential = zeromq_shows(node, endpoints, mechanism, credentials)
    expected = CREDENTIALS[credentials]
    with peer(zmq.REQ, address, **credential) as (socket, monitor):
        if credentials == "none":
            assert is_turned_away(monitor)
            return
        assert handshake(monitor) == (400 if expected == "unauthenticated" else "ok")
        if expected == "unauthenticated":
            return
        socket.send(b"1")
        parts = socket.recv_multipart()
        outcome = "denied" if parts[:2] == [b"posthouse-error", b"denied"] else "ok"
        assert outcome == expected, parts
        assert expected == "denied" or b"offset" in parts[0], parts


# --- A browser: it logs in on the page, and writes from a page that it may see


@pytest.fixture(scope="module")
def browser(tmp_path_factory, certificates):
    with Browser(tmp_path_factory.mktemp("chromium"), certificates.certificate) as browser:
        yield browser


WRITE = "fetch('/topics/orders/records', {method: 'POST', body: '1'}).then(answer => answer.status)"
WHO = "fetch('/whoami', {headers: {accept: 'application/json'}}).then(answer => answer.status)"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_a_browser_sees_what_its_login_may(node, browser, credentials, tls):
    user, password = shown(node, credentials)
    base = f"https://{node.addresses['http.tls']}" if tls else node.http
    with browser.page() as page:
        page.go(f"{base}/topics")
        assert page.path == "/login" and "orders" not in page.text, "nothing is shown before"
        if user:
            page.submit(user=user, password=password)
        if CREDENTIALS[credentials] == "unauthenticated":
            assert page.path == "/login" and not page.cookies
            assert ("User or password is wrong." in page.text) == bool(user), page.text
            page.go(f"{base}/healthz")  # a page whose scripts may ask the node
            assert (page.run(WRITE), page.run(WHO)) == (401, 401)
            return
        (cookie,) = page.cookies
        assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["secure"] == tls, cookie
        assert page.path == "/topics" and page.run("document.cookie") == ""
        assert ("orders" in page.text) == (credentials == "friend"), page.text
        assert page.run(WRITE) == {"ok": 200, "denied": 403}[CREDENTIALS[credentials]]
        page.run("fetch('/logout', {method: 'POST'}).then(answer => answer.status)")
        assert not page.cookies and page.run(WRITE) == 401, "it is logged out"
        page.go(f"{base}/topics")
        assert page.path == "/login" and "orders" not in page.text
