"""What goes wrong between live peers: workers killed, subscribers that stall, peers that fall silent.

Each is on every live door where it can happen. Memory is the node's resident size; what a door does to
a peer shows in `/metrics`; and whoever behaves is not disturbed.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from queue import Empty

import pytest
import redis
import requests
import zmq
from clients import Record, doors, raw
from clients.proxy import Proxy
from clients.watch import LIMIT, eventually, metric, own_node, resident, subscriptions
from clients.zmq_peers import Ours

MEBIBYTE = 1 << 20

pytestmark = pytest.mark.timeout(180)
every_kind = pytest.mark.parametrize("kind", raw.KINDS, ids=lambda kind: kind.name)


# Workers that are killed.

TAKE_BY_REDIS = """
import redis, sys, time
client = redis.Redis(host=sys.argv[1], port=int(sys.argv[2]))
got = client.execute_command("XREADGROUP", "GROUP", "g", sys.argv[4], "COUNT", 5, "STREAMS", sys.argv[3], ">")
print("working", flush=True)
time.sleep(600)
"""
TAKE_BY_HTTP = """
import requests, sys, time
url = f"http://{sys.argv[1]}:{sys.argv[2]}/queues/{sys.argv[3]}/g/lease"
assert len(requests.post(url, json={"owner": sys.argv[4], "max": 5}).json()["messages"]) == 5
print("working", flush=True)
time.sleep(600)
"""


def kill_a_worker(script, address, *arguments):
    """Starts a worker, lets it take its messages, and kills it before it has done any."""
    command = [sys.executable, "-c", script, *address.rsplit(":", 1), *arguments]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "working\n"
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()


def test_entries_of_killed_group_members_are_done_by_others(shared_node, topic):
    with redis.Redis(**shared_node.redis) as client:
        client.response_callbacks.clear()
        ids = [client.execute_command("XADD", topic, "*", "n", n) for n in range(20)]
        client.execute_command("XGROUP", "CREATE", topic, "g", "0")
        for name in ("ann", "bob", "eve"):
            kill_a_worker(TAKE_BY_REDIS, shared_node.addresses["redis"], topic, name)

        def take(name, since=">"):
            answer = client.execute_command("XREADGROUP", "GROUP", "g", name, "STREAMS", topic, since)
            # A mapping with RESP3, pairs with RESP2.
            pairs = answer.items() if isinstance(answer, dict) else answer or []
            return [entry for _, entries in pairs for entry, _ in entries]

        # A name outlives its connections: who comes back by it still has what it held.
        assert take("ann", "0") == ids[:5]
        assert client.execute_command("XACK", topic, "g", *ids[:5]) == 5
        # What belonged to those who stay away is claimed; the rest is new.
        claimed = client.execute_command("XAUTOCLAIM", topic, "g", "zoe", 0, "0-0", "JUSTID")[1]
        assert claimed == ids[5:15]
        assert take("zoe") == ids[15:]
        assert client.execute_command("XACK", topic, "g", *ids[5:]) == 15
        assert client.execute_command("XPENDING", topic, "g")[0] == 0
        assert take("zoe") == []


def test_leases_of_killed_workers_are_done_by_others(shared_node, topic):
    url = f"{shared_node.http}/queues/{topic}/g"

    def ask(path, body):
        answer = requests.post(url + path, json=body, timeout=LIMIT)
        assert answer.ok, answer.text
        return answer.json()

    with redis.Redis(**shared_node.redis) as client:
        shared_node.cli("topic", "create", topic)
        for number in range(20):
            client.publish(topic, number)
    # The lock is long enough for all to die holding theirs, and ends by itself.
    ask("", {"lock_ms": 3000})
    for name in ("ann", "bob", "eve"):
        kill_a_worker(TAKE_BY_HTTP, shared_node.addresses["http"], topic, name)
    done = {}
    deadline = time.monotonic() + LIMIT
    while len(done) < 20:
        assert time.monotonic() < deadline, f"only {sorted(done)} came"
        messages = ask("/lease", {"owner": "zoe", "max": 20, "wait_ms": 1000})["messages"]
        done.update((int(message["value"]), message["delivery_count"]) for message in messages)
        if messages:
            assert ask("/ack", {"leases": [message["lease"] for message in messages]})["not_held"] == []
    assert done == {number: 2 if number < 15 else 1 for number in range(20)}
    partition, = requests.get(url, timeout=LIMIT).json()["partitions"]
    assert partition["start"] == partition["end"] == 20


def test_group_members_lose_nothing_and_do_nothing_twice_when_the_node_is_killed(node):
    added, done = [], []
    with redis.Redis(**node.redis) as client:
        client.xgroup_create("jobs", "g", id="0", mkstream=True)
    for _ in range(4):
        with redis.Redis(**node.redis) as client:
            client.response_callbacks.clear()
            pipeline = client.pipeline(transaction=False)
            for number in range(100):
                pipeline.execute_command("XADD", "jobs", "*", "n", number)
            added += pipeline.execute()
            # Each takes some and does half of them; what is answered is done.
            for name in ("ann", "bob"):
                taken = take(client, name, "COUNT", 60)
                for entry in taken[::2]:
                    assert client.execute_command("XACK", "jobs", "g", entry) == 1
                    done.append(entry)
        node.kill()
        node.start()
    with redis.Redis(**node.redis) as client:
        client.response_callbacks.clear()
        start = b"0-0"
        while True:
            start, claimed, _ = client.execute_command("XAUTOCLAIM", "jobs", "g", "eve", 0, start, "JUSTID")
            done += claimed
            if start == b"0-0":
                break
        while new := take(client, "eve"):
            done += new
    assert sorted(done) == sorted(added)


def take(client, name, *options):
    """New entries of the stream `jobs` for one member of its group."""
    answer = client.execute_command("XREADGROUP", "GROUP", "g", name, *options, "STREAMS", "jobs", ">")
    # A mapping with RESP3, pairs with RESP2.
    pairs = answer.items() if isinstance(answer, dict) else answer or []
    return [entry for _, entries in pairs for entry, _ in entries]


def test_an_event_stream_goes_on_over_kill_9_without_a_gap_or_a_repetition(node):
    node.cli("topic", "create", "news", "--partitions", "3")
    written, heard = 0, []
    stream = doors.EventStream(node, "news")
    for lap in range(5):
        # Each writer's records go to a partition of its own, so the stream is resumed in several.
        with doors.HttpBatchWriter(node, "news") as mouth:
            mouth.write(*[Record(None, b"%d" % number) for number in range(written, written + 50)])
        written += 50
        heard += stream.read(30 + 5 * lap)
        node.kill()
        stream.open.close()
        node.start()
        stream.begin()
    heard += stream.read(written - len(heard))
    stream.open.close()
    assert sorted(int(record.value) for record in heard) == list(range(written))


# Publishers that nobody hears, subscribers that do not read.

@pytest.mark.parametrize("writer", doors.LIVE_WRITERS, ids=lambda writer: writer.name)
def test_a_publisher_without_subscribers_costs_no_memory(shared_node, topic, writer):
    records = [Record(None, b"x" * 65536)] * 500
    with writer(shared_node, topic) as mouth:
        mouth.write(*records[:50])
        before = resident(shared_node)
        mouth.write(*records)
        assert resident(shared_node) - before < 16 * MEBIBYTE
    assert subscriptions(shared_node, topic) == 0


@pytest.mark.parametrize("kept", [False, True], ids=["channel", "topic"])
@every_kind
def test_a_subscriber_that_stops_reading_is_cut_off_and_nobody_else_is_disturbed(node, kind, kept):
    overflows = "posthouse_broker_live_overflow_disconnects_total"
    if kept:
        node.cli("topic", "create", "news")
    value, lap = b"x" * 65536, 8
    with ExitStack() as stack:
        mouth = stack.enter_context(doors.RedisPublisher(node, "news"))
        ear = stack.enter_context(kind.reader(node, "news"))
        stalled = stack.enter_context(raw.subscribe(node, kind, "news", receive_buffer=65536))
        mouth.write(*[Record(None, value)] * lap)
        assert len(ear.read(lap)) == lap
        before, published = resident(node), lap
        # Lap by lap, so that only one of the two falls behind: 256 MiB, far above every limit.
        while published < 4096:
            said = [Record(None, b"%d " % n + value) for n in range(published, published + lap)]
            mouth.write(*said)
            assert [one.value for one in ear.read(lap)] == [one.value for one in said]
            published += lap
            if metric(node, overflows) > 0:
                break
        assert metric(node, overflows) == 1
        # What had been queued for it is given back: little more than the sockets' buffers is left.
        limit = 2 * (32 if kind is raw.Redis else 8) * MEBIBYTE + 32 * MEBIBYTE
        assert resident(node) - before < limit
        # Nothing is waited for on its connection, not even that it takes what lies in the sockets.
        eventually(lambda: subscriptions(node, "news") == 1, "it is gone")
        eventually(lambda: metric(node, "posthouse_broker_live_subscribers_count") == 1, "it is gone")
        assert raw.read_to_end(stalled) < published * (len(value) + 200)
        if kind is raw.Redis:
            assert metric(node, "posthouse_redis_subscriber_disconnects_total") == 1
        mouth.write(Record(None, b"still here"))
        assert ear.read(1)[0].value == b"still here"


def test_a_redis_client_that_reads_no_replies_is_disconnected(tmp_path):
    with own_node(tmp_path, "--set", "redis.unread_bytes_max=1MiB") as node:
        with redis.Redis(**node.redis) as client:
            client.set("large", b"x" * 65536)
            with raw.connect(node.addresses["redis"], receive_buffer=65536) as deaf:
                # It is hung up on long before it has sent 64 MiB of requests.
                request = b"GET large" + b" " * 1000 + b"\r\n"
                with pytest.raises(OSError):
                    for _ in range(1024):
                        deaf.sendall(request * 64)
            assert metric(node, "posthouse_redis_unread_disconnects_total") == 1
            assert client.ping()


def test_a_websocket_that_reads_no_answers_is_no_longer_read_and_loses_nothing(shared_node, topic):
    many = 1_000_000
    before = resident(shared_node)
    with raw.connect(shared_node.addresses["http"], receive_buffer=65536) as deaf:
        deaf.sendall(raw.UPGRADE)
        raw.read_until(deaf, b"\r\n\r\n")
        deaf.settimeout(2)
        said = 0
        # Ended by the node's reading no more: the answers to so many fit into nobody's buffers.
        try:
            for said in range(many):
                publish = {"op": "publish", "channel": topic, "value": "x" * 1000, "id": said}
                deaf.sendall(raw.websocket_frame(1, json.dumps(publish).encode()))
        except TimeoutError:
            pass
        assert said < many - 1, "the node goes on reading"
        assert resident(shared_node) - before < 64 * MEBIBYTE
        deaf.settimeout(LIMIT)
        raw.read_until(deaf, b'"id":%d' % (said - 1))


# Silence.

def test_a_zmtp_peer_that_has_vanished_loses_its_place_when_its_promise_ends():
    pair = Ours("pair", bind="tcp://127.0.0.1:0")
    try:
        with zmq.Context() as context, Proxy(pair.endpoint.removeprefix("tcp://")) as proxy, ExitStack() as stack:
            def peer(endpoint, text):
                made = stack.enter_context(context.socket(zmq.PAIR))
                made.linger = 0
                made.connect(endpoint)
                made.send_string(text)
                return made

            far = stack.enter_context(context.socket(zmq.PAIR))
            # It asks, and promises to do so again within the time to live.
            far.linger, far.heartbeat_ivl, far.heartbeat_ttl, far.heartbeat_timeout = 0, 100, 500, 600_000
            far.connect(f"tcp://{proxy.address}")
            far.send_string("far")
            assert pair.hear() == "far"
            said = proxy.passed
            eventually(lambda: proxy.passed > said, "the promise is made, with a PING")
            proxy.freeze()
            # Whoever comes is refused, and does not come again, until the first is given up.
            eventually(lambda: peer(pair.endpoint, "near") and heard(pair), "the place is free")
    finally:
        pair.kill()


def test_an_endpoint_finds_by_its_heartbeat_that_its_peer_has_vanished(node):
    connections = lambda: metric(node, "posthouse_zmtp_connections_count")
    _, address = doors.declare(node, "PAIR", pair="two", heartbeat_ms=100, heartbeat_timeout_ms=500)
    with zmq.Context() as context, Proxy(address.removeprefix("tcp://")) as proxy:
        with context.socket(zmq.PAIR) as far, context.socket(zmq.PAIR) as near:
            far.linger = near.linger = 0
            far.connect(f"tcp://{proxy.address}")
            eventually(lambda: connections() == 1, "it is there")
            said = proxy.passed
            # Ten answers, of nine bytes at least: more than would end it if it did not answer.
            eventually(lambda: proxy.passed - said > 90, "it answers")
            proxy.freeze()
            eventually(lambda: connections() == 0, "the one that is gone is given up")
            near.connect(address)
            eventually(lambda: connections() == 1, "its place is free")


def heard(peer):
    try:
        return peer.lines.get(timeout=0.1)
    except Empty:
        return None


def test_a_websocket_whose_peer_has_vanished_is_found_by_its_heartbeat(tmp_path):
    with own_node(tmp_path, "--set", "http.event_heartbeat=100ms") as node, ExitStack() as stack:
        proxy = stack.enter_context(Proxy(node.addresses["http"]))
        near = stack.enter_context(doors.WebSocketSubscriber(node, "news"))
        far = stack.enter_context(raw.connect(proxy.address))
        far.sendall(raw.WebSocket.greeting("news"))
        raw.read_until(far, raw.WebSocket.ready)
        for _ in range(10):  # more than would end it if it did not answer
            raw.read_until(far, b"\x89")
            far.sendall(raw.websocket_frame(10, b""))
        assert subscriptions(node, "news") == 2
        proxy.freeze()
        eventually(lambda: subscriptions(node, "news") == 1, "the one that is gone is given up")
        with doors.RedisPublisher(node, "news") as mouth:
            mouth.write(Record(None, b"still here"))
        assert near.read(1)[0].value == b"still here"


def say(connection, op, **members):
    """One WebSocket frame with an answer, which is awaited."""
    connection.sendall(raw.websocket_frame(1, json.dumps({"op": op, "id": 1, **members}).encode()))
    raw.read_until(connection, raw.WebSocket.ready)


def test_who_waits_for_a_vanished_peer_is_told_so(tmp_path):
    with own_node(tmp_path, "--set", "http.event_heartbeat=100ms") as node, ExitStack() as stack:
        proxy = stack.enter_context(Proxy(node.addresses["http"]))
        near, far = (stack.enter_context(raw.connect(to)) for to in (node.addresses["http"], proxy.address))
        for one in (near, far):
            one.sendall(raw.UPGRADE)
            raw.read_until(one, b"\r\n\r\n")
        say(far, "serve", service="double")
        say(far, "pair", pair="two")
        say(near, "pair", pair="two")
        answers = []
        client = threading.Thread(target=lambda: answers.append(
            requests.post(f"{node.http}/services/double", params={"deadline_ms": 600_000}, data=b"ab", timeout=LIMIT)))
        client.start()
        raw.read_until(far, b'"op":"request"')
        proxy.freeze()
        # The client of its service, and the other one of its pair.
        heard = b""
        while b'"op":"left"' not in heard:
            heard += near.recv(65536)
            near.sendall(raw.websocket_frame(10, b""))  # it is there, unlike the other
        client.join()
        assert (answers[0].status_code, answers[0].json()["code"]) == (502, "worker_lost")


KEEPALIVE_TIMER = "02"


@pytest.mark.parametrize("door", ["kafka", "redis", "http", "postgres"])
def test_the_system_asks_after_the_peer_of_a_silent_connection(shared_node, door):
    with raw.connect(shared_node.addresses[door]) as connection:
        ours, theirs = connection.getsockname()[1], connection.getpeername()[1]

        def timer():
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
                _, local, remote, _, _, timer, *_ = line.split()
                if (int(local[-4:], 16), int(remote[-4:], 16)) == (theirs, ours):
                    return timer.split(":")[0]

        eventually(lambda: timer() == KEEPALIVE_TIMER, "the keepalive timer of the node's socket")
