"""Third-party Kafka clients behind one small shape, so that one scenario runs over all of them.

Each adapter is an object with `name`, `codecs`, and two functions:

- `produce(bootstrap, topic, records, codec)` writes records to partition 0 and returns when all are
  acknowledged by all replicas;
- `consume(bootstrap, topic, start, count)` reads `count` records of partition 0 from `start`:
  `"beginning"`, `"end"` (then nothing is waited for), `("offset", n)` or `("timestamp", ms)`.

An adapter says with `binary`, `headers` and `timestamps` what its client can express at all.
"""

from dataclasses import dataclass, field

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@dataclass(frozen=True)
class Record:
    """A record as any client shows it."""

    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    timestamp: int | None = None
    offset: int | None = field(default=None, compare=False)
