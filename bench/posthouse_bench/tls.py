"""With TLS and logins on: beside Apache Kafka, beside redis-server, and beside Posthouse without them."""

from . import access_cost, tls_kafka, tls_redis
from .section import Section, heading, notes
from .servers import Kafka, Posthouse, RedisServer
from .tls_servers import CIPHER, MECHANISM, Keys

NAME = "tls"
PARTS = {
    "Beside Apache Kafka": tls_kafka,
    "Beside redis-server": tls_redis,
    "What it costs to ask who may do what": access_cost,
}


def run(arguments, about, elapsed):
    with Keys() as keys:
        results = {title: part.run(arguments, keys, elapsed) for title, part in PARTS.items()}
    results = {title: outcome for title, outcome in results.items() if outcome}
    if not results:
        return None
    about |= {"posthouse": Posthouse.version(), "kafka": Kafka.version(), "redis": RedisServer.version(),
              "seconds": round(elapsed())}
    raw = {"about": about, "parts": {title: raw_rows(outcome) for title, outcome in results.items()}}
    return Section(NAME, markdown(about, results), raw)


def raw_rows(results):
    """Each row by its name, and the way it was done where there are several."""
    return [{"row": key[0].label, "way": key[1].title} | outcome if isinstance(key, tuple)
            else {"row": key.label} | outcome for key, outcome in results.items()]


def markdown(about, results):
    lines = heading("With TLS and logins", about, about["seconds"],
                    "; ".join(about[name] for name in ("posthouse", "kafka", "redis")))
    lines += [
        f"TLS 1.3 with {CIPHER} and a P-256 key on every side, no session resumed by a new client; where a",
        f"client logs in, Kafka's do so by {MECHANISM}, and what they do is allowed by rules. The clients' own work under",
        "TLS is on the same two cores.", ""]
    for title, outcome in results.items():
        lines += [f"### {title}", "", *PARTS[title].markdown(outcome), ""]
    return "\n".join(lines[:-1]) + "\n" + notes(NAME)
