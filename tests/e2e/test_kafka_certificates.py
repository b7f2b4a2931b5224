"""Client certificates at the Kafka door, by librdkafka and by Java, and OAuth keys that are fetched over HTTPS."""

import http.server
import json
import ssl
import threading
import time

import confluent_kafka
import pytest
from confluent_kafka import KafkaError

from clients import java_kafka
from clients.access import admin, guarded_node, make_user
from conftest import JARS
from test_kafka_auth import Issuer, produce
from tls_files import Certificates

SECONDS = 30
# Who shows a certificate of the node's authority, and what becomes of one record. `unknown` is nobody's subject.
CLIENTS = {"ada": "ok", "bob": "denied", "disabled": "nobody", "unknown": "nobody"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    clients = [part for name in CLIENTS for part in ("--client", name)]
    return Certificates(tmp_path_factory.mktemp("certs")).make(*clients)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Those of another authority, for the same name."""
    return Certificates(tmp_path_factory.mktemp("other-certs")).make("--client", "ada")


@pytest.fixture(scope="module")
def node(tmp_path_factory, certificates):
    node = guarded_node(
        tmp_path_factory.mktemp("certified"), *certificates.flags("request"),
        "--set", "authentication.failure_delay_max=0 ms").start()
    admin(node, "topic", "create", "orders")
    for name in ("ada", "bob", "disabled"):
        rules = [] if name == "bob" else ["Write topic orders"]
        make_user(node, name, rules, None, "--certificate", f"CN={name}")
    admin(node, "user", "alter", "disabled", "--disabled", "true")
    yield node
    assert node.stop() == 0, node.log()


def librdkafka(node, certificates, pair):
    """The settings of a client that shows a certificate, or none."""
    shown = dict(zip(("ssl.certificate.location", "ssl.key.location"), map(str, pair)))
    return {"bootstrap.servers": node.addresses["kafka.tls"], "security.protocol": "SSL",
            "ssl.ca.location": str(certificates.authority), **shown}


def java(node, certificates, pair, directory):
    settings = {"bootstrap.servers": node.addresses["kafka.tls"], "security.protocol": "SSL",
                "ssl.truststore.type": "PEM", "ssl.truststore.location": str(certificates.authority)}
    if pair:
        certificate, key = pair
        store = directory / f"{certificate.parent.name}-{certificate.stem}-store.pem"
        store.write_text(key.read_text() + certificate.read_text())
        settings |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(store)}
    return settings


@pytest.mark.parametrize("client", CLIENTS)
def test_librdkafka_is_whom_its_certificate_stands_for(node, certificates, client):
    # One who is nobody has the connection closed, as by Kafka: the client says no more than that.
    expected = {"ok": None, "denied": KafkaError.TOPIC_AUTHORIZATION_FAILED, "nobody": KafkaError._MSG_TIMED_OUT}
    error = produce(librdkafka(node, certificates, certificates.client(client)), "orders")
    assert error == expected[CLIENTS[client]]


def test_java_is_whom_its_certificate_stands_for(node, certificates, strangers, tmp_path):
    pairs = {client: certificates.client(client) for client in CLIENTS}
    pairs |= {"of another authority": strangers.client("ada"), "without": None}
    expected = {"ok": "ok", "denied": "TopicAuthorizationException", "nobody": "TimeoutException"}
    settings = [
        java(node, certificates, pair, tmp_path)
        | (java_kafka.IN_VAIN if CLIENTS.get(client, "nobody") == "nobody" else {})
        for client, pair in pairs.items()]
    outcomes = java_kafka.write_each(JARS, "orders", settings)
    for client, outcome in zip(pairs, outcomes):
        last = outcome.split(" < ")[-1]
        if client == "of another authority":
            assert last == "SSLHandshakeException", outcome
        else:
            assert last == expected[CLIENTS.get(client, "nobody")], (client, outcome)


def test_a_certificate_of_another_authority_is_refused_in_the_handshake(node, certificates, strangers):
    told = []
    producer = confluent_kafka.Producer(
        {**librdkafka(node, certificates, strangers.client("ada")), "error_cb": told.append})
    # With TLS 1.3 a client has finished its part of the handshake when the alert comes.
    deadline = time.monotonic() + SECONDS
    while not any("SSL alert" in error.str() for error in told) and time.monotonic() < deadline:
        producer.poll(0.1)
    assert any("SSL alert" in error.str() for error in told), told


def test_a_connection_ends_with_the_certificate_that_it_began_with(node, certificates):
    make_user(node, "leaver", ["Write topic orders"], None, "--certificate", "CN=leaver")
    certificates.make("--client", "leaver")
    config = librdkafka(node, certificates, certificates.client("leaver"))
    outcome = []
    producer = confluent_kafka.Producer({**config, "message.timeout.ms": 4000})

    def send():
        producer.produce("orders", b"x", on_delivery=lambda error, _: outcome.append(error))
        assert producer.flush(SECONDS) == 0
        return outcome.pop()

    assert send() is None
    admin(node, "user", "alter", "leaver", "--certificate", "CN=somebody-else")
    assert send().code() == KafkaError._MSG_TIMED_OUT


@pytest.fixture
def https(tmp_path):
    """A server that shows one document over HTTPS, and how often it was asked."""
    certificates = Certificates(tmp_path / "https")
    certificates.directory.mkdir()
    certificates.make()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(server.document)))
            self.end_headers()
            self.wfile.write(server.document)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.asked, server.certificates = 0, certificates
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(SECONDS)
    server.server_close()


@pytest.mark.parametrize("is_trusted", [True, False], ids=["trusted", "untrusted"])
def test_the_keys_of_an_issuer_are_fetched_over_https(tmp_path, https, is_trusted):
    issuer = Issuer(tmp_path)
    https.document = issuer.path.read_bytes()
    assert json.loads(https.document)["keys"]
    trust = {"SSL_CERT_FILE": str(https.certificates.authority)} if is_trusted else {}
    issuer.node = guarded_node(
        tmp_path / "node", "--set", "kafka.sasl_plain=loopback", "--set", "authentication.failure_delay_max=0 ms",
        "--set", f"kafka.oauth_jwks=https://localhost:{https.server_port}/jwks.json", env=trust)
    if not is_trusted:
        with pytest.raises(AssertionError, match="cannot load the keys for OAuth tokens"):
            issuer.node.start()
        assert not https.asked
        return
    issuer.node.start()
    admin(issuer.node, "topic", "create", "orders")
    admin(issuer.node, "acl", "add", "rider", "Write", "topic", "orders")
    assert produce(issuer.settings(subject="rider"), "orders") is None
    assert https.asked
    assert issuer.node.stop() == 0, issuer.node.log()
