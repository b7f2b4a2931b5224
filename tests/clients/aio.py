"""aiokafka."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from . import CODECS, Record

name = "aiokafka"
codecs = CODECS
binary = headers = timestamps = True


def produce(bootstrap, topic, records, codec="none"):
    asyncio.run(_produce(bootstrap, topic, records, codec))


async def _produce(bootstrap, topic, records, codec):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, enable_idempotence=True,
                                compression_type=None if codec == "none" else codec)
    await producer.start()
    try:
        sent = [
            await producer.send(topic, value=record.value, key=record.key, partition=0,
                                headers=list(record.headers), timestamp_ms=record.timestamp)
            for record in records
        ]
        await asyncio.wait_for(asyncio.gather(*sent), 30)
    finally:
        await producer.stop()


def consume(bootstrap, topic, start, count):
    return asyncio.run(_consume(bootstrap, topic, start, count))


async def _consume(bootstrap, topic, start, count):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None)
    await consumer.start()
    partition = TopicPartition(topic, 0)
    try:
        consumer.assign([partition])
        match start:
            case "beginning":
                await consumer.seek_to_beginning(partition)
            case "end":
                await consumer.seek_to_end(partition)
            case ("offset", offset):
                consumer.seek(partition, offset)
            case ("timestamp", at):
                found = await consumer.offsets_for_times({partition: at})
                consumer.seek(partition, found[partition].offset)
        records = []
        for _ in range(count):
            message = await asyncio.wait_for(consumer.getone(), 30)
            records.append(Record(message.key, message.value, tuple(message.headers),
                                  message.timestamp, message.offset))
        return records
    finally:
        await consumer.stop()
