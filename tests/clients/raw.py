"""Subscribers made of bytes, one socket each: as many as a test wants, reading when the test says so.

Each kind has `name`, `door` (where it connects), `greeting(channel)` (all it has to say to be
subscribed), `ready` (what the node's answer contains once it is), and `reader`, which does the same with a
real client.
"""

import json
import socket
import struct

from . import doors

WAIT = 30  # seconds for what must come


def websocket_frame(opcode, payload, *, mask=b"\0\0\0\0", fin=True):
    """One frame as a client sends it; a mask of zeros leaves the payload as it is."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 1 << 16 else 127
    long = {126: struct.pack(">H", size & 0xFFFF), 127: struct.pack(">Q", size)}.get(short, b"")
    return bytes([fin << 7 | opcode, 0x80 | short]) + long + mask + payload


UPGRADE = (b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


class Redis:
    name = door = "redis"
    reader = doors.RedisSubscriber
    ready = b":1\r\n"

    @staticmethod
    def greeting(channel):
        return b"SUBSCRIBE %s\r\n" % channel.encode()


class WebSocket:
    name, door = "websocket", "http"
    reader = doors.WebSocketSubscriber
    ready = b'"op":"ok"'

    @staticmethod
    def greeting(channel):
        asked = json.dumps({"op": "subscribe", "channel": channel, "id": 1}).encode()
        return UPGRADE + websocket_frame(1, asked)


class Events:
    name, door = "events", "http"
    reader = doors.EventStream
    ready = b"\r\n\r\n"

    @staticmethod
    def greeting(channel):
        return b"GET /channels/%s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n" % channel.encode()


# ZMTP 3.1 with the NULL mechanism: a greeting, and a READY that says the socket's type.
ZMTP_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)


def zmtp_ready(kind):
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return bytes([4, len(body)]) + body


KINDS = (Redis, WebSocket, Events)


def connect(address, receive_buffer=None):
    """A connected socket; a small receive buffer leaves more for the other side to keep."""
    host, port = address.rsplit(":", 1)
    made = socket.socket()
    made.settimeout(WAIT)
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.connect((host, int(port)))
    return made


def read_until(connection, marker):
    """What arrives, up to and with the marker."""
    heard = b""
    while marker not in heard:
        more = connection.recv(65536)
        assert more, f"closed before {marker!r}: {heard[:200]!r}"
        heard += more
    return heard


def read_to_end(connection):
    """Reads until the node has closed the connection; gives how many bytes came."""
    count = 0
    try:
        while more := connection.recv(1 << 20):
            count += len(more)
    except ConnectionResetError:
        pass
    return count


def shout(connection, noise):
    """Says it, whatever the node makes of that, and waits until the node has hung up."""
    try:
        connection.sendall(noise)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # it hung up in the middle
    read_to_end(connection)


def subscribe(node, kind, channel, **options):
    """A connection that is subscribed, from which nothing more is read."""
    connection = connect(node.addresses[kind.door], **options)
    connection.sendall(kind.greeting(channel))
    read_until(connection, kind.ready)
    return connection


def vanish(connection):
    """Closes with a reset, as the death of a process with unread data does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
