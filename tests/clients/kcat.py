"""kcat, the command line over librdkafka. Its records are lines; it writes no timestamps."""

import json
import subprocess

from . import CODECS, Record

name = "kcat"
codecs = CODECS
binary = headers = timestamps = False


def run(*arguments, input=None, timeout=60):
    done = subprocess.run(["kcat", *map(str, arguments)], input=input, capture_output=True,
                          timeout=timeout)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def produce(bootstrap, topic, records, codec="none"):
    lines = b"".join(record.key + b"|" + record.value + b"\n" for record in records)
    run("-b", bootstrap, "-P", "-t", topic, "-p", 0, "-K", "|", "-z", codec,
        "-X", "acks=all", "-X", "linger.ms=20", input=lines)


def consume(bootstrap, topic, start, count):
    match start:
        case ("offset", offset):
            start = offset
        case ("timestamp", at):
            start = f"s@{at}"
    stop = ["-e"] if start == "end" else ["-c", count]
    output = run("-b", bootstrap, "-C", "-t", topic, "-p", 0, "-o", start, "-J", "-q", *stop)
    return [parse(line) for line in output.splitlines()]


def parse(line):
    message = json.loads(line)
    pairs = message.get("headers") or []
    encode = lambda text: None if text is None else text.encode()  # noqa: E731
    return Record(encode(message["key"]), encode(message["payload"]),
                  tuple((pairs[i], encode(pairs[i + 1])) for i in range(0, len(pairs), 2)),
                  message["ts"], message["offset"])
