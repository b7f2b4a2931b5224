"""kafka-python 3."""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from . import CODECS, Record

name = "kafka-python"
codecs = CODECS
binary = headers = timestamps = True


def produce(bootstrap, topic, records, codec="none"):
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, acks="all",
                             compression_type=None if codec == "none" else codec)
    sent = [
        producer.send(topic, value=record.value, key=record.key, headers=list(record.headers),
                      partition=0, timestamp_ms=record.timestamp)
        for record in records
    ]
    for future in sent:
        future.get(30)
    producer.close()


def consume(bootstrap, topic, start, count):
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    try:
        match start:
            case "beginning":
                consumer.seek_to_beginning(partition)
            case "end":
                consumer.seek_to_end(partition)
            case ("offset", offset):
                consumer.seek(partition, offset)
            case ("timestamp", at):
                consumer.seek(partition, consumer.offsets_for_times({partition: at})[partition].offset)
        records = []
        while len(records) < count:
            batches = consumer.poll(timeout_ms=30_000, max_records=count - len(records))
            assert batches, "no record within 30 s"
            for message in batches[partition]:
                records.append(Record(message.key, message.value, tuple(message.headers),
                                      message.timestamp, message.offset))
        return records
    finally:
        consumer.close()
