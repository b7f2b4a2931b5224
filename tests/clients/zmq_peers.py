"""ZeroMQ sockets as processes that speak in lines: `posthouse zmq`, zeromq.js and JeroMQ.

All take the flags of `posthouse zmq`, say `listening on ENDPOINT` on standard error when they have
bound, send what they read and print what they receive, a line each.
"""

import shutil
import subprocess
import threading
from contextlib import suppress
from queue import Empty, Queue

import pytest
from posthouse_node import BINARY, ROOT

LIMIT_SECONDS = 30
INSTALLED = ROOT / "target" / "peers"
SOURCES = ROOT / "tests" / "peers"


class Peer:
    """One running socket."""

    command, directory = [str(BINARY), "zmq"], None

    def __init__(self, kind, *flags, bind=None, connect=()):
        command = [*self.command, kind, *flags]
        for endpoint in [bind] if bind else []:
            command += ["--bind", endpoint]
        for endpoint in connect:
            command += ["--connect", endpoint]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace",
            cwd=self.directory)
        self.lines, self.errors = Queue(), Queue()
        self.readers = [
            threading.Thread(target=self._read, args=(stream, queue), daemon=True)
            for stream, queue in [
                (self.process.stdout, self.lines), (self.process.stderr, self.errors),
            ]
        ]
        for reader in self.readers:
            reader.start()
        self.endpoint = None
        if bind:
            line = self.errors.get(timeout=LIMIT_SECONDS)
            assert line.startswith("listening on "), line
            self.endpoint = line.removeprefix("listening on ")

    @staticmethod
    def _read(stream, queue):
        for line in stream:
            queue.put(line.rstrip("\n"))

    def say(self, *lines):
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        try:
            return self.lines.get(timeout=LIMIT_SECONDS)
        except Empty:
            said = "\n".join(self.errors.queue)
            raise AssertionError(f"nothing in {LIMIT_SECONDS} s; ended: {self.process.poll()}; said: {said}") from None

    def hear_nothing(self):
        with pytest.raises(Empty):
            self.lines.get_nowait()

    def finish(self):
        """Ends the input, and waits for the end: the exit code and what was said on stderr."""
        with suppress(BrokenPipeError):  # it has ended by itself
            self.process.stdin.close()
        code = self.process.wait(LIMIT_SECONDS)
        for reader in self.readers:
            reader.join(LIMIT_SECONDS)
        return code, "\n".join(self.errors.queue)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Ours(Peer):
    """`posthouse zmq`, which is lib/zmtp."""

    name = "ours"


class ZeromqJs(Peer):
    """zeromq.js, which has libzmq in it."""

    name = "zeromq.js"
    command = ["node", str(SOURCES / "zeromqjs" / "peer.js")]
    directory = INSTALLED / "zeromqjs"

    @classmethod
    def prepare(cls, _directory):
        assert shutil.which("node") and (cls.directory / "node_modules").is_dir(), (
            f"zeromq.js is not in {cls.directory}; run tools/prepare")


class JeroMq(Peer):
    """JeroMQ: ZMTP in Java, without libzmq."""

    name = "JeroMQ"

    @classmethod
    def prepare(cls, directory):
        jars = INSTALLED / "jeromq"
        assert shutil.which("javac") and list(jars.glob("*.jar")), f"JeroMQ is not in {jars}; run tools/prepare"
        source = SOURCES / "jeromq" / "Peer.java"
        subprocess.run(["javac", "-cp", f"{jars}/*", "-d", directory, source], check=True, timeout=120)
        cls.command = ["java", "-Xmx64m", "-Xshare:auto", "-XX:TieredStopAtLevel=1",
                       "-cp", f"{directory}:{jars}/*", "Peer"]


FOREIGN = (ZeromqJs, JeroMq)
