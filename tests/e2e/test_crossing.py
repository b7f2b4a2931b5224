"""What is written through one door is read through every other: byte for byte, in its publisher's order.

The doors are in `clients/doors.py`. A channel that nobody keeps goes between the live doors; a topic
between all of them. And at each door, what was written there and is read there is identical, whatever
it is (a property test).
"""

import itertools
import os
import threading
import time
from contextlib import ExitStack

import pytest
import redis
import requests
from clients import Record, doors
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.timeout(120)

RECORDS = [
    *(Record(None, value) for value in (
        b"", b"plain", bytes(range(256)), b"\xff\xfe", b"\r\n\0", "día".encode(), b"[1, 2.50]", b"null",
        b"\\x41", b"x" * 100_000)),
    *(Record(key, b"keyed") for key in (b"", b"key", b"\xff\0", "ключ".encode())),
    Record(b"tombstone", None),
    Record(None, None),
    Record(b"first", b"last", (("zmq.frame", b"middle"), ("zmq.frame", b""))),
    Record(b"key", b"value", (("b", None), ("a", b"\0\xff"), ("c", b""))),
]
NUMBERS = range(60)
EXAMPLES = int(os.environ.get("POSTHOUSE_CROSSING_EXAMPLES", "40"))  # of each door


def pairs(writers, readers):
    return pytest.mark.parametrize("writer, reader", [
        pytest.param(*pair, id=f"{pair[0].name}-to-{pair[1].name}")
        for pair in itertools.product(writers, readers)])


def each_writer(writers):
    return pytest.mark.parametrize("writer", writers, ids=lambda writer: writer.name)


def create(node, topic, partitions=1):
    made = requests.post(f"{node.http}/topics", json={"name": topic, "partitions": partitions}, timeout=30)
    assert made.ok, made.text


def said_and_heard(node, channel, writer, reader):
    """One writer says all that it has words for."""
    said = [record for record in RECORDS if writer.says(record)]
    with reader(node, channel) as ear, writer(node, channel) as mouth:
        mouth.write(*said)
        heard = ear.read(len(said))
    return [reader.sees(record) for record in said], heard


def heard_of_each(node, channel, writer, readers):
    """Two writers count at once: what each reader heard of each of them."""
    with ExitStack() as stack:
        ears = [stack.enter_context(reader(node, channel)) for reader in readers]
        mouths = [(name, stack.enter_context(writer(node, channel))) for name in ("one", "other")]
        threads = [threading.Thread(target=mouth.write, args=[Record(None, f"{name} {n}".encode()) for n in NUMBERS])
                   for name, mouth in mouths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {ear.name: numbers_of_each(ear.read(2 * len(NUMBERS))) for ear in ears}


def numbers_of_each(heard):
    said = [record.value.decode().split() for record in heard]
    return {name: [int(number) for who, number in said if who == name] for name in ("one", "other")}


def in_order(readers):
    return {reader.name: {"one": list(NUMBERS), "other": list(NUMBERS)} for reader in readers}


@pairs(doors.LIVE_WRITERS, doors.LIVE_READERS)
def test_payloads_cross_a_channel_byte_for_byte(shared_node, topic, writer, reader):
    said, heard = said_and_heard(shared_node, topic, writer, reader)
    assert heard == said


@pairs(doors.WRITERS, doors.READERS)
def test_payloads_cross_a_topic_byte_for_byte(shared_node, topic, writer, reader):
    create(shared_node, topic)
    said, heard = said_and_heard(shared_node, topic, writer, reader)
    assert heard == said


@each_writer(doors.LIVE_WRITERS)
@pytest.mark.parametrize("partitions", [0, 3])
def test_a_channel_keeps_the_order_of_each_publisher(shared_node, topic, writer, partitions):
    if partitions:
        create(shared_node, topic, partitions)
    heard = heard_of_each(shared_node, topic, writer, doors.LIVE_READERS)
    assert heard == in_order(doors.LIVE_READERS)


@each_writer(doors.WRITERS)
def test_a_topic_keeps_the_order_of_each_writer_for_every_reader(shared_node, topic, writer):
    create(shared_node, topic)
    assert heard_of_each(shared_node, topic, writer, doors.READERS) == in_order(doors.READERS)


TOLD = [writer for writer in doors.LIVE_WRITERS if writer.told]


@each_writer(TOLD)
def test_a_channel_becomes_a_topic_under_its_publisher_and_nobody_misses_anything(shared_node, topic, writer):
    with ExitStack() as stack:
        ears = [stack.enter_context(reader(shared_node, topic)) for reader in doors.LIVE_READERS]
        mouth = stack.enter_context(writer(shared_node, topic))
        turning, turned = threading.Event(), threading.Event()

        def publish():
            number = 0
            # Some before, some at the same time, and some after.
            while not turned.is_set() or number < 200:
                mouth.write(Record(None, b"%d" % number))
                number += 1
                if number == 50:
                    turning.set()
            said.append(number)

        said = []
        thread = threading.Thread(target=publish)
        thread.start()
        turning.wait()
        create(shared_node, topic)
        turned.set()
        thread.join()
        for ear in ears:
            assert [int(record.value) for record in ear.read(said[0])] == list(range(said[0])), ear.name
        # What came after the turn is in the topic, from its first record on.
        with doors.HttpReader(shared_node, topic) as reader:
            first = int(reader.read(1)[0].value)
            assert first >= 50
            assert [int(record.value) for record in reader.read(said[0] - first - 1)] == list(range(first + 1, said[0]))


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_follower_from_the_past_catches_up_with_writers_that_go_on(shared_node, topic, partitions):
    create(shared_node, topic, partitions)
    with ExitStack() as stack:
        mouths = [stack.enter_context(writer(shared_node, topic)) for writer in TOLD]
        followers, over = [], threading.Event()
        said = {mouth.name: 0 for mouth in mouths}

        def publish(mouth):
            while not over.is_set():
                mouth.write(Record(None, f"{mouth.name} {said[mouth.name]}".encode()))
                said[mouth.name] += 1

        threads = [threading.Thread(target=publish, args=[mouth]) for mouth in mouths]
        for thread in threads:
            thread.start()
        try:
            for lap in range(1, 6):
                while (begun := sum(said.values())) < 40 * lap:
                    time.sleep(0.001)
                follower = stack.enter_context(WebSocketFromTheBeginning(shared_node, topic))
                followers.append((follower, follower.read(begun)))
        finally:
            over.set()
            for thread in threads:
                thread.join()
        total = sum(said.values())
        with WebSocketFromTheBeginning(shared_node, topic) as late:
            heard = [record.value.decode().split() for record in late.read(total)]
        assert {name: [int(n) for who, n in heard if who == name] for name in said} == {
            name: list(range(count)) for name, count in said.items()}
        for follower, first in followers:
            # As many as there are, none twice: it has joined the live ones without a gap.
            assert len({record.value for record in first + follower.read(total - len(first))}) == total


class WebSocketFromTheBeginning(doors.WebSocketSubscriber):
    def pattern(self):
        return {"channel": self.channel, "from": "beginning"}


short = st.binary(max_size=40)
# librdkafka ends a name at its first zero.
name = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
headers = st.lists(st.tuples(name, st.none() | short), max_size=4).map(tuple)


def sayable(writer):
    """Any record that a writer has words for."""
    if writer.frames:
        return st.lists(short, min_size=1, max_size=5).map(doors.from_frames)
    record = st.builds(
        Record,
        st.none() | short if writer.keys else st.none(),
        short | st.binary(max_size=2000) | (st.none() if writer.nulls else st.nothing()),
        headers if writer.headers else st.just(()),
    )
    return record.filter(writer.says)


SAME_DOOR = [
    (doors.RedisPublisher, doors.RedisSubscriber),
    (doors.WebSocketPublisher, doors.WebSocketSubscriber),
    (doors.WebSocketPublisher, doors.BinaryWebSocketSubscriber),
    (doors.HttpPublisher, doors.EventStream),
    (doors.HttpBatchWriter, doors.HttpReader),
    (doors.HttpBatchWriter, doors.QueueWorker),
    (doors.KafkaProducer, doors.KafkaConsumer),
    (doors.SqlWriter, doors.SqlReader),
    (doors.ZeroMqWriter, doors.ZeroMqReader),
]


@pytest.mark.parametrize("writer, reader, kept", [
    pytest.param(writer, reader, kept, id=f"{writer.name}-to-{reader.name}-{'topic' if kept else 'channel'}")
    for writer, reader in SAME_DOOR for kept in ([False, True] if writer in doors.LIVE_WRITERS else [True])])
def test_what_is_written_at_a_door_is_read_there_identical(shared_node, topic, writer, reader, kept):
    if kept:
        create(shared_node, topic)
    with reader(shared_node, topic) as ear, writer(shared_node, topic) as mouth:
        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(st.lists(sayable(writer), min_size=1, max_size=8))
        def identical(said):
            mouth.write(*said)
            assert ear.read(len(said)) == said
        identical()


def test_entries_added_to_a_stream_are_read_there_identical(shared_node, topic):
    with redis.Redis(**shared_node.redis) as client:
        # Pairs, as they come: a mapping would lose fields that are named twice.
        client.response_callbacks.clear()

        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(st.lists(st.tuples(short, short), min_size=1, max_size=6))
        def identical(fields):
            flat = [part for field in fields for part in field]
            added = client.execute_command("XADD", topic, "*", *flat)
            assert client.execute_command("XRANGE", topic, added, added) == [[added, flat]]
        identical()
