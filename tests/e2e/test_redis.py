"""The Redis door with redis-py and redis-cli: connections, publish-subscribe, streams, other doors."""

import json
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import redis

from clients import Record, confluent
from clients.watch import eventually, own_node

SECONDS = 30


@pytest.fixture
def client(shared_node):
    with redis.Redis(**shared_node.redis) as client:
        yield client


def next_message(subscription, kind):
    """The next message of a kind; others before it are passed over."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        message = subscription.get_message(timeout=1)
        if message and message["type"] == kind:
            return message
    raise AssertionError(f"no {kind} in {SECONDS} s")


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_subscriber_gets_what_is_published_in_order(shared_node, topic, protocol):
    with redis.Redis(**shared_node.redis, protocol=protocol) as client:
        subscription = client.pubsub()
        subscription.subscribe(topic)
        next_message(subscription, "subscribe")
        payloads = [b"", b"\x00\xff\r\n", b"x" * 100_000] + [str(n).encode() for n in range(500)]
        pipeline = client.pipeline(transaction=False)
        for payload in payloads:
            pipeline.publish(topic, payload)
        assert pipeline.execute() == [1] * len(payloads)
        received = [next_message(subscription, "message")["data"] for _ in payloads]
        assert received == payloads
        subscription.close()


def test_patterns_match_and_counts_are_told(client, topic):
    subscription = client.pubsub()
    subscription.psubscribe(f"{topic}.[ab]?")
    next_message(subscription, "psubscribe")
    assert client.pubsub_numpat() >= 1
    assert client.publish(f"{topic}.a1", "in") == 1
    assert client.publish(f"{topic}.c1", "out") == 0
    message = next_message(subscription, "pmessage")
    assert (message["channel"], message["data"]) == (f"{topic}.a1".encode(), b"in")
    subscription.subscribe(topic)
    next_message(subscription, "subscribe")
    assert client.pubsub_numsub(topic) == [(topic.encode(), 1)]
    assert client.pubsub_channels(f"{topic}*") == [topic.encode()]
    subscription.unsubscribe(topic)
    next_message(subscription, "unsubscribe")
    assert client.pubsub_numsub(topic) == [(topic.encode(), 0)]
    subscription.close()


def test_what_is_published_on_a_topic_is_kept_for_every_door(shared_node, client, topic):
    shared_node.cli("topic", "create", topic, "--partitions", "1")
    subscription = client.pubsub()
    subscription.subscribe(topic)
    next_message(subscription, "subscribe")
    for number in range(10):
        client.publish(topic, f"message {number}")
    received = [next_message(subscription, "message")["data"] for _ in range(10)]
    assert received == [f"message {number}".encode() for number in range(10)]
    records = confluent.consume(shared_node.kafka, topic, "beginning", 10)
    assert [record.value for record in records] == received
    subscription.close()


def test_a_record_from_kafka_reaches_a_subscriber(shared_node, client, topic):
    shared_node.cli("topic", "create", topic, "--partitions", "1")
    subscription = client.pubsub()
    subscription.subscribe(topic)
    next_message(subscription, "subscribe")
    confluent.produce(shared_node.kafka, topic, [Record(b"key", b"from kafka")])
    assert next_message(subscription, "message")["data"] == b"from kafka"
    subscription.close()


def test_a_subscriber_that_does_not_read_is_disconnected(node):
    with redis.Redis(**node.redis) as client:
        client.config_set("client-output-buffer-limit", "pubsub 1mb 512kb 60")
        slow = socket.create_connection((node.redis["host"], node.redis["port"]), timeout=SECONDS)
        slow.sendall(b"SUBSCRIBE news\r\n")
        assert slow.recv(100).startswith(b"*3\r\n$9\r\nsubscribe")
        payload = "x" * 65536
        deadline = time.monotonic() + SECONDS
        while client.publish("news", payload) == 1:
            assert time.monotonic() < deadline, "the subscriber is still there"
        deadline = time.monotonic() + SECONDS
        while int(client.info("stats")["client_output_buffer_limit_disconnections"]) != 1:
            assert time.monotonic() < deadline
        while slow.recv(1 << 20):
            pass
        slow.close()


def test_entries_of_a_stream_are_read_as_they_were_added(client, topic):
    first = client.xadd(topic, {"a": "1", "b": "two"})
    second = client.xadd(topic, {b"\xff": b"\x00"})
    third = client.execute_command("XADD", topic, "*", "same", "1", "same", "2")
    number = lambda id: tuple(map(int, id.split(b"-")))
    assert number(first) < number(second) < number(third)
    assert client.xlen(topic) == 3
    assert client.xrange(topic)[:2] == [
        (first, {b"a": b"1", b"b": b"two"}), (second, {b"\xff": b"\x00"})]
    raw = client.execute_command("XRANGE", topic, third, third)
    assert raw[0][0] == third
    assert client.xread({topic: first}, count=1) in (
        [[topic.encode(), [(second, {b"\xff": b"\x00"})]]],
        {topic.encode(): [[(second, {b"\xff": b"\x00"})]]},
    )
    assert client.xdel(topic, second, "1-1") == 1
    assert [entry[0] for entry in client.xrange(topic)] == [first, third]


def test_a_stream_is_deleted_with_its_topic(shared_node, client, topic):
    client.xadd(topic, {"a": 1})
    assert client.execute_command("XINFO", "STREAM", topic)
    assert topic in shared_node.cli("topic", "list").stdout
    shared_node.cli("topic", "delete", topic)
    assert client.xlen(topic) == 0
    shared_node.cli("topic", "create", topic, "--partitions", "2")
    with pytest.raises(redis.ResponseError, match="2 partitions"):
        client.xadd(topic, {"a": 1})


def test_explicit_ids_rise(client, topic):
    assert client.xadd(topic, {"a": 1}, id="5-1") == b"5-1"
    assert client.xadd(topic, {"a": 1}, id="5-*") == b"5-2"
    with pytest.raises(redis.ResponseError, match="equal or smaller"):
        client.xadd(topic, {"a": 1}, id="5-2")
    with pytest.raises(redis.ResponseError, match="greater than 0-0"):
        client.xadd(topic, {"a": 1}, id="0-0")
    assert client.xadd(topic, {"a": 1}).startswith(b"1")
    assert client.xtrim(topic, maxlen=1, approximate=False) == 2
    assert client.xlen(topic) == 1


def test_a_blocked_reader_wakes_when_an_entry_is_added(shared_node, client, topic):
    client.xadd(topic, {"n": 0})
    got = []

    def read():
        with redis.Redis(**shared_node.redis) as reader:
            got.append(reader.xread({topic: "$"}, block=SECONDS * 1000))

    thread = threading.Thread(target=read)
    thread.start()
    deadline = time.monotonic() + SECONDS
    while not any("b" in one["flags"] for one in client.client_list()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    added = client.xadd(topic, {"n": 1})
    thread.join(SECONDS)
    assert added in repr(got[0]).encode()


def test_a_stream_outlives_kill_9(node):
    with redis.Redis(**node.redis) as client:
        ids = [client.xadd("kept", {"n": number}) for number in range(100)]
        client.xadd("kept", {"n": "x"}, id="99999999999999-7")
        client.xdel("kept", ids[0])
    node.kill()
    node.start()
    with redis.Redis(**node.redis) as client:
        assert [entry[0] for entry in client.xrange("kept")] == ids[1:] + [b"99999999999999-7"]


def test_a_topic_of_kafka_is_a_stream(shared_node, client, topic):
    shared_node.cli("topic", "create", topic, "--partitions", "1")
    confluent.produce(shared_node.kafka, topic, [
        Record(None, json.dumps({"id": 1, "name": "x"}).encode()), Record(b"k", b"plain")])
    entries = client.xrange(topic)
    assert [fields for _, fields in entries] == [
        {b"id": b"1", b"name": b"x"}, {b"key": b"k", b"value": b"plain"}]
    client.xadd(topic, {"from": "redis"})
    records = confluent.consume(shared_node.kafka, topic, "beginning", 3)
    assert json.loads(records[2].value) == {"from": "redis"}


def test_a_group_gives_each_entry_once_until_it_is_acknowledged(client, topic):
    ids = [client.xadd(topic, {"n": number}) for number in range(6)]
    client.xgroup_create(topic, "workers", id="0")
    with pytest.raises(redis.ResponseError, match="BUSYGROUP"):
        client.xgroup_create(topic, "workers", id="0")
    one = client.execute_command("XREADGROUP", "GROUP", "workers", "one", "COUNT", 4, "STREAMS", topic, ">")
    two = client.execute_command("XREADGROUP", "GROUP", "workers", "two", "STREAMS", topic, ">")
    given = lambda answer: [id for id in ids if id in repr(answer).encode()]
    assert given(one) == ids[:4] and given(two) == ids[4:]
    assert client.xack(topic, "workers", ids[0], ids[4], "7-7") == 2
    assert client.xpending(topic, "workers")["pending"] == 4
    pending = client.xpending_range(topic, "workers", "-", "+", 10)
    assert [line["message_id"] for line in pending] == [ids[1], ids[2], ids[3], ids[5]]
    claimed = client.xclaim(topic, "workers", "two", 0, [ids[1]], justid=True)
    assert claimed == [ids[1]]
    history = client.execute_command("XREADGROUP", "GROUP", "workers", "two", "STREAMS", topic, "0")
    assert given(history) == [ids[1], ids[5]]
    assert {one["name"]: one["pending"] for one in client.xinfo_consumers(topic, "workers")} == {
        b"one": 2, b"two": 2}
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        client.execute_command("XREADGROUP", "GROUP", "nobody", "one", "STREAMS", topic, ">")


def test_requests_that_are_not_the_protocol_are_refused(shared_node):
    for request, answer in [
        (b"*3000000000\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\nfoo\r\n", b"-ERR Protocol error: expected '$', got 'f'\r\n"),
        (b"*1\r\n$2000000000\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"set \"a\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ]:
        with socket.create_connection(tuple(shared_node.redis.values()), timeout=SECONDS) as raw:
            raw.sendall(request)
            received = b""
            while more := raw.recv(4096):
                received += more
            assert received == answer


def test_a_resp2_subscriber_may_only_subscribe(shared_node):
    with socket.create_connection(tuple(shared_node.redis.values()), timeout=SECONDS) as raw:
        raw.sendall(b"SUBSCRIBE x\r\nECHO a\r\nPING\r\n")
        received = b""
        while not received.endswith(b"$4\r\npong\r\n$0\r\n\r\n"):
            received += raw.recv(4096)
        assert b"-ERR Can't execute 'echo': only" in received


def test_clients_are_listed_named_and_killed(client, shared_node):
    with redis.Redis(**shared_node.redis, client_name="victim") as victim:
        identity = victim.client_id()
        line = next(one for one in client.client_list() if one["id"] == str(identity))
        assert line["name"] == "victim"
        assert client.client_kill_filter(_id=identity) == 1
    assert client.config_get("port") == {"port": str(shared_node.redis["port"])}
    assert client.info("server")["redis_mode"] == "standalone"
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH'"):
        client.execute_command("NOSUCH", "a")


def threads_named(node, name):
    count = 0
    for task in Path(f"/proc/{node.process.pid}/task").glob("*/comm"):
        try:
            count += task.read_text().strip() == name
        except (FileNotFoundError, ProcessLookupError):
            pass  # It has just ended.
    return count


def test_clients_have_as_many_threads_as_are_asked_for(tmp_path):
    with own_node(tmp_path, "--set", "redis.threads=3") as node, redis.Redis(**node.redis) as client:
        assert client.config_get("io-threads") == {"io-threads": "3"}
        # What read the disk at the start ends after ten idle seconds.
        eventually(lambda: threads_named(node, "redis") == 3, "there are three")


def test_redis_cli_is_content(shared_node):
    port = str(shared_node.redis["port"])
    cli = lambda *words: subprocess.run(
        ["redis-cli", "-p", port, *words], capture_output=True, text=True, timeout=SECONDS).stdout
    assert cli("PING") == "PONG\n"
    assert "proto" in cli("-3", "HELLO")
    assert int(cli("COMMAND", "COUNT")) >= 48
    assert "redis_version" in cli("INFO")


def test_redis_benchmark_runs_to_its_end(shared_node):
    port = str(shared_node.redis["port"])
    done = subprocess.run(
        ["redis-benchmark", "-p", port, "-n", "2000", "-c", "20", "-P", "4", "--csv", "-t", "ping"],
        capture_output=True, text=True, timeout=SECONDS * 2)
    assert done.returncode == 0 and '"PING_MBULK"' in done.stdout, done.stdout + done.stderr
