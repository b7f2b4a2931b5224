"""The load: Kafka's own perf tools, and librdkafka through confluent-kafka. None of it is ours."""

import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .servers import JARS, PEERS

BATCHING = ("linger.ms=5", "batch.size=65536")
TOOLS = ["java", "-Xmx512m", "-cp", f"{JARS}/*"]
PRODUCED = re.compile(
    r"(\d+) records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, "
    r"([\d.]+) ms max latency, (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th, (\d+) ms 99.9th"
)


@dataclass(frozen=True)
class Security:
    """How a client hides what it says and who it says it is, in the words of both clients."""

    librdkafka: dict = field(default_factory=dict)
    java: Path | None = None  # a file of properties

    def tool(self, option):
        return [option, str(self.java)] if self.java else []


NONE = Security()


def create_topic(bootstrap, name, partitions, settings, security=NONE):
    admin = AdminClient({"bootstrap.servers": bootstrap, **security.librdkafka})
    topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=settings)
    admin.create_topics([topic])[name].result(30)


def java_produce(bootstrap, topic, records, size, acks, security=NONE, batching=BATCHING):
    """`kafka-producer-perf-test`: records a second, and its own latency percentiles in ms."""
    output = subprocess.run(
        TOOLS + ["org.apache.kafka.tools.ProducerPerformance", "--topic", topic,
                 "--num-records", str(records), "--record-size", str(size),
                 "--throughput", "-1", *security.tool("--producer.config"), "--producer-props",
                 f"bootstrap.servers={bootstrap}", f"acks={acks}", *batching],
        capture_output=True, text=True, timeout=300,
    ).stdout
    matches = PRODUCED.findall(output)
    if not matches:
        raise RuntimeError(f"no result in:\n{output[-2000:]}")
    last = matches[-1]
    return {"records_per_second": float(last[1]), "bytes": records * size,
            "p50_ms": float(last[5]), "p99_ms": float(last[7]), "p999_ms": float(last[8])}


def java_consume(bootstrap, topic, records, size, security=NONE):
    """`kafka-consumer-perf-test`: megabytes a second of the fetch itself, without joining."""
    output = subprocess.run(
        TOOLS + ["org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", bootstrap,
                 "--topic", topic, "--messages", str(records), "--timeout", "60000",
                 *security.tool("--consumer.config")],
        capture_output=True, text=True, timeout=300,
    ).stdout
    row = [cell.strip() for cell in output.strip().splitlines()[-1].split(",")]
    return {"records_per_second": float(row[9]), "bytes": int(row[4]) * size}


def rdkafka_produce(bootstrap, topic, producers, seconds, size, acks, security=NONE):
    """`producers` librdkafka producers in this process, as fast as they go for `seconds`."""
    payload = b"x" * size
    delivered = [0] * producers
    stop_at = time.monotonic() + seconds

    def run(index):
        def on_delivery(error, _message):
            if error is None:
                delivered[index] += 1

        producer = Producer({"bootstrap.servers": bootstrap, "acks": acks, "linger.ms": 5,
                             "queue.buffering.max.messages": 20_000, "on_delivery": on_delivery,
                             **security.librdkafka})
        while time.monotonic() < stop_at:
            try:
                for _ in range(100):
                    producer.produce(topic, payload)
            except BufferError:
                producer.poll(0.01)
            producer.poll(0)
        producer.flush(60)

    began = time.monotonic()
    threads = [threading.Thread(target=run, args=(index,)) for index in range(producers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - began
    return {"records_per_second": sum(delivered) / elapsed, "bytes": sum(delivered) * size}


def rdkafka_tool_produce(bootstrap, topic, producers, records, size, acks):
    """`producers` processes of librdkafka's own rdkafka_performance at once: records a second from the first
    that starts until the last has ended."""
    share = records // producers
    command = [PEERS / "rdkafka_performance", "-P", "-q", "-t", topic, "-b", bootstrap, "-s", str(size),
               "-c", str(share), "-a", "-1" if acks == "all" else acks, "-X", "linger.ms=5",
               "-X", "queue.buffering.max.messages=20000"]
    began = time.monotonic()
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for _ in range(producers)]
    outputs = [process.communicate(timeout=300)[0] for process in running]
    elapsed = time.monotonic() - began
    for output in outputs:
        if f"{share} delivered" not in output:
            raise RuntimeError(f"not all of {share} records were acknowledged:\n{output[-2000:]}")
    return {"records_per_second": share * producers / elapsed, "bytes": share * producers * size}


def open_loop(bootstrap, topic, rate, seconds, size, acks, partitions, security=NONE):
    """Records at a fixed rate; each latency counts from when the record was due, so that a stall
    is charged to every record it delayed (no coordinated omission)."""
    payload = b"x" * size
    latencies = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": acks, "linger.ms": 0, **security.librdkafka})

    def delivered(due):
        def on_delivery(error, _message):
            if error is None:
                latencies.append(time.monotonic() - due)
        return on_delivery

    count = int(rate * seconds)
    began = time.monotonic() + 0.1
    for index in range(count):
        due = began + index / rate
        while (wait := due - time.monotonic()) > 0:
            producer.poll(min(wait, 0.0005))
        producer.produce(topic, payload, partition=index % partitions, on_delivery=delivered(due))
        producer.poll(0)
    producer.flush(60)
    warm = sorted(latencies[len(latencies) // 5:])
    if len(latencies) < count:
        raise RuntimeError(f"{count - len(latencies)} of {count} records were not acknowledged")
    return {f"p{label}_ms": 1000 * warm[min(len(warm) - 1, int(len(warm) * share))]
            for label, share in (("50", 0.50), ("99", 0.99), ("999", 0.999))} | {"bytes": count * size}


def rdkafka_consume(bootstrap, topic, partitions, records, size, security=NONE):
    """One librdkafka consumer over every partition from the beginning."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "fetch.message.max.bytes": 4 << 20,
                         **security.librdkafka})
    consumer.assign([TopicPartition(topic, index, 0) for index in range(partitions)])
    seen, began = 0, None
    while seen < records:
        messages = consumer.consume(10_000, timeout=30)
        if not messages:
            raise RuntimeError(f"only {seen} of {records} records came back")
        began = began or time.monotonic()
        seen += len(messages)
    elapsed = time.monotonic() - began
    consumer.close()
    return {"records_per_second": seen / elapsed, "bytes": seen * size}
