"""A place that webhooks are delivered to: a real HTTP server that keeps what it was sent."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIMIT = 30


class Request:
    """One request, and when it came."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body, self.at = path, headers, body, time.monotonic()

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def attempt(self):
        return int(self.headers["posthouse-attempt"])


class Destination:
    """Answers 204 unless `answer(request)` gives a status, or a status and headers."""

    def __init__(self, answer=lambda request: 204, tls=None):
        self.requests, self._changed = [], threading.Condition()
        self.connections = 0
        self.open_now = self.open_max = 0
        self.answer = answer
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                request = Request(self.path, dict(self.headers), body)
                request.headers = {name.lower(): value for name, value in request.headers.items()}
                with outer._changed:
                    outer.open_now += 1
                    outer.open_max = max(outer.open_max, outer.open_now)
                    outer.requests.append(request)
                    outer._changed.notify_all()
                try:
                    answered = outer.answer(request)
                finally:
                    with outer._changed:
                        outer.open_now -= 1
                status, headers, text = (answered, {}, b"") if isinstance(answered, int) else (
                    *answered, b"")[:3]
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    if status not in (204, 304):
                        self.send_header("content-length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:
                    pass  # whoever asked did not wait

            def log_message(self, *arguments):
                pass

        ThreadingHTTPServer.daemon_threads = True
        ThreadingHTTPServer.request_queue_size = 64
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://localhost:{self.port}/in"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self, count, seconds=LIMIT):
        """The first `count` requests, as soon as there are so many."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.requests) >= count, seconds)
            bodies = [request.body for request in self.requests]
            assert came, f"{len(self.requests)} of {count} requests after {seconds} s: {bodies[:20]}"
            return list(self.requests[:count])

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def eventually(what, seconds=LIMIT):
    """The first true answer of `what`."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"{what} is still {found} after {seconds} s"
        time.sleep(0.02)
    return found
