"""Streams as keys of the Redis door: one key space, topics of other doors left alone, transactions."""

import threading
import time

import pytest
import redis

from clients import Record, confluent

SECONDS = 30


def connect(node, **options):
    return redis.Redis(**node.redis, socket_timeout=SECONDS, decode_responses=True, **options)


@pytest.fixture
def client(shared_node):
    """A client in an empty database of its own."""
    with connect(shared_node, db=5) as client:
        client.flushdb()
        yield client


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def topics(node):
    return set(node.cli("topic", "list").stdout.split())


def blocked(client, shared_node, *command):
    """Runs a command that waits, in a thread, and gives what to call for its answer."""
    answers = []

    def run():
        with connect(shared_node, db=5) as other:
            try:
                answers.append(other.execute_command(*command))
            except redis.ResponseError as error:
                answers.append(error)

    thread = threading.Thread(target=run)
    before = client.info("clients")["blocked_clients"]
    thread.start()
    until(lambda: client.info("clients")["blocked_clients"] > before)

    def answer():
        thread.join(SECONDS)
        return answers[0]

    return answer


def test_a_stream_is_listed_and_counted_as_every_key(client):
    client.xadd("s", {"a": 1})
    client.set("k", 1)
    assert set(client.keys()) == {"s", "k"}
    assert set(client.scan_iter()) == {"s", "k"}
    assert list(client.scan_iter(_type="stream")) == ["s"]
    assert (client.dbsize(), client.exists("s", "k"), client.type("s")) == (2, 2, "stream")
    assert client.object("encoding", "s") == "stream"
    assert client.memory_usage("s") > 0
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.get("s")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.xadd("k", {"a": 1})


def test_a_stream_expires_and_its_topic_goes(shared_node, client):
    client.xadd("brief", {"a": 1})
    assert "db5:brief" in topics(shared_node)
    assert client.pexpire("brief", 50)
    until(lambda: client.exists("brief") == 0)
    until(lambda: "db5:brief" not in topics(shared_node))
    client.xadd("brief", {"b": 2})
    assert [fields for _, fields in client.xrange("brief")] == [{"b": "2"}]
    assert client.ttl("brief") == -1


def test_a_flush_takes_streams_with_it_but_no_topic_of_another_door(node):
    node.cli("topic", "create", "orders", "--partitions", "1")
    confluent.produce(node.kafka, "orders", [Record(None, b"kept")])
    with connect(node) as client:
        client.xadd("made-here", {"a": 1})
        client.xadd("orders", {"a": 1})
        assert client.keys() == ["made-here"]
        client.flushall()
        assert client.dbsize() == 0
        until(lambda: "made-here" not in topics(node))
        assert (client.type("orders"), client.exists("orders"), client.xlen("orders")) == (
            "stream", 1, 2)
        for command in ("DEL", "UNLINK", "PERSIST"):
            with pytest.raises(redis.ResponseError, match="not made by this door"):
                client.execute_command(command, "orders")
        with pytest.raises(redis.ResponseError, match="not made by this door"):
            client.rename("orders", "other")
        with pytest.raises(redis.ResponseError, match="not made by this door"):
            client.expire("orders", 1)
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            client.set("orders", 1)
    records = confluent.consume(node.kafka, "orders", "beginning", 2)
    assert records[0].value == b"kept"


def test_a_stream_keeps_its_groups_under_another_name(shared_node, client):
    client.xadd("s", {"n": 1}, id="1-1")
    client.xadd("s", {"n": 2}, id="2-1")
    client.xgroup_create("s", "g", id="0")
    client.xreadgroup("g", "one", {"s": ">"}, count=1)
    client.rename("s", "t")
    assert client.keys() == ["t"] and client.xlen("s") == 0
    assert client.xpending("t", "g")["pending"] == 1
    client.xadd("s", {"other": 1}, id="9-9")
    assert [id for id, _ in client.xrange("t")] == ["1-1", "2-1"]
    assert client.copy("t", "u")
    assert client.xrange("u") == client.xrange("t")
    assert client.xpending("u", "g")["pending"] == 1
    client.delete("t")
    assert client.xack("u", "g", "1-1") == 1
    assert client.xrange("s") == [("9-9", {"other": "1"})]


def test_a_key_of_another_type_takes_a_streams_place(shared_node, client):
    client.xadd("s", {"a": 1})
    client.set("s", "text")
    assert client.get("s") == "text"
    until(lambda: "db5:s" not in topics(shared_node))
    client.delete("s")
    client.xadd("s", {"b": 1})
    assert client.xlen("s") == 1


def test_streams_and_what_became_of_them_outlive_kill_9(node):
    with connect(node) as client:
        client.xadd("kept", {"a": 1})
        client.xadd("moved", {"a": 2})
        client.rename("moved", "named")
        client.xadd("gone", {"a": 3})
        client.delete("gone")
        client.config_set("appendfsync", "always")
        client.set("last", 1)
    node.kill()
    node.start()
    with connect(node) as client:
        assert set(client.keys()) == {"kept", "named", "last"}
        assert [fields for _, fields in client.xrange("named")] == [{"a": "2"}]
        until(lambda: not {"gone", "named"} & topics(node))


def test_a_transaction_mixes_streams_keys_and_messages_in_order(shared_node, client):
    subscription = client.pubsub()
    subscription.subscribe("news")
    assert subscription.get_message(timeout=SECONDS)["type"] == "subscribe"
    pipeline = client.pipeline(transaction=True)
    pipeline.xadd("s", {"n": 1}, id="1-1")
    pipeline.xadd("s", {"n": 2}, id="2-1")
    pipeline.xlen("s")
    pipeline.set("k", "v")
    pipeline.publish("news", "hello")
    pipeline.delete("s")
    pipeline.lpush("s", "x")
    pipeline.xack("none", "g", "1-1")
    assert pipeline.execute() == ["1-1", "2-1", 2, True, 1, 1, 1, 0]
    assert client.type("s") == "list"
    assert subscription.get_message(timeout=SECONDS)["data"] == "hello"
    subscription.close()


def test_a_watched_stream_that_grows_ends_the_transaction(client):
    client.xadd("s", {"n": 1})
    with client.pipeline() as pipeline:
        pipeline.watch("s")
        client.xadd("s", {"n": 2})
        pipeline.multi()
        pipeline.set("k", 1)
        with pytest.raises(redis.WatchError):
            pipeline.execute()


def test_a_reader_sees_nothing_of_a_stream_that_a_transaction_removes(shared_node, client):
    answer = blocked(client, shared_node, "XREAD", "BLOCK", SECONDS * 1000, "STREAMS", "s", "$")
    pipeline = client.pipeline(transaction=True)
    pipeline.xadd("s", {"old": 1})
    pipeline.delete("s")
    pipeline.execute()
    client.xadd("s", {"new": 1})
    assert "new" in repr(answer()) and "old" not in repr(answer())


def test_a_consumer_that_waits_is_told_that_its_stream_is_gone(shared_node, client):
    client.xgroup_create("s", "g", mkstream=True)
    waits = ("XREADGROUP", "GROUP", "g", "one", "BLOCK", "0", "STREAMS", "s", ">")
    answer = blocked(client, shared_node, *waits)
    client.delete("s")
    assert "no longer exists" in str(answer())
    client.xgroup_create("s", "g", mkstream=True)
    answer = blocked(client, shared_node, *waits)
    client.xgroup_destroy("s", "g")
    assert str(answer()).startswith("NOGROUP")


@pytest.mark.parametrize("protocol", [2, 3])
def test_events_of_keys_are_published(node, protocol):
    with connect(node, protocol=protocol) as client:
        client.config_set("notify-keyspace-events", "KEA")
        assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": "AKE"}
        subscription = client.pubsub()
        subscription.psubscribe("__key*__:*")
        assert subscription.get_message(timeout=SECONDS)["type"] == "psubscribe"
        client.set("k", "v", px=60)
        client.lpush("l", "x")
        client.xadd("s", {"a": 1})
        client.rename("l", "m")
        seen = []
        while "expired" not in {event for event, _ in seen}:
            message = subscription.get_message(timeout=SECONDS)
            assert message, seen
            if message["channel"].startswith("__keyevent@0__:"):
                seen.append((message["channel"].split(":", 1)[1], message["data"]))
        assert seen == [
            ("set", "k"), ("expire", "k"), ("lpush", "l"), ("xadd", "s"), ("rename_from", "l"),
            ("rename_to", "m"), ("expired", "k")]
        with pytest.raises(redis.ResponseError, match="Invalid event class"):
            client.config_set("notify-keyspace-events", "?")
        subscription.close()


def test_a_full_node_refuses_what_would_store_more(node):
    with connect(node) as client:
        client.set("k", "x" * 10_000)
        client.config_set("maxmemory", 5_000)
        for refused in (("SET", "a", "1"), ("LPUSH", "l", "1"), ("XADD", "s", "*", "a", "1")):
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                client.execute_command(*refused)
        assert client.get("k") and client.info("memory")["maxmemory"] == 5_000
        pipeline = client.pipeline(transaction=True)
        pipeline.get("k")
        assert pipeline.execute() == ["x" * 10_000]
        client.delete("k")
        assert client.set("a", 1)


def endless(node, body):
    """Runs a script that does not end, in a thread, and gives what to call for its error."""
    errors = []

    def run():
        with connect(node) as other:
            try:
                other.eval(body, 0)
            except redis.RedisError as error:
                errors.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def error():
        thread.join(SECONDS)
        return errors[0]

    return error


def is_busy(client):
    try:
        client.ping()
        return False
    except redis.ResponseError as error:
        assert "BUSY" in str(error)
        return True


def test_a_script_that_takes_long_is_killed(node):
    with connect(node) as client:
        client.config_set("busy-reply-threshold", 10)
        error = endless(node, "while true do pcall(function() while true do end end) end")
        until(lambda: is_busy(client))
        assert client.script_kill()
        assert "killed by user" in error()
        assert client.ping()
        with pytest.raises(redis.ResponseError, match="NOTBUSY"):
            client.script_kill()


def test_clients_behind_a_script_keep_nobody_else_waiting(node):
    """More clients than the node has threads wait for the keys; Kafka's and HTTP's do not."""
    with connect(node) as client:
        client.set("k", "before")
        error = endless(node, "while true do end")
        waiting = [threading.Thread(target=lambda: connect(node).get("k")) for _ in range(20)]
        for thread in waiting:
            thread.start()
        node.cli("topic", "create", "busy-topic")
        assert "busy-topic" in topics(node)
        assert client.script_kill()
        assert "killed by user" in error()
        for thread in waiting:
            thread.join(SECONDS)
            assert not thread.is_alive()


def test_a_script_that_has_written_is_not_killed_and_does_not_hold_up_a_node_that_stops(node):
    with connect(node) as client:
        client.config_set("lua-time-limit", 10)
        endless(node, "redis.call('set', 'half', 'done') while true do end")
        until(lambda: is_busy(client))
        with pytest.raises(redis.ResponseError, match="UNKILLABLE"):
            client.script_kill()
    assert node.stop() == 0
    node.start()
    with connect(node) as client:
        assert client.get("half") == "done", "what a script did before it was ended stays done"


def test_elements_are_sorted_and_strings_compared(client):
    client.rpush("l", 3, 10, 1)
    client.mset({"w_3": 1, "w_10": 2, "w_1": 3, "name_1": "one"})
    assert client.sort("l") == ["1", "3", "10"]
    assert client.sort("l", by="w_*", get=["#", "name_*"]) == ["3", None, "10", None, "1", "one"]
    assert client.sort("l", desc=True, store="to") == 3
    assert client.lrange("to", 0, -1) == ["10", "3", "1"]
    client.mset({"left": "ohmytext", "right": "mynewtext"})
    assert client.execute_command("LCS", "left", "right") == "mytext"
    client.zadd("z1", {"a": 1, "b": 2})
    client.zadd("z2", {"b": 1, "c": 2})
    assert client.zintercard(2, ["z1", "z2"]) == 1
