"""What goes wrong between live peers: workers killed, subscribers that stall, crowds, storms, noise, silence.

Each is on every live door where it can happen. Memory is the node's resident size; what a door does to
a peer shows in `/metrics`; and whoever behaves is not disturbed.
"""

import json
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty

import pytest
import redis
import requests
import zmq
from clients import Record, doors, raw
from clients.proxy import Proxy
from clients.zmq_peers import Ours
from posthouse_node import Node

LIMIT = 30  # seconds for what must come
MEBIBYTE = 1 << 20
CROWD = 10_000
BYTES_EACH = {"redis": 16 * 1024, "websocket": 64 * 1024, "events": 64 * 1024}  # of an idle subscriber
BY_KIND = {"redis": doors.RedisSubscriber, "websocket": doors.WebSocketSubscriber, "events": doors.EventStream}

pytestmark = pytest.mark.timeout(180)
every_kind = pytest.mark.parametrize("kind", raw.KINDS, ids=lambda kind: kind.name)


def eventually(condition, what):
    """Waits until a condition holds; its last value is shown if it never does."""
    deadline = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: still {value!r} after {LIMIT} s"
        time.sleep(0.01)


def resident(node):
    """Bytes of memory that the process of a node or peer has."""
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def metric(node, name, **labels):
    """A metric, summed over the label sets that have these labels."""
    total = 0.0
    for line in requests.get(f"{node.http}/metrics", timeout=LIMIT).text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{key}="{want}"' in series for key, want in labels.items()):
            total += float(value)
    return total


def subscriptions(node, channel):
    """How many subscriptions a channel has, in all doors."""
    with redis.Redis(**node.redis) as client:
        (_, count), = client.pubsub_numsub(channel)
        return count


@contextmanager
def own_node(directory, *flags):
    node = Node(directory, *flags).start()
    try:
        yield node
        assert node.process.poll() is None, node.log()
        assert node.stop() == 0, node.log()
        assert "panicked" not in node.log()
    finally:
        if node.process.poll() is None:
            node.kill()


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
        ear = stack.enter_context(BY_KIND[kind.name](node, "news"))
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
    before = resident(shared_node)
    with raw.connect(shared_node.addresses["http"], receive_buffer=65536) as deaf:
        deaf.sendall(raw.UPGRADE)
        raw.read_until(deaf, b"\r\n\r\n")
        deaf.settimeout(2)
        said = 0
        # Ended by the node's reading no more, which 100,000 of them would not be.
        try:
            for said in range(100_000):
                publish = {"op": "publish", "channel": topic, "value": "x" * 1000, "id": said}
                deaf.sendall(raw.websocket_frame(1, json.dumps(publish).encode()))
        except TimeoutError:
            pass
        assert said < 99_999, "the node goes on reading"
        assert resident(shared_node) - before < 32 * MEBIBYTE
        deaf.settimeout(LIMIT)
        raw.read_until(deaf, b'"id":%d' % (said - 1))


# Crowds and storms.

@contextmanager
def many_files():
    """Lets this process, and a node that it starts, open as many files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CROWD + 2000:
        pytest.skip(f"the system allows {hard} open files, and this needs {CROWD + 2000}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@every_kind
def test_ten_thousand_subscribers_hear_what_is_published(tmp_path, kind):
    with many_files(), own_node(tmp_path, "--set", f"http.connections_max={CROWD + 100}") as node, ExitStack() as stack:
        for _ in range(100):
            raw.subscribe(node, kind, "news").close()
        before = resident(node)
        crowd = []
        for _ in range(CROWD // 500):
            # All greet before any is answered.
            some = [stack.enter_context(raw.connect(node.addresses[kind.door])) for _ in range(500)]
            for one in some:
                one.sendall(kind.greeting("news"))
            for one in some:
                raw.read_until(one, kind.ready)
            crowd += some
        each = (resident(node) - before) / CROWD
        print(f"{kind.name}: {each / 1024:.1f} KiB of memory for each of {CROWD} idle subscribers")
        assert each < BYTES_EACH[kind.name]
        assert metric(node, "posthouse_broker_live_subscribers_count") == CROWD
        with redis.Redis(**node.redis) as client:
            assert client.publish("news", "hello, everyone") == CROWD
        for one in crowd:
            raw.read_until(one, b"hello, everyone")
        for one in crowd:
            raw.vanish(one)
        eventually(lambda: metric(node, "posthouse_broker_live_subscribers_count") == 0, "subscribers are gone")
        eventually(lambda: metric(node, "posthouse_connections_open", door=kind.door) <= 1, "connections are closed")


@every_kind
def test_a_storm_of_reconnections_leaves_nothing_behind(node, kind):
    def storm(count):
        for _ in range(count):
            connection = raw.subscribe(node, kind, "news")
            raw.vanish(connection)

    def weather():
        threads = [threading.Thread(target=storm, args=[250]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: metric(node, "posthouse_broker_live_subscribers_count") == 0, "subscribers are gone")
        eventually(lambda: metric(node, "posthouse_connections_open", door=kind.door) <= 1, "connections are closed")

    weather()
    before = resident(node)
    weather()
    weather()
    assert resident(node) - before < 16 * MEBIBYTE
    with BY_KIND[kind.name](node, "news") as ear, doors.HttpPublisher(node, "news") as mouth:
        mouth.write(Record(None, b"after the storm"))
        assert ear.read(1)[0].value == b"after the storm"


# Noise.

def frames_of_noise():
    """What no WebSocket client may send; each ends the connection, and takes no memory."""
    frame = raw.websocket_frame
    return {
        "no mask": b"\x81\x05hello",
        "a reserved opcode": frame(3, b"x"),
        "reserved bits": b"\xf1\x80\0\0\0\0",
        "a continuation of nothing": frame(0, b"x"),
        "a ping of two fragments": frame(9, b"x", fin=False),
        "a ping of 126 bytes": frame(9, b"x" * 126),
        "text that is none": frame(1, b"\xff\xfe"),
        "a length of 2^63": b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0" + b"x" * 1000,
        "a length of 16 GiB": b"\x82\xff" + (16 << 30).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 1000,
        "a close of one byte": frame(8, b"x"),
    }


@pytest.mark.parametrize("name", frames_of_noise())
def test_a_frame_that_is_none_ends_its_websocket_only(shared_node, topic, name):
    with BY_KIND["websocket"](shared_node, topic) as ear:
        before = resident(shared_node)
        for _ in range(20):
            with raw.subscribe(shared_node, raw.WebSocket, "noise") as connection:
                connection.sendall(frames_of_noise()[name])
                raw.read_to_end(connection)
        assert resident(shared_node) - before < 16 * MEBIBYTE
        with doors.HttpPublisher(shared_node, topic) as mouth:
            mouth.write(Record(None, b"still here"))
        assert ear.read(1)[0].value == b"still here"
    eventually(lambda: subscriptions(shared_node, "noise") == 0, "the noisy ones are gone")


def test_a_websocket_message_that_is_too_large_is_refused_in_pieces_too(shared_node):
    piece = b"x" * MEBIBYTE
    before = resident(shared_node)
    for _ in range(3):
        with raw.subscribe(shared_node, raw.WebSocket, "noise") as connection:
            with pytest.raises(OSError):
                # 64 MiB where 16 are allowed: the node hangs up long before the end.
                for number in range(64):
                    connection.sendall(raw.websocket_frame(0 if number else 2, piece, fin=False))
    assert resident(shared_node) - before < 40 * MEBIBYTE


@pytest.mark.parametrize("door", ["redis", "http"])
def test_random_bytes_leave_a_live_door_open(shared_node, topic, door):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    noise = random.Random(seed)
    kind = raw.Redis if door == "redis" else raw.WebSocket
    with BY_KIND[kind.name](shared_node, topic) as ear:
        before = resident(shared_node)
        for number in range(200):
            with raw.connect(shared_node.addresses[door]) as connection:
                if number % 2:
                    # In the middle of a conversation.
                    connection.sendall(kind.greeting("noise"))
                    raw.read_until(connection, kind.ready)
                raw.shout(connection, noise.randbytes(noise.randrange(1, 8192)))
        assert resident(shared_node) - before < 32 * MEBIBYTE
        with doors.HttpPublisher(shared_node, topic) as mouth:
            mouth.write(Record(None, b"still here"))
        assert ear.read(1)[0].value == b"still here"
    assert "panicked" not in shared_node.log()


NULL_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x04PUSH"
ZMTP_NOISE = {
    "no signature": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(64),
    "an unknown mechanism": NULL_GREETING.replace(b"NULL", b"LLUN") + READY,
    "half a greeting": NULL_GREETING[:20],
    "a message before READY": NULL_GREETING + b"\0\x05hello",
    "a READY that is cut short": NULL_GREETING + b"\x04\x06\x05READY"[:-1] + b"\xff",
    "an unknown socket type": NULL_GREETING + READY.replace(b"PUSH", b"PULP"),
    "a type that does not fit": NULL_GREETING + READY.replace(b"PUSH", b"PULL"),
    "reserved flags": NULL_GREETING + READY + b"\xf8\x05hello",
    "a frame of 2^64-1 bytes": NULL_GREETING + READY + b"\x02" + b"\xff" * 8 + b"x" * 1000,
    "a frame of 2^63-1 bytes": NULL_GREETING + READY + b"\x02\x7f" + b"\xff" * 7 + b"x" * 1000,
    "a frame of 16 GiB": NULL_GREETING + READY + b"\x02" + (16 << 30).to_bytes(8, "big") + b"x" * 1000,
    "a frame of 512 MiB that does not come": NULL_GREETING + READY + b"\x02" + (512 << 20).to_bytes(8, "big") + b"x" * 1000,
    "a command of 1 GiB": NULL_GREETING + READY + b"\x06" + (1 << 30).to_bytes(8, "big") + b"x" * 1000,
    "a ping without its time": NULL_GREETING + READY + b"\x04\x05\x04PING",
}


@pytest.fixture
def puller():
    """`posthouse zmq pull`, which stands for every socket of lib/zmtp."""
    peer = Ours("pull", bind="tcp://127.0.0.1:0")
    yield peer
    peer.kill()


def still_pulls(puller, text):
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(puller.endpoint)
        socket.send_string(text)
        assert puller.hear() == text


@pytest.mark.parametrize("name", ZMTP_NOISE)
def test_what_is_no_zmtp_ends_its_connection_only(puller, name):
    still_pulls(puller, "before")
    before = resident(puller)
    for _ in range(20):
        with raw.connect(puller.endpoint.removeprefix("tcp://")) as connection:
            raw.shout(connection, ZMTP_NOISE[name])
    assert resident(puller) - before < 16 * MEBIBYTE
    still_pulls(puller, "after")


def test_random_bytes_leave_a_zmtp_socket_open(puller):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    noise = random.Random(seed)
    still_pulls(puller, "before")
    before = resident(puller)
    for number in range(200):
        with raw.connect(puller.endpoint.removeprefix("tcp://")) as connection:
            prefix = (b"", NULL_GREETING, NULL_GREETING + READY)[number % 3]
            raw.shout(connection, prefix + noise.randbytes(noise.randrange(1, 8192)))
    assert resident(puller) - before < 16 * MEBIBYTE
    said = f"after {seed}"
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(puller.endpoint)
        socket.send_string(said)
        # Noise may contain messages; nothing is known of those.
        while puller.hear() != said:
            pass


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
