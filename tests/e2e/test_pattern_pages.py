"""Runs the examples of docs/patterns as they stand there, against a real node.

A comment above a fenced block says what it is:

    <!-- run -->          a program; it must end well. The last one is what `again` repeats.
    <!-- start NAME -->   a program that goes on; its output is NAME's.
    <!-- output -->       what the last `run` printed.
    <!-- prints -->       lines `NAME: TEXT`: what those programs print from now on, in any order.
    <!-- prints again --> the same; the last `run` is run again until it is so, because a listener
                          that has just begun may not be heard of everywhere.
    <!-- shown -->        not run: a page of a browser.

Only the ports are others: those of the node, and free ones for what the examples open themselves.
"""

import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from posthouse_node import BINARY, ROOT

PAGES = sorted(path for path in (ROOT / "docs/patterns").glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"^(?:<!-- (.+?) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT = 30


class Page:
    """One page as it is run."""

    def __init__(self, node, directory):
        self.directory = directory
        directory.mkdir()
        # `posthouse` is the program under test; its name in the text is on the path.
        (directory / "bin").mkdir()
        (directory / "bin" / "posthouse").symlink_to(BINARY)
        self.env = {**node.env, "POSTHOUSE_NODE": node.addresses["http"],
                    "PATH": f"{directory / 'bin'}:{node.env['PATH']}"}
        self.ports = {default: node.addresses[door].rsplit(":", 1)[1] for default, door in
                      {"8080": "http", "6379": "redis", "9092": "kafka", "5432": "postgres"}.items()}
        self.started, self.read = {}, {}
        self.last = None

    def text(self, text):
        """The text with this node's ports in place of the usual ones."""
        def port(found):
            return self.ports.setdefault(found[0], str(free_port()))
        return re.sub(r"\b(8080|6379|9092|5432|55\d\d)\b", port, text)

    def command(self, language, text):
        if language == "python":
            return [sys.executable, "-c", self.text(text)]
        assert language == "sh", f"no way to run {language!r}"
        return ["bash", "-euo", "pipefail", "-c", self.text(text)]

    def run(self, language, text):
        self.last = self.command(language, text)
        return self.run_last()

    def run_last(self):
        done = subprocess.run(self.last, env=self.env, capture_output=True, text=True, timeout=LIMIT)
        assert done.returncode == 0, f"{self.last[-1]}\n{done.stdout}\n{done.stderr}"
        # A refusal is an answer to curl, too.
        assert '"status":4' not in done.stdout and '"status":5' not in done.stdout, done.stdout
        return done.stdout

    def start(self, name, language, text):
        output = self.directory / name
        with open(output, "wb") as file:
            process = subprocess.Popen(self.command(language, text), env=self.env, stdout=file,
                                       stderr=subprocess.STDOUT, start_new_session=True)
        self.started[name] = (process, output)
        self.read[name] = 0

    def prints(self, text, again):
        """Waits until each program has printed its lines, after those waited for before."""
        deadline, repeated = time.monotonic() + LIMIT, time.monotonic()
        lines = [line.split(": ", 1) for line in text.splitlines()]
        while waiting := [(name, line) for name, line in lines if self.printed(name, line) is None]:
            shown = {name: output.read_text() for name, (_, output) in self.started.items()}
            assert time.monotonic() < deadline, f"not printed: {waiting}\n{shown}"
            if again and time.monotonic() > repeated + 0.5:
                self.run_last()
                repeated = time.monotonic()
            time.sleep(0.02)
        ends = {}
        for name, line in lines:
            ends[name] = max(ends.get(name, 0), self.printed(name, line))
        self.read.update(ends)

    def printed(self, name, line):
        """Where a line that a program has printed ends; `None` while it has not."""
        at = self.started[name][1].read_text().find(line, self.read[name])
        return None if at < 0 else at + len(line)

    def stop(self):
        for process, _ in self.started.values():
            if process.poll() is None:
                process.terminate()
        for process, _ in self.started.values():
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_examples_of_a_page_do_what_it_says(path, node, tmp_path):
    for program in ("curl", "kcat", "psql", "redis-cli"):
        assert shutil.which(program), f"{program} is not there; run tools/prepare"
    page, output, ran = Page(node, tmp_path / "page"), "", 0
    try:
        for directive, language, text in BLOCK.findall(path.read_text()):
            verb, _, rest = directive.partition(" ")
            if verb == "run":
                output, ran = page.run(language, text), ran + 1
            elif verb == "start":
                page.start(rest, language, text)
                ran += 1
            elif verb == "output":
                assert output.strip() == text.strip()
            elif verb == "prints":
                page.prints(text, again=rest == "again")
            else:
                assert verb == "shown" and language == "js", f"nothing says what this is for:\n{text}"
        died = {name: log.read_text() for name, (process, log) in page.started.items()
                if process.poll() not in (None, 0)}
        assert not died, died
    finally:
        page.stop()
    assert ran >= 4, "the page has hardly any examples"


def test_every_page_is_in_the_table():
    readme = (ROOT / "docs/patterns/README.md").read_text()
    assert [path.name for path in PAGES if f"({path.name})" not in readme] == []
