"""Makes the golden batches: lets real clients produce to a listener that keeps what they send.

Usage, in an environment with confluent-kafka, kafka-python, python-snappy, lz4 and zstandard, and a
JDK: capture.py DIRECTORY_OF_KAFKA_CLIENT_JARS. Writes <client>-<codec>.bin beside this file: one
record batch each, as it lay in the produce request.
"""

import pathlib
import socketserver
import struct
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).parent
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
TOPIC = "golden"
TIMESTAMP_MS = 1_700_000_000_000
LONG_VALUE = b"a relay station on a post road; " * 40
RECORDS = [  # key, value, headers; the Rust test and Capture.java hold the same
    (b"JFK", LONG_VALUE, [("trace", b"\x00\x01"), ("trace", b"")]),
    (None, b"", []),
    (b"", None, [("null", None)]),
]

PRODUCE, FETCH, METADATA, FIND_COORDINATOR, API_VERSIONS, INIT_PRODUCER_ID = 0, 1, 3, 10, 18, 22
VERSIONS = [(PRODUCE, 0, 7), (FETCH, 0, 11), (METADATA, 0, 4), (FIND_COORDINATOR, 0, 2),
            (API_VERSIONS, 0, 0), (INIT_PRODUCER_ID, 0, 1)]


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def read_string(body, at):
    (length,) = struct.unpack_from(">h", body, at)
    return at + 2 + max(length, 0)


class Broker(socketserver.ThreadingTCPServer):
    """Answers just enough for a producer, and keeps the records it sends."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Connection)
        self.batches = []

    @property
    def port(self):
        return self.server_address[1]


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        while len(prefix := self.rfile.read(4)) == 4:
            request = self.rfile.read(struct.unpack(">i", prefix)[0])
            key, version, correlation = struct.unpack_from(">hhi", request)
            body = request[read_string(request, 8):]
            answer = struct.pack(">i", correlation) + self.answer(key, version, body)
            self.wfile.write(struct.pack(">i", len(answer)) + answer)

    def answer(self, key, version, body):
        if key == API_VERSIONS:
            error = 0 if version == 0 else 35
            rows = b"".join(struct.pack(">hhh", *row) for row in VERSIONS)
            return struct.pack(">hi", error, len(VERSIONS)) + rows
        if key == METADATA:
            return self.metadata(version)
        if key == INIT_PRODUCER_ID:
            return struct.pack(">ihqh", 0, 0, 4242, 0)
        if key == PRODUCE:
            return self.produce(body)
        raise ValueError(f"unexpected api {key}")

    def metadata(self, version):
        assert version == 4
        broker = struct.pack(">ii", 1, 1) + string("127.0.0.1")
        broker += struct.pack(">ih", self.server.port, -1)
        partition = struct.pack(">hiiiiii", 0, 0, 1, 1, 1, 1, 1)
        topic = struct.pack(">h", 0) + string(TOPIC) + struct.pack(">?i", False, 1) + partition
        return struct.pack(">i", 0) + broker + string("cluster") + struct.pack(">ii", 1, 1) + topic

    def produce(self, body):
        at = read_string(body, 0) + 6  # transactional id, acks, timeout
        assert struct.unpack_from(">i", body, at) == (1,), "one topic"
        at = read_string(body, at + 4)
        count, index, size = struct.unpack_from(">iii", body, at)
        assert (count, index) == (1, 0), "one partition"
        self.server.batches.append(body[at + 12:at + 12 + size])
        return struct.pack(">i", 1) + string(TOPIC) + struct.pack(">iihqqqi", 1, 0, 0, 0, -1, 0, 0)


def librdkafka(address, codec):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address, "compression.type": codec,
                         "linger.ms": 500})
    for index, (key, value, headers) in enumerate(RECORDS):
        producer.produce(TOPIC, key=key, value=value, headers=headers,
                         timestamp=TIMESTAMP_MS + index)
    assert producer.flush(20) == 0


def kafka_python(address, codec):
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=address, linger_ms=500,
                             compression_type=None if codec == "none" else codec)
    for index, (key, value, headers) in enumerate(RECORDS):
        headers = [(name, header or b"") for name, header in headers]  # it refuses None
        producer.send(TOPIC, key=key, value=value, headers=headers,
                      timestamp_ms=TIMESTAMP_MS + index)
    producer.flush(20)
    producer.close()


def java(address, codec):
    subprocess.run(["java", "-cp", f"{sys.argv[1]}/*", HERE / "Capture.java", address, codec],
                   check=True, timeout=60)


def main():
    clients = {"librdkafka": librdkafka, "kafka-python": kafka_python, "java": java}
    for name, client in clients.items():
        for codec in CODECS:
            broker = Broker()
            threading.Thread(target=broker.serve_forever, daemon=True).start()
            client(f"127.0.0.1:{broker.port}", codec)
            broker.shutdown()
            (batch,) = broker.batches
            (HERE / f"{name}-{codec}.bin").write_bytes(batch)
            print(f"{name}-{codec}: {len(batch)} bytes")


if __name__ == "__main__":
    main()
