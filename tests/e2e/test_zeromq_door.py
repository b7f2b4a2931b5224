"""The ZeroMQ door: libzmq programs (pyzmq) in front of topics, channels, queues, services and pairs.

A test per row of the matrix in docs/doors/zeromq.md, and what is read back is compared frame by frame.
Nothing waits for a fixed time: what must come is waited for, and what must not come is told by what
comes after it.
"""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
import redis
import requests
import zmq
from confluent_kafka import Consumer, Producer, TopicPartition
from posthouse_node import Node
from zmq.utils.monitor import recv_monitor_message

LIMIT_SECONDS = 30
LIMIT_MS = LIMIT_SECONDS * 1000
TCP = "tcp://127.0.0.1:0"
MULTIPARTS = [
    [b"single"],
    [b""],
    [b"key", b"value"],
    [b"", b"value"],
    [b"key", b""],
    [b"\x00\xff", b"", b"between", b"\r\n", b"\xfe" * 70_000],
]

pytestmark = pytest.mark.timeout(150)


def eventually(check, what):
    """What `check` gives once it gives something."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {what}"
        time.sleep(0.02)


def call(node, method, path, body=None):
    return requests.request(method, node.http + path, json=body, timeout=LIMIT_SECONDS)


def describe(node, name):
    return call(node, "GET", f"/endpoints/{name}").json()


def metric(node, name, **labels):
    """A counter, summed over the series that have these labels."""
    total = 0.0
    for line in call(node, "GET", "/metrics").text.splitlines():
        if line.startswith(name + "{") or line.startswith(name + " "):
            if all(f'{label}="{value}"' in line for label, value in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
    return total


def records(node, topic, count):
    """The first records of a topic, as a Kafka client reads them: (key, value, headers)."""
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "unused"})

    def partitions():
        found = consumer.list_topics(timeout=LIMIT_SECONDS).topics.get(topic)
        return found and found.partitions

    parts = eventually(partitions, f"there is a topic {topic}")
    consumer.assign([TopicPartition(topic, index, 0) for index in parts])
    found = []
    deadline = time.monotonic() + LIMIT_SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records in {topic}: {found[-3:]}"
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            found.append((message.key(), message.value(), message.headers() or []))
    consumer.close()
    return found


def frames_of(record):
    """A record's frames, by the mapping that the documentation states."""
    key, value, headers = record
    between = [value for name, value in headers if name == "zmq.frame"]
    return [value] if key is None else [key, *between, value]


@pytest.fixture
def libzmq():
    """Sockets of libzmq, all in one context and closed at the end: one that nobody holds would take
    with it what it has not sent."""
    context = zmq.Context()
    held = []

    def socket(kind, *connect, **options):
        made = context.socket(kind)
        made.linger = 0
        made.rcvtimeo = made.sndtimeo = LIMIT_MS
        for name, value in options.items():
            setattr(made, name, value)
        for address in connect:
            made.connect(address)
        held.append(made)
        return made

    yield socket
    context.destroy(linger=0)


@pytest.fixture
def endpoint(shared_node, topic):
    """Makes endpoints of the shared node that are gone at the end; gives their first address."""
    made = []

    def make(socket, node=shared_node, **settings):
        name = f"e-{topic}-{len(made)}"
        settings.setdefault("bind", TCP)
        answer = call(node, "POST", "/endpoints", {"name": name, "socket": socket, **settings})
        assert answer.status_code == 201, answer.text
        body = answer.json()
        assert body["state"] == "running", body
        made.append((node, name))
        make.name = name
        return body["addresses"][0]

    yield make
    for node, name in made:
        if node.process.poll() is None:
            call(node, "DELETE", f"/endpoints/{name}")


def subscribed(node, name, publish, subscriber):
    """Publishes until something arrives: a subscription travels by itself. Gives what arrived."""
    subscriber.rcvtimeo = 50
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        publish()
        try:
            heard = subscriber.recv_multipart()
            subscriber.rcvtimeo = LIMIT_MS
            return heard
        except zmq.Again:
            assert time.monotonic() < deadline, f"nothing arrived: {describe(node, name)}"


def hear_until(subscriber, last, skip):
    """What arrives up to `last`, without `skip`, which told that the subscription stands."""
    heard = []
    while True:
        message = subscriber.recv_multipart()
        if message == last:
            return heard
        if message != skip:
            heard.append(message)


# PULL, SUB and XSUB into topics and channels.


def test_pull_into_a_topic_keeps_every_frame(shared_node, endpoint, libzmq, topic):
    push = libzmq(zmq.PUSH, endpoint("PULL", topic=topic))
    for message in MULTIPARTS:
        push.send_multipart(message)
    found = records(shared_node, topic, len(MULTIPARTS))
    assert sorted(map(frames_of, found)) == sorted(MULTIPARTS)
    key, value, headers = next(record for record in found if len(frames_of(record)) == 5)
    assert (key, len(value)) == (b"\x00\xff", 70_000)
    assert headers == [("zmq.frame", b""), ("zmq.frame", b"between"), ("zmq.frame", b"\r\n")]
    assert describe(shared_node, endpoint.name)["received"] == len(MULTIPARTS)


def test_each_publishers_order_is_kept_in_a_topic_of_many_partitions(
    shared_node, endpoint, libzmq, topic
):
    assert call(shared_node, "POST", "/topics", {"name": topic, "partitions": 5}).ok
    address = endpoint("PULL", topic=topic)
    for publisher in range(3):
        push = libzmq(zmq.PUSH, address)
        for number in range(300):
            push.send(b"%d %d" % (publisher, number))
    by_publisher = {}
    for _, value, _ in records(shared_node, topic, 900):
        publisher, number = map(int, value.split())
        by_publisher.setdefault(publisher, []).append(number)
    assert by_publisher == {publisher: list(range(300)) for publisher in range(3)}


@pytest.mark.parametrize("kind", ["SUB", "XSUB"])
def test_subscribers_take_what_they_subscribed_to(shared_node, endpoint, libzmq, topic, kind):
    # XPUB, so that the test knows when the subscription has come.
    publishers = [libzmq(zmq.XPUB) for _ in range(2)]
    for publisher in publishers:
        publisher.bind("tcp://127.0.0.1:*")
    addresses = [publisher.last_endpoint.decode() for publisher in publishers]
    endpoint(kind, bind=[], connect=addresses, topic=topic, subscribe=["a", "b"])
    for publisher in publishers:
        assert sorted(publisher.recv() for _ in range(2)) == [b"\x01a", b"\x01b"]
    for index, publisher in enumerate(publishers):
        for first in [b"a1", b"c2", b"b3"]:
            publisher.send_multipart([first, b"%d" % index])
    found = [frames_of(record) for record in records(shared_node, topic, 4)]
    assert sorted(found) == [[b"a1", b"0"], [b"a1", b"1"], [b"b3", b"0"], [b"b3", b"1"]]


def test_pull_into_a_channel_reaches_redis_and_is_not_kept(shared_node, endpoint, libzmq, topic):
    listener = redis.Redis(**shared_node.redis).pubsub()
    listener.subscribe(topic)
    assert listener.get_message(timeout=LIMIT_SECONDS)["type"] == "subscribe"
    libzmq(zmq.PUSH, endpoint("PULL", channel=topic)).send(b"\x00live\xff")
    heard = listener.get_message(timeout=LIMIT_SECONDS)
    assert (heard["type"], heard["data"]) == ("message", b"\x00live\xff")
    assert call(shared_node, "GET", f"/topics/{topic}").status_code == 404


def test_what_a_topic_cannot_take_is_counted_and_the_rest_goes_on(
    shared_node, endpoint, libzmq, topic
):
    settings = {"name": topic, "config": {"max.message.bytes": "2000"}}
    assert call(shared_node, "POST", "/topics", settings).ok
    push = libzmq(zmq.PUSH, endpoint("PULL", topic=topic))
    for message in [b"first", b"x" * 5000, b"last"]:
        push.send(message)
    assert [value for _, value, _ in records(shared_node, topic, 2)] == [b"first", b"last"]
    eventually(lambda: describe(shared_node, endpoint.name)["dropped"] == 1, "one is counted")


# PUB and XPUB from topics and channels.


@pytest.mark.parametrize("kind", ["PUB", "XPUB"])
def test_a_topic_is_published_to_prefixes_of_the_first_frame(
    shared_node, endpoint, libzmq, topic, kind
):
    source = endpoint("PULL", topic=topic)
    address = endpoint(kind, topic=topic)
    push = libzmq(zmq.PUSH, source)
    everything, some = libzmq(zmq.SUB, address), libzmq(zmq.SUB, address)
    everything.subscribe(b"")
    some.subscribe(b"key")
    some.subscribe(b"end")
    for subscriber in [everything, some]:
        warm = lambda: push.send_multipart([b"key-warm", b""])  # noqa: E731
        subscribed(shared_node, endpoint.name, warm, subscriber)
    for message in MULTIPARTS:
        push.send_multipart(message)
    push.send(b"end")
    warm = [b"key-warm", b""]
    assert hear_until(everything, [b"end"], warm) == MULTIPARTS
    assert hear_until(some, [b"end"], warm) == [[b"key", b"value"], [b"key", b""]]


def test_a_durable_channel_is_seen_in_the_order_of_its_log(shared_node, endpoint, libzmq, topic):
    """Kafka writes, and a subscriber of ZeroMQ sees it all, in order."""
    assert call(shared_node, "POST", "/topics", {"name": topic, "partitions": 1}).ok
    subscriber = libzmq(zmq.SUB, endpoint("PUB", topic=topic, hwm=100_000), rcvhwm=0)
    subscriber.subscribe(b"")
    producer = Producer({"bootstrap.servers": shared_node.kafka})

    def warm():
        producer.produce(topic, b"warm")
        producer.flush()

    subscribed(shared_node, endpoint.name, warm, subscriber)
    for number in range(1000):
        producer.produce(topic, b"%d" % number, key=b"k")
    producer.produce(topic, b"end")
    producer.flush()
    expected = [[b"k", b"%d" % number] for number in range(1000)]
    assert hear_until(subscriber, [b"end"], [b"warm"]) == expected


def test_a_channel_of_redis_and_http_is_published(shared_node, endpoint, libzmq, topic):
    subscriber = libzmq(zmq.SUB, endpoint("PUB", channel=topic))
    subscriber.subscribe(b"r")
    client = redis.Redis(**shared_node.redis)
    subscribed(shared_node, endpoint.name, lambda: client.publish(topic, b"r-warm"), subscriber)
    client.publish(topic, b"not this")
    client.publish(topic, b"r\x00\xff")
    url = f"{shared_node.http}/channels/{topic}"
    assert requests.post(url, params={"key": "r-key"}, data=b"by http").ok
    client.publish(topic, b"r-end")
    assert hear_until(subscriber, [b"r-end"], [b"r-warm"]) == [[b"r\x00\xff"], [b"r-key", b"by http"]]


def test_a_subscriber_that_does_not_read_is_dropped_for_and_counted(
    shared_node, endpoint, libzmq, topic
):
    address = endpoint("PUB", channel=topic, send_hwm=10)
    slow, quick = libzmq(zmq.SUB, address, rcvhwm=1), libzmq(zmq.SUB, address, rcvhwm=0)
    client = redis.Redis(**shared_node.redis)
    for subscriber in [slow, quick]:
        subscriber.subscribe(b"")
        subscribed(shared_node, endpoint.name, lambda: client.publish(topic, b"warm"), subscriber)
    before = metric(shared_node, "posthouse_zmtp_messages_dropped_total", socket="PUB")

    def dropped():
        # Large ones, so that the kernel's buffers do not hold them all; one at a time, so that
        # whoever reads is never at its mark.
        client.publish(topic, b"x" * 500_000)
        while quick.recv() == b"warm":
            pass
        return metric(shared_node, "posthouse_zmtp_messages_dropped_total", socket="PUB") > before

    eventually(dropped, "drops for the slow one are counted")


# PUSH from topics, channels and queues.


def test_a_topic_is_handed_out_to_workers_once_each(shared_node, endpoint, libzmq, topic):
    address = endpoint("PUSH", topic=topic, hwm=5)
    workers = [libzmq(zmq.PULL, address, rcvhwm=5) for _ in range(3)]
    eventually(lambda: describe(shared_node, endpoint.name)["peers"] == 3, "all are there")
    producer = Producer({"bootstrap.servers": shared_node.kafka})
    for number in range(200):
        producer.produce(topic, b"%d" % number)
    producer.flush()
    poller = zmq.Poller()
    for worker in workers:
        poller.register(worker, zmq.POLLIN)
    shares = {worker: [] for worker in workers}
    while sum(map(len, shares.values())) < 200:
        ready = poller.poll(LIMIT_MS)
        assert ready, {len(share) for share in shares.values()}
        for worker, _ in ready:
            shares[worker].append(int(worker.recv()))
    assert sorted(sum(shares.values(), [])) == list(range(200))
    assert all(shares.values()), "each had some"


def test_a_work_queue_of_push_goes_on_where_it_was(shared_node, endpoint, libzmq, topic):
    """What the endpoint has handed out is settled: another endpoint on the queue does not repeat it."""
    push = libzmq(zmq.PUSH, endpoint("PULL", topic=topic))
    address = endpoint("PUSH", queue=topic, group="workers")
    name = endpoint.name
    worker = libzmq(zmq.PULL, address)
    for number in range(5):
        push.send(b"%d" % number)
    assert [worker.recv() for _ in range(5)] == [b"%d" % number for number in range(5)]
    worker.close()
    assert call(shared_node, "DELETE", f"/endpoints/{name}").status_code == 204
    again = libzmq(zmq.PULL, endpoint("PUSH", queue=topic, group="workers"))
    push.send(b"next")
    assert again.recv() == b"next"


def test_what_a_dead_worker_had_is_lost_and_counted_and_the_rest_goes_to_the_next(
    shared_node, endpoint, libzmq, topic
):
    address = endpoint("PUSH", topic=topic, hwm=4)
    idle = libzmq(zmq.PULL, address, rcvhwm=1)
    eventually(lambda: describe(shared_node, endpoint.name)["peers"] == 1, "it is there")
    before = metric(shared_node, "posthouse_zmtp_messages_lost_total", socket="PUSH")
    producer = Producer({"bootstrap.servers": shared_node.kafka})
    for number in range(60):
        producer.produce(topic, b"%d " % number + b"x" * 500_000)
        producer.flush()
    # It has at its mark what it will lose: the endpoint waits, and hands out nothing more.
    eventually(lambda: describe(shared_node, endpoint.name)["sent"] >= 4, "it has some")
    idle.close()
    worker = libzmq(zmq.PULL, address)
    heard = [int(worker.recv().split()[0])]
    while heard[-1] != 59:
        heard.append(int(worker.recv().split()[0]))
    assert heard == list(range(heard[0], 60)) and 0 < heard[0] < 60
    assert metric(shared_node, "posthouse_zmtp_messages_lost_total", socket="PUSH") > before


def test_a_channel_is_handed_out(shared_node, endpoint, libzmq, topic):
    worker = libzmq(zmq.PULL, endpoint("PUSH", channel=topic))
    redis.Redis(**shared_node.redis).publish(topic, b"job")
    assert worker.recv() == b"job"


# Workers of queues, whose answer is the acknowledgement.


WORKER = """
import sys, zmq
kind, address = getattr(zmq, sys.argv[1]), sys.argv[2]
socket = zmq.Context().socket(kind)
socket.connect(address)
if kind == zmq.REQ:
    socket.send(b"ready")
print(socket.recv().decode(), flush=True)
sys.stdin.read()
"""


@contextmanager
def doomed_worker(kind, address):
    """A process that takes one job and then does nothing; it is killed in the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, kind, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("door", "worker"), [("ROUTER", "REQ"), ("DEALER", "REP")])
def test_a_job_whose_worker_is_killed_goes_to_another(
    shared_node, endpoint, libzmq, topic, door, worker
):
    push = libzmq(zmq.PUSH, endpoint("PULL", topic=topic))
    address = endpoint(door, queue=topic, group="jobs")
    with doomed_worker(worker, address) as doomed:
        push.send(b"the job")
        assert doomed.stdout.readline() == b"the job\n"
        pending = call(shared_node, "GET", f"/queues/{topic}/jobs/pending").json()
        assert [job["state"] for job in pending] == ["leased"], pending
        doomed.send_signal(signal.SIGKILL)
    survivor = libzmq(getattr(zmq, worker), address)
    if worker == "REQ":
        survivor.send(b"ready")
    assert survivor.recv() == b"the job"
    survivor.send(b"done")

    def settled():
        return call(shared_node, "GET", f"/queues/{topic}/jobs/pending").json() == []

    eventually(settled, "the answer settles the job")
    push.send(b"the next")
    assert survivor.recv() == b"the next"


def test_a_dealer_is_a_worker_with_or_without_the_empty_frame(
    shared_node, endpoint, libzmq, topic
):
    push = libzmq(zmq.PUSH, endpoint("PULL", topic=topic))
    address = endpoint("ROUTER", queue=topic, group="jobs")
    for before in [[], [b""]]:
        worker = libzmq(zmq.DEALER, address)
        worker.send_multipart([*before, b"ready"])
        for job in [[b"one"], [b"key", b"two"]]:
            push.send_multipart(job)
            assert worker.recv_multipart() == [*before, *job]
            worker.send_multipart([*before, b"done"])
        eventually(
            lambda: call(shared_node, "GET", f"/queues/{topic}/jobs/pending").json() == [], "done"
        )
        worker.close()


def test_a_worker_may_fail_a_job_and_reject_one(shared_node, endpoint, libzmq, topic):
    assert call(shared_node, "POST", "/topics", {"name": topic, "partitions": 1}).ok
    assert call(
        shared_node, "POST", f"/queues/{topic}/jobs", {"dead_letter": f"{topic}-dead"}
    ).ok
    push = libzmq(zmq.PUSH, endpoint("PULL", topic=topic))
    worker = libzmq(zmq.REP, endpoint("DEALER", queue=topic, group="jobs"))
    push.send(b"job")
    assert worker.recv() == b"job"
    worker.send_multipart([b"posthouse-error", b"busy", b"not now"])
    assert worker.recv() == b"job", "a failed job comes again"
    worker.send_multipart([b"posthouse-error", b"reject", b"never"])
    assert [value for _, value, _ in records(shared_node, f"{topic}-dead", 1)] == [b"job"]


# Services: clients at REP and ROUTER, workers behind DEALER and ROUTER.


def serve_once(worker, change):
    request = worker.recv_multipart()
    worker.send_multipart(change(request))
    return request


@pytest.mark.parametrize("message", [[b"question"], [b"key", b"", b"\x00value"]])
def test_a_request_goes_through_a_service_and_back(endpoint, libzmq, topic, message):
    client = libzmq(zmq.REQ, endpoint("REP", service=topic, when_absent="wait"))
    worker = libzmq(zmq.REP, endpoint("DEALER", service=topic))
    client.send_multipart(message)
    assert serve_once(worker, lambda request: request[::-1]) == message
    assert client.recv_multipart() == message[::-1]


def test_several_clients_are_answered_as_their_answers_come(endpoint, libzmq, topic):
    address = endpoint("REP", service=topic, when_absent="wait")
    workers = [libzmq(zmq.REP, endpoint("DEALER", service=topic)) for _ in range(2)]
    clients = [libzmq(zmq.REQ, address) for _ in range(2)]
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
    requests_of = {worker: worker.recv() for worker in workers}
    assert sorted(requests_of.values()) == [b"0", b"1"]
    # The second is answered first.
    for worker, request in sorted(requests_of.items(), key=lambda item: item[1], reverse=True):
        worker.send(b"answer " + request)
        assert clients[int(request)].recv() == b"answer " + request


def test_a_dealer_asks_many_things_of_a_router_at_once(endpoint, libzmq, topic):
    client = libzmq(zmq.DEALER, endpoint("ROUTER", service=topic, when_absent="wait"))
    worker = libzmq(zmq.REQ, endpoint("ROUTER", service=topic, role="workers"))
    worker.send(b"ready")
    for number in range(3):
        client.send_multipart([b"request-%d" % number, b"", b"%d" % number])
    for _ in range(3):
        worker.send(b"answer " + worker.recv())
    answers = sorted(client.recv_multipart() for _ in range(3))
    assert answers == [[b"request-%d" % n, b"", b"answer %d" % n] for n in range(3)]
    client.send(b"bare")
    worker.send(b"answer " + worker.recv())
    assert client.recv_multipart() == [b"answer bare"]


def test_http_asks_a_worker_of_zeromq(shared_node, endpoint, libzmq, topic):
    worker = libzmq(zmq.REP, endpoint("DEALER", service=topic))
    eventually(lambda: describe(shared_node, endpoint.name)["peers"] == 1, "the worker is there")
    served = threading.Thread(target=serve_once, args=(worker, lambda request: [b"<" + request[0] + b">"]))
    served.start()
    answer = requests.post(f"{shared_node.http}/services/{topic}", data=b"\x00\xff", timeout=LIMIT_SECONDS)
    served.join()
    assert (answer.status_code, answer.content) == (200, b"<\x00\xff>")


def test_failures_are_answers_of_three_frames(shared_node, endpoint, libzmq, topic):
    client = libzmq(zmq.REQ, endpoint("REP", service=topic))
    hasty = libzmq(zmq.REQ, endpoint("REP", service=topic, timeout_ms=200))
    client.send(b"anyone?")
    mark, code, text = client.recv_multipart()
    assert (mark, code) == (b"posthouse-error", b"no_worker") and b"no worker" in text
    worker = libzmq(zmq.REP, endpoint("DEALER", service=topic))
    eventually(lambda: describe(shared_node, endpoint.name)["peers"] == 1, "the worker is there")
    hasty.send(b"late?")
    assert worker.recv() == b"late?"
    assert hasty.recv_multipart()[:2] == [b"posthouse-error", b"deadline"]
    worker.send(b"too late")
    eventually(lambda: describe(shared_node, endpoint.name)["dropped"] == 1, "it is counted")
    client.send(b"fail?")
    serve_once(worker, lambda _: [b"posthouse-error", b"any", b"out of paper"])
    assert client.recv_multipart()[1:] == [
        b"worker_failed", b"the worker could not do it: out of paper",
    ]
    client.send(b"die?")
    assert worker.recv() == b"die?"
    worker.close()
    assert client.recv_multipart()[:2] == [b"posthouse-error", b"worker_lost"]


def test_an_idempotent_services_request_goes_to_another_worker(endpoint, libzmq, topic):
    client = libzmq(zmq.REQ, endpoint("REP", service=topic, when_absent="wait"))
    address = endpoint("DEALER", service=topic, idempotent=True)
    with doomed_worker("REP", address) as doomed:
        client.send(b"again")
        assert doomed.stdout.readline() == b"again\n"
        survivor = libzmq(zmq.REP, address)
    assert serve_once(survivor, lambda _: [b"done"]) == [b"again"]
    assert client.recv() == b"done"


def test_errors_may_be_silence(shared_node, endpoint, libzmq, topic):
    client = libzmq(zmq.REQ, endpoint("REP", service=topic, errors="drop"))
    client.send(b"anyone?")
    eventually(lambda: describe(shared_node, endpoint.name)["dropped"] == 1, "it has failed")
    with pytest.raises(zmq.Again):
        client.recv(zmq.NOBLOCK)


@pytest.mark.parametrize(("door", "kind"), [("REP", zmq.REQ), ("ROUTER", zmq.REQ)])
def test_a_request_may_be_kept_and_the_answer_says_where(
    shared_node, endpoint, libzmq, topic, door, kind
):
    client = libzmq(kind, endpoint(door, topic=topic))
    for offset in range(2):
        client.send_multipart([b"key", b"value-%d" % offset])
        assert json.loads(client.recv())["offset"] == offset
    assert [value for _, value, _ in records(shared_node, topic, 2)] == [b"value-0", b"value-1"]


# Pairs.


def test_two_pairs_are_joined_and_a_second_peer_is_refused(shared_node, endpoint, libzmq, topic):
    addresses = [endpoint("PAIR", pair=topic) for _ in range(2)]
    one, other = (libzmq(zmq.PAIR, address) for address in addresses)
    for message in MULTIPARTS:
        one.send_multipart(message)
        assert other.recv_multipart() == message
        other.send_multipart(message[::-1])
        assert one.recv_multipart() == message[::-1]
    third = libzmq(zmq.PAIR)
    monitor = third.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    monitor.rcvtimeo = LIMIT_MS
    third.connect(addresses[0])
    assert recv_monitor_message(monitor)
    third.disable_monitor()
    third.close()
    one.close()
    eventually(lambda: describe(shared_node, f"e-{topic}-0")["peers"] == 0, "it has left")
    next_one = libzmq(zmq.PAIR, addresses[0])
    next_one.send(b"my turn")
    assert other.recv() == b"my turn"


# Devices.


def device(node, endpoint, front, back, **settings):
    endpoint(front, **{"back": {"socket": back, "bind": TCP}, **settings})
    return describe(node, endpoint.name)["addresses"]


@pytest.mark.parametrize(("front", "back"), [("XSUB", "XPUB"), ("SUB", "PUB"), ("XSUB", "PUB")])
def test_a_forwarder(shared_node, endpoint, libzmq, front, back):
    inward, outward = device(shared_node, endpoint, front, back)
    publisher, subscriber = libzmq(zmq.PUB, inward), libzmq(zmq.SUB, outward)
    subscriber.subscribe(b"a")
    warm = lambda: publisher.send_multipart([b"a", b"warm"])  # noqa: E731
    subscribed(shared_node, endpoint.name, warm, subscriber)
    for message in [[b"a1", b"x", b""], [b"b", b"no"], [b"a2"]]:
        publisher.send_multipart(message)
    publisher.send(b"a-end")
    assert hear_until(subscriber, [b"a-end"], [b"a", b"warm"]) == [[b"a1", b"x", b""], [b"a2"]]


def test_a_queue_device(shared_node, endpoint, libzmq):
    inward, outward = device(shared_node, endpoint, "ROUTER", "DEALER")
    clients = [libzmq(zmq.REQ, inward) for _ in range(2)]
    worker = libzmq(zmq.REP, outward)
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
        serve_once(worker, lambda request: [b"answer", *request])
        assert client.recv_multipart() == [b"answer", b"%d" % number]


def test_a_streamer(shared_node, endpoint, libzmq):
    inward, outward = device(shared_node, endpoint, "PULL", "PUSH")
    push, pull = libzmq(zmq.PUSH, inward), libzmq(zmq.PULL, outward)
    for message in MULTIPARTS:
        push.send_multipart(message)
        assert pull.recv_multipart() == message


def test_a_bridge_between_any_two(shared_node, endpoint, libzmq):
    inward, outward = device(shared_node, endpoint, "PULL", "PUB")
    push, subscriber = libzmq(zmq.PUSH, inward), libzmq(zmq.SUB, outward)
    subscriber.subscribe(b"")
    assert subscribed(shared_node, endpoint.name, lambda: push.send(b"over"), subscriber) == [b"over"]


# Security and transports.


def test_plain_lets_in_who_knows_the_password(shared_node, endpoint, libzmq, topic):
    plain = {"mechanism": "plain", "plain_username": "admin", "plain_password": "secret"}
    address = endpoint("PULL", topic=topic, **plain)
    shown = describe(shared_node, endpoint.name)["settings"]
    assert shown["plain_password"] == "***"
    wrong = libzmq(zmq.PUSH, plain_username=b"admin", plain_password=b"guess")
    failed = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    monitor = wrong.get_monitor_socket(failed)
    monitor.rcvtimeo = LIMIT_MS
    wrong.connect(address)
    wrong.send(b"wrong")
    assert recv_monitor_message(monitor)
    wrong.disable_monitor()
    right = libzmq(zmq.PUSH, address, plain_username=b"admin", plain_password=b"secret")
    right.send(b"right")
    assert [value for _, value, _ in records(shared_node, topic, 1)] == [b"right"]


def test_curve_lets_in_whose_key_is_known_and_both_sides_may_be_ours(
    shared_node, endpoint, libzmq, topic
):
    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    public, secret = (key.decode() for key in zmq.curve_keypair())
    curve = {"mechanism": "curve", "curve_secret_key": server_secret, "curve_allow": [public]}
    address = endpoint("PULL", topic=topic, **curve)
    stranger_public, stranger_secret = zmq.curve_keypair()
    stranger = libzmq(
        zmq.PUSH, curve_serverkey=server_public.encode(), curve_publickey=stranger_public,
        curve_secretkey=stranger_secret,
    )
    monitor = stranger.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    monitor.rcvtimeo = LIMIT_MS
    stranger.connect(address)
    assert recv_monitor_message(monitor)
    stranger.disable_monitor()
    welcome = libzmq(
        zmq.PUSH, address, curve_serverkey=server_public.encode(), curve_publickey=public.encode(),
        curve_secretkey=secret.encode(),
    )
    welcome.send(b"sealed")
    assert [value for _, value, _ in records(shared_node, topic, 1)] == [b"sealed"]
    # An endpoint as the client of another: topic to PUSH to PULL to topic.
    endpoint(
        "PUSH", bind=[], connect=address, channel=f"{topic}-out", mechanism="curve",
        curve_secret_key=secret, curve_server_key=server_public,
    )
    eventually(lambda: describe(shared_node, endpoint.name)["peers"] == 1, "they are connected")
    redis.Redis(**shared_node.redis).publish(f"{topic}-out", b"through")
    assert [value for _, value, _ in records(shared_node, topic, 2)] == [b"sealed", b"through"]


def test_a_refused_endpoint_says_so(shared_node, libzmq, topic):
    server = {"name": f"s-{topic}", "socket": "PULL", "bind": TCP, "topic": topic,
              "mechanism": "plain", "plain_username": "u", "plain_password": "right"}
    address = call(shared_node, "POST", "/endpoints", server).json()["addresses"][0]
    client = {"name": f"c-{topic}", "socket": "PUSH", "connect": address, "channel": topic,
              "mechanism": "plain", "plain_username": "u", "plain_password": "wrong"}
    assert call(shared_node, "POST", "/endpoints", client).status_code == 201

    def refused():
        body = describe(shared_node, client["name"])
        return body["state"] == "failing" and "refused" in body["reason"]

    eventually(refused, "the refusal is in the state")
    for name in [server["name"], client["name"]]:
        assert call(shared_node, "DELETE", f"/endpoints/{name}").status_code == 204


def test_ipc_works_and_its_file_goes_with_the_endpoint(shared_node, endpoint, libzmq, topic, tmp_path):
    path = tmp_path / "in"
    push = libzmq(zmq.PUSH, endpoint("PULL", bind=f"ipc://{path}", topic=topic))
    push.send(b"local")
    assert [value for _, value, _ in records(shared_node, topic, 1)] == [b"local"]
    assert path.exists()
    assert call(shared_node, "DELETE", f"/endpoints/{endpoint.name}").status_code == 204
    assert not path.exists()


# Declaring, refusing, dropping.


def test_sql_the_command_line_and_http_declare_the_same(shared_node, libzmq, topic):
    node = shared_node
    with psycopg.connect(**node.postgres, autocommit=True) as sql:
        sql.execute(
            f"CREATE ENDPOINT \"sql-{topic}\" WITH (socket = 'PULL', bind = '{TCP}', topic = '{topic}')"
        )
        sql.execute(f"CREATE ENDPOINT IF NOT EXISTS \"sql-{topic}\" WITH (socket = PULL, bind = '{TCP}', topic = '{topic}')")
        with pytest.raises(psycopg.Error) as refused:
            sql.execute(f"CREATE ENDPOINT \"sql-{topic}\" WITH (socket = PULL, bind = '{TCP}', topic = 't')")
        assert refused.value.sqlstate == "42710"
        with pytest.raises(psycopg.Error) as refused:
            sql.execute(f"CREATE ENDPOINT e WITH (socket = 'PULL', bnd = '{TCP}', topic = 't')")
        assert "bind" in str(refused.value)
    made = node.cli(
        "endpoint", "create", f"cli-{topic}", "--socket", "pull", "--bind", TCP, "--topic", topic,
        "-c", "hwm=50",
    )
    assert "running" in made.stdout
    http = {"name": f"http-{topic}", "socket": "PULL", "bind": [TCP], "topic": topic}
    assert call(node, "POST", "/endpoints", http).status_code == 201

    names = [f"{way}-{topic}" for way in ("sql", "cli", "http")]
    listed = {one["name"]: one for one in call(node, "GET", "/endpoints").json()}
    for name in names:
        libzmq(zmq.PUSH, listed[name]["addresses"][0]).send(name.encode())
    assert {value.decode() for _, value, _ in records(node, topic, 3)} == set(names)
    shown = node.cli("sql", "SHOW ENDPOINTS").stdout
    assert all(name in shown for name in names), shown
    assert all(name in node.cli("endpoint", "list").stdout for name in names)
    assert "hwm = 50" in node.cli("endpoint", "describe", names[1]).stdout

    node.cli("sql", f'DROP ENDPOINT "{names[0]}"')
    node.cli("sql", f'DROP ENDPOINT IF EXISTS "{names[0]}"')
    node.cli("endpoint", "delete", names[1])
    assert call(node, "DELETE", f"/endpoints/{names[2]}").status_code == 204
    assert node.cli("endpoint", "delete", names[1], check=False).returncode == 4
    left = {one["name"] for one in call(node, "GET", "/endpoints").json()}
    assert left.isdisjoint(names)


@pytest.mark.parametrize(
    ("settings", "setting", "text"),
    [
        ({}, "socket", "missing"),
        ({"socket": "PULL", "bind": TCP}, "topic", "channel, queue, service or pair"),
        ({"socket": "PULL", "bind": "nowhere", "topic": "t"}, "bind", "tcp://host:port"),
        ({"socket": "PULL", "bind": TCP, "topic": "t", "hmw": 5}, "hmw", "did you mean hwm?"),
        ({"socket": "PUB", "bind": TCP, "service": "s"}, "service", "topic or channel"),
        ({"socket": "PULL", "bind": "tcp://0.0.0.0:0", "topic": "t"}, "bind", "--allow-unauthenticated"),
        ({"socket": "PULL", "bind": [[TCP]], "topic": "t"}, "bind", "list"),
    ],
)
def test_a_bad_declaration_names_the_setting_and_the_way_out(shared_node, settings, setting, text):
    answer = call(shared_node, "POST", "/endpoints", {"name": "bad", **settings})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["setting"]) == (400, "invalid_endpoint", setting)
    assert text in problem["detail"] + problem.get("help", ""), problem
    assert call(shared_node, "GET", "/endpoints/bad").status_code == 404


def test_names_are_unique_and_plain(shared_node, endpoint, topic):
    endpoint("PULL", topic=topic)
    body = {"name": endpoint.name, "socket": "PULL", "bind": TCP, "topic": topic}
    assert call(shared_node, "POST", "/endpoints", body).json()["code"] == "endpoint_exists"
    body["name"] = "no spaces"
    assert call(shared_node, "POST", "/endpoints", body).status_code == 400


def test_a_port_in_use_is_a_state_that_passes_and_a_dropped_one_is_free_at_once(
    shared_node, libzmq, topic
):
    taken = libzmq(zmq.PULL)
    taken.bind("tcp://127.0.0.1:*")
    address = taken.last_endpoint.decode()
    body = {"name": f"e-{topic}", "socket": "PULL", "bind": address, "topic": topic}
    made = call(shared_node, "POST", "/endpoints", body).json()
    assert made["state"] == "failing" and "in use" in made["reason"], made
    taken.close()
    eventually(lambda: describe(shared_node, body["name"])["state"] == "running", "it is tried again")
    push = libzmq(zmq.PUSH, address)
    push.send(b"now")
    assert [value for _, value, _ in records(shared_node, topic, 1)] == [b"now"]
    for _ in range(3):
        assert call(shared_node, "DELETE", f"/endpoints/{body['name']}").status_code == 204
        again = call(shared_node, "POST", "/endpoints", body).json()
        assert again["state"] == "running", again
    assert call(shared_node, "DELETE", f"/endpoints/{body['name']}").status_code == 204
    own = libzmq(zmq.PULL)
    own.bind(address)


# Restarts and the configuration.


def test_a_declared_endpoint_survives_kill_9_and_so_does_what_it_kept(node, libzmq, topic):
    # A PUSH that connects keeps what it cannot send, so the test loses nothing of its own.
    rep = {"name": "in", "socket": "REP", "bind": TCP, "topic": topic}
    address = call(node, "POST", "/endpoints", rep).json()["addresses"][0]
    fixed = {"name": "jobs", "socket": "ROUTER", "bind": f"ipc://{node.directory}/jobs",
             "queue": topic, "group": "jobs"}
    assert call(node, "POST", "/endpoints", fixed).json()["state"] == "running"
    client = libzmq(zmq.REQ, address)
    for number in range(20):
        client.send(b"%d" % number)
        assert json.loads(client.recv())["offset"] == number
    worker = libzmq(zmq.REQ, fixed["bind"])
    worker.send(b"ready")
    assert worker.recv() == b"0"
    node.kill()
    worker.close()
    node.start()
    body = eventually(lambda: (now := describe(node, "in"))["state"] == "running" and now, "it runs again")
    assert not body["configured"], body
    client = libzmq(zmq.REQ, body["addresses"][0])
    client.send(b"20")
    assert json.loads(client.recv())["offset"] == 20
    assert [value for _, value, _ in records(node, topic, 21)] == [b"%d" % n for n in range(21)]
    # The job that was under way is given out again, and each other one once.
    survivor = libzmq(zmq.REQ, fixed["bind"])
    survivor.send(b"ready")
    done = []
    for _ in range(21):
        done.append(int(survivor.recv()))
        survivor.send(b"done")
    assert sorted(done) == list(range(21))


def test_durable_publish_subscribe_over_a_restart(node, libzmq, topic):
    """A subscriber comes back by itself and sees what is written after; the log has all."""
    pull = {"name": "in", "socket": "PULL", "bind": f"ipc://{node.directory}/in", "topic": topic}
    pub = {"name": "out", "socket": "PUB", "bind": f"ipc://{node.directory}/out", "topic": topic}
    for body in [pull, pub]:
        assert call(node, "POST", "/endpoints", body).json()["state"] == "running"
    push, subscriber = libzmq(zmq.PUSH, pull["bind"]), libzmq(zmq.SUB, pub["bind"])
    subscriber.subscribe(b"")
    subscribed(node, "out", lambda: push.send(b"before"), subscriber)
    node.kill()
    node.start()
    assert subscribed(node, "out", lambda: push.send(b"after"), subscriber) in ([b"before"], [b"after"])
    values = {value for _, value, _ in records(node, topic, 2)}
    assert values <= {b"before", b"after"}


def configured(tmp_path, text):
    path = tmp_path / "posthouse.toml"
    path.write_text(textwrap.dedent(text))
    return Node(tmp_path / "node", "--config", path)


def test_endpoints_of_the_configuration_are_in_the_ready_file(tmp_path, libzmq):
    node = configured(tmp_path, """
        [zeromq.endpoints.in]
        socket = "PULL"
        bind = "tcp://127.0.0.1:0"
        topic = "t"
    """).start()
    addresses = node.addresses["zeromq"]["in"]
    libzmq(zmq.PUSH, addresses[0]).send(b"configured")
    assert [value for _, value, _ in records(node, "t", 1)] == [b"configured"]
    body = describe(node, "in")
    assert body["configured"] and body["addresses"] == addresses
    problem = call(node, "DELETE", "/endpoints/in").json()
    assert problem["code"] == "endpoint_configured", problem
    assert node.stop() == 0, node.log()
    # The port is free once the node has ended.
    own = libzmq(zmq.PULL)
    own.bind(addresses[0])


@pytest.mark.parametrize(
    ("bind", "text"),
    [("TAKEN", "endpoint in cannot be opened"), ("tcp://0.0.0.0:0", "--allow-unauthenticated"),
     ("tcp://nowhere", "zeromq.endpoints.in.bind")],
)
def test_a_configured_endpoint_that_cannot_be_opened_keeps_the_node_from_starting(
    tmp_path, libzmq, bind, text
):
    taken = libzmq(zmq.PULL)
    taken.bind("tcp://127.0.0.1:*")
    bind = taken.last_endpoint.decode() if bind == "TAKEN" else bind
    node = configured(tmp_path, f"""
        [zeromq.endpoints.in]
        socket = "PULL"
        bind = "{bind}"
        topic = "t"
    """)
    with pytest.raises(AssertionError, match="before it was ready"):
        node.start()
    assert text in node.log() and "in" in node.log(), node.log()


def test_a_draining_node_lets_a_worker_finish(tmp_path, libzmq, topic):
    node = Node(tmp_path / "node").start()
    push = {"name": "in", "socket": "REP", "bind": TCP, "topic": topic}
    jobs = {"name": "jobs", "socket": "DEALER", "bind": TCP, "queue": topic, "group": "jobs"}
    client = libzmq(zmq.REQ, call(node, "POST", "/endpoints", push).json()["addresses"][0])
    worker = libzmq(zmq.REP, call(node, "POST", "/endpoints", jobs).json()["addresses"][0])
    client.send(b"job")
    client.recv()
    assert worker.recv() == b"job"
    node.process.send_signal(signal.SIGTERM)
    worker.send(b"done")
    assert node.process.wait(LIMIT_SECONDS) == 0, node.log()
    node.start()
    pending = call(node, "GET", f"/queues/{topic}/jobs/pending").json()
    assert pending == [], pending
    assert node.stop() == 0
