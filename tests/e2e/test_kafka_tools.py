"""Apache Kafka's own command-line tools, and so its Java client 4.x, unchanged."""

import re
import time

import pytest

from clients import CODECS, Record, confluent

RECORDS = [Record(f"k{i}".encode(), f"value {i}".encode()) for i in range(50)]


@pytest.fixture
def tool(shared_node, kafka_tool):
    def run(name, *arguments, **options):
        return kafka_tool(name, "--bootstrap-server", shared_node.kafka, *arguments, **options).stdout
    return run


def test_topics_are_created_listed_described_altered_and_deleted(tool, topic):
    tool("kafka-topics", "--create", "--topic", topic, "--partitions", 3,
         "--config", "retention.ms=86400000")
    assert topic in tool("kafka-topics", "--list").splitlines()
    described = tool("kafka-topics", "--describe", "--topic", topic)
    assert "PartitionCount: 3" in described and "retention.ms=86400000" in described
    assert re.search(r"Partition: 2\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+", described)
    tool("kafka-topics", "--alter", "--topic", topic, "--partitions", 5)
    assert "PartitionCount: 5" in tool("kafka-topics", "--describe", "--topic", topic)
    tool("kafka-topics", "--delete", "--topic", topic)
    assert topic not in tool("kafka-topics", "--list").splitlines()


def test_making_a_topic_twice_is_refused_by_name(shared_node, kafka_tool, topic):
    arguments = ("--bootstrap-server", shared_node.kafka, "--create", "--topic", topic)
    kafka_tool("kafka-topics", *arguments)
    again = kafka_tool("kafka-topics", *arguments, check=False)
    assert again.returncode != 0 and f"topic {topic} already exists" in again.stdout


def test_a_setting_that_would_not_act_is_refused(shared_node, kafka_tool, topic):
    done = kafka_tool("kafka-topics", "--bootstrap-server", shared_node.kafka, "--create",
                      "--topic", topic, "--config", "flush.messages=1", check=False)
    assert done.returncode != 0
    assert 'setting flush.messages = "1" is refused' in done.stdout


@pytest.mark.parametrize("codec", CODECS)
def test_the_console_producer_and_consumer_carry_keys_headers_and_timestamps(tool, topic, codec):
    lines = "".join(f"h1:a{i},h2:b\tk{i}\tvalue {i}\n" for i in range(20))
    tool("kafka-console-producer", "--topic", topic, "--compression-codec", codec,
         "--property", "parse.key=true", "--property", "parse.headers=true", input=lines)
    out = tool("kafka-console-consumer", "--topic", topic, "--from-beginning", "--max-messages", 20,
               "--timeout-ms", 30000, "--property", "print.key=true", "--property", "print.headers=true",
               "--property", "print.timestamp=true")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[1:] for row in rows] == [[f"h1:a{i},h2:b", f"k{i}", f"value {i}"] for i in range(20)]
    assert all(re.fullmatch(r"CreateTime:\d{13}", row[0]) for row in rows)


def test_the_console_consumer_reads_from_an_offset(tool, shared_node, topic):
    confluent.produce(shared_node.kafka, topic, RECORDS, "lz4")
    out = tool("kafka-console-consumer", "--topic", topic, "--partition", 0, "--offset", 40,
               "--max-messages", 10, "--timeout-ms", 30000)
    assert out.splitlines() == [f"value {i}" for i in range(40, 50)]


def test_get_offsets_tells_start_end_and_largest_timestamp(tool, shared_node, topic):
    start = int(time.time() * 1000) - 3_600_000  # within the topic's retention
    stamped = [Record(b"k", b"%d" % i, (), start + (5 - abs(i - 5))) for i in range(10)]
    confluent.produce(shared_node.kafka, topic, stamped)
    assert tool("kafka-get-offsets", "--topic", topic, "--time", -1).split() == [f"{topic}:0:10"]
    assert tool("kafka-get-offsets", "--topic", topic, "--time", -2).split() == [f"{topic}:0:0"]
    assert tool("kafka-get-offsets", "--topic", topic, "--time", -3).split() == [f"{topic}:0:5"]
    assert tool("kafka-get-offsets", "--topic", topic, "--time", start + 3).split() == [f"{topic}:0:3"]


def test_groups_commit_show_their_lag_reset_and_go(tool, shared_node, topic):
    group = f"group-of-{topic}"
    confluent.produce(shared_node.kafka, topic, RECORDS)
    tool("kafka-console-consumer", "--topic", topic, "--group", group, "--from-beginning",
         "--max-messages", 20, "--timeout-ms", 30000)
    assert group in tool("kafka-consumer-groups", "--list").splitlines()
    described = tool("kafka-consumer-groups", "--describe", "--group", group)
    row = next(line.split() for line in described.splitlines() if topic in line.split())
    assert row[:6] == [group, topic, "0", "20", "50", "30"]
    tool("kafka-consumer-groups", "--group", group, "--topic", topic, "--reset-offsets",
         "--to-offset", 5, "--execute")
    resumed = tool("kafka-console-consumer", "--topic", topic, "--group", group,
                   "--max-messages", 45, "--timeout-ms", 30000)
    assert resumed.splitlines() == [f"value {i}" for i in range(5, 50)]
    tool("kafka-consumer-groups", "--delete-offsets", "--group", group, "--topic", topic)
    tool("kafka-consumer-groups", "--delete", "--group", group)
    assert group not in tool("kafka-consumer-groups", "--list").splitlines()


def test_configs_are_described_set_and_deleted(tool, topic):
    tool("kafka-topics", "--create", "--topic", topic)
    entity = ("--entity-type", "topics", "--entity-name", topic)
    tool("kafka-configs", *entity, "--alter", "--add-config", "retention.ms=1234567,cleanup.policy=[compact,delete]")
    described = tool("kafka-configs", *entity, "--describe")
    assert "retention.ms=1234567" in described and "cleanup.policy=compact,delete" in described
    tool("kafka-configs", *entity, "--alter", "--delete-config", "retention.ms")
    assert "retention.ms=1234567" not in tool("kafka-configs", *entity, "--describe")


def test_records_below_an_offset_are_deleted(tool, shared_node, topic, tmp_path):
    confluent.produce(shared_node.kafka, topic, RECORDS)
    plan = tmp_path / "plan.json"
    plan.write_text('{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 30}]}' % topic)
    tool("kafka-delete-records", "--offset-json-file", plan)
    assert tool("kafka-get-offsets", "--topic", topic, "--time", -2).split() == [f"{topic}:0:30"]
    first = confluent.consume(shared_node.kafka, topic, "beginning", 1)[0]
    assert (first.offset, first.value) == (30, b"value 30")


def test_log_dirs_and_api_versions_answer(tool, topic):
    tool("kafka-topics", "--create", "--topic", topic)
    assert f'"{topic}-0"' in tool("kafka-log-dirs", "--describe", "--topic-list", topic)
    versions = tool("kafka-broker-api-versions")
    assert re.search(r"Produce\(0\): \d+ to 13", versions)
    assert "UNKNOWN" not in versions


def test_the_verifiable_producer_and_consumer_agree(tool, topic):
    tool("kafka-verifiable-producer", "--topic", topic, "--max-messages", 500, "--acks", -1)
    out = tool("kafka-verifiable-consumer", "--topic", topic, "--group-id", f"group-of-{topic}",
               "--max-messages", 500, "--reset-policy", "earliest")
    assert '"count":500' in out or sum(map(int, re.findall(r'"name":"records_consumed".*?"count":(\d+)', out))) >= 500
