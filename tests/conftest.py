"""Fixtures for every end-to-end test: a node, a topic name of one's own, Apache Kafka's tools."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from posthouse_node import BINARY, ROOT, Node  # noqa: E402

JARS = Path(os.environ.get("POSTHOUSE_KAFKA_JARS", ROOT / "target" / "kafka-jars"))
MAIN_CLASSES = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
}
_names = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _binary_exists():
    assert BINARY.exists(), f"{BINARY} is not built; run `cargo build -p posthouse`"


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory):
    """A node for tests that neither end it nor depend on what else is in it."""
    node = Node(tmp_path_factory.mktemp("shared-node")).start()
    yield node
    assert node.stop() == 0, node.log()


@pytest.fixture
def node(tmp_path):
    """A node of the test's own."""
    node = Node(tmp_path / "node").start()
    yield node
    if node.process.poll() is None:
        assert node.stop() == 0, node.log()


@pytest.fixture
def topic():
    """A topic name that no other test has."""
    return f"topic-{os.getpid()}-{next(_names)}"


@pytest.fixture(scope="session")
def kafka_tool():
    """Runs one of Apache Kafka's own command-line tools: `kafka_tool("kafka-topics", "--list")`."""
    assert shutil.which("java"), "Apache Kafka's tools need a JDK on the path"
    assert JARS.is_dir(), f"Apache Kafka's jars are not in {JARS}; run tools/prepare"

    def run(tool, *arguments, input=None, check=True, timeout=120):
        done = subprocess.run(
            ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", MAIN_CLASSES[tool],
             *map(str, arguments)],
            input=input, capture_output=True, text=True, timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{tool} {' '.join(map(str, arguments))} ended with {done.returncode}\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return done

    return run
