"""Who comes in at the Kafka door, and what they may do there, with the clients that people have."""

import asyncio
import base64
import json
import subprocess
import time

import confluent_kafka
import kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import KafkaError, KafkaException, admin
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from clients.access import as_user
from clients.watch import eventually
from posthouse_node import BINARY, Node

ROOT_PASSWORD = "the administrator's"
PASSWORD = "correct horse"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
WAIT = 30  # seconds for what must come


def node_that_asks(directory, **settings):
    """A node on which everybody must log in, and its administrator is `admin`."""
    directory.mkdir(parents=True, exist_ok=True)
    password_file = directory / "admin-password"
    password_file.write_text(ROOT_PASSWORD)
    env = {"POSTHOUSE_KAFKA_SASL_PLAIN": "loopback"}
    env |= {f"POSTHOUSE_KAFKA_{name.upper()}": value for name, value in settings.items()}
    flags = ("--authentication", "--admin-password-file", password_file)
    return Node(directory / "node", *flags, env=env).start()


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    node = node_that_asks(tmp_path_factory.mktemp("asking"))
    yield node
    assert node.stop() == 0, node.log()


def settings(node, user, password=PASSWORD, mechanism="SCRAM-SHA-256"):
    """How librdkafka logs in."""
    return {
        "bootstrap.servers": node.kafka, "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password,
    }


def root(node):
    """The administrator's client, one for each node: what it began ends with it."""
    if not hasattr(node, "root"):
        node.root = admin.AdminClient(settings(node, "admin", ROOT_PASSWORD))
    return node.root


def add_user(node, user, password=PASSWORD):
    mechanisms = (admin.ScramMechanism.SCRAM_SHA_256, admin.ScramMechanism.SCRAM_SHA_512)
    changes = [
        admin.UserScramCredentialUpsertion(
            user, admin.ScramCredentialInfo(mechanism, 4096), password.encode())
        for mechanism in mechanisms
    ]
    for future in root(node).alter_user_scram_credentials(changes).values():
        future.result(WAIT)


def delete_passwords(node, user):
    changes = [
        admin.UserScramCredentialDeletion(user, mechanism)
        for mechanism in (admin.ScramMechanism.SCRAM_SHA_256, admin.ScramMechanism.SCRAM_SHA_512)
    ]
    for future in root(node).alter_user_scram_credentials(changes).values():
        future.result(WAIT)


TYPES = {"topic": admin.ResourceType.TOPIC, "group": admin.ResourceType.GROUP,
         "cluster": admin.ResourceType.BROKER}


def binding(user, operation, kind, name, pattern="LITERAL", host="*", permission="ALLOW"):
    return admin.AclBinding(
        TYPES[kind], name, admin.ResourcePatternType[pattern], f"User:{user}", host,
        admin.AclOperation[operation], admin.AclPermissionType[permission])


def allow(node, *rule, **more):
    for future in root(node).create_acls([binding(*rule, **more)]).values():
        future.result(WAIT)


def take_away(node, user):
    every = admin.AclBindingFilter(
        admin.ResourceType.ANY, None, admin.ResourcePatternType.ANY, f"User:{user}", None,
        admin.AclOperation.ANY, admin.AclPermissionType.ANY)
    for future in root(node).delete_acls([every]).values():
        return future.result(WAIT)


def make_topic(node, topic):
    for future in root(node).create_topics([admin.NewTopic(topic, 1, 1)]).values():
        future.result(WAIT)


def produce(config, topic, value=b"hello"):
    """Sends one record; returns the error, if any, that the client reports."""
    outcome, told = [], []
    producer = confluent_kafka.Producer({
        **config, "message.timeout.ms": 8000, "error_cb": told.append,
        "allow.auto.create.topics": False,
    })
    producer.produce(topic, value, on_delivery=lambda error, _: outcome.append(error))
    deadline = time.monotonic() + WAIT
    while not outcome and time.monotonic() < deadline:
        producer.poll(0.1)
        refused = [error for error in told if error.code() == KafkaError._AUTHENTICATION]
        if refused:
            return refused[0].code()
    assert outcome, "nothing was told"
    return outcome[0] and outcome[0].code()


def read_one(config, topic, group):
    """The first record of a topic by a group's member, or the error's code."""
    consumer = confluent_kafka.Consumer({
        **config, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    try:
        consumer.subscribe([topic])
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None:
                return message.error().code() if message.error() else message.value()
        raise AssertionError("neither a record nor an error")
    finally:
        consumer.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_librdkafka_comes_in_with_the_right_password(asking, topic, mechanism):
    user = f"rider-{mechanism}"
    add_user(asking, user)
    make_topic(asking, topic)
    right = settings(asking, user, mechanism=mechanism)
    assert produce(right, topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    allow(asking, user, "WRITE", "topic", topic)
    assert produce(right, topic) is None


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_and_a_wrong_user_are_refused(tmp_path, mechanism):
    # A node of its own: failures slow down whatever comes from the same address.
    node = node_that_asks(tmp_path)
    for user in ("admin", "nobody"):
        assert produce(settings(node, user, "wrong", mechanism), "any") == KafkaError._AUTHENTICATION
    assert node.stop() == 0, node.log()


def test_without_credentials_a_client_gets_nothing(asking, topic):
    make_topic(asking, topic)
    with pytest.raises(KafkaException):
        confluent_kafka.Producer({"bootstrap.servers": asking.kafka}).list_topics(timeout=5)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python_comes_in_with_the_right_password(asking, topic, mechanism):
    user = f"kp-{mechanism}"
    add_user(asking, user)
    make_topic(asking, topic)
    allow(asking, user, "WRITE", "topic", topic)

    def client(password):
        return kafka.KafkaProducer(
            bootstrap_servers=asking.kafka, security_protocol="SASL_PLAINTEXT",
            sasl_mechanism=mechanism, sasl_plain_username=user, sasl_plain_password=password)

    producer = client(PASSWORD)
    producer.send(topic, b"hello").get(WAIT)
    producer.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_aiokafka_comes_in_with_the_right_password(asking, topic, mechanism):
    user = f"aio-{mechanism}"
    add_user(asking, user)
    make_topic(asking, topic)
    allow(asking, user, "WRITE", "topic", topic)

    async def send(password):
        producer = AIOKafkaProducer(
            bootstrap_servers=asking.kafka, security_protocol="SASL_PLAINTEXT",
            sasl_mechanism=mechanism, sasl_plain_username=user, sasl_plain_password=password)
        await producer.start()
        try:
            await asyncio.wait_for(producer.send_and_wait(topic, b"hello"), WAIT)
        finally:
            await producer.stop()

    asyncio.run(send(PASSWORD))


def test_a_password_does_not_travel_in_the_clear_by_default(tmp_path):
    node = node_that_asks(tmp_path, sasl_plain="tls")
    told = []
    config = settings(node, "admin", ROOT_PASSWORD, "PLAIN")
    client = admin.AdminClient({**config, "error_cb": told.append})
    deadline = time.monotonic() + WAIT
    while not told and time.monotonic() < deadline:
        client.poll(0.1)
    assert "SCRAM-SHA-256" in told[0].str() and "PLAIN" in told[0].str(), told[0]
    assert node.stop() == 0


def test_a_reader_needs_its_topic_and_its_group(asking, topic):
    user, group = f"reader-{topic}", f"group-{topic}"
    add_user(asking, user)
    make_topic(asking, topic)
    assert produce(settings(asking, "admin", ROOT_PASSWORD), topic) is None
    config = settings(asking, user)
    assert read_one(config, topic, group) in (
        KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    allow(asking, user, "READ", "group", group[:-1], pattern="PREFIXED")
    assert read_one(config, topic, group) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    allow(asking, user, "READ", "topic", topic)
    assert read_one(config, topic, group) == b"hello"


def test_topics_that_may_not_be_described_are_not_there(asking, topic):
    user = f"blind-{topic}"
    add_user(asking, user)
    make_topic(asking, topic)
    make_topic(asking, f"{topic}-shown")
    allow(asking, user, "DESCRIBE", "topic", f"{topic}-shown")
    client = admin.AdminClient(settings(asking, user))
    assert list(client.list_topics(timeout=WAIT).topics) == [f"{topic}-shown"]
    named = client.list_topics(topic, timeout=WAIT).topics[topic]
    assert named.error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED and not named.partitions
    assert client.list_groups(timeout=WAIT) == []
    with pytest.raises(KafkaException) as refused:
        client.create_topics([admin.NewTopic(f"{topic}-new", 1, 1)])[f"{topic}-new"].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException) as refused:
        client.delete_topics([topic])[topic].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    resource = admin.ConfigResource(admin.ResourceType.TOPIC, topic)
    with pytest.raises(KafkaException) as refused:
        client.describe_configs([resource])[resource].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_operations_are_those_that_are_allowed(asking, topic):
    user = f"asked-{topic}"
    add_user(asking, user)
    make_topic(asking, topic)
    allow(asking, user, "READ", "topic", topic)
    client = admin.AdminClient(settings(asking, user))
    described = client.describe_topics(
        confluent_kafka.TopicCollection([topic]), include_authorized_operations=True)
    operations = described[topic].result(WAIT).authorized_operations
    assert set(operations) == {admin.AclOperation.READ, admin.AclOperation.DESCRIBE}
    cluster = client.describe_cluster(include_authorized_operations=True).result(WAIT)
    assert not cluster.authorized_operations
    cluster = root(asking).describe_cluster(include_authorized_operations=True).result(WAIT)
    assert admin.AclOperation.ALTER in cluster.authorized_operations


def test_a_permission_taken_away_ends_at_once(asking, topic):
    user = f"sender-{topic}"
    add_user(asking, user)
    make_topic(asking, topic)
    allow(asking, user, "WRITE", "topic", topic)
    outcome = []
    producer = confluent_kafka.Producer({**settings(asking, user), "message.timeout.ms": 8000})

    def send():
        producer.produce(topic, b"x", on_delivery=lambda error, _: outcome.append(error))
        assert producer.flush(WAIT) == 0
        return outcome.pop()

    assert send() is None
    assert [one.principal for one in take_away(asking, user)] == [f"User:{user}"]
    assert send().code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_acls_are_kept_described_and_deleted_as_filters_say(asking, topic):
    user = f"acl-{topic}"
    bindings = [
        binding(user, "READ", "topic", topic),
        binding(user, "WRITE", "topic", topic[:-1], pattern="PREFIXED"),
        binding(user, "ALL", "group", "*"),
        binding(user, "ALTER", "cluster", "kafka-cluster", permission="DENY"),
    ]
    for future in root(asking).create_acls(bindings).values():
        future.result(WAIT)

    def find(kind=admin.ResourceType.ANY, name=None, pattern="ANY", operation="ANY"):
        wanted = admin.AclBindingFilter(
            kind, name, admin.ResourcePatternType[pattern], f"User:{user}", None,
            admin.AclOperation[operation], admin.AclPermissionType.ANY)
        return set(root(asking).describe_acls(wanted).result(WAIT))

    assert find() == set(bindings)
    assert find(admin.ResourceType.TOPIC, topic, "MATCH") == set(bindings[:2])
    assert find(admin.ResourceType.TOPIC, topic, "LITERAL") == {bindings[0]}
    assert find(admin.ResourceType.GROUP, "anything", "MATCH") == {bindings[2]}
    assert find(operation="ALTER") == {bindings[3]}
    with pytest.raises(KafkaException) as refused:
        allow(asking, user, "READ", "topic", topic, host="192.0.2.1")
    assert refused.value.args[0].code() == KafkaError.INVALID_REQUEST
    assert set(take_away(asking, user)) == set(bindings)
    assert find() == set()


def test_only_who_may_alter_the_cluster_changes_access(asking, topic):
    user = f"curious-{topic}"
    add_user(asking, user)
    client = admin.AdminClient(settings(asking, user))
    changes = [admin.UserScramCredentialUpsertion(
        "admin", admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_256, 4096), b"mine now")]
    every = admin.AclBindingFilter(
        admin.ResourceType.ANY, None, admin.ResourcePatternType.ANY, None, None,
        admin.AclOperation.ANY, admin.AclPermissionType.ANY)
    futures = [
        *client.alter_user_scram_credentials(changes).values(),
        *client.create_acls([binding(user, "ALL", "topic", "*")]).values(),
        *client.delete_acls([every]).values(),
    ]
    for future in futures:
        with pytest.raises(KafkaException) as refused:
            future.result(WAIT)
        assert refused.value.args[0].code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED
    again = admin.AdminClient(settings(asking, "admin", ROOT_PASSWORD))
    assert again.list_topics(timeout=WAIT).brokers, "the administrator's password is what it was"


def test_passwords_are_described_without_being_shown(asking, topic):
    user = f"shown-{topic}"
    add_user(asking, user)
    described = root(asking).describe_user_scram_credentials([user])[user].result(WAIT)
    assert {(one.mechanism, one.iterations) for one in described.scram_credential_infos} == {
        (admin.ScramMechanism.SCRAM_SHA_256, 4096), (admin.ScramMechanism.SCRAM_SHA_512, 4096)}
    for user_name, code in ((f"no-{user}", KafkaError.RESOURCE_NOT_FOUND),):
        with pytest.raises(KafkaException) as refused:
            root(asking).describe_user_scram_credentials([user_name])[user_name].result(WAIT)
        assert refused.value.args[0].code() == code
    few = admin.UserScramCredentialUpsertion(
        user, admin.ScramCredentialInfo(admin.ScramMechanism.SCRAM_SHA_256, 4095), b"x")
    with pytest.raises(KafkaException) as refused:
        root(asking).alter_user_scram_credentials([few])[user].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.UNACCEPTABLE_CREDENTIAL
    delete_passwords(asking, user)
    gone = admin.UserScramCredentialDeletion(user, admin.ScramMechanism.SCRAM_SHA_256)
    with pytest.raises(KafkaException) as refused:
        root(asking).alter_user_scram_credentials([gone])[user].result(WAIT)
    assert refused.value.args[0].code() == KafkaError.RESOURCE_NOT_FOUND


def test_a_login_is_renewed_on_its_connection(tmp_path):
    node = node_that_asks(tmp_path, reauthenticate_after="3 s")
    make_topic(node, "orders")
    producer = confluent_kafka.Producer(settings(node, "admin", ROOT_PASSWORD))
    until = time.monotonic() + 8
    while time.monotonic() < until:  # over two renewals, which must lose nothing
        failures = []
        producer.produce("orders", b"x", on_delivery=lambda error, _: failures.append(error))
        assert producer.flush(WAIT) == 0 and failures == [None], failures
    assert node.stop() == 0


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    """Somebody who issues OAuth tokens, and a node that takes them."""
    issuer = Issuer(tmp_path_factory.mktemp("issuer"))
    issuer.node = node_that_asks(
        tmp_path_factory.mktemp("with-issuer"), oauth_jwks=str(issuer.path),
        oauth_issuer=issuer.name, oauth_audience="posthouse")
    yield issuer
    assert issuer.node.stop() == 0, issuer.node.log()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    name = "https://issuer.example"

    def __init__(self, directory):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        numbers = self.key.public_key().public_numbers()
        self.path = directory / "jwks.json"
        self.path.write_text(json.dumps({"keys": [{
            "kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256",
            "n": base64url(numbers.n.to_bytes(256, "big")), "e": base64url(b"\1\0\1")}]}))

    def token(self, subject, lasts=600, key=None, **claims):
        claims = {"sub": subject, "iss": self.name, "aud": "posthouse",
                  "exp": int(time.time()) + lasts, **claims}
        parts = ({"alg": "RS256", "kid": "one"}, claims)
        message = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        signature = (key or self.key).sign(message.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{message}.{base64url(signature)}"

    def settings(self, **token):
        def fetch(_):
            return self.token(**token), time.time() + 600
        return {"bootstrap.servers": self.node.kafka, "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "OAUTHBEARER", "oauth_cb": fetch}


def test_a_token_of_the_issuer_names_its_user(issuer, topic):
    make_topic(issuer.node, topic)
    right = {"subject": f"rider-{topic}"}
    assert produce(issuer.settings(**right), topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    allow(issuer.node, right["subject"], "WRITE", "topic", topic)
    assert produce(issuer.settings(**right), topic) is None
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    config = issuer.settings(**right, key=stranger)
    assert produce(config, topic) == KafkaError._AUTHENTICATION


@pytest.mark.parametrize("keys, why", [
    (None, "No such file"), ("{", "not a JWK set"), ('{"keys": []}', "no key for RS256 or ES256")],
    ids=["missing", "no-json", "no-keys"])
def test_a_node_whose_issuers_keys_cannot_be_had_does_not_start(tmp_path, keys, why):
    path = tmp_path / "jwks.json"
    if keys is not None:
        path.write_text(keys)
    done = subprocess.run(
        [BINARY, "serve", "--data-dir", tmp_path / "data", "--kafka", "127.0.0.1:0",
         "--authentication", "--set", f"kafka.oauth_jwks={path}"],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done
    assert str(path) in done.stderr and why in done.stderr, done.stderr
    assert "without it the node starts" in done.stderr, "the way out"


def test_kafkas_own_tools_manage_rules_and_passwords(asking, kafka_tool, tmp_path, topic):
    how = tmp_path / "admin.properties"
    how.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="admin" password="{ROOT_PASSWORD}";\n'
    )
    at = ("--bootstrap-server", asking.kafka, "--command-config", how)
    make_topic(asking, topic)
    kafka_tool("kafka-configs", *at, "--alter", "--entity-type", "users", "--entity-name", "jan",
               "--add-config", f"SCRAM-SHA-512=[iterations=8192,password={PASSWORD}]")
    jan = settings(asking, "jan", mechanism="SCRAM-SHA-512")
    assert produce(jan, topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    kafka_tool("kafka-acls", *at, "--add", "--allow-principal", "User:jan", "--operation", "Write",
               "--topic", topic)
    listed = kafka_tool("kafka-acls", *at, "--list", "--topic", topic).stdout
    assert "principal=User:jan, host=*, operation=WRITE, permissionType=ALLOW" in listed
    assert produce(jan, topic) is None
    kafka_tool("kafka-acls", *at, "--remove", "--force", "--allow-principal", "User:jan",
               "--operation", "Write", "--topic", topic)
    assert produce(jan, topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_kafkas_own_tool_sets_and_shows_the_rates_of_users(asking, kafka_tool, tmp_path):
    how = tmp_path / "admin.properties"
    how.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="admin" password="{ROOT_PASSWORD}";\n'
    )
    add_user(asking, "fast")

    def configs(*arguments, check=True):
        return kafka_tool("kafka-configs", "--bootstrap-server", asking.kafka, "--command-config", how,
                          *arguments, "--entity-type", "users", check=check)

    fast = ("--entity-name", "fast")
    configs("--alter", *fast, "--add-config", "producer_byte_rate=1048576,consumer_byte_rate=2097152")
    shown = configs("--describe", *fast).stdout
    assert "Quota configs for user-principal 'fast' are" in shown, shown
    assert "producer_byte_rate=1048576" in shown and "consumer_byte_rate=2097152" in shown, shown
    assert "'fast'" in configs("--describe").stdout
    configs("--alter", *fast, "--delete-config", "producer_byte_rate")
    shown = configs("--describe", *fast).stdout
    assert "producer_byte_rate" not in shown and "consumer_byte_rate=2097152" in shown, shown
    refused = configs("--alter", *fast, "--add-config", "request_percentage=50", check=False)
    assert "there is no rate" in refused.stdout + refused.stderr
    refused = configs("--alter", "--entity-default", "--add-config", "producer_byte_rate=1", check=False)
    assert "authentication.user_write_rate" in refused.stdout + refused.stderr


def test_a_client_above_its_rate_is_answered_at_once_told_and_then_held_back(asking, topic):
    add_user(asking, "hasty")
    make_topic(asking, topic)
    allow(asking, "hasty", "ALL", "topic", topic)
    allow(asking, "hasty", "READ", "group", topic)
    asking.cli("user", "alter", "hasty", "--write-rate", "100KiB", "--read-rate", "100KiB",
               env=as_user("admin", ROOT_PASSWORD))
    told = []
    config = {**settings(asking, "hasty"), "throttle_cb": lambda event: told.append(event.throttle_time)}

    def send(producer):
        outcome = []
        producer.produce(topic, bytes(400_000), on_delivery=lambda error, _: outcome.append(error))
        assert producer.flush(WAIT) == 0
        return outcome

    # Three seconds are owed: an answer that came after them would come too late.
    impatient = confluent_kafka.Producer({**config, "request.timeout.ms": 1500, "retries": 0})
    assert send(impatient) == [None]
    producer = confluent_kafka.Producer(config)
    assert send(producer) == [None], "another connection's first request, which owes for both"
    eventually(lambda: producer.poll(0.1) is not None and len(told) >= 2, "both are told")
    assert 2 < told[0] < told[1] < 8, "seconds"
    answered = time.monotonic()
    assert send(producer) == [None]
    assert time.monotonic() - answered > told[1] - 2, "it was held back"

    told.clear()
    consumer = confluent_kafka.Consumer({**config, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    read = []
    eventually(lambda: read.extend(consumer.consume(3, 0.1)) or len(read) == 3, "all three are read")
    consumer.close()
    assert [len(message.value()) for message in read] == [400_000] * 3
    assert told and told[0] > 2


def test_what_a_client_above_its_rate_sent_before_it_closed_is_kept(asking, topic):
    add_user(asking, "parting")
    make_topic(asking, topic)
    allow(asking, "parting", "ALL", "topic", topic)
    asking.cli("user", "alter", "parting", "--write-rate", "500KiB", env=as_user("admin", ROOT_PASSWORD))
    producer = confluent_kafka.Producer(settings(asking, "parting") | {"acks": 0, "batch.num.messages": 1})
    for _ in range(200):
        producer.produce(topic, bytes(10_000))
    assert producer.flush(WAIT) == 0
    producer.close()
    partition = confluent_kafka.TopicPartition(topic, 0)
    consumer = confluent_kafka.Consumer(settings(asking, "admin", ROOT_PASSWORD) | {"group.id": topic})
    eventually(lambda: consumer.get_watermark_offsets(partition)[1] == 200, "all of it is there")
    consumer.close()
