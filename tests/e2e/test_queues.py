"""Work queues over HTTP: lease, acknowledge, release, reject, extend; and `kill -9` in the middle.

The crash test keeps what workers were told: a message whose acknowledgement was answered must never
come again, and every message must be acknowledged in the end.

POSTHOUSE_QUEUE_CRASH_ROUNDS sets the number of kills (8), POSTHOUSE_CRASH_SEED repeats their moments.
"""

import http.client
import json
import os
import random
import threading
import time
import urllib.request

import pytest
from clients.http_json import Http
from confluent_kafka import Producer

ROUNDS = int(os.environ.get("POSTHOUSE_QUEUE_CRASH_ROUNDS", "8"))
SEED = int(os.environ.get("POSTHOUSE_CRASH_SEED", str(random.SystemRandom().randrange(2**32))))
LIMIT = 30


class Queue:
    """A queue over a topic of its own."""

    def __init__(self, node, topic, partitions=1, **config):
        self.http, self.topic = Http(node), topic
        self.path = f"/queues/{topic}/workers"
        self.http.ok("POST", "/topics", {"name": topic, "partitions": partitions})
        self.http.ok("POST", self.path, config)

    def write(self, *values):
        lines = [{"value": value} for value in values]
        data = "\n".join(map(json.dumps, lines)).encode()
        url = f"{self.http.node.http}/topics/{self.topic}/records/batch"
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=LIMIT) as answer:
            assert answer.status == 200

    def lease(self, **asked):
        return self.http.ok("POST", f"{self.path}/lease", asked)["messages"]

    def settle(self, how, messages, **more):
        leases = [message["lease"] for message in messages]
        return self.http.ok("POST", f"{self.path}/{how}", {"leases": leases, **more})

    def pending(self, parameters=""):
        return self.http.ok("GET", f"{self.path}/pending{parameters}")


def values(messages):
    return [message["value"] for message in messages]


def test_a_message_goes_to_one_worker_and_is_done_when_acknowledged(shared_node, topic):
    queue = Queue(shared_node, topic)
    queue.write("a", "b", "c")
    ann, bob = queue.lease(owner="ann", max=2), queue.lease(owner="bob", max=2)
    assert (values(ann), values(bob)) == (["a", "b"], ["c"])
    assert queue.settle("ack", ann) == {"done": 2, "not_held": []}
    assert queue.lease(max=9) == []
    (held,) = queue.pending()
    assert (held["state"], held["owner"], held["offset"]) == ("leased", "bob", 2)
    assert queue.settle("ack", ann) == {"done": 0, "not_held": [one["lease"] for one in ann]}


def test_a_kafka_producer_wakes_a_waiting_worker(shared_node, topic):
    queue = Queue(shared_node, topic, partitions=3)
    found = []
    worker = threading.Thread(target=lambda: found.extend(queue.lease(wait_ms=LIMIT * 1000)))
    worker.start()
    producer = Producer({"bootstrap.servers": shared_node.kafka})
    producer.produce(topic, b"\xff\x00", key=b"k", headers=[("h", b"v")], partition=2)
    assert producer.flush(LIMIT) == 0
    worker.join(LIMIT)
    (message,) = found
    assert (message["value_base64"], message["key"], message["partition"]) == ("/wA=", "k", 2)
    assert message["headers"] == [{"name": "h", "value": "v"}]


def test_a_lock_that_ends_gives_the_message_to_another_worker(shared_node, topic):
    queue = Queue(shared_node, topic, lock_ms=50)
    queue.write("a")
    late = queue.lease(owner="late")
    (again,) = queue.lease(owner="next", wait_ms=LIMIT * 1000, lock_ms=60_000)
    assert (again["value"], again["delivery_count"]) == ("a", 2)
    assert queue.settle("ack", late)["not_held"] == [late[0]["lease"]]
    assert queue.settle("ack", [again])["done"] == 1


def test_an_extended_lease_outlasts_its_lock(shared_node, topic):
    queue = Queue(shared_node, topic, lock_ms=LIMIT * 1000)
    queue.write("a")
    (message,) = queue.lease()
    assert queue.settle("extend", [message], lock_ms=10 * LIMIT * 1000)["done"] == 1
    (held,) = queue.pending("?owner=http")
    assert held["locked_until"] >= message["locked_until"] + 5 * LIMIT * 1000


def test_rejected_and_often_delivered_messages_are_dead_lettered(shared_node, topic):
    dead = topic + ".dead"
    queue = Queue(shared_node, topic, deliveries_max=2, dead_letter=dead)
    queue.write("bad", "poison", "good")
    (bad,) = queue.lease()
    queue.settle("reject", [bad], reason="no such image")
    for delivery in (1, 2):
        (poison,) = queue.lease()
        assert (poison["value"], poison["delivery_count"]) == ("poison", delivery)
        queue.settle("release", [poison])
    assert values(queue.lease(max=9)) == ["good"]

    http = Http(shared_node)
    http.ok("POST", f"/queues/{dead}/undertaker", {})
    letters = []
    while len(letters) < 2:
        more = http.ok("POST", f"/queues/{dead}/undertaker/lease", {"max": 9, "wait_ms": LIMIT * 1000})
        assert more["messages"], f"only {letters} in the dead-letter topic"
        letters += more["messages"]
    headers = {letter["value"]: {h["name"]: h["value"] for h in letter["headers"]} for letter in letters}
    assert headers["bad"]["dead-letter.reason"] == "no such image"
    assert headers["bad"]["dead-letter.topic"] == topic
    assert headers["poison"]["dead-letter.reason"] == "delivered 2 times"
    assert headers["poison"]["dead-letter.offset"] == "1"


def test_the_window_bounds_what_is_in_flight(shared_node, topic):
    queue = Queue(shared_node, topic, window_max=3)
    queue.write(*"abcde")
    first = queue.lease(max=9)
    assert values(first) == ["a", "b", "c"]
    assert queue.lease(max=9) == []
    queue.settle("ack", first[:1])
    assert values(queue.lease(max=9)) == ["d"]


def test_a_message_is_handed_over_with_its_lease(shared_node, topic):
    queue = Queue(shared_node, topic, lock_ms=None)
    queue.write("a", "b", "c")
    ann = queue.lease(owner="ann", max=2)
    ids = [{"partition": one["partition"], "offset": one["offset"]} for one in queue.pending()]
    ids.append({"partition": 0, "offset": 2})  # nobody holds it
    path = f"{queue.path}/transfer"
    young = {"to": "bob", "messages": ids, "min_idle_ms": 3_600_000}
    assert queue.http.ok("POST", path, young) == {"messages": []}
    moved = queue.http.ok("POST", path, {"to": "bob", "messages": ids})["messages"]
    assert [(one["value"], one["delivery_count"]) for one in moved] == [("a", 2), ("b", 2)]
    assert queue.settle("ack", ann)["done"] == 0
    assert queue.settle("ack", moved)["done"] == 2
    assert queue.http("POST", path, {"to": "", "messages": ids})[1]["code"] == "invalid_name"
    many = [{"partition": 0, "offset": 0}] * 101
    assert queue.http("POST", path, {"to": "bob", "messages": many})[1]["code"] == "invalid_parameter"


def test_a_queue_is_described_changed_and_deleted(shared_node, topic):
    queue = Queue(shared_node, topic, partitions=2)
    queue.write("a", "b")
    body = queue.http.ok("GET", queue.path)
    assert (body["lock_ms"], body["deliveries_max"], len(body["partitions"])) == (30_000, 5, 2)
    assert queue.http("POST", queue.path, {})[0] == 409
    body = queue.http.ok("PATCH", queue.path, {"lock_ms": None, "to": "end"})
    assert body["lock_ms"] is None and body["deliveries_max"] == 5
    assert queue.lease(max=9) == []
    queue.http.ok("PATCH", queue.path, {"to": "beginning"})
    assert sorted(values(queue.lease(max=9))) == ["a", "b"]
    listed = queue.http.ok("GET", f"/queues?topic={topic}")
    assert listed == [{"topic": topic, "group": "workers", "owners": 1, "pending": 2}]
    (owner,) = queue.http.ok("GET", f"{queue.path}/owners")
    assert (owner["owner"], owner["leased"]) == ("http", 2)
    assert queue.http("DELETE", queue.path)[0] == 204
    assert queue.http("POST", f"{queue.path}/lease", {})[1]["code"] == "unknown_queue"


def test_the_command_line_makes_shows_and_deletes_queues(shared_node, topic):
    cli = shared_node.cli
    cli("topic", "create", topic)
    cli("queue", "create", topic, "workers", "--lock-ms", "0", "--window-max", "7")
    cli("produce", topic, input="a\nb\n")
    http = Http(shared_node)
    assert http.ok("GET", f"/queues/{topic}/workers")["lock_ms"] is None
    http.ok("POST", f"/queues/{topic}/workers/lease", {"owner": "ann"})
    assert cli("queue", "list", "--topic", topic).stdout == f"{topic}\tworkers\t1\t1\n"
    described = cli("queue", "describe", topic, "workers").stdout
    assert "lock: none" in described and described.endswith("0\t0\t1\t2\t1\t0\t0\n")
    pending = cli("queue", "pending", topic, "workers").stdout.split("\t")
    assert (pending[:4], pending[5]) == (["0", "0", "leased", "ann"], "1\n")
    cli("queue", "reset", topic, "workers", "--to", "end")
    cli("queue", "delete", topic, "workers")
    gone = cli("queue", "describe", topic, "workers", check=False)
    assert gone.returncode != 0 and "posthouse queue list" in gone.stderr


def test_what_makes_no_sense_is_a_problem(shared_node, topic):
    queue = Queue(shared_node, topic)
    for method, path, body, status, code in [
        ("POST", "/queues/nothing-here/workers", {}, 404, "unknown_topic"),
        ("POST", f"/queues/{topic}/more", {"window_max": 0}, 400, "invalid_queue"),
        ("POST", f"/queues/{topic}/more", {"dead_letter": topic}, 400, "invalid_queue"),
        ("POST", f"/queues/{topic}/more", {"start": "yesterday"}, 400, "invalid_parameter"),
        ("POST", f"/queues/{topic}/more", {"windows": 1}, 400, "invalid_body"),
        ("POST", "/queues/__consumer_offsets/more", {}, 403, "internal_topic"),
        ("POST", f"{queue.path}/ack", {"leases": ["what"]}, 400, "invalid_parameter"),
        ("POST", f"{queue.path}/lease", {"owner": ""}, 400, "invalid_name"),
        ("POST", f"{queue.path}/lease", {"lock_ms": 0}, 400, "invalid_parameter"),
        ("PATCH", queue.path, {"partition": 0}, 400, "invalid_parameter"),
    ]:
        found, answer = queue.http(method, path, body)
        assert (found, answer["code"]) == (status, code), answer


class Worker(threading.Thread):
    """Leases and acknowledges through every crash; now and then it forgets a message."""

    def __init__(self, queue, name):
        super().__init__(name=name, daemon=True)
        self.queue, self.stopping, self.failures = queue, threading.Event(), []
        self.leased = []  # value and when it was asked for
        self.processed = set()  # work was done; the acknowledgement may not have been answered
        self.acknowledged = {}  # value -> when the acknowledgement was answered
        self.moments = random.Random(f"{SEED} {name}")

    def run(self):
        while not self.stopping.is_set():
            try:
                self.work()
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                time.sleep(0.01)  # the node is down, or went down while it answered
            except AssertionError as error:
                self.failures.append(f"{self.name}: {error}")

    def work(self):
        asked = time.monotonic()
        messages = self.queue.lease(owner=self.name, max=5, wait_ms=200)
        self.leased.extend((message["value"], asked) for message in messages)
        done = [message for message in messages if self.moments.random() > 0.1]
        if not done:
            return
        self.processed.update(values(done))
        not_held = self.queue.settle("ack", done)["not_held"]
        for message in done:
            if message["lease"] not in not_held:
                assert message["value"] not in self.acknowledged, f"{message} acknowledged twice"
                self.acknowledged[message["value"]] = time.monotonic()


@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_no_message_is_lost_by_kill_9_and_none_comes_back_after_its_acknowledgement(node, topic):
    print(f"seed {SEED}, {ROUNDS} kills")
    moments = random.Random(SEED)
    queue = Queue(node, topic, partitions=3, lock_ms=300, deliveries_max=None)
    workers = [Worker(queue, f"worker-{index}") for index in range(4)]
    for worker in workers:
        worker.start()
    written = 0
    for _ in range(ROUNDS):
        count = moments.randrange(50, 300)
        queue.write(*(str(value) for value in range(written, written + count)))
        written += count
        time.sleep(moments.uniform(0.02, 0.4))
        node.kill()
        node.start()
    deadline = time.monotonic() + 90
    while not settled(queue):
        assert time.monotonic() < deadline, f"not everything is acknowledged: {queue.pending()}"
        time.sleep(0.05)
    for worker in workers:
        worker.stopping.set()
    for worker in workers:
        worker.join(LIMIT)
    assert not (failures := [f for worker in workers for f in worker.failures]), failures

    processed = set().union(*(worker.processed for worker in workers))
    lost = set(map(str, range(written))) - processed
    assert not lost, f"settled, and nobody worked on it: {sorted(lost, key=int)[:20]}"
    acknowledged = {}
    for worker in workers:
        twice = acknowledged.keys() & worker.acknowledged.keys()
        assert not twice, f"acknowledged by two workers: {sorted(twice, key=int)[:20]}"
        acknowledged.update(worker.acknowledged)
    back = {value for worker in workers for value, asked in worker.leased
            if asked > acknowledged.get(value, float("inf"))}
    assert not back, f"delivered after the acknowledgement: {sorted(back, key=int)[:20]}"
    deliveries = sum(len(worker.leased) for worker in workers)
    print(f"{ROUNDS} kills, {written} messages, {deliveries} deliveries, "
          f"{len(acknowledged)} acknowledgements answered, 0 lost, 0 came back")
    assert len(acknowledged) > written / 2 and deliveries > written, "too little was done to mean anything"


def settled(queue):
    """Whether everything written is acknowledged."""
    partitions = queue.http.ok("GET", queue.path)["partitions"]
    return all(partition["start"] == partition["end"] for partition in partitions)
