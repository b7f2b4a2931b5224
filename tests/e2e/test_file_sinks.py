"""File sinks: many publishers into one log file, rotated; through failures of the disk and `kill -9`.

POSTHOUSE_SINK_CRASH_ROUNDS sets the number of kills (5), POSTHOUSE_CRASH_SEED repeats their moments.
"""

import json
import os
import random
import resource
import time
import urllib.request

import pytest
import posthouse_node
import redis
from clients.http_json import Http
from confluent_kafka import Producer
from destination import LIMIT, eventually
from posthouse_node import Node

ROUNDS = int(os.environ.get("POSTHOUSE_SINK_CRASH_ROUNDS", "5"))
SEED = int(os.environ.get("POSTHOUSE_CRASH_SEED", str(random.SystemRandom().randrange(2**32))))


@pytest.fixture
def files(tmp_path):
    return tmp_path / "files"


@pytest.fixture
def node(tmp_path, files):
    node = Node(tmp_path / "node", "--set", f"file_sink.directory={files}").start()
    yield node
    if node.process.poll() is None:
        assert node.stop() == 0, node.log()


class Sink:
    """A sink over a topic of its own."""

    def __init__(self, node, topic, partitions=1, **how):
        self.node, self.http, self.topic = node, Http(node), topic
        self.http.ok("POST", "/topics", {"name": topic, "partitions": partitions})
        body = {"name": "sink", "topic": topic, "file": "x.log", "sync_ms": 50, **how}
        self.http.ok("POST", "/sinks", body)

    def write(self, *values):
        self.node.cli("produce", self.topic, input="".join(f"{value}\n" for value in values))

    @property
    def status(self):
        return self.http.ok("GET", "/sinks/sink")["status"]

    def settled(self):
        status = self.status
        return status["lag"] == 0 and status["state"] == "writing"


def rotated(files, name="x.log"):
    """The lines of the file and of those rotated away, the oldest first."""
    numbers = sorted((int(path.name.rsplit(".", 1)[1]) for path in files.glob(f"{name}.*")), reverse=True)
    paths = [files / f"{name}.{number}" for number in numbers] + [files / name]
    return [line for path in paths if path.exists() for line in path.read_text().splitlines()]


def test_every_door_writes_into_one_file(node, files, topic):
    sink = Sink(node, topic, file="logs/all.log")
    producer = Producer({"bootstrap.servers": node.kafka})
    producer.produce(topic, b"by kafka")
    assert producer.flush(LIMIT) == 0
    redis.Redis(**node.redis).publish(topic, "by redis")
    urllib.request.urlopen(f"{node.http}/channels/{topic}", data=b"by http", timeout=LIMIT).close()
    eventually(sink.settled)
    assert (files / "logs" / "all.log").read_text() == "by kafka\nby redis\nby http\n"
    assert sink.status["lines"] == 3


def test_a_file_is_written_while_it_is_read(node, files, topic):
    sink = Sink(node, topic, sync_ms=60_000)
    sink.write("now")
    eventually(lambda: (files / "x.log").read_text() == "now\n")
    assert sink.status["lag"] == 1, "it is not durable yet"


def test_json_lines_hold_everything_about_a_record(node, files, topic):
    sink = Sink(node, topic, format="json")
    producer = Producer({"bootstrap.servers": node.kafka})
    producer.produce(topic, b"two\nlines", key=b"k", headers=[("h", b"\xff")], timestamp=5)
    assert producer.flush(LIMIT) == 0
    eventually(sink.settled)
    (line,) = (files / "x.log").read_text().splitlines()
    assert json.loads(line) == {
        "partition": 0, "offset": 0, "timestamp": 5, "key": "k", "value": "two\nlines",
        "headers": [{"name": "h", "value_base64": "/w=="}],
    }


def test_channels_are_written_while_it_listens(node, files):
    http = Http(node)
    body = {"name": "news", "channel": "news.", "match": "prefix", "file": "news.log", "format": "json"}
    http.ok("POST", "/sinks", body)
    eventually(lambda: http.ok("GET", "/sinks/news")["status"]["state"] == "writing")
    client = redis.Redis(**node.redis)
    client.publish("news.eu", "rain")
    client.publish("old.eu", "nothing")
    client.publish("news.us", "sun")
    eventually(lambda: (files / "news.log").read_text().count("\n") == 2)
    lines = [json.loads(line) for line in (files / "news.log").read_text().splitlines()]
    assert [(line["channel"], line["value"]) for line in lines] == [("news.eu", "rain"), ("news.us", "sun")]
    assert http.ok("GET", "/sinks/news")["status"]["lag"] is None


def test_files_are_rotated_by_size_and_so_many_are_kept(node, files, topic):
    sink = Sink(node, topic, rotate_bytes=1024, keep=3)
    sink.write(*(f"{number:015}" for number in range(1000)))
    eventually(sink.settled)
    assert sorted(path.name for path in files.glob("x*")) == ["x.log", "x.log.1", "x.log.2", "x.log.3"]
    assert all(path.stat().st_size <= 1024 for path in files.glob("x*"))
    lines = rotated(files)
    assert lines == [f"{number:015}" for number in range(1000 - len(lines), 1000)] and len(lines) > 192


def test_files_are_rotated_by_age(node, files, topic):
    sink = Sink(node, topic, rotate_ms=1000)
    sink.write("old")
    eventually(lambda: (files / "x.log.1").exists())
    sink.write("new")
    eventually(sink.settled)
    assert rotated(files) == ["old", "new"]


def test_a_sink_may_begin_at_the_end_and_goes_on_where_it_was(node, files, topic):
    http = Http(node)
    http.ok("POST", "/topics", {"name": topic, "partitions": 1})
    node.cli("produce", topic, input="before\n")
    http.ok("POST", "/sinks", {"name": "sink", "topic": topic, "file": "x.log", "start": "end"})
    node.cli("produce", topic, input="1\n")
    eventually(lambda: (files / "x.log").exists() and (files / "x.log").read_text() == "1\n")
    node.restart()
    node.cli("produce", topic, input="2\n")
    eventually(lambda: (files / "x.log").read_text() == "1\n2\n")
    assert http("DELETE", "/sinks/sink")[0] == 204
    assert (files / "x.log").exists() and len(list(files.iterdir())) == 1
    http.ok("DELETE", f"/topics/{topic}")


def test_more_partitions_and_another_topic_of_the_name_are_noticed(node, files, topic):
    sink = Sink(node, topic)
    sink.write("a")
    sink.http.ok("PATCH", f"/topics/{topic}", {"partitions": 3})
    for partition in (1, 2):
        url = f"{node.http}/topics/{topic}/records?partition={partition}"
        urllib.request.urlopen(url, data=f"p{partition}".encode(), timeout=LIMIT).close()
    eventually(lambda: sorted(rotated(files)) == ["a", "p1", "p2"])
    sink.http.ok("DELETE", f"/topics/{topic}")
    eventually(lambda: sink.status["state"] == "failing")
    sink.http.ok("POST", "/topics", {"name": topic, "partitions": 1})
    sink.write("b")
    eventually(lambda: sorted(rotated(files)) == ["a", "b", "p1", "p2"])


def test_what_leads_out_of_the_directory_is_refused(node, files, topic):
    http = Http(node)
    http.ok("POST", "/topics", {"name": topic, "partitions": 1})
    good = {"name": "sink", "topic": topic, "file": "x.log"}
    for change, status, code in [
        ({"file": "../x.log"}, 400, "invalid_parameter"),
        ({"file": "/etc/passwd"}, 400, "invalid_parameter"),
        ({"file": "a/../../x"}, 400, "invalid_parameter"),
        ({"file": ".hidden"}, 400, "invalid_parameter"),
        ({"file": "x.log.1"}, 400, "invalid_parameter"),
        ({"channel": "both"}, 400, "invalid_parameter"),
        ({"start": "tomorrow"}, 400, "invalid_parameter"),
        ({"rotate_bytes": 1}, 400, "invalid_parameter"),
        ({"name": "a b"}, 400, "invalid_name"),
        ({"topic": "nothing-here"}, 404, "unknown_topic"),
        ({"format": "xml"}, 400, "invalid_body"),
    ]:
        found, answer = http("POST", "/sinks", {**good, **change})
        assert (found, answer["code"]) == (status, code), answer
    http.ok("POST", "/sinks", good)
    assert http("POST", "/sinks", good)[1]["code"] == "sink_exists"
    assert http("POST", "/sinks", {**good, "name": "other"})[1]["code"] == "file_taken"
    outside = files.parent / "outside"
    outside.mkdir()
    files.mkdir(exist_ok=True)  # the sink does so when it starts
    (files / "link").symlink_to(outside)
    http.ok("POST", "/sinks", {**good, "name": "link", "file": "link/x.log"})
    eventually(lambda: http.ok("GET", "/sinks/link")["status"]["state"] == "failing")
    assert not list(outside.iterdir())


def test_a_node_without_a_directory_writes_no_files(shared_node, topic):
    http = Http(shared_node)
    http.ok("POST", "/topics", {"name": topic})
    status, answer = http("POST", "/sinks", {"name": "s", "topic": topic, "file": "x.log"})
    assert (status, answer["code"]) == (403, "sinks_off") and "file_sink.directory" in answer["help"]


def test_what_cannot_be_written_is_tried_again_and_nothing_is_skipped(node, files, topic):
    files.mkdir()
    (files / "logs").write_text("in the way")
    sink = Sink(node, topic, file="logs/x.log")
    sink.write("1", "2")
    eventually(lambda: sink.status["state"] == "failing")
    assert "logs" in sink.status["last_error"]["error"] and sink.status["lag"] == 2
    (files / "logs").unlink()
    eventually(sink.settled)
    assert (files / "logs" / "x.log").read_text() == "1\n2\n"


def test_a_full_disk_stops_a_sink_where_it_is(tmp_path, files, topic, monkeypatch):
    """Files may not be longer than the limit, which fails as a full disk does, in mid-line."""
    limit = 300_000
    # A write beyond the limit kills a process that does not ignore the signal.
    told = tmp_path / "posthouse"
    told.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {posthouse_node.BINARY} \"$@\"\n")
    told.chmod(0o755)
    monkeypatch.setattr(posthouse_node, "BINARY", told)
    node = Node(tmp_path / "node", "--set", f"file_sink.directory={files}").start()
    try:
        sink = Sink(node, topic, format="json", rotate_bytes=None)
        everywhere = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (limit, everywhere[1]))
        count = 10_000  # 10 bytes each in the topic, 100 and more in the file
        sink.write(*(f"{number}" for number in range(count)))
        eventually(lambda: sink.status["state"] == "failing")
        assert "x.log" in sink.status["last_error"]["error"]
        assert (files / "x.log").stat().st_size <= limit and sink.status["lag"] > 0
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, everywhere)
        eventually(sink.settled, 60)
        offsets = [json.loads(line)["offset"] for line in (files / "x.log").read_text().splitlines()]
        assert offsets == list(range(count))
    finally:
        assert node.stop() == 0, node.log()


def test_the_command_line_makes_shows_and_deletes_sinks(node, files, topic):
    cli = node.cli
    cli("topic", "create", topic)
    made = cli("sink", "create", "audit", "audit.log", "--topic", topic, "--rotate-bytes", "0")
    assert "audit.log" in made.stdout
    cli("produce", topic, input="a\nb\n")
    expected = ["audit", topic, "audit.log", "writing", "2", "0\n"]
    eventually(lambda: cli("sink", "list").stdout.split("\t") == expected)
    assert json.loads(cli("sink", "describe", "audit").stdout)["rotate_bytes"] is None
    cli("sink", "delete", "audit")
    gone = cli("sink", "describe", "audit", check=False)
    assert gone.returncode != 0 and "posthouse sink list" in gone.stderr


@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_each_record_is_written_once_through_kill_9(node, files, topic):
    print(f"seed {SEED}, {ROUNDS} kills")
    moments = random.Random(SEED)
    sink = Sink(node, topic, partitions=3, rotate_bytes=4096, keep=1000)
    written = 0
    for _ in range(ROUNDS):
        count = moments.randrange(500, 1500)
        sink.write(*range(written, written + count))
        written += count
        time.sleep(moments.uniform(0, 0.3))
        node.kill()
        node.start()
    eventually(sink.settled, 60)
    lines = list(map(int, rotated(files)))
    assert len(lines) == written and sorted(lines) == list(range(written)), "lost or repeated"
