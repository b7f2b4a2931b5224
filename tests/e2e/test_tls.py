"""TLS on every TCP door, with clients that nobody here wrote, beside the plain doors."""

import json
import shutil
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import redis
import requests
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as PythonPartition

from clients import Record, confluent
from posthouse_node import BINARY, Node
from tls_files import Certificates

SECONDS = 30
FLOOD = 2000


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """What `posthouse cert dev` makes, with a client called ada."""
    return Certificates(tmp_path_factory.mktemp("certs")).make("--client", "ada")


@pytest.fixture(scope="session")
def tls_node(tmp_path_factory, certificates):
    node = Node(tmp_path_factory.mktemp("tls-node"), *certificates.flags()).start()
    yield node
    assert node.stop() == 0, node.log()


@pytest.fixture
def own_node(tmp_path):
    """Starts nodes of the test's own with flags; they end with the test."""
    nodes = []

    def start(*flags):
        nodes.append(Node(tmp_path / f"node-{len(nodes)}", *flags))
        return nodes[-1].start()

    yield start
    for node in nodes:
        if node.process is not None and node.process.poll() is None:
            assert node.stop() == 0, node.log()


def wait_for(condition, what):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not in {SECONDS} s")


def metric(node, name):
    """The sum of a metric over its labels."""
    lines = requests.get(f"{node.http}/metrics", timeout=SECONDS).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines
               if line.startswith((name + " ", name + "{")))


def librdkafka(node, certificates, listener="kafka.tls", **more):
    return {"bootstrap.servers": node.addresses[listener], "security.protocol": "SSL",
            "ssl.ca.location": str(certificates.authority), **more}


def redis_tls(node, certificates, **more):
    return redis.Redis(**node.at("redis.tls"), ssl=True, ssl_ca_certs=str(certificates.authority),
                       ssl_check_hostname=True, **more)


def certificate_of(address):
    """The server's certificate as a client sees it now, unverified."""
    host, port = address.rsplit(":", 1)
    return ssl.get_server_certificate((host, int(port)), timeout=SECONDS)


# --- each client, plain and TLS side by side


def test_librdkafka_reads_over_tls_what_was_written_in_the_clear_and_the_other_way(
    tls_node, certificates, topic
):
    plain = [Record(b"k", b"plain %d" % index) for index in range(50)]
    confluent.produce(tls_node.kafka, topic, plain)
    failures = []
    producer = Producer(librdkafka(tls_node, certificates))
    for index in range(50):
        producer.produce(topic, b"tls %d" % index, partition=0,
                         on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(SECONDS) == 0 and not failures
    expected = [b"plain %d" % index for index in range(50)] + [b"tls %d" % index for index in range(50)]
    consumer = Consumer(librdkafka(tls_node, certificates, **{"group.id": "unused"}))
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert [confluent.read(consumer).value for _ in expected] == expected
    consumer.close()
    assert [record.value for record in confluent.consume(tls_node.kafka, topic, "beginning", 100)] == expected


def test_a_group_joins_over_tls(tls_node, certificates, topic):
    confluent.produce(tls_node.kafka, topic, [Record(None, b"1")])
    consumer = Consumer(librdkafka(tls_node, certificates, **{
        "group.id": topic, "auto.offset.reset": "earliest"}))
    consumer.subscribe([topic])
    assert confluent.read(consumer).value == b"1"
    consumer.close()


def test_kafka_python_speaks_tls(tls_node, certificates, topic):
    how = {"bootstrap_servers": tls_node.addresses["kafka.tls"], "security_protocol": "SSL",
           "ssl_cafile": str(certificates.authority)}
    producer = KafkaProducer(acks="all", **how)
    producer.send(topic, b"over tls", partition=0).get(SECONDS)
    producer.close()
    consumer = KafkaConsumer(group_id=None, **how)
    consumer.assign([PythonPartition(topic, 0)])
    consumer.seek_to_beginning()
    [messages] = consumer.poll(timeout_ms=SECONDS * 1000).values()
    assert [message.value for message in messages] == [b"over tls"]
    consumer.close()


def test_kcat_lists_over_tls(tls_node, certificates):
    listed = subprocess.run(
        ["kcat", "-b", tls_node.addresses["kafka.tls"], "-X", "security.protocol=ssl",
         "-X", f"ssl.ca.location={certificates.authority}", "-L", "-J"],
        capture_output=True, text=True, timeout=SECONDS, check=True)
    [broker] = json.loads(listed.stdout)["brokers"]
    assert broker["name"] == tls_node.addresses["kafka.tls"]


def test_apache_kafkas_own_tools_speak_tls(tls_node, certificates, kafka_tool, tmp_path, topic):
    config = tmp_path / "client.properties"
    config.write_text("security.protocol=SSL\nssl.truststore.type=PEM\n"
                      f"ssl.truststore.location={certificates.authority}\n")
    at = ("--bootstrap-server", tls_node.addresses["kafka.tls"], "--command-config", config)
    kafka_tool("kafka-topics", *at, "--create", "--topic", topic)
    assert topic in kafka_tool("kafka-topics", *at, "--list").stdout.split()


def test_redis_clients_speak_tls(tls_node, certificates):
    with redis.Redis(**tls_node.redis) as plain, redis_tls(tls_node, certificates) as encrypted:
        large = bytes(range(256)) * 20_000
        encrypted.set("tls:large", large)
        assert plain.get("tls:large") == large
        assert encrypted.get("tls:large") == large
        with encrypted.pipeline(transaction=False) as pipeline:
            for index in range(2000):
                pipeline.set(f"tls:{index}", index).get(f"tls:{index}")
            answers = pipeline.execute()
        assert answers[1::2] == [b"%d" % index for index in range(2000)]
    at = tls_node.at("redis.tls")
    answer = subprocess.run(
        ["redis-cli", "-h", at["host"], "-p", str(at["port"]), "--tls",
         "--cacert", str(certificates.authority), "strlen", "tls:large"],
        capture_output=True, text=True, timeout=SECONDS, check=True)
    assert answer.stdout.strip() == str(len(large))


def test_a_subscriber_over_tls_hears_a_publisher_in_the_clear(tls_node, certificates):
    with redis.Redis(**tls_node.redis) as plain, redis_tls(tls_node, certificates) as encrypted:
        with encrypted.pubsub() as subscription:
            subscription.subscribe("tls:channel")
            assert subscription.get_message(timeout=SECONDS)["type"] == "subscribe"
            assert plain.publish("tls:channel", b"x" * 100_000) == 1
            assert subscription.get_message(timeout=SECONDS)["data"] == b"x" * 100_000


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_speaks_tls(tls_node, certificates, version):
    answer = subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", version, "--cacert", certificates.authority,
         "--write-out", "%{stderr}%{http_version}", f"https://{tls_node.addresses['http.tls']}/topics"],
        capture_output=True, text=True, timeout=SECONDS, check=True)
    assert isinstance(json.loads(answer.stdout), (list, dict))
    assert answer.stderr == {"--http1.1": "1.1", "--http2": "2"}[version]


def test_the_command_line_speaks_tls(tls_node, certificates, topic):
    node = ("--node", f"https://{tls_node.addresses['http.tls']}")
    authority = ("--tls-ca", certificates.authority)
    tls_node.cli("topic", "create", topic, *node, *authority)
    tls_node.cli("produce", topic, *node, *authority, input="one\ntwo\n")
    assert tls_node.cli("consume", topic).stdout == "one\ntwo\n"
    refused = tls_node.cli("topic", "list", *node, check=False)
    assert refused.returncode == 3 and "--tls-ca" in refused.stderr, refused.stderr


def test_psql_verifies_the_node(tls_node, certificates):
    at = tls_node.postgres
    how = (f"host=localhost port={at['port']} dbname=posthouse user=posthouse "
           f"sslmode=verify-full sslrootcert={certificates.authority}")
    answer = subprocess.run(["psql", how, "-At", "-c", r"\conninfo", "-c", "SELECT 6 * 7"],
                            capture_output=True, text=True, timeout=SECONDS, check=True)
    assert answer.stdout.splitlines()[-1] == "42"
    assert "TLSv1.3" in answer.stdout or "SSL" in answer.stdout


def test_psycopg_chooses_whether_to_encrypt(tls_node, certificates):
    at = tls_node.postgres
    for mode, encrypted in [("disable", False), ("prefer", True), ("verify-full", True)]:
        with psycopg.connect(**{**at, "host": "localhost"}, sslmode=mode,
                             sslrootcert=str(certificates.authority)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert connection.pgconn.ssl_in_use == encrypted, mode


@pytest.mark.skipif(psycopg.pq.version() < 170000, reason="direct TLS came with libpq 17")
def test_psycopg_begins_with_tls_at_once(tls_node, certificates):
    with psycopg.connect(**{**tls_node.postgres, "host": "localhost"}, sslmode="verify-full",
                         sslnegotiation="direct", sslrootcert=str(certificates.authority)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.pgconn.ssl_in_use


def test_a_node_of_another_authority_is_not_trusted(tls_node, tmp_path):
    other = Certificates(tmp_path / "other").make()
    with pytest.raises(redis.ConnectionError):
        redis_tls(tls_node, other).ping()
    with pytest.raises(KafkaException):
        AdminClient(librdkafka(tls_node, other, **{"log_level": 0})).list_topics(timeout=5)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**{**tls_node.postgres, "host": "localhost"}, sslmode="verify-full",
                        sslrootcert=str(other.authority))
    # The door goes on.
    assert tls_node.cli("topic", "list").returncode == 0


# --- the transport


def test_a_large_cold_fetch_over_tls_is_byte_for_byte(own_node, certificates):
    node = own_node(*certificates.flags(), "--set", "log.tail_cache=1 MiB")
    sent = [bytes([index % 251]) * 700_000 + b"%d" % index for index in range(60)]
    confluent.produce(node.kafka, "large", [Record(None, value) for value in sent])
    node.restart()
    consumer = Consumer(librdkafka(node, certificates, **{"group.id": "unused"}))
    consumer.assign([TopicPartition("large", 0, 0)])
    assert [confluent.read(consumer).value for _ in sent] == sent
    consumer.close()
    assert metric(node, "posthouse_kafka_sendfile_bytes_total") == 0
    plain = confluent.consume(node.kafka, "large", "beginning", len(sent))
    assert [record.value for record in plain] == sent
    assert metric(node, "posthouse_kafka_sendfile_bytes_total") > 10_000_000


def test_each_kafka_listener_names_its_own_address(tmp_path, own_node, certificates):
    config = tmp_path / "listeners.toml"
    config.write_text("""
[kafka.listeners.inside]
address = "127.0.0.1:0"
tls = true
advertise = "localhost:19094"

[kafka.listeners.outside]
address = "127.0.0.1:0"
""")
    node = own_node(*certificates.flags(), "--config", config)

    def told(how):
        [broker] = AdminClient(how).list_topics(timeout=SECONDS).brokers.values()
        return f"{broker.host}:{broker.port}"

    assert told({"bootstrap.servers": node.kafka}) == node.kafka
    assert told(librdkafka(node, certificates)) == node.addresses["kafka.tls"]
    assert told(librdkafka(node, certificates, "kafka.inside")) == "localhost:19094"
    outside = node.addresses["kafka.outside"]
    assert told({"bootstrap.servers": outside}) == outside


@pytest.mark.parametrize("version, works", [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_only_current_versions_of_tls_are_spoken(tls_node, certificates, version, works):
    for door in ("kafka.tls", "redis.tls", "http.tls"):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", tls_node.addresses[door], version,
             "-CAfile", certificates.authority, "-verify_return_error", "-brief"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS)
        assert (done.returncode == 0) == works, (door, done.stderr)


@pytest.mark.skipif(shutil.which("sslscan") is None, reason="sslscan is not installed; run tools/prepare")
@pytest.mark.parametrize("door", ["kafka.tls", "redis.tls", "http.tls"])
def test_sslscan_finds_nothing_weak(tls_node, door):
    scan = subprocess.run(["sslscan", "--no-colour", "--show-certificate", tls_node.addresses[door]],
                          capture_output=True, text=True, timeout=120, check=True).stdout
    for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert f"{version}".ljust(10) + "disabled" in scan, scan
    for version in ("TLSv1.2", "TLSv1.3"):
        assert f"{version}".ljust(10) + "enabled" in scan, scan
    offered = [line.split() for line in scan.splitlines() if line.startswith(("Preferred", "Accepted"))]
    assert offered
    for _, version, bits, _, cipher, *_ in offered:
        assert version in ("TLSv1.2", "TLSv1.3") and int(bits) >= 128, cipher
        assert "CBC" not in cipher and ("GCM" in cipher or "CHACHA20" in cipher), cipher
        assert version == "TLSv1.3" or cipher.startswith("ECDHE-"), cipher
    assert "vulnerable to heartbleed" not in scan.replace("not vulnerable to heartbleed", "")


# --- whether there is TLS at all


def test_postgres_may_require_encryption(own_node, certificates):
    node = own_node(*certificates.flags(), "--set", "postgres.tls=require")
    with pytest.raises(psycopg.OperationalError, match="encrypt"):
        psycopg.connect(**node.postgres, sslmode="disable")
    with psycopg.connect(**node.postgres, sslmode="require") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def start_refused(tmp_path, *flags):
    data = tmp_path / "data"
    doors = [part for door in ("kafka", "redis", "http", "postgres")
             for part in (f"--{door}", "127.0.0.1:0")]
    done = subprocess.run([str(part) for part in (BINARY, "serve", "--data-dir", data, *doors, *flags)],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert not data.exists(), "nothing may be left behind"
    return done.stderr


def test_without_usable_files_the_node_does_not_start(tmp_path, certificates):
    other = Certificates(tmp_path / "other").make()
    flags = ("--tls-certificate", certificates.certificate, "--set", "kafka.tls_address=127.0.0.1:0")
    told = start_refused(tmp_path, *flags, "--tls-key", other.key)
    assert str(other.key) in told and str(certificates.certificate) in told and "belong" in told
    told = start_refused(tmp_path, *flags, "--tls-key", tmp_path / "none.key")
    assert "none.key" in told
    told = start_refused(tmp_path, *flags, "--tls-key", certificates.certificate)
    assert "no private key" in told
    told = start_refused(tmp_path, "--set", "redis.tls_address=127.0.0.1:0")
    assert "redis.tls_address" in told and "--tls-certificate" in told
    told = start_refused(tmp_path, "--set", "postgres.tls=require")
    assert "postgres.tls" in told
    told = start_refused(tmp_path, *flags, "--tls-key", certificates.key,
                         "--set", "tls.client_certificates=require")
    assert "tls.client_authorities" in told


def test_an_expired_certificate_does_not_start_a_node(tmp_path, certificates):
    expired = certificates.issue(tmp_path / "expired", days=-1)
    told = start_refused(tmp_path, *expired.flags())
    assert "expired" in told and str(expired.certificate) in told


# --- client certificates


def test_a_required_client_certificate_is_required_at_every_door(own_node, tmp_path, certificates):
    node = own_node(*certificates.flags("require"))
    stranger = Certificates(tmp_path / "stranger").make("--client", "eve")
    ada = {"ssl_certfile": str(certificates.client("ada")[0]),
           "ssl_keyfile": str(certificates.client("ada")[1])}
    eve = {"ssl_certfile": str(stranger.client("eve")[0]), "ssl_keyfile": str(stranger.client("eve")[1])}
    assert redis_tls(node, certificates, **ada).ping()
    for refused in ({}, eve):
        with pytest.raises(redis.ConnectionError):
            redis_tls(node, certificates, **refused).ping()

    shown = {"ssl.certificate.location": ada["ssl_certfile"], "ssl.key.location": ada["ssl_keyfile"]}
    assert AdminClient(librdkafka(node, certificates, **shown)).list_topics(timeout=SECONDS).brokers
    with pytest.raises(KafkaException):
        AdminClient(librdkafka(node, certificates, **{"log_level": 0})).list_topics(timeout=5)

    url = f"https://{node.addresses['http.tls']}/topics"
    verify = {"verify": str(certificates.authority), "timeout": SECONDS}
    assert requests.get(url, cert=(ada["ssl_certfile"], ada["ssl_keyfile"]), **verify).ok
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, **verify)

    at = ("topic", "list", "--node", url.removesuffix("/topics"), "--tls-ca", certificates.authority)
    shown = ("--tls-certificate", ada["ssl_certfile"], "--tls-key", ada["ssl_keyfile"])
    assert node.cli(*at, *shown).returncode == 0
    assert node.cli(*at, check=False).returncode == 3

    at = {**node.postgres, "host": "localhost", "sslmode": "verify-full",
          "sslrootcert": str(certificates.authority)}
    with psycopg.connect(**at, sslcert=ada["ssl_certfile"], sslkey=ada["ssl_keyfile"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(**at, sslcert="/none", sslkey="/none")


def test_a_requested_client_certificate_may_be_left_out_and_may_not_be_wrong(own_node, tmp_path, certificates):
    node = own_node(*certificates.flags("request"))
    stranger = Certificates(tmp_path / "stranger").make("--client", "eve")
    assert redis_tls(node, certificates).ping()
    with pytest.raises(redis.ConnectionError):
        redis_tls(node, certificates, ssl_certfile=str(stranger.client("eve")[0]),
                  ssl_keyfile=str(stranger.client("eve")[1])).ping()


# --- certificates that change


def test_a_new_certificate_is_for_new_connections_and_old_ones_go_on(own_node, tmp_path, certificates):
    live = certificates.copy(tmp_path / "live")
    node = own_node(*live.flags(), "--set", "tls.reload_interval=50 ms")
    address = node.addresses["redis.tls"]
    before = certificate_of(address)
    with redis_tls(node, certificates) as connected:
        connected.client_setname("before")
        live.replace_with(certificates.issue(tmp_path / "next", days=30))
        after = wait_for(lambda: (now := certificate_of(address)) != before and now, "the new certificate")
        assert after == ssl.get_server_certificate(
            tuple(node.addresses["http.tls"].split(":")), timeout=SECONDS)
        assert connected.client_getname() in ("before", b"before"), "it is the same connection"
        # Half of a pair, then none: the one before stays in force, and somebody is told.
        refused = "posthouse_tls_reloads_total{result=\"refused\"}"
        live.key.write_text("no key")
        wait_for(lambda: metric(node, refused) >= 1, "the bad key is noticed")
        live.certificate.unlink()
        wait_for(lambda: metric(node, refused) >= 2, "the missing file is noticed")
        assert certificate_of(address) == after
        assert str(live.key) in node.log() and "stays in force" in node.log()
        live.replace_with(certificates)
        wait_for(lambda: certificate_of(address) == before, "the first certificate again")
        assert connected.client_getname() in ("before", b"before")


def test_files_behind_a_symbolic_link_that_is_swapped_are_reloaded(own_node, tmp_path, certificates):
    """As Kubernetes mounts a secret: `tls.crt -> ..data/tls.crt`, and `..data` is what changes."""
    mount = tmp_path / "mount"
    first, second = (certificates.issue(mount / f"..{name}", days=30) for name in ("first", "second"))
    (mount / "..data").symlink_to(first.directory.name)
    for name in ("server.pem", "server.key"):
        (mount / name).symlink_to(f"..data/{name}")
    node = own_node("--tls-certificate", mount / "server.pem", "--tls-key", mount / "server.key",
                    "--set", "redis.tls_address=127.0.0.1:0", "--set", "tls.reload_interval=50 ms")
    before = certificate_of(node.addresses["redis.tls"])
    (mount / "..next").symlink_to(second.directory.name)
    (mount / "..next").rename(mount / "..data")
    after = wait_for(lambda: (now := certificate_of(node.addresses["redis.tls"])) != before and now, "the swap")
    assert after.split() == second.certificate.read_text().split()


# --- who does not mean well


@pytest.mark.parametrize("door", ["redis.tls", "kafka.tls", "http.tls", "postgres"])
def test_a_flood_of_slow_handshakes_keeps_nobody_out(own_node, certificates, door):
    # A client has until as many others have come as there are places: so many do not come before it is done.
    places, burst = FLOOD // 4, FLOOD // 5
    node = own_node(*certificates.flags(), "--set", f"tls.handshakes_max={places}",
                    "--set", "tls.handshake_timeout=5 min", "--set", "postgres.startup_timeout=5 min")
    good = {
        "redis.tls": lambda: redis_tls(node, certificates, socket_timeout=SECONDS).ping(),
        "kafka.tls": lambda: AdminClient(librdkafka(node, certificates)).list_topics(timeout=SECONDS),
        "http.tls": lambda: requests.get(f"https://{node.addresses['http.tls']}/topics", timeout=SECONDS,
                                         verify=str(certificates.authority)).raise_for_status() is None,
        "postgres": lambda: psycopg.connect(**node.postgres, sslmode="require", connect_timeout=SECONDS),
    }[door]
    at = tuple(node.at(door).values())
    # Half of a greeting each: more is to come, and never does.
    greeting = b"\x00\x00\x00\x08" if door == "postgres" else b"\x16\x03\x01\x02\x00\x01"
    flood = []

    def pour():
        for _ in range(burst):
            connection = socket.create_connection(at, timeout=SECONDS)
            flood.append(connection)
            connection.sendall(greeting)

    try:
        with ThreadPoolExecutor(1) as thread:
            while len(flood) < FLOOD:
                pouring = thread.submit(pour)
                assert good(), f"after {len(flood)}"
                pouring.result()
        assert good()
        assert metric(node, "posthouse_connections_handshakes_unfinished") <= places
        labels = f'{{door="{door.removesuffix(".tls")}",reason="crowded"}}'
        crowded = metric(node, "posthouse_connections_tls_handshake_failures_total" + labels)
        assert crowded >= FLOOD - places
        # The oldest are gone, and Postgres says why.
        told = read_to_end(flood[0])
        assert b"53300" in told if door == "postgres" else told == b""
    finally:
        for connection in flood:
            connection.close()


def read_to_end(connection):
    connection.settimeout(SECONDS)
    received = b""
    while chunk := connection.recv(4096):
        received += chunk
    return received


def test_a_handshake_that_takes_too_long_is_ended(own_node, certificates):
    node = own_node(*certificates.flags(), "--set", "tls.handshake_timeout=200 ms")
    at = node.at("redis.tls")
    with socket.create_connection((at["host"], at["port"]), timeout=SECONDS) as connection:
        assert connection.recv(1) == b""
    wait_for(lambda: metric(node, 'posthouse_connections_tls_handshake_failures_total{door="redis",reason="late"}') == 1,
             "it is counted")


def test_one_address_has_a_limit(own_node, certificates):
    node = own_node(*certificates.flags(), "--set", "connections.per_address_max=3")
    at = node.at("redis.tls")
    held = [socket.create_connection((at["host"], at["port"]), timeout=SECONDS) for _ in range(3)]
    with socket.create_connection((at["host"], at["port"]), timeout=SECONDS) as refused:
        assert refused.recv(1) == b""
    for connection in held:
        connection.close()
    wait_for(lambda: try_ping(node, certificates), "a place is free again")


def try_ping(node, certificates):
    try:
        return redis_tls(node, certificates).ping()
    except redis.ConnectionError:
        return False


def test_plain_bytes_at_a_tls_door_are_refused_and_counted(tls_node):
    before = metric(tls_node, "posthouse_connections_tls_handshake_failures_total")
    at = tls_node.at("http.tls")
    with socket.create_connection((at["host"], at["port"]), timeout=SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = connection.recv(4096)
        assert b"HTTP" not in received
    wait_for(lambda: metric(tls_node, "posthouse_connections_tls_handshake_failures_total") > before, "counted")


def test_bytes_in_the_clear_before_the_postgres_handshake_are_refused(tls_node):
    """CVE-2021-23222: what somebody slipped in before TLS must not be taken for the client's."""
    at = tls_node.postgres
    with socket.create_connection((at["host"], at["port"]), timeout=SECONDS) as connection:
        connection.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f" + b"Q\x00\x00\x00\x0dSELECT 1\x00")
        received = read_to_end(connection)
        assert received.startswith(b"E") and b"08P01" in received, received
