"""What it costs Posthouse to ask whether a client may do what it does: nodes without and with authentication stand
beside each other, and the same client goes from one to the next in turns.

Nothing here is beside a peer. Two of the nodes are the same, without authentication: how far they are apart is what
cannot be measured.
"""

from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
from confluent_kafka.admin import AdminClient

from . import clients
from .figures import alternated, median
from .redis import REQUESTS, measure_warmed_up
from .redis import Row as Command
from .section import progress
from .servers import Posthouse, free_port
from .tls_servers import (
    ADMINISTRATOR, ADMINISTRATORS_PASSWORD, PASSWORD, USER, guarding, make_users)

TURNS_A_REPEAT = 2  # small differences need more runs than ratios to a peer do
BASE = "no authentication"
NODES = {  # how many users there are; each has ten rules
    BASE: None,
    "the same again": None,
    "a user, 10 rules": 1,
    "1,000 users, 10,000 rules": 1000,
}
BATCH = 100  # users of one request
TOPIC = "bench-small"
RECORD_BYTES = 100
RECORDS = 40_000
SMALL_BATCHES = ("linger.ms=0", "batch.size=1")  # a request for each record


@dataclass(frozen=True)
class Produce:
    """Kafka's tool, a request for each record: what is asked is asked as often as it can be."""

    label = f"produce, a request for each record of {RECORD_BYTES} B"

    def measure(self, node, scale):
        records = int(RECORDS * scale)
        before = node.cpu_seconds()
        outcome = clients.java_produce(node.bootstrap, TOPIC, records, RECORD_BYTES, "1", node.security, SMALL_BATCHES)
        return {"per_second": outcome["records_per_second"],
                "cpu_us": (node.cpu_seconds() - before) / records * 1e6}


@dataclass(frozen=True)
class Redis:
    """redis-benchmark, a command of one key."""

    command: Command

    @property
    def label(self):
        return self.command.label

    def measure(self, node, scale):
        requests = int(REQUESTS[self.command.pipeline] * scale)
        outcome = measure_warmed_up(self.command, node, node.redis_benchmark, requests)
        return {"per_second": outcome["requests_per_second"], "cpu_us": outcome["cpu_us_per_request"]}


ROWS = [Produce(), *(Redis(Command(*which)) for which in (("GET", 16), ("SET", 16), ("SET", 1)))]


class Node(Posthouse):
    """A plain node with both doors; with `users` it asks everybody who they are."""

    def __init__(self, keys, users):
        super().__init__(False)
        self.users = users
        self.redis = free_port()
        self.security = keys.security(False, USER, PASSWORD) if users else clients.NONE
        self.administrators = (
            keys.security(False, ADMINISTRATOR, ADMINISTRATORS_PASSWORD) if users else clients.NONE)
        self.redis_benchmark = ["-p", str(self.redis)] + (["--user", USER, "-a", PASSWORD] if users else [])

    def command(self):
        return super().command() + ["--set", "redis.keys_durability=everysec"] + (
            guarding(self.directory) if self.users else [])

    def redis_address(self):
        return f"127.0.0.1:{self.redis}"

    def __enter__(self):
        super().__enter__()
        try:
            clients.create_topic(self.bootstrap, TOPIC, 1, self.topic_settings(), self.administrators)
            if self.users:
                self.populate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def populate(self):
        """Makes the users, and their rules by SQL, which takes many at once."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, **self.administrators.librdkafka})
        others = [f"user-{number}" for number in range(1, self.users)]
        batches = [others[first:first + BATCH] for first in range(0, len(others), BATCH)]
        for batch in [[USER], *batches]:
            make_users(admin, batch)
        with psycopg.connect(host="127.0.0.1", port=self.postgres, dbname="posthouse", user=ADMINISTRATOR,
                             password=ADMINISTRATORS_PASSWORD, autocommit=True) as connection:
            connection.execute(f'GRANT READ, WRITE ON TOPIC "bench*", {topics(8)} TO {USER}')
            connection.execute(f'GRANT READ, WRITE ON KEY "key:*" TO {USER}')
            for batch in batches:
                users = ", ".join(f'"{user}"' for user in batch)
                connection.execute(f"GRANT READ, WRITE ON TOPIC {topics(10)} TO {users}")


def topics(count):
    """What a user's rules are about: topics by their prefixes."""
    return ", ".join(f'"team-{number}-*"' for number in range(count))


def run(arguments, keys, elapsed):
    """What each row came to: {row: {node: [outcome of each turn]}}."""
    rows = [row for row in ROWS if arguments.only in f"authorisation {row.label}"]
    results = {row: {name: [] for name in NODES} for row in rows}
    if not rows:
        return results
    with ExitStack() as stack:
        nodes = {}
        for name, users in NODES.items():
            progress(elapsed(), f"authorisation: starting with {name}")
            nodes[name] = stack.enter_context(Node(keys, users))
        for row in rows:
            for node in nodes.values():
                row.measure(node, arguments.scale / 5)  # discarded
            for turn in range(arguments.repeats * TURNS_A_REPEAT):
                for name in alternated(list(NODES), turn):
                    progress(elapsed(), f"turn {turn + 1}, authorisation: {row.label}, {name}")
                    results[row][name].append(row.measure(nodes[name], arguments.scale))
    return results


def markdown(results):
    lines = [
        "One after the other in turns, all in the clear on this machine. A ratio is to the node without authentication in the",
        "same turn: median (smallest to largest) over the turns. \"The same again\" is another such node; what it is apart is",
        "what these figures cannot tell.", "",
        "| work | node | thousand a second | ratio | CPU µs | ratio |",
        "| --- | --- | --- | --- | --- | --- |"]
    return lines + [line(row, name, runs, outcome[BASE])
                    for row, outcome in results.items() for name, runs in outcome.items()]


def line(row, name, runs, base):
    cells = []
    for field, unit, digits in (("per_second", 1000, 1), ("cpu_us", 1, 2)):
        cells.append(f"{median([run[field] for run in runs]) / unit:,.{digits}f}")
        cells.append("–" if runs is base else in_turns(runs, base, field))
    return f"| {row.label} | {name} | " + " | ".join(cells) + " |"


def in_turns(runs, base, field):
    """Each run over the one without authentication of the same turn."""
    ratios = sorted(run[field] / other[field] for run, other in zip(runs, base))
    return f"**{median(ratios):.2f}** ({ratios[0]:.2f}–{ratios[-1]:.2f})"
