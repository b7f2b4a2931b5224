"""Starts and ends the servers that are measured, and reads what they cost from /proc."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JARS = Path(os.environ.get("POSTHOUSE_KAFKA_JARS", ROOT / "target" / "kafka-jars"))
PEERS = ROOT / "target" / "peers" / "bin"
RELEASE = Path(os.environ.get("POSTHOUSE_TARGET", ROOT / "target")) / "release"
KAFKA_HEAP = "1g"  # Apache Kafka's own default in bin/kafka-server-start.sh
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def api_versions(port, timeout=0.2):
    """Whether a Kafka broker answers on the port: an ApiVersions v0 request and its answer."""
    request = struct.pack(">hhih", 18, 0, 1, 5) + b"bench"
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(struct.pack(">i", len(request)) + request)
        return len(connection.recv(4)) == 4


def pong(port, timeout=0.2):
    """Whether a Redis server answers on the port."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(b"PING\r\n")
        return connection.recv(7) == b"+PONG\r\n"


class Server:
    """A server over a fresh directory on the disk that is measured."""

    name = "?"

    def __init__(self, flush):
        self.flush = flush
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=ROOT / "target"))
        self.port = free_port()
        self.process = None
        self.ready_seconds = None

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def command(self):
        raise NotImplementedError

    def prepare(self):
        """What an operator does once, before the first start."""

    def is_ready(self):
        return api_versions(self.port)

    def __enter__(self):
        self.prepare()
        self.log = open(self.directory / "server.log", "wb")
        began = time.monotonic()
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log)
        while True:
            try:
                if self.is_ready():
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - began > 120:
                raise RuntimeError(f"{self.name} did not start:\n{(self.directory / 'server.log').read_text()[-3000:]}")
            time.sleep(0.002)
        self.ready_seconds = time.monotonic() - began
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cpu_seconds(self):
        """User and system time of the server's process so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def resident_bytes(self):
        """The peak of the server's resident memory so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0


class Posthouse(Server):
    """`posthouse serve`; with `flush` an fsync shared by whatever waits, its default."""

    name = "posthouse"

    def __init__(self, flush):
        super().__init__(flush)
        self.http = free_port()
        self.postgres = free_port()

    def command(self):
        return [
            str(RELEASE / "posthouse"), "serve", "--data-dir", str(self.directory / "data"),
            "--kafka", self.bootstrap, "--redis", self.redis_address(), "--http", f"127.0.0.1:{self.http}",
            "--postgres", f"127.0.0.1:{self.postgres}",
        ]

    def redis_address(self):
        return "off"

    def topic_settings(self):
        return {} if self.flush else {"posthouse.durability": "relaxed"}

    @staticmethod
    def version():
        return subprocess.check_output([RELEASE / "posthouse", "--version"], text=True).strip()


class Kafka(Server):
    """Apache Kafka, KRaft, one node, its own defaults; with `flush` every append is forced."""

    name = "kafka"

    def prepare(self):
        settings = "".join(f"{name}={value}\n" for name, value in self.settings(free_port()).items())
        (self.directory / "server.properties").write_text(settings)
        subprocess.run(
            self.java("256m") + ["kafka.tools.StorageTool", "format", "-t", "bench-cluster-id-000001A",
                                 "-c", str(self.directory / "server.properties")],
            check=True, capture_output=True,
        )

    def settings(self, controller):
        """What server.properties says; `controller` is the port of the node's own quorum."""
        return {
            "process.roles": "broker,controller", "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": f"{self.directory}/data",
            "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1, "group.initial.rebalance.delay.ms": 0,
        }

    def java(self, heap):
        return ["java", f"-Xmx{heap}", f"-Xms{heap}", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
                "-cp", f"{JARS}/*"]

    def command(self):
        return self.java(KAFKA_HEAP) + ["kafka.Kafka", str(self.directory / "server.properties")]

    def topic_settings(self):
        return {"flush.messages": "1"} if self.flush else {}

    @staticmethod
    def version():
        jar = next(JARS.glob("kafka-clients-*.jar"))
        java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()[0]
        return f"Apache Kafka {jar.stem.removeprefix('kafka-clients-')}, heap {KAFKA_HEAP}, {java}"


class Sink(Server):
    """A listener that discards: it acknowledges every produce request and keeps nothing."""

    name = "sink"

    def command(self):
        return [str(RELEASE / "posthouse-bench-sink"), str(self.port)]

    def topic_settings(self):
        return {}


class PosthouseRedis(Posthouse):
    """`posthouse serve` with its Redis door alone; with `flush` a change is answered when it is on the disk,
    otherwise it is there within a second."""

    def http_address(self):
        return "off"

    def command(self):
        durability = "always" if self.flush else "everysec"
        return [
            str(RELEASE / "posthouse"), "serve", "--data-dir", str(self.directory / "data"),
            "--redis", self.bootstrap, "--kafka", "off", "--http", self.http_address(), "--postgres", "off",
            "--set", f"redis.keys_durability={durability}",
        ]

    def is_ready(self):
        return pong(self.port)


class RedisServer(Server):
    """Debian's redis-server with an append-only file, forced to the disk as `flush` says."""

    name = "redis"

    def command(self):
        return [
            str(PEERS / "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "yes", "--appendfsync", "always" if self.flush else "everysec",
            "--dir", str(self.directory), "--loglevel", "warning",
        ]

    def is_ready(self):
        return pong(self.port)

    @staticmethod
    def version():
        text = subprocess.check_output([PEERS / "redis-server", "--version"], text=True)
        return "redis-server " + text.split("v=", 1)[1].split()[0]


class Copier(Server):
    """The least that a fan-out server can do: bytes copied from the publisher to every subscriber."""

    name = "copier"

    def command(self):
        return [str(RELEASE / "posthouse-bench-fanout"), "copy", self.bootstrap]

    def is_ready(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
            return True


def machine():
    """What the numbers were taken on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), "unknown processor")
    memory_kib = int(Path("/proc/meminfo").read_text().split()[1])
    return json.dumps({"cpu": model, "cores": os.cpu_count(), "memory_gib": round(memory_kib / 2**20, 1),
                       "kernel": os.uname().release})
