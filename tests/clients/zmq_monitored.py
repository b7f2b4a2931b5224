"""pyzmq sockets whose monitor tells how the handshake went."""

from contextlib import contextmanager

import zmq
from zmq.utils.monitor import recv_monitor_message

LIMIT_SECONDS = 30
LIMIT_MS = LIMIT_SECONDS * 1000


@contextmanager
def peer(kind, address, *, plain=None, curve=None):
    """A libzmq socket and its monitor; `curve` is the server's key and our own pair."""
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = LIMIT_MS
        if plain:
            socket.plain_username, socket.plain_password = plain
        if curve:
            socket.curve_serverkey, (socket.curve_publickey, socket.curve_secretkey) = curve
        monitor = socket.get_monitor_socket()
        socket.connect(address)
        try:
            yield socket, monitor
        finally:
            socket.disable_monitor()


def handshake(monitor):
    """Whether the peer was let in: `ok`, or the code that it was refused with."""
    while monitor.poll(LIMIT_MS):
        event = recv_monitor_message(monitor)
        if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return "ok"
        if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return event["value"]
        if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            # libzmq's PLAIN client, up to 4.3.5 at least, does not know the ERROR that tells it so.
            assert event["value"] == zmq.Event.PROTOCOL_ERROR_ZMTP_UNEXPECTED_COMMAND, event
            return 400
    raise AssertionError(f"no handshake within {LIMIT_SECONDS} s")


def is_turned_away(monitor):
    """Whether a peer without the endpoint's mechanism comes to nothing: the two speak different protocols."""
    turned_away = {zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_DISCONNECTED}
    while monitor.poll(LIMIT_MS):
        event = recv_monitor_message(monitor)["event"]
        if event in turned_away or event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            return event in turned_away
    raise AssertionError(f"no failed handshake within {LIMIT_SECONDS} s")
