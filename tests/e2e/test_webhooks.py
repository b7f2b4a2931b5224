"""Webhooks against a real HTTP server: signed, retried, ordered, given up, ended; through `kill -9`.

POSTHOUSE_WEBHOOK_CRASH_ROUNDS sets the number of kills (5), POSTHOUSE_CRASH_SEED repeats their
moments.
"""

import json
import os
import random
import socket
import ssl
import threading
import time
import urllib.request

import pytest
import trustme
from clients.http_json import Http
from confluent_kafka import Producer
from destination import LIMIT, Destination, eventually
from posthouse_node import Node
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

ROUNDS = int(os.environ.get("POSTHOUSE_WEBHOOK_CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("POSTHOUSE_CRASH_SEED", str(random.SystemRandom().randrange(2**32))))


class Hook:
    """A webhook over a topic of its own."""

    def __init__(self, node, topic, url, partitions=1, **how):
        self.http, self.topic, self.name = Http(node), topic, f"hook-{topic}"
        self.http.ok("POST", "/topics", {"name": topic, "partitions": partitions})
        body = {"name": self.name, "topic": topic, "url": url, "backoff_ms": 50, **how}
        self.secret = self.http.ok("POST", "/webhooks", body)["secret"]

    def write(self, *values, key=None, partition=None):
        lines = [{"value": value, "key": key, "partition": partition} for value in values]
        lines = [{name: v for name, v in line.items() if v is not None} for line in lines]
        data = "\n".join(map(json.dumps, lines)).encode()
        url = f"{self.http.node.http}/topics/{self.topic}/records/batch"
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=LIMIT) as answer:
            assert answer.status == 200

    @property
    def body(self):
        return self.http.ok("GET", f"/webhooks/{self.name}")

    @property
    def status(self):
        return self.body["status"]

    def settled(self):
        return self.status["lag"] == 0 and self.status["in_flight"] == 0


def bodies(requests):
    return [request.body.decode() for request in requests]


def test_a_record_of_any_door_is_delivered_with_what_there_is_to_know(shared_node, topic):
    with Destination() as there:
        hook = Hook(shared_node, topic, there.url + "?x=1", headers={"Authorization": "Bearer t"},
                    content_type="application/json")
        producer = Producer({"bootstrap.servers": shared_node.kafka})
        producer.produce(topic, b'{"a": "\xc3\xbc"}', key=b"k", headers=[("trace", b"7")], timestamp=5)
        assert producer.flush(LIMIT) == 0
        (request,) = there.wait(1)
        assert (request.path, request.body) == ("/in?x=1", b'{"a": "\xc3\xbc"}')
        for name, value in {
            "content-type": "application/json", "authorization": "Bearer t",
            "posthouse-topic": topic, "posthouse-partition": "0", "posthouse-offset": "0",
            "posthouse-key": "k", "posthouse-timestamp": "5", "posthouse-attempt": "1",
            "record-header-trace": "7",
        }.items():
            assert request.headers[name] == value, name
        eventually(hook.settled)
        assert hook.status["delivered"] == 1 and hook.status["state"] == "delivering"


def test_requests_are_signed_as_standard_webhooks_wants_it(shared_node, topic):
    with Destination() as there:
        hook = Hook(shared_node, topic, there.url)
        hook.write("signed")
        (request,) = there.wait(1)
        check(hook.secret, request)
        with pytest.raises(WebhookVerificationError):
            check(hook.secret, request, body=b"forged")

        rotated = hook.http.ok("POST", f"/webhooks/{hook.name}/rotate")["secret"]
        hook.write('"both"')
        both = there.wait(2)[1]
        check(rotated, both)
        check(hook.secret, both)
        again = hook.http.ok("POST", f"/webhooks/{hook.name}/rotate")["secret"]
        hook.write('"new"')
        new = there.wait(3)[2]
        check(again, new)
        with pytest.raises(WebhookVerificationError):
            check(hook.secret, new)


def check(secret, request, body=None):
    """Verifies a request with the library that its receivers use."""
    body = request.body if body is None else body
    Webhook(secret).verify(body, request.headers, json_parse=False)


def test_a_secret_is_shown_once_and_may_be_chosen(shared_node, topic):
    with Destination() as there:
        chosen = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        hook = Hook(shared_node, topic, there.url, secret=chosen, headers={"x-token": "hunter2"})
        assert hook.secret == chosen
        shown = json.dumps([hook.body, hook.http.ok("GET", "/webhooks")])
        assert "whsec_" not in shown and "hunter2" not in shown and "x-token" in shown


def test_failures_are_retried_with_growing_waits_under_the_same_id(shared_node, topic):
    with Destination(lambda request: 500 if request.attempt < 4 else 200) as there:
        hook = Hook(shared_node, topic, there.url, backoff_ms=100)
        hook.write("stubborn")
        requests = there.wait(4)
        assert len({request.id for request in requests}) == 1
        assert [request.attempt for request in requests] == [1, 2, 3, 4]
        waits = [later.at - sooner.at for sooner, later in zip(requests, requests[1:])]
        # Half of 100, 200 and 400 ms at least.
        assert waits[0] >= 0.05 and waits[1] >= 0.1 and waits[2] >= 0.2, waits
        eventually(hook.settled)
        status = hook.status
        assert (status["delivered"], status["failed"]) == (1, 3)
        assert status["last_error"]["error"].startswith("500")


def test_what_fails_too_often_goes_to_the_dead_letter_topic(shared_node, topic):
    answer = lambda request: (400, {}, b"no such order") if request.body == b"bad" else 204
    with Destination(answer) as there:
        dead = topic + ".dead"
        hook = Hook(shared_node, topic, there.url, attempts_max=3, dead_letter=dead)
        hook.write("good", "bad", "fine")
        eventually(hook.settled)
        assert sorted(bodies(there.requests)) == ["bad", "bad", "bad", "fine", "good"]
        (line,) = read(shared_node, dead)
        headers = {header["name"]: header["value"] for header in line["headers"]}
        assert line["value"] == "bad"
        assert headers["dead-letter.reason"] == "attempt 3: 400 Bad Request: no such order"
        assert headers["dead-letter.deliveries"] == "3"
        assert hook.status["dead_lettered"] == 1


def read(node, topic):
    """Every record of a topic."""
    with urllib.request.urlopen(f"{node.http}/topics/{topic}/records", timeout=LIMIT) as answer:
        return [json.loads(line) for line in answer.read().splitlines()]


def test_a_destination_that_is_gone_ends_its_webhook(node, topic):
    with Destination(lambda request: 410) as there:
        hook = Hook(node, topic, there.url)
        hook.write("a", "b")
        eventually(lambda: hook.body["disabled"])
        assert hook.body["disabled"].startswith("410") and not hook.body["enabled"]
        node.restart()
        sent = len(there.requests)
        assert hook.status["state"] == "disabled"
        there.answer = lambda request: 204
        hook.http.ok("PATCH", f"/webhooks/{hook.name}", {"enabled": True})
        eventually(hook.settled)
        assert set(bodies(there.requests[sent:])) == {"a", "b"}


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed_by_the_whole_webhook(shared_node, topic, status):
    asked = lambda request: (status, {"Retry-After": "2"}) if request.attempt == 1 else 204
    with Destination(asked) as there:
        hook = Hook(shared_node, topic, there.url, backoff_ms=1, concurrency=1)
        hook.write("a")
        (first,) = there.wait(1)
        eventually(lambda: hook.status["state"] == "paused")
        assert hook.status["next_attempt_at"] is not None
        hook.write("b")
        second = there.wait(2)[1]
        assert second.at - first.at >= 1.8
        eventually(hook.settled)


def test_redirects_are_not_followed(shared_node, topic):
    with Destination() as elsewhere, Destination() as there:
        there.answer = lambda request: (307, {"Location": elsewhere.url})
        hook = Hook(shared_node, topic, there.url, attempts_max=2)
        hook.write("a")
        eventually(hook.settled)
        assert len(there.requests) == 2 and not elsewhere.requests
        assert hook.status["last_error"]["error"].startswith("307")


def test_in_order_of_each_partition_nothing_overtakes_what_fails(shared_node, topic):
    failed = set()

    def answer(request):
        if request.attempt == 1 and random.random() < 0.5:
            failed.add(request.id)
            return 500
        return 204

    with Destination(answer) as there:
        hook = Hook(shared_node, topic, there.url, partitions=2, order="partition", backoff_ms=1)
        for partition in (0, 1):
            hook.write(*map(str, range(20)), partition=partition)
        eventually(hook.settled)
        assert failed, "nothing failed"
        for partition in ("0", "1"):
            offsets = [int(request.headers["posthouse-offset"]) for request in there.requests
                       if request.headers["posthouse-partition"] == partition]
            once = [one for index, one in enumerate(offsets) if index == 0 or offsets[index - 1] != one]
            assert once == list(range(20)), offsets


def test_concurrency_is_bounded_and_used(shared_node, topic):
    gate = threading.Event()

    def answer(request):
        gate.wait(LIMIT)
        return 204

    with Destination(answer) as there:
        hook = Hook(shared_node, topic, there.url, concurrency=4, timeout_ms=60_000)
        hook.write(*map(str, range(50)))
        there.wait(4)
        eventually(lambda: hook.status["in_flight"] == 4)
        time.sleep(0.3)
        assert len(there.requests) == 4
        gate.set()
        eventually(hook.settled)
        assert there.open_max == 4 and sorted(map(int, bodies(there.requests))) == list(range(50))
        assert there.connections <= 8, "connections are not used again"


def test_a_destination_that_does_not_answer_is_given_its_time_and_no_more(shared_node, topic):
    hold = threading.Event()
    with Destination(lambda request: hold.wait(LIMIT) and 204) as there:
        hook = Hook(shared_node, topic, there.url, timeout_ms=200, attempts_max=None)
        hook.write("slow")
        there.wait(2)
        eventually(lambda: (hook.status["last_error"] or {}).get("error") == "no answer within 200 ms")
        hold.set()
        eventually(hook.settled)


def test_an_endless_answer_is_not_read_to_its_end(shared_node, topic):
    with Destination(lambda request: (400, {}, b"x" * (64 << 20))) as there:
        hook = Hook(shared_node, topic, there.url, attempts_max=1)
        hook.write("a")
        eventually(hook.settled)
        assert len(hook.status["last_error"]["error"]) < 300


def test_a_destination_that_is_down_costs_little_and_catches_up(shared_node, topic):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    hook = Hook(shared_node, topic, f"http://127.0.0.1:{port}/", attempts_max=None, backoff_max_ms=500)
    hook.write(*map(str, range(3000)))
    eventually(lambda: hook.status["state"] == "paused")
    failed = hook.status["failed"]
    time.sleep(1.5)
    # Paused for a quarter of a second at the least, with one attempt after each pause.
    assert hook.status["failed"] - failed <= 8, "it spins"
    assert hook.status["waiting"] < 100, "it takes messages that it cannot deliver"
    assert hook.status["lag"] == 3000
    with Destination() as there:
        hook.http.ok("PATCH", f"/webhooks/{hook.name}", {"url": there.url})
        eventually(hook.settled, 90)
        assert set(map(int, bodies(there.requests))) == set(range(3000))


def test_https_is_verified_against_the_given_authority(tmp_path, topic):
    authority, stranger = trustme.CA(), trustme.CA()
    certificates = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(certificates)

    def context(ca):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(tls)
        return tls

    node = Node(tmp_path / "node", "--set", f"webhooks.ca_file={certificates}").start()
    try:
        with Destination(tls=context(authority)) as trusted, Destination(tls=context(stranger)) as not_:
            hook = Hook(node, topic, trusted.url)
            hook.write("secret")
            (request,) = trusted.wait(1)
            assert request.body == b"secret"
            other = Hook(node, topic + "-2", not_.url)
            other.write("secret")
            eventually(lambda: "certificate" in (other.status["last_error"] or {}).get("error", ""))
            assert not not_.requests
    finally:
        assert node.stop() == 0, node.log()


def test_a_file_without_certificates_is_refused_at_the_start(tmp_path):
    empty = tmp_path / "ca.pem"
    empty.write_text("nothing\n")
    with pytest.raises(AssertionError, match="holds no certificate"):
        Node(tmp_path / "node", "--set", f"webhooks.ca_file={empty}").start()


def test_webhooks_are_listed_changed_and_deleted(node, topic):
    with Destination() as there:
        hook = Hook(node, topic, there.url)
        assert [one["name"] for one in hook.http.ok("GET", "/webhooks")] == [hook.name]
        changed = hook.http.ok("PATCH", f"/webhooks/{hook.name}", {"concurrency": 3, "order": "partition"})
        assert (changed["concurrency"], changed["order"], changed["timeout_ms"]) == (3, "partition", 15_000)
        hook.http.ok("PATCH", f"/webhooks/{hook.name}", {"enabled": False})
        hook.write("kept")
        node.restart()
        assert hook.status["state"] == "disabled" and hook.status["lag"] == 1
        hook.http.ok("PATCH", f"/webhooks/{hook.name}", {"enabled": True})
        there.wait(1)
        assert hook.http("DELETE", f"/webhooks/{hook.name}")[0] == 204
        assert hook.http("GET", f"/webhooks/{hook.name}")[1]["code"] == "unknown_webhook"
        assert hook.http.ok("GET", f"/queues?topic={topic}") == []
        hook.write("not delivered")
        # Another one of the same name begins at the end, and knows nothing of the first.
        body = {"name": hook.name, "topic": topic, "url": there.url}
        hook.http.ok("POST", "/webhooks", body)
        hook.write("delivered")
        assert bodies(there.wait(2)) == ["kept", "delivered"]


def test_a_webhook_may_begin_in_the_past_and_survives_its_topic(node, topic):
    with Destination() as there:
        http = Http(node)
        http.ok("POST", "/topics", {"name": topic, "partitions": 1})
        node.cli("produce", topic, input="1\n2\n3\n")
        body = {"name": "all", "topic": topic, "url": there.url, "start": "1", "order": "partition"}
        http.ok("POST", "/webhooks", body)
        assert bodies(there.wait(2)) == ["2", "3"]
        http.ok("DELETE", f"/topics/{topic}")
        eventually(lambda: http.ok("GET", "/webhooks/all")["status"]["state"] == "failing")
        http.ok("POST", "/topics", {"name": topic, "partitions": 1})
        node.cli("produce", topic, input="4\n")
        assert bodies(there.wait(3)) == ["2", "3", "4"]


def test_what_makes_no_sense_is_a_problem(shared_node, topic):
    http = Http(shared_node)
    http.ok("POST", "/topics", {"name": topic})
    good = {"name": f"w-{topic}", "topic": topic, "url": "http://localhost/"}
    for change, status, code in [
        ({"topic": "nothing-here"}, 404, "unknown_topic"),
        ({"url": "ftp://localhost/"}, 400, "invalid_parameter"),
        ({"url": "http://me:pw@localhost/"}, 400, "invalid_parameter"),
        ({"name": "a/b"}, 400, "invalid_name"),
        ({"secret": "hunter2"}, 400, "invalid_parameter"),
        ({"concurrency": 0}, 400, "invalid_parameter"),
        ({"order": "random"}, 400, "invalid_body"),
        ({"orders": "none"}, 400, "invalid_body"),
        ({"headers": {"webhook-id": "1"}}, 400, "invalid_parameter"),
        ({"dead_letter": topic}, 400, "invalid_queue"),
        ({"start": "yesterday"}, 400, "invalid_parameter"),
        ({"topic": "__consumer_offsets"}, 403, "internal_topic"),
    ]:
        found, answer = http("POST", "/webhooks", {**good, **change})
        assert (found, answer["code"]) == (status, code), answer
        assert "hunter2" not in json.dumps(answer)
    assert http.ok("GET", f"/queues?topic={topic}") == [], "a refused webhook leaves a queue"
    http.ok("POST", "/webhooks", good)
    assert http("POST", "/webhooks", good)[1]["code"] == "webhook_exists"
    http("DELETE", f"/webhooks/{good['name']}")
    assert http("PATCH", "/webhooks/none", {})[0] == 404


def test_the_command_line_makes_shows_and_deletes_webhooks(node, topic):
    with Destination() as there:
        cli = node.cli
        cli("topic", "create", topic)
        made = cli("webhook", "create", "mine", topic, there.url, "-H", "x-token: t", "--attempts-max", "0")
        assert made.stdout.splitlines()[1].startswith("whsec_")
        cli("produce", topic, input="a\n")
        (request,) = there.wait(1)
        assert request.headers["x-token"] == "t"
        eventually(lambda: cli("webhook", "list").stdout.split("\t")[3:] == ["delivering", "1", "0", "0\n"])
        assert json.loads(cli("webhook", "describe", "mine").stdout)["attempts_max"] is None
        cli("webhook", "disable", "mine")
        cli("webhook", "enable", "mine")
        assert cli("webhook", "rotate", "mine").stdout.startswith("whsec_")
        cli("webhook", "delete", "mine")
        gone = cli("webhook", "describe", "mine", check=False)
        assert gone.returncode != 0 and "posthouse webhook list" in gone.stderr


@pytest.mark.timeout(120 + 20 * ROUNDS)
@pytest.mark.parametrize("order", ["none", "partition"])
def test_nothing_is_lost_by_kill_9(node, topic, order):
    print(f"seed {SEED}, {ROUNDS} kills")
    moments = random.Random(SEED)
    accepted = []

    def answer(request):
        if moments.random() < 0.1:
            return 500
        accepted.append((request.headers["posthouse-partition"], int(request.body)))
        return 204

    with Destination(answer) as there:
        hook = Hook(node, topic, there.url, partitions=3, order=order, timeout_ms=500,
                    backoff_ms=10, attempts_max=None)
        written = 0
        for _ in range(ROUNDS):
            count = moments.randrange(20, 80)
            for partition in range(3):
                hook.write(*map(str, range(written, written + count)), partition=partition)
            written += count
            time.sleep(moments.uniform(0.02, 0.5))
            node.kill()
            node.start()
        eventually(hook.settled, 90)
        for partition in ("0", "1", "2"):
            here = [value for one, value in accepted if one == partition]
            assert set(here) == set(range(written)), "lost"
            if order == "partition":
                # What was accepted and not settled before a kill comes again, before what is new.
                firsts = list(dict.fromkeys(here))
                assert firsts == sorted(firsts), "overtaken"
        repeated = len(accepted) - 3 * written
        print(f"{ROUNDS} kills, {3 * written} messages, {len(there.requests)} requests, {repeated} repeated")
        assert repeated <= 50 * ROUNDS
