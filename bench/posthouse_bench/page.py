"""The published page: a section for each peer, of which one can be measured anew without the others."""

import json
import re

HEAD = """# Benchmarks

Posthouse beside what people use today, on one machine, in one run, driven by clients that nobody here wrote
unless a row says so. Ratios are Posthouse ÷ peer: above 1 is better for throughput, below 1 for time and
memory. Runs that we lose are kept. `bench/README.md` says how to run it.

"""
SECTION = re.compile(r"<!-- section: (?P<name>[\w-]+) -->\n(?P<text>.*?)<!-- end -->\n", re.DOTALL)


def publish(path, sections):
    """Replaces the sections that were measured, keeps the others, and writes raw figures beside the page."""
    texts = {}
    if path.exists():
        texts = {found["name"]: found["text"] for found in SECTION.finditer(path.read_text())}
    for section in sections:
        texts[section.name] = section.text
        raw = path.with_name(f"{path.stem}-{section.name}.json")
        raw.write_text(json.dumps(section.raw, indent=1) + "\n")
    body = "\n".join(f"<!-- section: {name} -->\n{text}<!-- end -->\n" for name, text in sorted(
        texts.items(), key=lambda entry: ORDER.index(entry[0])))
    path.write_text(HEAD + body)


ORDER = ["kafka", "redis", "fan-out", "libzmq", "tls"]
