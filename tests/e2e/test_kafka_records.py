"""What one Kafka client writes, every other reads: codecs, keys, headers, timestamps, positions."""

import itertools
import time

import pytest

from clients import CODECS, Record, aio, confluent, kafka_python, kcat

CLIENTS = (confluent, kafka_python, aio, kcat)
# Recent: retention goes by the records' own timestamps, and older ones may be gone before they are read.
NOON = int(time.time() * 1000) - 3_600_000

TEXT = [Record(f"key-{i}".encode(), f"value {i}".encode()) for i in range(500)]
BINARY = [
    Record(b"key", b"value", (("a", b"1"), ("a", b"2"), ("empty", b"")), NOON),
    Record(None, bytes(range(256)), (("binary", bytes(range(255, -1, -1))),), NOON + 1000),
    Record(b"", b"", (), NOON + 2000),
    Record(b"deleted", None, (("null", None),), NOON + 3000),
    Record("ключ".encode(), b"x" * 200_000, (), NOON + 4000),
] + [Record(b"%d" % i, b"%d" % (i * i), (), NOON + 5000 + i) for i in range(100)]

PAIRS = [pytest.param(writer, reader, id=f"{writer.name}-to-{reader.name}")
         for writer, reader in itertools.product(CLIENTS, CLIENTS)]


def plain(records):
    """Key and value only, for a client that expresses no more."""
    return [(record.key, record.value) for record in records]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer, reader", PAIRS)
def test_text_written_by_one_client_is_read_by_another(shared_node, topic, writer, reader, codec):
    writer.produce(shared_node.kafka, topic, TEXT, codec)
    assert plain(reader.consume(shared_node.kafka, topic, "beginning", len(TEXT))) == plain(TEXT)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("writer, reader", [p for p in PAIRS if p.values[0].binary and p.values[1].binary])
def test_every_field_of_a_record_survives(shared_node, topic, writer, reader, codec):
    records = BINARY
    if writer is kafka_python or writer is aio:
        # These two cannot express a null header value.
        records = [r if r.headers != (("null", None),) else Record(r.key, r.value, (), r.timestamp)
                   for r in BINARY]
    writer.produce(shared_node.kafka, topic, records, codec)
    assert reader.consume(shared_node.kafka, topic, "beginning", len(records)) == records


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_reading_starts_at_an_offset(shared_node, topic, client):
    confluent.produce(shared_node.kafka, topic, TEXT)
    found = client.consume(shared_node.kafka, topic, ("offset", 321), 5)
    assert plain(found) == plain(TEXT[321:326])
    assert [record.offset for record in found] == list(range(321, 326))


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_reading_starts_at_a_timestamp(shared_node, topic, client):
    stamped = [Record(b"%d" % i, b"%d" % i, (), NOON + 10 * i) for i in range(1000)]
    confluent.produce(shared_node.kafka, topic, stamped, "zstd")
    found = client.consume(shared_node.kafka, topic, ("timestamp", NOON + 4321), 3)
    assert [record.offset for record in found] == [433, 434, 435]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_reading_from_the_end_sees_nothing_old(shared_node, topic, client):
    confluent.produce(shared_node.kafka, topic, TEXT)
    assert client.consume(shared_node.kafka, topic, "end", 0) == []
