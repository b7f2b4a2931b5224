"""A writer and a reader for every door, behind one small shape, so that one test runs over all pairs.

A **writer** says records on a channel or topic; `says(record)` is whether its protocol has words for
that record, which goes by `keys`, `nulls`, `headers` and `frames` (its headers are those of frames);
`told` is whether it returns when what it wrote is accepted, and not before.

A **reader** follows a channel or topic from the moment it was made; `read(count)` gives its next
records, as `Record(key, value, headers)`, and `sees(record)` is what its protocol shows of one. Both
are context managers, made as `Kind(node, name)`; a reader has subscribed when it is made.
"""

import base64
import json
import struct
import time
import uuid
from contextlib import ExitStack
from http.client import HTTPConnection
from urllib.parse import quote

import confluent_kafka
import psycopg
import redis
import requests
import zmq
from websockets.sync.client import connect

from . import Record

WAIT = 30  # seconds for what must come
FRAME = "zmq.frame"  # the header that has a frame between the first and the last


def text(field):
    return base64.b64encode(field).decode()


def as_line(record):
    """A record as HTTP's JSON has it."""
    line = {"headers": [{"name": name, "value_base64": text(value)} if value is not None
                        else {"name": name, "value": None} for name, value in record.headers]}
    for member, field in [("key", record.key), ("value", record.value)]:
        if field is not None:
            line[f"{member}_base64"] = text(field)
        else:
            line[member] = None
    return line


def from_line(line):
    """The record of one line of HTTP's JSON."""
    def field(of, member):
        if f"{member}_base64" in of:
            return base64.b64decode(of[f"{member}_base64"])
        return None if of[member] is None else of[member].encode()
    headers = tuple((field(header, "name").decode(), field(header, "value")) for header in line["headers"])
    return Record(field(line, "key"), field(line, "value"), headers)


class Door:
    """What writers and readers of all doors share."""

    keys = nulls = headers = True
    frames = False
    told = True

    def __init__(self, node, channel):
        self.node, self.channel = node, channel
        self.open = ExitStack()
        self.begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.close()

    @classmethod
    def says(cls, record):
        return ((cls.keys or record.key is None) and (cls.nulls or record.value is not None)
                and (cls.headers or not record.headers))

    @staticmethod
    def sees(record):
        return record

    def url(self, path):
        return self.node.http + path.format(quote(self.channel, safe=""))

    def ask(self, method, path, **more):
        """A request over the one HTTP connection of this writer or reader."""
        answer = self.session.request(method, self.url(path), timeout=WAIT, **more)
        assert answer.ok, answer.text
        return answer


class RedisPublisher(Door):
    name = "redis"
    keys = nulls = headers = False

    def begin(self):
        self.client = self.open.enter_context(redis.Redis(**self.node.redis))

    def write(self, *records):
        pipeline = self.client.pipeline(transaction=False)
        for record in records:
            pipeline.publish(self.channel, record.value)
        pipeline.execute()


class RedisSubscriber(Door):
    name = "redis"

    def begin(self):
        client = self.open.enter_context(redis.Redis(**self.node.redis))
        self.subscription = self.open.enter_context(client.pubsub())
        self.subscription.subscribe(self.channel)
        assert self.subscription.get_message(timeout=WAIT)["type"] == "subscribe"

    @staticmethod
    def sees(record):
        return Record(None, record.value or b"")

    def read(self, count):
        return [Record(None, self.next()) for _ in range(count)]

    def next(self):
        message = self.subscription.get_message(timeout=WAIT)
        assert message is not None, f"no message in {WAIT} s"
        assert message["type"] == "message", message
        return message["data"]


class RedisStreamReader(Door):
    """Records of other doors as entries of a stream: the fields `key` and `value`."""

    name = "redis-stream"

    def begin(self):
        self.client = self.open.enter_context(redis.Redis(**self.node.redis))
        self.after = "0-0"

    @staticmethod
    def sees(record):
        return Record(record.key, record.value or b"")

    def read(self, count):
        found = []
        while len(found) < count:
            answer = self.client.execute_command(
                "XREAD", "COUNT", count - len(found), "BLOCK", WAIT * 1000, "STREAMS", self.channel, self.after)
            assert answer, f"no entry in {WAIT} s"
            # A mapping with RESP3, pairs with RESP2.
            (_, entries), = answer.items() if isinstance(answer, dict) else answer
            for self.after, fields in entries:
                fields = dict(zip(fields[::2], fields[1::2])) if isinstance(fields, list) else fields
                found.append(Record(fields.get(b"key"), fields[b"value"]))
        return found


class WebSocket(Door):
    binary = False

    def begin(self):
        self.socket = self.open.enter_context(connect(
            f"ws://{self.node.addresses['http']}/ws?binary={str(self.binary).lower()}",
            max_size=None, compression=None, open_timeout=WAIT))

    def hear(self):
        """The next frame: what it says, and the record in it if there is one."""
        frame = self.socket.recv(timeout=WAIT)
        if isinstance(frame, str):
            head = json.loads(frame)
            return head, from_line(head) if head["op"] == "message" else None
        size, = struct.unpack(">I", frame[:4])
        head = json.loads(frame[4:4 + size])
        record = from_line({**head, "value": None})
        return head, Record(record.key, frame[4 + size:], record.headers)


class WebSocketPublisher(WebSocket):
    name = "websocket"

    def write(self, *records):
        for number, record in enumerate(records):
            head = {"op": "publish", "channel": self.channel, "id": number, **as_line(record)}
            value = head.pop("value_base64", None)
            if value is None or number % 2:
                # Every other one as JSON alone, so that both kinds of frame are sent.
                head = head if value is None else {**head, "value_base64": value}
                self.socket.send(json.dumps(head))
            else:
                head = json.dumps(head).encode()
                self.socket.send(struct.pack(">I", len(head)) + head + record.value)
        for _ in records:
            heard, _ = self.hear()
            assert heard["op"] == "published", heard


class WebSocketSubscriber(WebSocket):
    name = "websocket"

    def begin(self):
        super().begin()
        self.socket.send(json.dumps({"op": "subscribe", "id": 1, **self.pattern()}))
        heard, _ = self.hear()
        assert heard["op"] == "ok", heard

    def pattern(self):
        return {"channel": self.channel}

    def read(self, count):
        found = []
        for _ in range(count):
            head, record = self.hear()
            assert head["op"] == "message", head
            found.append(record)
        return found


class BinaryWebSocketSubscriber(WebSocketSubscriber):
    name, binary = "websocket-binary", True


class HttpPublisher(Door):
    """`POST /channels/NAME`: the body is the value."""

    name = "http"
    headers = False

    def begin(self):
        self.session = self.open.enter_context(requests.Session())

    def write(self, *records):
        for record in records:
            parameters = {} if record.key is None else {"key_base64": text(record.key)}
            if record.value is None:
                parameters["tombstone"] = "true"
            self.ask("POST", "/channels/{}", params=parameters, data=record.value)


class EventStream(Door):
    """`GET /channels/NAME`: server-sent events."""

    name, query, last_id = "events", "", None

    def begin(self):
        connection = HTTPConnection(self.node.addresses["http"], timeout=WAIT)
        self.open.callback(connection.close)
        connection.request("GET", f"/channels/{quote(self.channel, safe='')}{self.query}",
                           headers={"Accept": "text/event-stream", **self.resuming()})
        self.response = connection.getresponse()
        assert self.response.status == 200, self.response.read()

    def resuming(self):
        return {"Last-Event-ID": self.last_id} if self.last_id else {}

    def read(self, count):
        found = []
        while len(found) < count:
            line = self.response.readline()
            assert line, "the stream ended"
            if line.startswith(b"id: "):
                self.last_id = line[4:].strip().decode()
            if line.startswith(b"data: "):
                found.append(from_line(json.loads(line[6:])))
        return found


class HttpBatchWriter(Door):
    """`POST /topics/NAME/records/batch`: lines of JSON."""

    name = "http-batch"

    def begin(self):
        self.session = self.open.enter_context(requests.Session())

    def write(self, *records):
        lines = "\n".join(json.dumps(as_line(record)) for record in records)
        self.ask("POST", "/topics/{}/records/batch", data=lines)


class HttpReader(Door):
    """`GET /topics/NAME/records`: lines of JSON."""

    name = "http"

    def begin(self):
        self.session = self.open.enter_context(requests.Session())
        self.offset = 0

    def read(self, count):
        found = []
        while len(found) < count:
            answer = self.ask("GET", "/topics/{}/records", params={
                "partition": 0, "offset": self.offset, "max": count - len(found), "wait_ms": WAIT * 1000})
            lines = [json.loads(line) for line in answer.content.splitlines()]
            assert lines, f"no record in {WAIT} s"
            self.offset = lines[-1]["offset"] + 1
            found += map(from_line, lines)
        return found


class QueueWorker(Door):
    """A work queue over HTTP; every message is acknowledged."""

    name = "queue"

    def begin(self):
        self.session = self.open.enter_context(requests.Session())
        self.ask("POST", "/queues/{}/readers", json={})

    def read(self, count):
        found = []
        while len(found) < count:
            asked = {"max": count - len(found), "bytes_max": 16 << 20, "wait_ms": WAIT * 1000}
            messages = self.ask("POST", "/queues/{}/readers/lease", json=asked).json()["messages"]
            assert messages, f"no message in {WAIT} s"
            found += map(from_line, messages)
            self.ask("POST", "/queues/{}/readers/ack", json={"leases": [one["lease"] for one in messages]})
        return found


class KafkaProducer(Door):
    name = "kafka"

    def begin(self):
        self.failures = []
        self.producer = confluent_kafka.Producer({
            "bootstrap.servers": self.node.kafka, "enable.idempotence": True,
            "on_delivery": lambda error, _: self.failures.append(error) if error else None,
        })

    def write(self, *records):
        for record in records:
            self.producer.produce(self.channel, record.value, record.key, headers=list(record.headers))
        left = self.producer.flush(WAIT)
        assert not self.failures and left == 0, f"{left} not sent, failures: {self.failures[:3]}"


class KafkaConsumer(Door):
    name = "kafka"

    def begin(self):
        self.consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.node.kafka, "group.id": "unused",
            "enable.auto.commit": False, "auto.offset.reset": "error"})
        self.open.callback(self.consumer.close)
        self.consumer.assign([confluent_kafka.TopicPartition(self.channel, 0, 0)])

    def read(self, count):
        return [self.next() for _ in range(count)]

    def next(self):
        message = self.consumer.poll(WAIT)
        assert message is not None, f"no record in {WAIT} s"
        assert message.error() is None, message.error()
        return Record(message.key(), message.value(), tuple(message.headers() or ()))


def sql_text(field):
    """Bytes as the SQL columns have them: text, or `\\x` and hexadecimal where it is none."""
    if field is None:
        return None
    try:
        shown = field.decode()
    except UnicodeDecodeError:
        return "\\x" + field.hex()
    return "\\x" + field.hex() if shown.startswith("\\x") or "\0" in shown else shown


def sql_bytes(shown):
    if shown is None:
        return None
    return bytes.fromhex(shown[2:]) if shown.startswith("\\x") else shown.encode()


class Sql(Door):
    name = "sql"

    def begin(self):
        self.connection = self.open.enter_context(psycopg.connect(**self.node.postgres, autocommit=True))
        self.offset = 0


class SqlWriter(Sql):
    @classmethod
    def says(cls, record):
        """Headers are an object: those of one name stand together."""
        names = [name for name, _ in record.headers]
        return all(name not in names[:at] or names[at - 1] == name for at, name in enumerate(names))

    @staticmethod
    def members(record):
        members = {}
        for name, value in record.headers:
            members.setdefault(sql_text(name.encode()), []).append(sql_text(value))
        return json.dumps({name: values if len(values) > 1 else values[0] for name, values in members.items()})

    def write(self, *records):
        rows = [(sql_text(one.key), sql_text(one.value), self.members(one) if one.headers else None)
                for one in records]
        places = ", ".join(["(%s::text, %s::text, %s::text)"] * len(rows))
        done = self.connection.execute(
            f'INSERT INTO "{self.channel}" (_key, _value, _headers) VALUES {places}',
            [field for row in rows for field in row])
        assert done.rowcount == len(rows)


class SqlReader(Sql):
    """Asks until it is there: not every writer is told when that is."""

    def read(self, count):
        deadline = time.monotonic() + WAIT
        while len(rows := self.rows(count)) < count:
            assert time.monotonic() < deadline, f"{len(rows)} rows of {count} after {WAIT} s"
        self.offset += count
        return [Record(sql_bytes(key), sql_bytes(value), self.pairs(shown)) for key, value, shown in rows]

    def rows(self, count):
        return self.connection.execute(
            f'SELECT _key, _value, _headers FROM "{self.channel}" WHERE _partition = 0 AND _offset >= %s '
            f'AND _offset < %s ORDER BY _offset', (self.offset, self.offset + count)).fetchall()

    @staticmethod
    def pairs(shown):
        members = json.loads(shown) if shown else {}
        return tuple((sql_bytes(name).decode(), sql_bytes(value)) for name, values in members.items()
                     for value in (values if isinstance(values, list) else [values]))


def from_frames(frames):
    """The record of a message: the first frame is its key, the last its value."""
    *first, value = frames
    key, between = (first[0], first[1:]) if first else (None, [])
    return Record(key, value, tuple((FRAME, frame) for frame in between))


def to_frames(record):
    first = [] if record.key is None else [record.key]
    return [*first, *(frame for _, frame in record.headers), record.value]


def declare(node, socket, **settings):
    """An endpoint of the ZeroMQ door, on a free port: its name and its address."""
    name = f"e-{uuid.uuid4()}"
    asked = {"name": name, "socket": socket, "bind": "tcp://127.0.0.1:0", **settings}
    made = requests.post(f"{node.http}/endpoints", json=asked, timeout=WAIT)
    assert made.ok, made.text
    return name, made.json()["addresses"][0]


def undeclare(node, name):
    requests.delete(f"{node.http}/endpoints/{name}", timeout=WAIT).raise_for_status()


class ZeroMq(Door):
    """A socket of libzmq, and an endpoint of the node for it alone."""

    name = "zeromq"
    frames = True

    def begin(self):
        name, address = declare(self.node, self.theirs, channel=self.channel)
        self.open.callback(undeclare, self.node, name)
        context = self.open.enter_context(zmq.Context())
        self.socket = self.open.enter_context(context.socket(self.ours))
        self.socket.sndtimeo = self.socket.rcvtimeo = self.socket.linger = WAIT * 1000
        self.socket.connect(address)

    @classmethod
    def says(cls, record):
        """One frame is a value; several are a key, headers and a value."""
        named = all(name == FRAME and value is not None for name, value in record.headers)
        return record.value is not None and named and not (record.key is None and record.headers)

    @staticmethod
    def sees(record):
        between = tuple((name, value) for name, value in record.headers if name == FRAME)
        return Record(record.key, record.value or b"", between)


class ZeroMqWriter(ZeroMq):
    ours, theirs = zmq.PUSH, "PULL"
    told = False

    def write(self, *records):
        for record in records:
            self.socket.send_multipart(to_frames(record))


class ZeroMqReader(ZeroMq):
    ours, theirs = zmq.PULL, "PUSH"

    def read(self, count):
        return [from_frames(self.socket.recv_multipart()) for _ in range(count)]


LIVE_WRITERS = (RedisPublisher, WebSocketPublisher, HttpPublisher, ZeroMqWriter)
LIVE_READERS = (RedisSubscriber, WebSocketSubscriber, BinaryWebSocketSubscriber, EventStream, ZeroMqReader)
WRITERS = (*LIVE_WRITERS, HttpBatchWriter, KafkaProducer, SqlWriter)
READERS = (*LIVE_READERS, RedisStreamReader, HttpReader, QueueWorker, KafkaConsumer, SqlReader)
