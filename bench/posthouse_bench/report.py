"""Turns measured figures into one Markdown page. Ratios are Posthouse over Apache Kafka."""

from .figures import median, ratio, spread
from .section import heading, notes

MEGABYTE = 1e6


def markdown(about, rows, results, idle, limits):
    versions = f"{about['posthouse']}; {about['kafka']}"
    lines = heading("Beside Apache Kafka", about, about["seconds"], versions) + [
        "One after the other on the same machine and disk, driven by the same clients. Unless a row",
        "says otherwise each product runs as it comes: Posthouse forces every acknowledged record to the disk",
        "(`fsync`), Kafka does not.", "",
        "| work | fsync ours / Kafka's | Posthouse | Kafka | ratio | CPU s per GB | ratio | client's own limit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for index, row in enumerate(rows):
        if not row.kind.startswith("latency"):
            lines.append(throughput_line(row, results[index], limits.get(index)))
    lines += ["", "Throughput in thousand records a second. \"Client's own limit\" is the same client against a",
              "listener that acknowledges and discards; near it, the client is what was measured.", "",
              "| latency, open loop | fsync ours / Kafka's | percentile | Posthouse ms | Kafka ms | ratio |",
              "| --- | --- | --- | --- | --- | --- |"]
    for index, row in enumerate(rows):
        if row.kind.startswith("latency"):
            lines += latency_lines(row, results[index])
    lines += ["", "| server | Posthouse | Kafka | ratio |", "| --- | --- | --- | --- |"]
    lines += server_lines(results, idle)
    return "\n".join(lines) + "\n" + notes("kafka")


def throughput_line(row, outcome, limit):
    ours, theirs = (figures(outcome[name], "records_per_second") for name in ("posthouse", "kafka"))
    our_cpu, their_cpu = (cpu_per_gb(outcome[name]) for name in ("posthouse", "kafka"))
    shown_limit = f"{limit / 1000:.0f}" if limit else "–"
    return (f"| {row.title}: {row.label} | {fsync(row)} | {spread(ours, 1000)} | {spread(theirs, 1000)} | "
            f"**{ratio(ours, theirs)}** | {median(our_cpu):.2f} / {median(their_cpu):.2f} | "
            f"**{ratio(our_cpu, their_cpu)}** | {shown_limit} |")


def latency_lines(row, outcome):
    for percentile, field in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms")):
        ours, theirs = (figures(outcome[name], field) for name in ("posthouse", "kafka"))
        yield (f"| {row.title}: {row.label} | {fsync(row)} | {percentile} | {spread(ours, 1, 2)} | "
               f"{spread(theirs, 1, 2)} | **{ratio(ours, theirs)}** |")


def server_lines(results, idle):
    ready = {name: [seconds * 1000 for seconds, _ in runs] for name, runs in idle.items()}
    at_rest = {name: [size / MEGABYTE for _, size in runs] for name, runs in idle.items()}
    loaded = {
        name: [max(outcome[name][run]["resident_bytes"] for outcome in results.values()
                   if run < len(outcome.get(name, []))) / MEGABYTE
               for run in range(min(len(outcome[name]) for outcome in results.values()))]
        for name in ("posthouse", "kafka")
    }
    for title, sides in (("ready after, ms (empty directory)", ready),
                         ("resident at rest, MB", at_rest), ("resident at most, MB", loaded)):
        yield (f"| {title} | {spread(sides['posthouse'], 1)} | {spread(sides['kafka'], 1)} | "
               f"**{ratio(sides['posthouse'], sides['kafka'])}** |")


def figures(outcomes, field):
    return [outcome[field] for outcome in outcomes]


def cpu_per_gb(outcomes):
    return [outcome["cpu_seconds"] / (outcome["bytes"] / 1e9) for outcome in outcomes]


def fsync(row):
    return " / ".join("yes" if side else "no" for side in row.flush)
