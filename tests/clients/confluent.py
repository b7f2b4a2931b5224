"""librdkafka through confluent-kafka."""

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Producer, TopicPartition

from . import CODECS, Record

name = "librdkafka"
codecs = CODECS
binary = headers = timestamps = True


def produce(bootstrap, topic, records, codec="none"):
    failures = []
    producer = Producer({
        "bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 20,
        "enable.idempotence": True,
        "on_delivery": lambda error, _: failures.append(error) if error else None,
    })
    for record in records:
        stamp = {} if record.timestamp is None else {"timestamp": record.timestamp}
        producer.produce(topic, record.value, record.key, partition=0,
                         headers=list(record.headers), **stamp)
    left = producer.flush(30)
    assert not failures and left == 0, f"{left} not sent, failures: {failures[:3]}"


def consume(bootstrap, topic, start, count):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused",
                         "enable.auto.commit": False, "auto.offset.reset": "error"})
    try:
        consumer.assign([TopicPartition(topic, 0, position(consumer, topic, start))])
        return [read(consumer) for _ in range(count)]
    finally:
        consumer.close()


def position(consumer, topic, start):
    match start:
        case "beginning":
            return OFFSET_BEGINNING
        case "end":
            return OFFSET_END
        case ("offset", offset):
            return offset
        case ("timestamp", at):
            return consumer.offsets_for_times([TopicPartition(topic, 0, at)], timeout=20)[0].offset
    raise ValueError(start)


def read(consumer):
    message = consumer.poll(30)
    assert message is not None, "no record within 30 s"
    assert message.error() is None, message.error()
    return Record(message.key(), message.value(), tuple(message.headers() or ()),
                  message.timestamp()[1], message.offset())
