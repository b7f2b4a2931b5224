"""What a test sees of a node from outside: its memory, its metrics, its subscriptions, its end."""

import time
from contextlib import contextmanager
from pathlib import Path

import redis
import requests
from posthouse_node import Node

LIMIT = 30  # seconds for what must come


def eventually(condition, what):
    """Waits until a condition holds; its last value is shown if it never does."""
    deadline = time.monotonic() + LIMIT
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: still {value!r} after {LIMIT} s"
        time.sleep(0.01)


def resident(node):
    """Bytes of memory that the process of a node or peer has taken: without the pages of its program's file, which come
    as code is run for the first time, more of them the less it was optimized."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    taken = dict(line.split(":", 1) for line in status.splitlines())
    return sum(int(taken[kind].split()[0]) for kind in ("RssAnon", "RssShmem")) * 1024


def metric(node, name, **labels):
    """A metric, summed over the label sets that have these labels."""
    total = 0.0
    for line in requests.get(f"{node.http}/metrics", timeout=LIMIT).text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(f'{key}="{want}"' in series for key, want in labels.items()):
            total += float(value)
    return total


def subscriptions(node, channel):
    """How many subscriptions a channel has, in all doors."""
    with redis.Redis(**node.redis) as client:
        (_, count), = client.pubsub_numsub(channel)
        return count


@contextmanager
def own_node(directory, *flags):
    """A node with settings of its own, which is still whole at the end."""
    node = Node(directory, *flags).start()
    try:
        yield node
        assert node.process.poll() is None, node.log()
        assert node.stop() == 0, node.log()
        assert "panicked" not in node.log()
    finally:
        if node.process.poll() is None:
            node.kill()
