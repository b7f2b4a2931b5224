"""Programs written for the real thing, each of their parts replaced by Posthouse in turn.

ZeroMQ programs of zeromq.js and JeroMQ with `posthouse zmq` in one of the parts, or a node between the
parts (pyzmq's are in `test_zmtp.py` and `test_zeromq_door.py`), PLAIN and CURVE included; and a redis-py publisher with a subscriber that filters
channels, of which either speaks another protocol.
"""

import itertools
import threading
import time
from contextlib import ExitStack
from queue import Empty

import pytest
import zmq
from clients import Record, doors
from clients.watch import eventually
from clients.zmq_peers import FOREIGN, JeroMq, Ours, ZeromqJs

LIMIT_SECONDS = 30
ANYWHERE = "tcp://127.0.0.1:0"

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", autouse=True)
def _prepared(tmp_path_factory):
    for kind in FOREIGN:
        kind.prepare(tmp_path_factory.mktemp(kind.name))


@pytest.fixture
def start():
    """Starts a peer; all are ended with the test."""
    with ExitStack() as stack:
        def started(implementation, kind, *flags, **where):
            peer = implementation(kind, *flags, **where)
            stack.callback(peer.kill)
            return peer
        yield started


def each_part_replaced(*parts):
    """The parts of a program as they are cast: all of one implementation, but one part of ours."""
    return pytest.mark.parametrize("cast", [
        pytest.param({part: Ours if part == ours else foreign for part in parts}, id=f"{foreign.name}-{ours}")
        for foreign, ours in itertools.product(FOREIGN, parts)])


@each_part_replaced("binder", "connecter")
def test_a_pair(start, cast):
    binder = start(cast["binder"], "pair", bind=ANYWHERE)
    connecter = start(cast["connecter"], "pair", connect=[binder.endpoint])
    for number in range(20):
        connecter.say(f"ping {number}")
        assert binder.hear() == f"ping {number}"
        binder.say(f"pong {number}")
        assert connecter.hear() == f"pong {number}"


@each_part_replaced("server", "client")
def test_a_service_with_several_clients(start, cast):
    server = start(cast["server"], "rep", "--echo", bind=ANYWHERE)
    clients = [start(cast["client"], "req", connect=[server.endpoint]) for _ in range(3)]
    for name, client in enumerate(clients):
        client.say(*[f"{name} {number}" for number in range(20)])
    for name, client in enumerate(clients):
        assert [client.hear() for _ in range(20)] == [f"{name} {number}" for number in range(20)]
    heard = [server.hear() for _ in range(60)]
    for name in range(3):
        assert [one for one in heard if one.startswith(f"{name} ")] == [f"{name} {n}" for n in range(20)]


@each_part_replaced("publisher", "subscriber")
def test_one_subscriber_with_a_prefix_of_two_publishers(start, cast):
    publishers = [start(cast["publisher"], "pub", "--peers", "1", bind=ANYWHERE) for _ in range(2)]
    subscriber = start(cast["subscriber"], "sub", "--subscribe", "news",
                       connect=[publisher.endpoint for publisher in publishers])
    for name, publisher in enumerate(publishers):
        for number in range(20):
            publisher.say(f"sport {name} {number}", f"news {name} {number}")
    heard = [subscriber.hear() for _ in range(40)]
    for name in range(2):
        # Nothing but news, and each publisher's in its order.
        assert [one for one in heard if one.startswith(f"news {name}")] == [f"news {name} {n}" for n in range(20)]


@each_part_replaced("producer", "worker", "collector")
def test_a_pipeline(start, cast):
    producer = start(cast["producer"], "push", bind=ANYWHERE)
    collector = start(cast["collector"], "pull", bind=ANYWHERE)
    workers = [(start(cast["worker"], "pull", connect=[producer.endpoint]),
                start(cast["worker"], "push", connect=[collector.endpoint])) for _ in range(2)]
    over = threading.Event()

    def work(inlet, outlet):
        while not over.is_set():
            try:
                outlet.say(f"done {inlet.lines.get(timeout=0.05)}")
            except Empty:
                pass

    threads = [threading.Thread(target=work, args=worker) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        producer.say(*map(str, range(100)))
        assert {collector.hear() for _ in range(100)} == {f"done {number}" for number in range(100)}
    finally:
        over.set()
        for thread in threads:
            thread.join()


PLAIN = ["--plain-username", "admin", "--plain-password", "secret"]


@each_part_replaced("server", "client")
def test_plain(start, cast):
    server = start(cast["server"], "rep", "--echo", "--plain-server", *PLAIN, bind=ANYWHERE)
    client = start(cast["client"], "req", *PLAIN, connect=[server.endpoint])
    client.say("hello")
    assert (client.hear(), server.hear()) == ("hello", "hello")


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: foreign.name)
def test_plain_with_a_wrong_password(start, foreign):
    server = start(Ours, "pull", "--plain-server", *PLAIN, bind=ANYWHERE)
    wrong = start(foreign, "push", "--plain-username", "admin", "--plain-password", "guess", connect=[server.endpoint])
    wrong.say("not let in")
    right = start(foreign, "push", *PLAIN, connect=[server.endpoint])
    right.say("let in")
    assert server.hear() == "let in"
    server.hear_nothing()


def curve_keys():
    """A public and a secret key; one that begins with a hyphen looks like a flag to other peers' parsers."""
    while True:
        keys = [key.decode() for key in zmq.curve_keypair()]
        if not any(key.startswith("-") for key in keys):
            return keys


def curve_flags(implementation, keys):
    """`posthouse zmq` derives the public key; the others want it told."""
    public, secret = keys
    flags = ["--curve-secret-key", secret]
    return flags if implementation is Ours else [*flags, "--curve-public-key", public]


@each_part_replaced("server", "client")
def test_curve(start, cast):
    server_keys, client_keys = curve_keys(), curve_keys()
    server = start(cast["server"], "rep", "--echo", "--curve-server", *curve_flags(cast["server"], server_keys),
                   bind=ANYWHERE)
    client = start(cast["client"], "req", "--curve-server-key", server_keys[0],
                   *curve_flags(cast["client"], client_keys), connect=[server.endpoint])
    for text in ("hello", "x" * 100_000, "again"):
        client.say(text)
        assert (client.hear(), server.hear()) == (text, text)


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda foreign: foreign.name)
def test_curve_with_a_key_that_is_not_allowed(start, foreign):
    server_keys, stranger, friend = curve_keys(), curve_keys(), curve_keys()
    server = start(Ours, "pull", "--curve-server", "--curve-secret-key", server_keys[1],
                   "--curve-allow", friend[0], bind=ANYWHERE)
    for keys, text in ((stranger, "not let in"), (friend, "let in")):
        client = start(foreign, "push", "--curve-server-key", server_keys[0], *curve_flags(foreign, keys),
                       connect=[server.endpoint])
        client.say(text)
    assert server.hear() == "let in"
    server.hear_nothing()


def test_zeromqjs_and_jeromq_with_ours_between_them(start):
    """A pipeline of three implementations."""
    ours_in, ours_out = start(Ours, "pull", bind=ANYWHERE), start(Ours, "push", bind=ANYWHERE)
    first = start(ZeromqJs, "push", connect=[ours_in.endpoint])
    last = start(JeroMq, "pull", connect=[ours_out.endpoint])
    first.say(*map(str, range(50)))
    for _ in range(50):
        ours_out.say(ours_in.hear())
    assert [last.hear() for _ in range(50)] == list(map(str, range(50)))


# The node between them: endpoints of the ZeroMQ door.

@pytest.fixture
def endpoint(shared_node):
    """Declares an endpoint, which is gone with the test; gives its address."""
    with ExitStack() as stack:
        def declared(socket, **settings):
            name, address = doors.declare(shared_node, socket, **settings)
            stack.callback(doors.undeclare, shared_node, name)
            return address
        yield declared


every_implementation = pytest.mark.parametrize("peer", FOREIGN, ids=lambda peer: peer.name)


@every_implementation
def test_a_pair_with_the_node_between_them(start, endpoint, topic, peer):
    one, other = [start(peer, "pair", connect=[endpoint("PAIR", pair=topic)]) for _ in range(2)]
    for number in range(20):
        one.say(f"ping {number}")
        assert other.hear() == f"ping {number}"
        other.say(f"pong {number}")
        assert one.hear() == f"pong {number}"


@every_implementation
def test_clients_and_workers_with_a_service_between_them(start, endpoint, topic, peer):
    at_workers = endpoint("DEALER", service=topic)
    at_clients = endpoint("ROUTER", service=topic, when_absent="wait")
    workers = [start(peer, "rep", "--echo", connect=[at_workers]) for _ in range(2)]
    clients = [start(peer, "req", connect=[at_clients]) for _ in range(3)]
    for name, client in enumerate(clients):
        client.say(*[f"{name} {number}" for number in range(20)])
    for name, client in enumerate(clients):
        assert [client.hear() for _ in range(20)] == [f"{name} {number}" for number in range(20)]
    eventually(lambda: sum(worker.lines.qsize() for worker in workers) >= 60, "all was done by a worker")
    done = [line for worker in workers for line in worker.lines.queue]
    assert sorted(done) == sorted(f"{name} {number}" for name in range(3) for number in range(20))


@every_implementation
def test_a_subscriber_of_two_publishers_with_a_channel_between_them(start, endpoint, topic, peer):
    publishers = [start(peer, "pub", "--peers", "1", bind=ANYWHERE) for _ in range(2)]
    endpoint("SUB", channel=topic, bind=[], connect=[one.endpoint for one in publishers], subscribe=["news"])
    subscriber = start(peer, "sub", "--subscribe", "news 0", "--subscribe", "news 1",
                       connect=[endpoint("PUB", channel=topic)])
    # A subscription travels by itself: what is said until it has arrived is not heard.
    for number in itertools.count():
        publishers[0].say(f"news 0 {number}")
        try:
            heard = subscriber.lines.get(timeout=0.05)
            break
        except Empty:
            assert number < LIMIT_SECONDS * 20, "nothing arrives"
    while heard != f"news 0 {number}":
        heard = subscriber.hear()
    for number in range(number + 1, number + 21):
        publishers[0].say(f"sport {number}", f"news 2 {number}", f"news 0 {number}")
        assert subscriber.hear() == f"news 0 {number}"
        publishers[1].say(f"sport {number}", f"news 1 {number}")
        assert subscriber.hear() == f"news 1 {number}"


@every_implementation
def test_a_pipeline_with_a_work_queue_between_them(start, endpoint, topic, peer):
    producer = start(peer, "push", connect=[endpoint("PULL", topic=topic)])
    at_workers = endpoint("PUSH", queue=topic, group="workers")
    workers = [start(peer, "pull", connect=[at_workers]) for _ in range(2)]
    producer.say(*map(str, range(100)))
    done, deadline = set(), time.monotonic() + LIMIT_SECONDS
    while len(done) < 100:
        assert time.monotonic() < deadline, f"only {len(done)} jobs came"
        for worker in workers:
            try:
                done.add(int(worker.lines.get(timeout=0.01)))
            except Empty:
                pass
    assert done == set(range(100))


@every_implementation
def test_curve_with_the_node(start, endpoint, topic, peer):
    node_keys, producer_keys, stranger = curve_keys(), curve_keys(), curve_keys()
    address = endpoint("PULL", channel=topic, mechanism="curve", curve_secret_key=node_keys[1],
                       curve_allow=[producer_keys[0]])
    heard = start(peer, "pull", connect=[endpoint("PUSH", channel=topic)])
    for keys, text in ((stranger, "not let in"), (producer_keys, "let in")):
        start(peer, "push", "--curve-server-key", node_keys[0], *curve_flags(peer, keys), connect=[address]).say(text)
    assert heard.hear() == "let in"
    heard.hear_nothing()


# Redis: a publisher, and a subscriber that filters channels.

class RedisFilter(doors.RedisSubscriber):
    """The subscriber as redis-py has it: `psubscribe`."""

    def begin(self):
        client = self.open.enter_context(doors.redis.Redis(**self.node.redis))
        self.subscription = self.open.enter_context(client.pubsub())
        self.subscription.psubscribe(self.channel + "*")
        assert self.subscription.get_message(timeout=LIMIT_SECONDS)["type"] == "psubscribe"

    def next(self):
        message = self.subscription.get_message(timeout=LIMIT_SECONDS)
        assert message is not None and message["type"] == "pmessage", message
        return message["data"]


class WebSocketFilter(doors.WebSocketSubscriber):
    def pattern(self):
        return {"glob": self.channel + "*"}


class EventsFilter(doors.EventStream):
    query = "?match=prefix"


@pytest.mark.parametrize("subscriber", [RedisFilter, WebSocketFilter, EventsFilter], ids=lambda door: door.name)
@pytest.mark.parametrize("publisher", doors.LIVE_WRITERS, ids=lambda door: door.name)
def test_a_subscriber_hears_the_channels_that_it_filters(shared_node, topic, publisher, subscriber):
    with ExitStack() as stack:
        ear = stack.enter_context(subscriber(shared_node, f"{topic}.news."))
        mouths = [stack.enter_context(publisher(shared_node, f"{topic}.{channel}"))
                  for channel in ("news.eu", "sport.eu", "news.us")]
        for number in range(20):
            for mouth in mouths:
                mouth.write(Record(None, f"{mouth.channel} {number}".encode()))
        heard = [record.value.decode() for record in ear.read(40)]
        for mouth in mouths:
            wanted = [f"{mouth.channel} {number}" for number in range(20)] if "news" in mouth.channel else []
            assert [one for one in heard if one.startswith(mouth.channel)] == wanted
