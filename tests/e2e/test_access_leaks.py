"""Nothing leaks between doors: who may not read a topic learns neither its name nor a byte of it, by any way.

Everything secret here has 7391 in it. Somebody with a user, and no rights but on `open`, asks everything that can be
asked; what comes back must not have it, except where the question itself did.
"""

import json
import re
import threading

import confluent_kafka
import psycopg
import pytest
import redis
import requests
from confluent_kafka import KafkaException, TopicPartition, admin as kafka_admin

from clients.access import ADMIN_PASSWORD, admin, guarded_node, make_user

MARK = "7391"
TOPIC, VALUE, KEY, GROUP = "zebra-7391", "hush-7391", "rkey-7391", "group-7391"
CHANNEL, SERVICE = "chan-7391", "service-7391"
SECONDS = 30
SPY = ("spy", "spy-password")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = guarded_node(tmp_path_factory.mktemp("leaks")).start()
    root = ("admin", ADMIN_PASSWORD)
    make_user(node, "spy", ["Read,Write topic open", "Read group mine", "Read,Write key mine"])
    for topic in ("open", TOPIC):
        admin(node, "topic", "create", topic)
    post = lambda path, body: requests.post(node.http + path, json=body, auth=root, timeout=SECONDS)  # noqa: E731
    requests.post(f"{node.http}/topics/{TOPIC}/records?key=k-{MARK}", data=VALUE, auth=root, timeout=SECONDS)
    made = [
        post(f"/queues/{TOPIC}/{GROUP}", {}),
        post("/webhooks", {"name": f"hook-{MARK}", "topic": TOPIC, "url": f"http://127.0.0.1:1/{MARK}"}),
        post(f"/groups/{GROUP}/offsets", {"topic": TOPIC, "to": "beginning"}),
        post("/users", {"name": f"user-{MARK}", "password": "x"}),
        post("/tokens", {"user": f"user-{MARK}", "label": f"label-{MARK}"}),
        post("/acls", {"user": f"user-{MARK}", "operations": "Read", "kind": "topic", "name": TOPIC}),
    ]
    assert all(answer.ok for answer in made), [answer.text for answer in made]
    client = redis.Redis(**node.at("redis"), username="admin", password=ADMIN_PASSWORD)
    client.set(KEY, VALUE)
    client.hset(f"hash-{MARK}", "f", VALUE)
    listener = client.pubsub()
    listener.subscribe(CHANNEL)
    listener.psubscribe(f"{CHANNEL}*")
    yield node
    listener.close()
    client.close()
    assert node.stop() == 0, node.log()


def clean(text, asked=""):
    """Nothing secret is in an answer but what the question had."""
    text = text if isinstance(text, str) else repr(text)
    for name in (TOPIC, VALUE, KEY, GROUP, CHANNEL, SERVICE):
        if name in asked:
            text = text.replace(name, "")
    assert MARK not in text, text[max(0, text.index(MARK) - 200):][:400]


# --- HTTP


def test_no_path_of_http_shows_it(node):
    root = ("admin", ADMIN_PASSWORD)
    document = requests.get(f"{node.http}/openapi.json", auth=root, timeout=SECONDS).json()
    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    assert len(paths) > 15
    seen_by_root = ""
    for path in paths:
        if path in ("/ws", "/login"):
            continue
        path = path.replace("{name}", "NAME").replace("{id}", "NAME")
        for name in ({TOPIC, GROUP, CHANNEL, KEY} if "NAME" in path or "{" in path else {""}):
            asked = re.sub(r"\{\w+\}", name, path.replace("NAME", name))
            with requests.get(node.http + asked, auth=SPY, timeout=SECONDS, stream=True) as answer:
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    raise AssertionError(f"{asked} follows what may not be read")
                # What is there is refused in the same words as what is not.
                clean(answer.text, asked)
                if name:
                    other = asked.replace(name, "absent")
                    absent = requests.get(node.http + other, auth=SPY, timeout=SECONDS)
                    assert absent.status_code == answer.status_code, (asked, answer.text, absent.text)
                    assert absent.text.replace("absent", "") == answer.text.replace(name, ""), asked
        if "{" not in path and "NAME" not in path:
            seen_by_root += requests.get(node.http + path, auth=root, timeout=SECONDS).text
    assert TOPIC in seen_by_root and f"user-{MARK}" in seen_by_root, "there is something to see"


def test_no_call_of_http_that_changes_anything_tells(node):
    for method, path, body in [
        ("POST", f"/topics/{TOPIC}/records", "x"),
        ("DELETE", f"/topics/{TOPIC}", None),
        ("PATCH", f"/topics/{TOPIC}", json.dumps({"config": {"retention.ms": "1"}})),
        ("POST", f"/queues/{TOPIC}/{GROUP}/lease", "{}"),
        ("POST", f"/groups/{GROUP}/offsets", json.dumps({"topic": TOPIC, "to": "end"})),
        ("DELETE", f"/groups/{GROUP}", None),
        ("POST", f"/channels/{TOPIC}", "x"),
        ("POST", f"/services/{SERVICE}", "x"),
        ("DELETE", f"/webhooks/hook-{MARK}", None),
    ]:
        answer = requests.request(method, node.http + path, data=body, auth=SPY, timeout=SECONDS)
        assert answer.status_code == 403, (path, answer.text)
        asked = f"{path} {body}"
        clean(answer.text.replace(f"hook-{MARK}", ""), asked)


# --- SQL

QUERIES = [
    "SELECT table_name FROM information_schema.tables",
    "SELECT table_name, column_name FROM information_schema.columns",
    "SELECT relname FROM pg_catalog.pg_class",
    "SELECT attrelid, attname FROM pg_catalog.pg_attribute",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM pg_catalog.pg_roles",
    "SHOW TABLES",
    "SHOW USERS",
    "SHOW GRANTS",
]


@pytest.mark.parametrize("query", QUERIES)
def test_no_catalog_table_shows_it(node, query):
    with psycopg.connect(**{**node.postgres, "user": SPY[0]}, password=SPY[1], autocommit=True) as connection:
        try:
            clean(connection.execute(query).fetchall())
        except psycopg.Error as error:
            clean(str(error))
    answer = requests.post(f"{node.http}/sql", data=query, auth=SPY, timeout=SECONDS)
    clean(answer.text)


@pytest.mark.parametrize(
    "query",
    [
        'SELECT * FROM "{}"',
        'SELECT count(*) FROM "{}"',
        'EXPLAIN SELECT * FROM "{}"',
        'EXPLAIN ANALYZE SELECT * FROM "{}"',
        "SELECT _value FROM \"{}\" WHERE _offset = 0",
        'SELECT * FROM open JOIN "{}" AS other ON true',
        'INSERT INTO open (_value) SELECT _value FROM "{}"',
        'INSERT INTO "{}" (_value) VALUES (1)',
        'COPY (SELECT * FROM "{}") TO STDOUT',
        'DROP TOPIC "{}"',
        'ALTER TOPIC "{}" ADD COLUMN a TEXT',
    ],
)
def test_a_query_that_names_it_is_refused_as_for_what_is_not_there(node, query):
    def said(name):
        try:
            with psycopg.connect(
                **{**node.postgres, "user": SPY[0]}, password=SPY[1], autocommit=True
            ) as connection:
                return connection.execute(query.format(name)).fetchall()
        except psycopg.Error as error:
            return error.sqlstate, str(error).replace(name, "NAME")

    there, absent = said(TOPIC), said("quagga-1000")
    clean(there)
    assert isinstance(there, tuple), there
    assert there == absent


# --- Kafka


def kafka_as(node, user, password, **more):
    return {
        "bootstrap.servers": node.kafka, "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256", "sasl.username": user, "sasl.password": password, **more,
    }


def test_no_listing_of_kafka_shows_it(node):
    client = kafka_admin.AdminClient(kafka_as(node, *SPY))
    metadata = client.list_topics(timeout=SECONDS)
    assert "open" in metadata.topics
    clean(list(metadata.topics))
    groups = client.list_consumer_groups(request_timeout=SECONDS).result()
    clean([group.group_id for group in groups.valid])
    root = kafka_admin.AdminClient(kafka_as(node, "admin", ADMIN_PASSWORD))
    assert TOPIC in root.list_topics(timeout=SECONDS).topics


def test_kafka_reads_nothing_of_it(node):
    seen = []
    consumer = confluent_kafka.Consumer(kafka_as(node, *SPY, **{"group.id": "mine", "error_cb": seen.append}))
    consumer.subscribe([TOPIC])
    refused = None
    for _ in range(SECONDS * 10):
        message = consumer.poll(0.1)
        if message is not None:
            assert message.error(), message.value()
            refused = message.error()
            break
    consumer.close()
    assert refused is not None, seen
    assert refused.code() == confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED, refused


def test_kafka_tells_of_it_as_of_what_is_not_there(node):
    client = kafka_admin.AdminClient(kafka_as(node, *SPY))

    def said(topic, group):
        outcome = []
        resource = kafka_admin.ConfigResource(kafka_admin.ConfigResource.Type.TOPIC, topic)
        partition = TopicPartition(topic, 0)
        for ask in (
            lambda: client.describe_configs([resource])[resource].result(SECONDS),
            lambda: client.delete_topics([topic])[topic].result(SECONDS),
            lambda: client.describe_topics(confluent_kafka.TopicCollection([topic]))[topic].result(SECONDS),
            lambda: client.list_offsets(
                {partition: kafka_admin.OffsetSpec.latest()})[partition].result(SECONDS),
            lambda: client.describe_consumer_groups([group])[group].result(SECONDS),
            lambda: client.delete_consumer_groups([group])[group].result(SECONDS),
        ):
            try:
                outcome.append(repr(ask()))
            except KafkaException as error:
                outcome.append(error.args[0].code())
        return outcome

    there = said(TOPIC, GROUP)
    assert there == said("quagga-1000", "group-1000"), there
    clean(there)


# --- Redis


class Raw:
    """Commands whose answers are taken as they come."""

    def __init__(self, client):
        self.client = client
        self.connection = client.connection_pool.get_connection()

    def execute_command(self, *parts):
        self.connection.send_command(*parts)
        return self.connection.read_response()

    def close(self):
        self.connection.disconnect()
        self.client.close()


@pytest.mark.parametrize("protocol", [2, 3])
def test_no_command_of_redis_shows_it(node, protocol):
    client = Raw(redis.Redis(**node.at("redis"), username=SPY[0], password=SPY[1], protocol=protocol))
    for command in (
        "KEYS *", "SCAN 0 COUNT 1000", "DBSIZE", "RANDOMKEY", "PUBSUB CHANNELS", "PUBSUB CHANNELS chan*",
        "PUBSUB NUMPAT", "INFO", "INFO everything", "CLIENT LIST", "CLIENT INFO", "CONFIG GET *", "SLOWLOG GET",
        "ACL LIST", "ACL USERS", "ACL LOG", "MEMORY STATS", "MONITOR", "LATENCY LATEST", "COMMAND DOCS GET",
    ):
        try:
            clean(client.execute_command(*command.split()))
        except redis.exceptions.ResponseError as error:
            clean(str(error))
    named = {
        KEY: ["GET", "TYPE", "EXISTS", "DUMP", "OBJECT ENCODING", "TTL", "STRLEN", "MEMORY USAGE", "WATCH", "TOUCH"],
        TOPIC: ["XLEN", "XINFO STREAM", "TYPE", "EXISTS", "XINFO GROUPS", "PUBSUB NUMSUB"],
    }
    for name, commands in named.items():
        for command in commands:
            answers = []
            for asked in (name, "absent"):
                try:
                    answers.append(repr(client.execute_command(*command.split(), asked)).replace(asked, ""))
                except redis.exceptions.ResponseError as error:
                    answers.append(str(error).replace(asked, ""))
            assert answers[0] == answers[1], command
            clean(answers[0])
    for script in (f"return redis.call('GET', '{KEY}')", "return redis.call('KEYS', '*')"):
        try:
            clean(client.execute_command("EVAL", script, 0))
        except redis.exceptions.ResponseError as error:
            clean(str(error), script)
    for command in (f"XRANGE {TOPIC} - +", f"XREAD STREAMS {TOPIC} 0", f"SUBSCRIBE {TOPIC}", f"COPY {KEY} mine",
                    f"SUNIONSTORE mine {KEY}", f"PUBLISH {TOPIC} x"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*command.split())
    # Other keys, by what a list of one's own says.
    client.execute_command("RPUSH", "mine", MARK)
    try:
        clean(client.execute_command("SORT", "mine", "BY", "nosort", "GET", "rkey-*"))
    except redis.exceptions.NoPermissionError as error:
        clean(str(error))
    client.close()


def test_a_pattern_of_redis_hears_nothing_of_it(node):
    client = redis.Redis(**node.at("redis"), username=SPY[0], password=SPY[1])
    for pattern in ("*", "chan*", "zebra*", "__key*"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command("PSUBSCRIBE", pattern)
    client.close()


# --- what goes on while permission is taken away


def test_a_stream_that_was_allowed_stops_when_it_is_not_any_more(node):
    make_user(node, "passing", [f"Read topic {TOPIC}"])
    passing = ("passing", "passing-password")
    seen, ended = [], threading.Event()

    def follow():
        path = f"{node.http}/topics/{TOPIC}/records?from=beginning&follow=true"
        with requests.get(path, auth=passing, timeout=SECONDS * 2, stream=True) as answer:
            try:
                for line in answer.iter_lines():
                    seen.append(line)
            except requests.exceptions.ChunkedEncodingError:
                pass  # It was cut off.
        ended.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for _ in range(SECONDS * 20):
        if any(VALUE.encode() in line for line in seen):
            break
        thread.join(0.05)
    assert any(VALUE.encode() in line for line in seen), "it was allowed"
    admin(node, "acl", "remove", "--user", "passing")
    later = requests.post(
        f"{node.http}/topics/{TOPIC}/records", data=f"later-{MARK}", auth=("admin", ADMIN_PASSWORD), timeout=SECONDS)
    assert later.ok
    assert ended.wait(SECONDS), "the stream goes on"
    assert not any(f"later-{MARK}".encode() in line for line in seen)
