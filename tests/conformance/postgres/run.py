#!/usr/bin/env python3
"""Counts DataFusion's `pg_compat` SQL logic tests over the Postgres wire. See README.md."""

import argparse
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.request import urlopen

import psycopg

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent.parent))

from slt import cell, difference, letters, records  # noqa: E402

VERSION = "55.2.0"
CRATE = f"datafusion-sqllogictest-{VERSION}"
ALLOWED = HERE / "allow.txt"
# The table that the files read: Apache Arrow's, which is in this source distribution.
RELEASE = ("https://files.pythonhosted.org/packages/b4/be/"
           "8973bb99d71f9edfebdc8097e8cf0533fd289ec16733c8c700f85c8074e5/datafusion-0.8.0.tar.gz")
MEMBER = "datafusion-0.8.0/testing/data/csv/aggregate_test_100.csv"
MEMBER_SHA256 = "7c11dc51ba127c6b2b368dcb2fe22aceefb9e412ce8735c39586d969de4a3c38"
TABLE = HERE.parents[2] / "target" / "pg-compat" / "aggregate_test_100.csv"
TYPES = {16: "BOOLEAN", 20: "BIGINT", 21: "SMALLINT", 23: "INT", 25: "TEXT", 700: "REAL",
         701: "DOUBLE PRECISION", 1043: "TEXT", 1082: "DATE", 1114: "TIMESTAMP", 1700: "DOUBLE PRECISION"}


def suite():
    """The folder of test files, fetched by cargo when it is not there."""
    home = Path.home() / ".cargo" / "registry" / "src"
    found = list(home.glob(f"*/{CRATE}/test_files/pg_compat"))
    if not found:
        with tempfile.TemporaryDirectory() as directory:
            manifest = Path(directory) / "Cargo.toml"
            manifest.write_text(
                '[package]\nname = "suite"\nversion = "0.0.0"\nedition = "2024"\n[lib]\npath = "lib.rs"\n'
                f'[dependencies]\ndatafusion-sqllogictest = {{ version = "={VERSION}", default-features = false }}\n'
            )
            (Path(directory) / "lib.rs").write_text("")
            subprocess.run(["cargo", "fetch", "--manifest-path", manifest], check=True)
        found = list(home.glob(f"*/{CRATE}/test_files/pg_compat"))
    return found[0]


def table():
    """The table as CSV, fetched from PyPI when it is not there."""
    if not TABLE.exists():
        with urlopen(RELEASE, timeout=60) as release, tarfile.open(fileobj=io.BytesIO(release.read())) as archive:
            csv = archive.extractfile(MEMBER).read()
        TABLE.parent.mkdir(parents=True, exist_ok=True)
        TABLE.write_bytes(csv)
    csv = TABLE.read_bytes()
    if hashlib.sha256(csv).hexdigest() != MEMBER_SHA256:
        raise SystemExit(f"{TABLE} is not {MEMBER} of {RELEASE}: remove it")
    return csv


class Target:
    """A server under test, through one connection per file."""

    def __init__(self, url, is_postgresql):
        self.connection = psycopg.connect(url, autocommit=True)
        self.raw = self.connection.pgconn
        self.is_postgresql = is_postgresql
        self.topics = []
        if is_postgresql:
            self.execute("DROP SCHEMA IF EXISTS slt CASCADE")
            self.execute("CREATE SCHEMA slt")
            self.execute("SET search_path TO slt")

    def execute(self, sql):
        result = self.raw.exec_(sql.encode())
        if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            raise RuntimeError(result.error_message.decode().strip())
        return result

    def query(self, sql):
        """Types by the extended protocol, values by the simple one."""
        prepared = self.raw.prepare(b"", sql.encode())
        if prepared.status == psycopg.pq.ExecStatus.FATAL_ERROR:
            raise RuntimeError(prepared.error_message.decode().strip())
        described = self.raw.describe_prepared(b"")
        oids = [described.ftype(index) for index in range(described.nfields)]
        result = self.execute(sql)
        text = [[result.get_value(row, column) for column in range(result.nfields)]
                for row in range(result.ntuples)]
        rows = [[cell(oid, value and value.decode() if value is not None else None)
                 for oid, value in zip(oids, row, strict=True)] for row in text]
        return letters(oids), rows, oids, [described.fname(index).decode() for index in range(len(oids))]

    def run(self, record):
        """Runs a record; the reason why it failed, or `None`."""
        try:
            if re.match(r"\s*copy\b", record.sql, re.I):
                self.copy(record.sql)
            elif record.kind == "query" and record.error is None:
                types, rows, _, _ = self.query(record.sql)
                return difference(record, types, rows)
            else:
                for sql in [record.sql] if self.is_postgresql else self.translated(record.sql):
                    self.execute(sql)
        except (RuntimeError, psycopg.Error) as error:
            if record.error is not None:
                return None if re.search(record.error, str(error)) else f"another error: {error}"
            return str(error).splitlines()[0]
        return None if record.error is None else "no error, but one is expected"

    def close(self):
        """Leaves nothing behind that the file did not clean up itself."""
        for topic in self.topics:
            self.execute(f"DROP TOPIC IF EXISTS {topic}")
        self.connection.close()

    def copy(self, sql):
        sql = re.sub(r"from\s+'[^']*'", "FROM STDIN", sql.rstrip().rstrip(";"), flags=re.I)
        with self.connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.write(table())

    def translated(self, sql):
        """A table is a topic; see README.md."""
        sql = sql.rstrip().rstrip(";")
        if found := re.match(r"\s*create\s+table\s+(\w+)\s+as\s(.*)", sql, re.I | re.S):
            name, query = found.groups()
            _, _, oids, names = self.query(query)
            columns = ", ".join(f"{column} {TYPES[oid]}" for column, oid in zip(names, oids, strict=True)
                                if not column.startswith("_"))
            kept = ", ".join(column for column in names if not column.startswith("_"))
            self.topics.append(name)
            yield f"CREATE TOPIC {name} ({columns})"
            yield f"INSERT INTO {name} ({kept}) SELECT {kept} FROM ({query}) AS source"
        elif found := re.match(r"\s*create\s+table\s+(\w+)", sql, re.I):
            self.topics.append(found[1])
            sql = re.sub(r"\s+not\s+null", "", sql, flags=re.I)
            yield re.sub(r"create\s+table", "CREATE TOPIC", sql, count=1, flags=re.I)
        else:
            yield re.sub(r"^\s*drop\s+table", "DROP TOPIC", sql, flags=re.I)


def run_all(url, is_postgresql, is_verbose):
    """Outcome of every record, in order: `passed`, `skipped`, or why it failed."""
    outcomes = {}
    for path in sorted(suite().glob("*.slt")):
        target = Target(url, is_postgresql)
        for record in records(path, "postgres"):
            outcome = "skipped" if record.is_skipped else target.run(record) or "passed"
            outcomes[record.name] = outcome
            if is_verbose or outcome not in ("passed", "skipped"):
                print(f"{record.name}: {outcome}")
        target.close()
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running server; without it a node is started")
    parser.add_argument("--postgresql", action="store_true", help="the server is PostgreSQL: translate nothing")
    parser.add_argument("--accept", action="store_true", help="add newly passing records to allow.txt")
    parser.add_argument("--verbose", action="store_true", help="print every record")
    options = parser.parse_args()
    if options.url:
        outcomes = run_all(options.url, options.postgresql, options.verbose)
    else:
        from posthouse_node import Node

        with tempfile.TemporaryDirectory() as directory:
            node = Node(directory).start()
            try:
                address = node.addresses["postgres"]
                outcomes = run_all(f"postgresql://suite@{address}/posthouse", False, options.verbose)
            finally:
                node.stop()
    passed = [name for name, outcome in outcomes.items() if outcome == "passed"]
    skipped = sum(outcome == "skipped" for outcome in outcomes.values())
    print(f"{len(passed)} passed, {len(outcomes) - len(passed) - skipped} failed, {skipped} skipped")
    if options.postgresql:
        return 0
    allowed = ALLOWED.read_text().split() if ALLOWED.exists() else []
    lost = [name for name in allowed if name not in passed]
    for name in lost:
        print(f"no longer passes: {name}: {outcomes.get(name, 'not in the suite')}", file=sys.stderr)
    if options.accept:
        ALLOWED.write_text("".join(f"{name}\n" for name in outcomes if name in passed or name in allowed))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
