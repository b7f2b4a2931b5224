"""Consumer groups with clients nobody here wrote: members that join, leave, die and come back."""

import contextlib
import itertools
import json
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import (OFFSET_INVALID, Consumer, ConsumerGroupState, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka import ConsumerGroupTopicPartitions as GroupPartitions
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import TopicPartition as KafkaPartition
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import GroupSubscribedToTopicError, NoError

MEMBER = Path(__file__).resolve().parent.parent / "clients" / "member.py"
CLIENTS = ("librdkafka", "kafka-python", "aiokafka")
PARTITIONS = 4
ALL = list(range(PARTITIONS))
# Above the slowest rebalance that is not waiting for a session to end.
REBALANCE_SECONDS = 20


class Member:
    """A group member in a process of its own; see `clients/member.py`."""

    def __init__(self, client, node, group, topic, instance=None, session=30, assignor="range"):
        command = [sys.executable, MEMBER, client, node.kafka, group, topic, "--session", session,
                   "--assignor", assignor]
        command += ["--instance", instance] if instance else []
        self.client = client
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.assignment, self.records, self.revocations, self.fatal = [], [], 0, None
        self.assignments = []  # every one it ever had, in order
        self.commits, self.changed = queue.Queue(), threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            with self.changed:
                if "assignment" in event:
                    self.assignment = event["assignment"]
                    self.assignments.append(set(self.assignment))
                if "record" in event:
                    self.records.append(tuple(event["record"]))
                self.revocations += "rebalance" in event
                self.fatal = event.get("fatal", self.fatal)
                self.changed.notify_all()
            if "committed" in event:
                self.commits.put({int(index): offset for index, offset in event["committed"].items()})

    def wait(self, holds, what, seconds=REBALANCE_SECONDS):
        with self.changed:
            done = self.changed.wait_for(lambda: holds(self), seconds)
        assert done, (f"{self.client}: no {what} within {seconds} s; it has {self.assignment}, "
                      f"{len(self.records)} records, fatal {self.fatal}")

    def values(self):
        return sorted(int(value) for _, _, value in self.records)

    def commit(self):
        self.say("commit")
        return self.commits.get(timeout=REBALANCE_SECONDS)

    def close(self):
        if self.process.poll() is None:
            self.say("close")
            self.process.wait(REBALANCE_SECONDS)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()


@pytest.fixture
def members(topic):
    """Starts members of one group of this test's own; ends those that are left."""
    with contextlib.ExitStack() as stack:
        def start(client, node, **options):
            member = Member(client, node, f"group-{topic}", topic, **options)
            stack.callback(member.kill)
            return member

        yield start


@pytest.fixture
def wide_topic(shared_node, topic):
    create(shared_node, topic)
    return topic


def create(node, topic):
    admin = AdminClient({"bootstrap.servers": node.kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(20)


def produce(node, topic, numbers):
    producer = Producer({"bootstrap.servers": node.kafka})
    for number in numbers:
        producer.produce(topic, str(number), partition=number % PARTITIONS)
    assert producer.flush(30) == 0


def shared_out(*members, seconds=REBALANCE_SECONDS):
    """Waits until the members have all partitions between them, evenly, each one once."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        held = [member.assignment for member in members]
        sizes = {len(partitions) for partitions in held}
        if sorted(sum(held, [])) == ALL and max(sizes) - min(sizes) <= 1:
            return
        time.sleep(0.02)
    raise AssertionError(f"after {seconds} s: {[(m.client, m.assignment, m.fatal) for m in members]}")


@pytest.mark.parametrize("client", CLIENTS)
def test_partitions_move_when_a_member_joins_and_when_it_leaves(shared_node, wide_topic, members, client):
    first = members(client, shared_node)
    shared_out(first)
    second = members(client, shared_node)
    shared_out(first, second)
    second.close()
    shared_out(first)
    produce(shared_node, wide_topic, range(40))
    first.wait(lambda member: len(member.records) >= 40, "40 records")
    assert first.values() == list(range(40))


@pytest.mark.parametrize("client", CLIENTS)
def test_partitions_of_a_member_that_dies_move_when_its_session_ends(
        shared_node, wide_topic, members, client):
    first, second = (members(client, shared_node, session=6) for _ in range(2))
    shared_out(first, second)
    died_at = time.monotonic()
    second.kill()
    shared_out(first)
    took = time.monotonic() - died_at
    assert took > 3, f"{took} s: a session of 6 s has not ended"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_new_member_goes_on_where_the_last_one_committed(shared_node, wide_topic, members, client):
    produce(shared_node, wide_topic, range(100))
    first = members(client, shared_node)
    first.wait(lambda member: len(member.records) == 100, "100 records")
    assert first.commit() == {index: 25 for index in ALL}
    produce(shared_node, wide_topic, range(100, 140))
    first.wait(lambda member: len(member.records) == 140, "140 records")
    first.close()
    second = members(client, shared_node)
    second.wait(lambda member: len(member.records) >= 40, "the 40 not committed")
    time.sleep(0.5)
    assert second.values() == list(range(100, 140))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(
        shared_node, wide_topic, members, client):
    first = members(client, shared_node, instance="one")
    second = members(client, shared_node, instance="two")
    shared_out(first, second)
    held, revocations = second.assignment, first.revocations
    second.kill()
    again = members(client, shared_node, instance="two")
    again.wait(lambda member: member.assignment, "assignment")
    assert again.assignment == held
    produce(shared_node, wide_topic, range(40))
    for member in (first, again):
        member.wait(lambda member: len(member.records) == 20, "its 20 records")
    assert first.revocations == revocations, "the other member has not noticed"


@pytest.mark.parametrize("client", ("librdkafka", "kafka-python"))
def test_a_static_member_is_fenced_by_another_process_with_its_name(
        shared_node, wide_topic, members, client):
    produce(shared_node, wide_topic, range(8))
    first = members(client, shared_node, instance="one")
    first.wait(lambda member: len(member.records) == 8, "8 records")
    second = members(client, shared_node, instance="one")
    second.wait(lambda member: member.assignment, "assignment")
    # kafka-python learns it from its heartbeats and says it at the next commit.
    first.say("commit")
    first.wait(lambda member: "fence" in (member.fatal or "").lower(), "fencing")
    shared_out(second)


def test_members_of_different_clients_share_one_group(shared_node, wide_topic, members):
    everyone = [members(client, shared_node) for client in CLIENTS]
    shared_out(*everyone)
    produce(shared_node, wide_topic, range(80))
    deadline = time.monotonic() + REBALANCE_SECONDS
    while sum(len(member.records) for member in everyone) < 80 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sorted(sum((member.values() for member in everyone), [])) == list(range(80))
    everyone[0].close()
    shared_out(*everyone[1:])


def test_a_cooperative_rebalance_moves_only_what_must_move(shared_node, wide_topic, members):
    first = members("librdkafka", shared_node, assignor="cooperative-sticky")
    shared_out(first)
    second = members("librdkafka", shared_node, assignor="cooperative-sticky")
    shared_out(first, second)
    third = members("librdkafka", shared_node, assignor="cooperative-sticky")
    shared_out(first, second, third)
    steps = list(itertools.dropwhile(lambda held: held != set(ALL), first.assignments))
    assert len(steps) > 1, "it had all and gave some away"
    assert all(set() < later < earlier for earlier, later in itertools.pairwise(steps)), steps


@pytest.mark.parametrize("client", CLIENTS)
def test_a_group_goes_on_through_kill_9_of_the_node(node, topic, members, client):
    create(node, topic)
    produce(node, topic, range(40))
    first, second = members(client, node, session=20), members(client, node, session=20)
    shared_out(first, second)
    for member in (first, second):
        member.wait(lambda member: len(member.records) == 20, "its 20 records")
    committed = {**first.commit(), **second.commit()}
    held, revocations = (first.assignment, second.assignment), (first.revocations, second.revocations)

    node.kill()
    node.start()
    produce(node, topic, range(40, 80))
    for member in (first, second):
        member.wait(lambda member: len(member.records) == 40, "20 records more")
    assert (first.assignment, second.assignment) == held
    assert (first.revocations, second.revocations) == revocations, "nobody noticed"
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": f"group-{topic}"})
    found = consumer.committed([TopicPartition(topic, index) for index in ALL], timeout=20)
    assert {partition.partition: partition.offset for partition in found} == committed
    consumer.close()

    # And it is still a group that rebalances.
    second.close()
    shared_out(first)


def test_a_group_is_shown_and_deleted_as_an_administrator_expects(shared_node, wide_topic, members):
    admin = AdminClient({"bootstrap.servers": shared_node.kafka})
    group = f"group-{wide_topic}"
    produce(shared_node, wide_topic, range(8))
    member = members("librdkafka", shared_node, instance="one")
    member.wait(lambda member: len(member.records) == 8, "8 records")
    member.commit()

    shown = admin.describe_consumer_groups([group])[group].result(20)
    assert (shown.state, shown.partition_assignor) == (ConsumerGroupState.STABLE, "range")
    assert [one.group_instance_id for one in shown.members] == ["one"]
    assigned = shown.members[0].assignment.topic_partitions
    assert sorted((p.topic, p.partition) for p in assigned) == [(wide_topic, i) for i in ALL]
    listed = {one.group_id: one for one in admin.list_consumer_groups().result(20).valid}
    assert listed[group].state == ConsumerGroupState.STABLE

    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([group])[group].result(20)
    assert refused.value.args[0].name() == "NON_EMPTY_GROUP"

    member.close()
    # A static member does not leave by itself; an administrator removes it by its name.
    with python_admin(shared_node) as python:
        gone = MemberToRemove(group_instance_id="one")
        assert list(python.remove_group_members(group, [gone]).values()) == [NoError]
    assert admin.describe_consumer_groups([group])[group].result(20).state == ConsumerGroupState.EMPTY
    asked = [GroupPartitions(group, [TopicPartition(wide_topic, 0)])]
    found = admin.list_consumer_group_offsets(asked)[group].result(20).topic_partitions
    assert found[0].offset == 2

    admin.delete_consumer_groups([group])[group].result(20)
    assert group not in {one.group_id for one in admin.list_consumer_groups().result(20).valid}
    found = admin.list_consumer_group_offsets(asked)[group].result(20).topic_partitions
    assert found[0].offset < 0, "its offsets are gone with it"


@contextlib.contextmanager
def python_admin(node):
    admin = KafkaAdminClient(bootstrap_servers=node.kafka)
    yield admin
    admin.close()


def test_offsets_of_a_topic_subscribed_to_are_kept_until_nobody_is(shared_node, wide_topic, members):
    group, first = f"group-{wide_topic}", KafkaPartition(wide_topic, 0)
    produce(shared_node, wide_topic, range(8))
    member = members("kafka-python", shared_node)
    member.wait(lambda member: len(member.records) == 8, "8 records")
    member.commit()
    with python_admin(shared_node) as admin:
        assert admin.delete_group_offsets(group, [first]) == {first: GroupSubscribedToTopicError}
        member.close()
        assert admin.delete_group_offsets(group, [first]) == {first: NoError}
    consumer = Consumer({"bootstrap.servers": shared_node.kafka, "group.id": group})
    found = consumer.committed([TopicPartition(wide_topic, index) for index in (0, 1)], timeout=20)
    assert [partition.offset for partition in found] == [OFFSET_INVALID, 2]
    consumer.close()
