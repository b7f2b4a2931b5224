"""SQL logic test files: records, and the text that results are compared as.

The format is SQLite's, as `sqllogictest-rs` reads it; only what the `pg_compat` files use is here.
"""

import re
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal


@dataclass
class Record:
    """A statement or query and what it must give."""

    name: str
    kind: str
    sql: str
    expected: list[str] = field(default_factory=list)
    types: str = ""
    sort: str = "nosort"
    error: str | None = None
    is_skipped: bool = False


def records(path, label):
    """The records of a file, as the engine `label` sees them."""
    lines = path.read_text().splitlines()
    at, is_skipped = 0, False
    while at < len(lines):
        words = lines[at].split()
        number = at + 1
        at += 1
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("skipif", "onlyif"):
            is_skipped |= (words[1] == label) == (words[0] == "skipif")
            continue
        if words[0] not in ("statement", "query"):
            raise ValueError(f"{path.name}:{number}: unknown record {words[0]}")
        body = []
        while at < len(lines) and lines[at].strip() and lines[at].strip() != "----":
            body.append(lines[at])
            at += 1
        expected = []
        if at < len(lines) and lines[at].strip() == "----":
            at += 1
            while at < len(lines) and lines[at].strip():
                expected.append(lines[at])
                at += 1
        record = Record(f"{path.name}:{number}", words[0], "\n".join(body), expected)
        record.is_skipped, is_skipped = is_skipped, False
        if words[1] == "error":
            record.error = " ".join(words[2:])
        elif words[0] == "query":
            record.types = words[1]
            record.sort = words[2] if len(words) > 2 else "nosort"
        yield record


def letters(oids):
    """The letter of each column's type."""
    kinds = {16: "B", 20: "I", 21: "I", 23: "I", 25: "T", 1042: "T", 1043: "T", 700: "R", 701: "R",
             1700: "R", 1082: "D", 1083: "D", 1114: "P"}
    return "".join(kinds.get(oid, "?") for oid in oids)


def cell(oid, value):
    """A value as the tests write it."""
    if value is None:
        return "NULL"
    if oid == 16:
        return {"t": "true", "f": "false"}[value]
    if oid in (20, 21, 23):
        return str(int(value))
    if oid in (25, 1042, 1043):
        return value.rstrip("\n") if value else "(empty)"
    if oid in (700, 701, 1700):
        return number(value)
    if oid == 1114:
        return value.replace(" ", "T")
    return value


def number(text):
    if text in ("NaN", "Infinity", "-Infinity"):
        return text
    context = Context(prec=100, rounding=ROUND_HALF_EVEN)
    value = Decimal(text).quantize(Decimal("1e-12"), context=context)
    shown = format(value, "f").rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown


def difference(record, types, rows):
    """Why a result is not what the record wants; `None` when it is."""
    if types != record.types and not (record.types.replace("?", "") == "" and not rows):
        mismatch = [(a, b) for a, b in zip(types, record.types, strict=False) if a != b and "?" not in (a, b)]
        if mismatch or len(types) != len(record.types):
            return f"types {types}, expected {record.types}"
    found = [re.sub(r"\s+", " ", " ".join(row)).strip() for row in rows]
    wanted = [re.sub(r"\s+", " ", line).strip() for line in record.expected]
    if record.sort == "rowsort":
        found, wanted = sorted(found), sorted(wanted)
    elif record.sort == "valuesort":
        found = sorted(value for row in rows for value in row)
        wanted = sorted(value for line in wanted for value in line.split(" "))
    if found == wanted:
        return None
    for index, (a, b) in enumerate(zip(found, wanted, strict=False)):
        if a != b:
            return f"row {index + 1} is `{a}`, expected `{b}`"
    return f"{len(found)} rows, expected {len(wanted)}"
