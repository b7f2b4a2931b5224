"""A browser without a window: Debian's Chromium, driven by its own DevTools protocol.

    with Browser(directory) as browser, browser.page() as page:
        page.go("http://…")
        page.run("document.title")

Each page has a profile of its own, so that none has another's cookies. Of certificates that no authority of the machine
has signed it accepts those whose keys it is told.
"""

import base64
import itertools
import json
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from websockets.sync.client import connect

SECONDS = 60
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions",
    "--remote-debugging-port=0",
]


class Browser:
    """One process over a fresh directory."""

    def __init__(self, directory, *certificates):
        self.directory = directory
        self.pins = ",".join(pin(certificate) for certificate in certificates)
        self.numbers = itertools.count(1)
        self.process = None
        self.stack = ExitStack()

    def __enter__(self):
        program = shutil.which("chromium")
        assert program, "no chromium on the path; run tools/prepare"
        flags = [*FLAGS, f"--user-data-dir={self.directory}"]
        if self.pins:
            flags.append(f"--ignore-certificate-errors-spki-list={self.pins}")
        self.process = subprocess.Popen(
            [program, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.socket = self.stack.enter_context(connect(self.where(), max_size=None, open_timeout=SECONDS))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def where(self):
        """The protocol's address, which the browser writes down once it listens."""
        path = self.directory / "DevToolsActivePort"
        deadline = time.monotonic() + SECONDS
        while True:
            lines = path.read_text().split("\n") if path.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            assert self.process.poll() is None, f"chromium ended with {self.process.returncode}"
            assert time.monotonic() < deadline, "chromium does not listen"
            time.sleep(0.05)

    def ask(self, method, session=None, **parameters):
        """One command and its answer. What happens meanwhile is passed over: pages are looked at, not listened to."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}
                                    | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self.socket.recv(timeout=SECONDS))
            if answer.get("id") == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    @contextmanager
    def page(self):
        """A page of a profile that is new."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            yield Page(self, session)
        finally:
            self.ask("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """What is shown, and what a script in it sees."""

    def __init__(self, browser, session):
        self.browser = browser
        self.session = session

    def run(self, script):
        """The value of an expression in the page, awaited if it is a promise."""
        answer = self.browser.ask("Runtime.evaluate", self.session, expression=script, awaitPromise=True,
                                  returnByValue=True)
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def go(self, url):
        """Opens an address, as if it were typed."""
        self.leave(lambda: self.browser.ask("Page.navigate", self.session, url=url))

    def submit(self, **fields):
        """Fills in the page's form and sends it."""
        for name, value in fields.items():
            self.run(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")
        self.leave(lambda: self.run("document.querySelector('form').submit()"))

    def leave(self, action):
        """Does what leads to another page, and waits until that is loaded."""
        self.run("window.left = true")
        action()
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                if self.run("!window.left && document.readyState == 'complete'"):
                    return
            except AssertionError:
                pass  # between two pages there is none to ask
            assert time.monotonic() < deadline, f"still at {self.run('location.href')}"
            time.sleep(0.02)

    @property
    def path(self):
        return self.run("location.pathname")

    @property
    def text(self):
        return self.run("document.body.innerText")

    @property
    def cookies(self):
        """Those that a script does not see, too."""
        return self.browser.ask("Network.getCookies", self.session)["cookies"]


def pin(certificate):
    """What Chromium knows a certificate's key by."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.finalize()).decode()
