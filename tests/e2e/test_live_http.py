"""Channels, services and pairs over HTTP: WebSockets, event streams and plain requests."""

import json
import struct
import threading
from contextlib import ExitStack, contextmanager
from socket import SHUT_RDWR

import pytest
import requests
from clients import Record, confluent
from websockets.sync.client import connect

WAIT = 30  # seconds for what must come
HARD = [b"", b"plain", b"\x00\xff\r\n\xfe", "día".encode(), b"x" * 100_000]

pytestmark = pytest.mark.timeout(120)


def url(node, path):
    return f"http://{node.addresses['http']}{path}"


class Socket:
    """A WebSocket that speaks in JSON, or in binary frames."""

    def __init__(self, node, binary=False):
        query = "?binary=true" if binary else ""
        self.binary = binary
        self.open = ExitStack()
        self.connection = self.open.enter_context(
            connect(f"ws://{node.addresses['http']}/ws{query}", max_size=None, compression=None)
        )

    def say(self, op, value=None, **members):
        head = {"op": op, **members}
        if value is None:
            self.connection.send(json.dumps(head))
        else:
            head = json.dumps(head).encode()
            self.connection.send(struct.pack(">I", len(head)) + head + value)

    def hear(self):
        """The next frame; `bytes` is its value."""
        frame = self.connection.recv(timeout=WAIT)
        if isinstance(frame, str):
            heard = json.loads(frame)
            if heard.get("value") is not None:
                heard["bytes"] = heard["value"].encode()
            return heard
        size = struct.unpack(">I", frame[:4])[0]
        return {**json.loads(frame[4:4 + size]), "bytes": frame[4 + size:]}

    def ask(self, op, value=None, **members):
        """Says it, and hears its answer; nothing else may come before that."""
        self.say(op, value, id=7, **members)
        heard = self.hear()
        assert heard["id"] == 7, heard
        return heard

    def close(self):
        self.open.close()


@pytest.fixture
def open_socket(shared_node):
    with ExitStack() as stack:
        def opened(binary=False):
            socket = Socket(shared_node, binary)
            stack.callback(socket.close)
            return socket
        yield opened


@contextmanager
def events(node, path, last_id=None):
    """Follows an event stream: an iterator over (id, data)."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    with requests.get(url(node, path), headers=headers, stream=True, timeout=WAIT) as response:
        assert response.status_code == 200, response.text

        def read():
            event_id, data = None, None
            for line in response.iter_lines(chunk_size=1):
                if line.startswith(b"id: "):
                    event_id = line[4:].decode()
                elif line.startswith(b"data: "):
                    data = json.loads(line[6:])
                elif not line and data is not None:
                    yield event_id, data
                    event_id, data = None, None
        yield read()


def publish(node, channel, value, **parameters):
    answer = requests.post(url(node, f"/channels/{channel}"), data=value, params=parameters, timeout=WAIT)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_is_published_reaches_every_kind_of_subscriber(shared_node, open_socket, topic):
    by_name, by_glob, by_prefix = open_socket(), open_socket(binary=True), open_socket()
    assert by_name.ask("subscribe", channel=topic)["op"] == "ok"
    assert by_glob.ask("subscribe", glob=f"{topic[:-1]}?")["op"] == "ok"
    assert by_prefix.ask("subscribe", prefix=topic)["op"] == "ok"
    with events(shared_node, f"/channels/{topic}") as stream:
        assert publish(shared_node, topic, b"hello", key="k") == {"channel": topic, "receivers": 4}
        for socket in (by_name, by_glob, by_prefix):
            heard = socket.hear()
            assert (heard["op"], heard["channel"], heard["key"], heard["bytes"]) == ("message", topic, "k", b"hello")
            assert "offset" not in heard
        event_id, data = next(stream)
        assert event_id is None and (data["channel"], data["value"]) == (topic, "hello")


def test_values_pass_byte_for_byte(open_socket, topic):
    sender, receiver = open_socket(), open_socket(binary=True)
    receiver.ask("subscribe", channel=topic)
    for value in HARD:
        assert sender.ask("publish", value, channel=topic)["receivers"] == 1
        assert receiver.hear()["bytes"] == value
    sender.say("publish", channel=topic, key_base64="/wA=", headers=[{"name": "h", "value": None}], value_base64="AP8=")
    heard = receiver.hear()
    assert (heard["key_base64"], heard["headers"], heard["bytes"]) == ("/wA=", [{"name": "h", "value": None}], b"\0\xff")


def test_one_connections_order_is_kept(open_socket, topic):
    sender, receiver = open_socket(), open_socket()
    receiver.ask("subscribe", channel=topic)
    for number in range(2000):
        sender.say("publish", b"%d" % number, channel=topic)
    assert [int(receiver.hear()["value"]) for _ in range(2000)] == list(range(2000))


def test_nothing_comes_after_unsubscribe(shared_node, open_socket, topic):
    socket = open_socket()
    socket.ask("subscribe", channel=topic)
    assert socket.ask("unsubscribe", channel=topic)["op"] == "ok"
    assert publish(shared_node, topic, b"unheard")["receivers"] == 0
    assert socket.ask("subscribe", channel=topic)["op"] == "ok"


def test_a_channel_that_is_a_topic_is_kept_and_read_from_the_past(shared_node, open_socket, topic):
    confluent.produce(shared_node.kafka, topic, [Record(b"k", b"from kafka")])
    assert publish(shared_node, topic, b"from http")["offset"] == 1
    socket = open_socket()
    assert socket.ask("publish", b"from a websocket", channel=topic)["offset"] == 2
    expected = [b"from kafka", b"from http", b"from a websocket"]
    late = open_socket()
    late.say("subscribe", channel=topic, **{"from": "beginning"})
    heard = [late.hear() for _ in expected]
    assert [(one["offset"], one["bytes"]) for one in heard] == list(enumerate(expected))
    found = confluent.consume(shared_node.kafka, topic, "beginning", 3)
    assert [record.value for record in found] == expected


def test_a_live_channel_becomes_a_topic_under_its_subscribers(shared_node, open_socket, topic):
    socket = open_socket()
    socket.ask("subscribe", channel=topic)
    publish(shared_node, topic, b"live")
    created = requests.post(url(shared_node, "/topics"), json={"name": topic, "partitions": 1}, timeout=WAIT)
    assert created.ok, created.text
    publish(shared_node, topic, b"kept")
    first, second = socket.hear(), socket.hear()
    assert ("offset" in first, first["value"]) == (False, "live")
    assert (second["offset"], second["value"]) == (0, "kept")


def test_an_event_stream_resumes_where_it_was_cut(shared_node, topic):
    created = requests.post(url(shared_node, "/topics"), json={"name": topic, "partitions": 3}, timeout=WAIT)
    assert created.ok, created.text
    for number in range(30):
        publish(shared_node, topic, b"%d" % number, key=number)
    seen, last_id = [], None
    while len(seen) < 30:
        path = f"/channels/{topic}" + ("" if last_id else "?from=beginning")
        with events(shared_node, path, last_id) as stream:
            for _ in range(7):
                last_id, data = next(stream)
                seen.append(int(data["value"]))
                if len(seen) == 30:
                    break
    assert sorted(seen) == list(range(30))


def test_a_service_answers_requests_of_both_kinds(shared_node, open_socket, topic):
    worker, client = open_socket(binary=True), open_socket()
    worker.ask("serve", service=topic, concurrency=2)

    def work():
        for _ in range(1 + len(HARD)):
            request = worker.hear()
            assert request["service"] == topic
            worker.say("reply", request["bytes"] * 2, request=request["request"], headers=request["headers"])
    thread = threading.Thread(target=work)
    thread.start()
    assert client.ask("request", b"ab", service=topic)["bytes"] == b"abab"
    for value in HARD:
        answer = requests.post(url(shared_node, f"/services/{topic}"), data=value,
                               headers={"Record-Header-Trace": "7"}, timeout=WAIT)
        assert (answer.status_code, answer.content) == (200, value * 2)
        assert answer.headers["Record-Header-Trace"] == "7"
    thread.join()


def test_a_service_that_cannot_answer_says_why(shared_node, open_socket, topic):
    def ask(deadline_ms):
        answer = requests.post(url(shared_node, f"/services/{topic}"), data=b"x",
                               params={"deadline_ms": deadline_ms}, timeout=WAIT)
        return answer.status_code, answer.json()["code"]
    assert ask(10_000) == (503, "no_worker")
    worker = open_socket()
    worker.ask("serve", service=topic)
    assert ask(50) == (504, "deadline")
    request = worker.hear()
    # It is busy until it answers, though nobody waits for that any more.
    worker.say("fail", request=request["request"], reason="too late")
    answers = []
    client = threading.Thread(target=lambda: answers.append(ask(20_000)))
    client.start()
    request = worker.hear()
    worker.say("fail", request=request["request"], reason="no such account")
    client.join()
    assert answers == [(502, "worker_failed")]


@pytest.mark.parametrize("idempotent", [False, True])
def test_what_a_killed_worker_had_is_done_again_only_where_that_is_declared(shared_node, open_socket, topic, idempotent):
    dying, other = open_socket(), open_socket()
    dying.ask("serve", service=topic, idempotent=idempotent)
    answers = []

    def ask():
        answers.append(requests.post(url(shared_node, f"/services/{topic}"), data=b"x", timeout=WAIT))
    client = threading.Thread(target=ask)
    client.start()
    assert dying.hear()["op"] == "request"
    other.ask("serve", service=topic, idempotent=idempotent)
    dying.connection.socket.shutdown(SHUT_RDWR)
    if idempotent:
        other.say("reply", b"done", request=other.hear()["request"])
        client.join()
        assert (answers[0].status_code, answers[0].content) == (200, b"done")
    else:
        client.join()
        assert (answers[0].status_code, answers[0].json()["code"]) == (502, "worker_lost")


def test_a_pair_has_two_peers_and_refuses_a_third(open_socket, topic):
    one, two, three = open_socket(), open_socket(binary=True), open_socket()
    one.ask("pair", pair=topic)
    two.ask("pair", pair=topic)
    assert one.hear()["op"] == two.hear()["op"] == "joined"
    one.say("send", b"\xff\x00", pair=topic)
    assert two.hear()["bytes"] == b"\xff\x00"
    assert three.ask("pair", pair=topic)["code"] == "pair_taken"
    two.close()
    assert one.hear() == {"op": "left", "pair": topic}
    assert one.ask("send", b"to nobody", pair=topic)["code"] == "pair_alone"
    assert three.ask("pair", pair=topic)["op"] in ("ok", "joined")
    assert one.hear()["op"] == "joined"


@pytest.mark.parametrize("frame, reason", [
    ("not json", "invalid_frame"),
    ('{"op":"fly"}', "invalid_frame"),
    ('{"op":"publish","channel":"a"}', "invalid_frame"),
    (b"\xff\xff\xff\xff", "invalid_frame"),
    (b"", "invalid_frame"),
    ('{"op":"reply","request":99,"value":""}', "unknown_request"),
    ('{"op":"publish","channel":"__consumer_offsets","value":""}', "internal_topic"),
])
def test_a_frame_that_makes_no_sense_is_answered_and_survived(open_socket, topic, frame, reason):
    socket = open_socket()
    socket.connection.send(frame)
    heard = socket.hear()
    assert (heard["op"], heard["code"]) == ("error", reason), heard
    assert socket.ask("subscribe", channel=topic)["op"] == "ok"


def test_a_page_of_another_site_may_not_open_a_websocket(shared_node):
    from websockets.exceptions import InvalidStatus
    with pytest.raises(InvalidStatus) as refused:
        with connect(f"ws://{shared_node.addresses['http']}/ws", origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


def test_a_subscriber_that_does_not_read_is_cut_off_and_memory_stays_bounded(shared_node, open_socket, topic):
    slow = open_socket()
    slow.ask("subscribe", channel=topic)
    value = b"x" * 1_000_000
    receivers = 1
    for _ in range(200):  # far more than the queue and both sockets' buffers hold
        receivers = publish(shared_node, topic, value)["receivers"]
        if receivers == 0:
            break
    assert receivers == 0
    metrics = requests.get(url(shared_node, "/metrics"), timeout=WAIT).text
    assert "posthouse_broker_live_overflow_disconnects_total" in metrics


def test_websockets_are_told_that_the_node_stops(node):
    socket = Socket(node)
    socket.ask("subscribe", channel="a")
    with events(node, "/channels/a") as stream:
        assert node.stop() == 0, node.log()
        assert list(stream) == []
    from websockets.exceptions import ConnectionClosed
    with pytest.raises(ConnectionClosed) as closed:
        socket.connection.recv(timeout=WAIT)
    assert closed.value.rcvd.code == 1001
