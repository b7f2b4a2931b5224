"""Start, drain, restart and misuse of the binary, as an operator meets them."""

import json
import re
import signal
import socket
import subprocess
import time

from clients import Record, confluent
from posthouse_node import BINARY, Node


def posthouse(*arguments, timeout=30):
    return subprocess.run([str(BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


def test_the_ready_file_names_every_door(node):
    doors = json.loads(node.ready_file.read_text())
    assert set(doors) >= {"kafka", "http", "postgres"}
    for address in doors.values():
        host, port = address.rsplit(":", 1)
        socket.create_connection((host, int(port)), timeout=5).close()


def test_sigterm_drains_and_ends_with_zero(tmp_path):
    node = Node(tmp_path).start()
    assert node.stop() == 0, node.log()
    assert not node.ready_file.exists()


def test_a_second_signal_ends_at_once(tmp_path):
    node = Node(tmp_path).start()
    host, port = node.kafka.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as idle:
        idle.sendall(b"\x00\x00")  # half a frame keeps the connection busy
        node.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        node.process.send_signal(signal.SIGTERM)
        node.process.wait(5)


def test_records_survive_a_drained_restart(node, topic):
    confluent.produce(node.kafka, topic, [Record(b"k", b"%d" % i) for i in range(1000)])
    node.restart()
    found = confluent.consume(node.kafka, topic, "beginning", 1000)
    assert [record.value for record in found] == [b"%d" % i for i in range(1000)]


def test_identities_persist_and_a_new_topic_gets_a_new_id(node, topic):
    from confluent_kafka.admin import AdminClient
    admin = AdminClient({"bootstrap.servers": node.kafka})
    before = admin.list_topics(timeout=10)
    node.restart()
    after = admin.list_topics(timeout=10)
    assert (before.cluster_id, list(before.brokers)) == (after.cluster_id, list(after.brokers))


def test_a_data_directory_in_use_is_refused_with_its_holder(node):
    second = posthouse("serve", "--data-dir", node.data_dir, "--kafka", "127.0.0.1:0",
                       "--redis", "127.0.0.1:0", "--http", "127.0.0.1:0",
                       "--postgres", "127.0.0.1:0")
    assert second.returncode != 0
    assert str(node.data_dir) in second.stderr and str(node.process.pid) in second.stderr


def test_a_busy_port_names_the_door_the_holder_and_the_flag(node, tmp_path):
    second = posthouse("serve", "--data-dir", tmp_path / "other", "--kafka", node.kafka,
                       "--redis", "127.0.0.1:0", "--http", "127.0.0.1:0",
                       "--postgres", "127.0.0.1:0")
    assert second.returncode != 0
    assert node.kafka in second.stderr and "--kafka" in second.stderr
    assert str(node.process.pid) in second.stderr


def test_an_address_beyond_this_machine_needs_a_word(tmp_path):
    refused = posthouse("serve", "--data-dir", tmp_path, "--kafka", "0.0.0.0:0")
    assert refused.returncode != 0 and "--allow-unauthenticated" in refused.stderr


def test_a_wildcard_address_needs_an_advertised_one(tmp_path):
    refused = posthouse("serve", "--data-dir", tmp_path, "--kafka", "0.0.0.0:0",
                        "--allow-unauthenticated")
    assert refused.returncode != 0 and "--kafka-advertise" in refused.stderr


def test_a_newer_data_format_is_refused(tmp_path):
    node = Node(tmp_path).start()
    node.stop()
    formats = [path for path in node.data_dir.iterdir() if path.name == "format"]
    assert len(formats) == 1
    text = formats[0].read_text()
    formats[0].write_text(re.sub(r"\d+", lambda number: str(int(number[0]) + 1), text, count=1))
    refused = posthouse("serve", "--data-dir", node.data_dir, "--kafka", "127.0.0.1:0",
                        "--redis", "127.0.0.1:0", "--http", "127.0.0.1:0",
                       "--postgres", "127.0.0.1:0")
    assert refused.returncode != 0 and "format" in refused.stderr


def test_wrong_use_says_what_to_do():
    for arguments in (["serv"], ["serve", "--kafka", "nonsense"], ["topic", "create"],
                      ["consume", "t", "--from", "yesterdayish"]):
        done = posthouse(*arguments)
        assert done.returncode == 2, (arguments, done)
        assert len(done.stderr.strip()) > 20 and "panicked" not in done.stderr


def test_a_client_command_without_a_node_says_where_it_looked():
    done = posthouse("topic", "list", "--node", "127.0.0.1:1")
    assert done.returncode not in (0, 2)
    assert "127.0.0.1:1" in done.stderr


def test_backup_and_restore_bring_everything_back(node, topic, tmp_path):
    records = [Record(b"k", b"%d" % i) for i in range(500)]
    confluent.produce(node.kafka, topic, records)
    node.stop()
    assert posthouse("backup", "--data-dir", node.data_dir, tmp_path / "backup").returncode == 0
    restored = Node(tmp_path / "restored")
    assert posthouse("restore", "--data-dir", restored.data_dir, tmp_path / "backup").returncode == 0
    restored.start()
    try:
        found = confluent.consume(restored.kafka, topic, "beginning", 500)
        assert [record.value for record in found] == [record.value for record in records]
    finally:
        restored.stop()
