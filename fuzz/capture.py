"""A proxy that keeps the Kafka requests it sees: seeds for the corpora, from real clients.

Usage: capture.py LISTEN_PORT BROKER_PORT NAME. Point the broker's advertised listener at
LISTEN_PORT and a client at it. Each request is kept without its length prefix in
fuzz/corpus/kafka_request/NAME-<api key>-<version>-<index>, the first few of every kind.
"""

import collections
import pathlib
import socket
import struct
import sys
import threading

CORPUS = pathlib.Path(__file__).parent / "corpus" / "kafka_request"
KEPT_OF_A_KIND = 2
SIZE_MAX = 8 * 1024


def relay(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


class Keeper:
    def __init__(self, name):
        self.name = name
        self.kept = collections.Counter()
        self.lock = threading.Lock()

    def keep(self, request):
        key, version = struct.unpack_from(">hh", request)
        with self.lock:
            if len(request) > SIZE_MAX or self.kept[key, version] >= KEPT_OF_A_KIND:
                return
            index = self.kept[key, version]
            self.kept[key, version] += 1
        CORPUS.mkdir(parents=True, exist_ok=True)
        (CORPUS / f"{self.name}-{key}-{version}-{index}").write_bytes(request)


def serve(client, broker_port, keeper):
    broker = socket.create_connection(("127.0.0.1", broker_port))
    threading.Thread(target=relay, args=(broker, client), daemon=True).start()
    stream = client.makefile("rb")
    while len(prefix := stream.read(4)) == 4:
        request = stream.read(struct.unpack(">i", prefix)[0])
        keeper.keep(request)
        broker.sendall(prefix + request)
    broker.close()


def main():
    listen_port, broker_port, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    keeper = Keeper(name)
    with socket.create_server(("127.0.0.1", listen_port)) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, broker_port, keeper), daemon=True).start()


if __name__ == "__main__":
    main()
