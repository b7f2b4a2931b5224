"""JSON over HTTP to one node, wherever it listens after a restart."""

import json
import urllib.error
import urllib.request

LIMIT = 30


class Http:
    """Requests to one node; a failure is its status and its problem."""

    def __init__(self, node):
        self.node = node

    def __call__(self, method, path, body=None, timeout=LIMIT):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.node.http + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def ok(self, method, path, body=None):
        status, answer = self(method, path, body)
        assert status < 300, answer
        return answer
