"""One running `posthouse serve`, started and ended as an operator would.

A test owns its node: a data directory of its own, every door on a port that was free, and an end
that it chooses (drain, or `kill -9`). After the first start the ports stay, so that clients find a
restarted node where it was.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("POSTHOUSE_BIN", ROOT / "target" / "debug" / "posthouse"))
START_SECONDS = 60
STOP_SECONDS = 30
DOORS = ("kafka", "redis", "http", "postgres")


class Node:
    """A node over one data directory; it can be started again after it ended."""

    def __init__(self, directory, *flags, env=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.directory / "data"
        self.ready_file = self.directory / "ready.json"
        self.log_path = self.directory / "node.log"
        self.flags = flags
        self.env = {**os.environ, **(env or {})}
        self.addresses = {door: "127.0.0.1:0" for door in DOORS}
        self.process = None

    def start(self):
        """Starts the node and waits until every door is open."""
        self.ready_file.unlink(missing_ok=True)
        doors = [part for door in DOORS for part in (f"--{door}", self.addresses[door])]
        command = [
            BINARY, "serve", "--data-dir", self.data_dir, "--ready-file", self.ready_file,
            *doors, *self.flags,
        ]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=log, env=self.env
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.ready_file.exists():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"the node ended with {self.process.returncode} before it was ready\n{self.log()}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"the node is not ready after {START_SECONDS} s\n{self.log()}")
            time.sleep(0.01)
        self.addresses.update(json.loads(self.ready_file.read_text()))
        return self

    def stop(self):
        """Drains the node as `SIGTERM` does, and returns its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the node did not drain in {STOP_SECONDS} s\n{self.log()}")

    def kill(self):
        """Ends the node as a power cut would end the process: `kill -9`."""
        self.process.kill()
        self.process.wait()

    def restart(self):
        """Drains the node and starts it again on the same ports."""
        self.stop()
        return self.start()

    def log(self):
        """What the node has logged, for a failure's message."""
        return self.log_path.read_text(errors="replace")[-8000:]

    @property
    def kafka(self):
        return self.addresses["kafka"]

    @property
    def redis(self):
        return self.at("redis")

    def at(self, listener):
        """Where a listener is, as most clients take it: a door's name, or `redis.tls` and the like."""
        host, port = self.addresses[listener].rsplit(":", 1)
        return {"host": host, "port": int(port)}

    @property
    def http(self):
        return f"http://{self.addresses['http']}"

    @property
    def postgres(self):
        host, port = self.addresses["postgres"].rsplit(":", 1)
        return {"host": host, "port": int(port), "dbname": "posthouse", "user": "posthouse"}

    def cli(self, *arguments, input=None, check=True, timeout=60, env=None):
        """Runs a client command of the same binary against this node."""
        done = subprocess.run(
            [str(BINARY), *map(str, arguments)],
            input=input,
            capture_output=True,
            text=not isinstance(input, bytes),
            timeout=timeout,
            env={**self.env, "POSTHOUSE_NODE": self.addresses["http"], **(env or {})},
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"posthouse {' '.join(map(str, arguments))} ended with {done.returncode}\n"
                f"{done.stdout}\n{done.stderr}\n--- node log\n{self.log()}"
            )
        return done
