"""A proxy that can stop forwarding, which is how a peer's machine looks when its power is cut.

Both sides keep their connections, and neither hears anything any more.
"""

import selectors
import socket
import threading


class Proxy:
    """Forwards to one address until it is told to stop; `address` is where to connect, and `passed`
    how many bytes have gone from there to the target."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.wake, self.woken = socket.socketpair()
        self.open, self.frozen, self.stopping = [], threading.Event(), False
        self.passed, self.nears = 0, set()
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.selector.register(self.woken, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.wake.send(b".")
        self.thread.join()
        for one in (*self.open, self.listener, self.wake, self.woken):
            one.close()

    def freeze(self):
        """From now on nothing passes, and nothing is closed."""
        self.wake.send(b".")
        self.frozen.wait()

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select():
                if key.fileobj is self.woken:
                    self._stop_forwarding()
                elif key.fileobj is self.listener:
                    self._accept()
                else:
                    self._forward(key.fileobj, key.data)

    def _stop_forwarding(self):
        self.woken.recv(1)
        for one in [*self.open, self.listener]:
            if one in self.selector.get_map():
                self.selector.unregister(one)
        self.frozen.set()

    def _accept(self):
        near, _ = self.listener.accept()
        far = socket.create_connection(self.target)
        self.open += [near, far]
        self.nears.add(near)
        self.selector.register(near, selectors.EVENT_READ, far)
        self.selector.register(far, selectors.EVENT_READ, near)

    def _forward(self, source, sink):
        try:
            if more := source.recv(65536):
                sink.sendall(more)
                self.passed += len(more) if source in self.nears else 0
                return
        except OSError:
            pass
        for one in (source, sink):
            self.selector.unregister(one)
            one.close()
            self.open.remove(one)
