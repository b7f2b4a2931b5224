"""Ten thousand subscribers at once, and a thousand that come and go: what they cost, and what they leave."""

import resource
import select
import threading
from contextlib import ExitStack, contextmanager

import pytest
import redis
from clients import Record, doors, raw
from clients.watch import eventually, metric, own_node, resident

MEBIBYTE = 1 << 20
CROWD = 10_000
BYTES_EACH = {"redis": 16 * 1024, "websocket": 40 * 1024, "events": 40 * 1024, "zeromq": 40 * 1024}  # of an idle subscriber

pytestmark = pytest.mark.timeout(180)
every_kind = pytest.mark.parametrize("kind", raw.KINDS, ids=lambda kind: kind.name)


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


@pytest.mark.parametrize("kept", [False, True], ids=["channel", "topic"])
@every_kind
def test_ten_thousand_subscribers_hear_what_is_published(tmp_path, kind, kept):
    with many_files(), own_node(tmp_path, "--set", f"http.connections_max={CROWD + 100}") as node, ExitStack() as stack:
        if kept:
            node.cli("topic", "create", "news")
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


def test_ten_thousand_zeromq_subscribers_hear_what_is_published(tmp_path):
    with many_files(), own_node(tmp_path) as node, ExitStack() as stack:
        _, address = doors.declare(node, "PUB", channel="news")
        before = resident(node)
        crowd = {}
        for _ in range(CROWD // 100):
            some = [stack.enter_context(raw.connect(address.removeprefix("tcp://"))) for _ in range(100)]
            for one in some:
                # It subscribes to everything, as a message, which is libzmq's way.
                one.sendall(raw.ZMTP_GREETING + raw.zmtp_ready(b"SUB") + b"\0\1\1")
            for one in some:
                raw.read_until(one, b"\x05READY")
            crowd.update((one.fileno(), one) for one in some)
        each = (resident(node) - before) / CROWD
        print(f"zeromq: {each / 1024:.1f} KiB of memory for each of {CROWD} idle subscribers")
        assert each < BYTES_EACH["zeromq"]
        assert metric(node, "posthouse_zmtp_connections_count") == CROWD
        # A subscription travels by itself: who has not been heard of yet misses a message.
        waiting, poll = dict(crowd), select.poll()
        for number in waiting:
            poll.register(number, select.POLLIN)
        with doors.RedisPublisher(node, "news") as mouth:
            def all_have_heard():
                mouth.write(Record(None, b"hello, everyone"))
                for number, _ in poll.poll(1000):
                    raw.read_until(waiting.pop(number), b"hello, everyone")
                    poll.unregister(number)
                return not waiting
            eventually(all_have_heard, "everyone has heard")
        for one in crowd.values():
            raw.vanish(one)
        eventually(lambda: metric(node, "posthouse_zmtp_connections_count") == 0, "connections are closed")


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
    with kind.reader(node, "news") as ear, doors.HttpPublisher(node, "news") as mouth:
        mouth.write(Record(None, b"after the storm"))
        assert ear.read(1)[0].value == b"after the storm"
