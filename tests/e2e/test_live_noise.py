"""Garbage, and frames of impossible sizes, on every live door and on ZeroMQ sockets.

What makes no sense ends its own connection, takes no memory, and leaves everyone else undisturbed.
(`test_bad_input.py` has the other doors.)
"""

import random

import pytest
import zmq
from clients import Record, doors, raw
from clients.watch import eventually, resident, subscriptions
from clients.zmq_peers import Ours

MEBIBYTE = 1 << 20

pytestmark = pytest.mark.timeout(180)


def frames_of_noise():
    """What no WebSocket client may send; each ends the connection, and takes no memory."""
    frame = raw.websocket_frame
    return {
        "no mask": b"\x81\x05hello",
        "a reserved opcode": frame(3, b"x"),
        "reserved bits": b"\xf1\x80\0\0\0\0",
        "a continuation of nothing": frame(0, b"x"),
        "a ping of two fragments": frame(9, b"x", fin=False),
        "a ping of 126 bytes": frame(9, b"x" * 126),
        "text that is none": frame(1, b"\xff\xfe"),
        "a length of 2^63": b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0" + b"x" * 1000,
        "a length of 16 GiB": b"\x82\xff" + (16 << 30).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 1000,
        "a close of one byte": frame(8, b"x"),
    }


@pytest.mark.parametrize("name", frames_of_noise())
def test_a_frame_that_is_none_ends_its_websocket_only(shared_node, topic, name):
    with doors.WebSocketSubscriber(shared_node, topic) as ear:
        before = resident(shared_node)
        for _ in range(20):
            with raw.subscribe(shared_node, raw.WebSocket, "noise") as connection:
                connection.sendall(frames_of_noise()[name])
                raw.read_to_end(connection)
        assert resident(shared_node) - before < 16 * MEBIBYTE
        with doors.HttpPublisher(shared_node, topic) as mouth:
            mouth.write(Record(None, b"still here"))
        assert ear.read(1)[0].value == b"still here"
    eventually(lambda: subscriptions(shared_node, "noise") == 0, "the noisy ones are gone")


def test_a_websocket_message_that_is_too_large_is_refused_in_pieces_too(shared_node):
    piece = b"x" * MEBIBYTE
    before = resident(shared_node)
    for _ in range(3):
        with raw.subscribe(shared_node, raw.WebSocket, "noise") as connection:
            with pytest.raises(OSError):
                # 64 MiB where 16 are allowed: the node hangs up long before the end.
                for number in range(64):
                    connection.sendall(raw.websocket_frame(0 if number else 2, piece, fin=False))
    # The allocator gives back within seconds what one connection had.
    eventually(lambda: resident(shared_node) - before < 40 * MEBIBYTE, "no more is held than one message may have")


@pytest.mark.parametrize("door", ["redis", "http"])
def test_random_bytes_leave_a_live_door_open(shared_node, topic, door):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    noise = random.Random(seed)
    kind = raw.Redis if door == "redis" else raw.WebSocket
    with kind.reader(shared_node, topic) as ear:
        before = resident(shared_node)
        for number in range(200):
            with raw.connect(shared_node.addresses[door]) as connection:
                if number % 2:
                    # In the middle of a conversation.
                    connection.sendall(kind.greeting("noise"))
                    raw.read_until(connection, kind.ready)
                raw.shout(connection, noise.randbytes(noise.randrange(1, 8192)))
        assert resident(shared_node) - before < 32 * MEBIBYTE
        with doors.HttpPublisher(shared_node, topic) as mouth:
            mouth.write(Record(None, b"still here"))
        assert ear.read(1)[0].value == b"still here"
    assert "panicked" not in shared_node.log()


NULL_GREETING, READY = raw.ZMTP_GREETING, raw.zmtp_ready(b"PUSH")
ZMTP_NOISE = {
    "no signature": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(64),
    "an unknown mechanism": NULL_GREETING.replace(b"NULL", b"LLUN") + READY,
    "half a greeting": NULL_GREETING[:20],
    "a message before READY": NULL_GREETING + b"\0\x05hello",
    "a READY that is cut short": NULL_GREETING + b"\x04\x06\x05READY"[:-1] + b"\xff",
    "an unknown socket type": NULL_GREETING + READY.replace(b"PUSH", b"PULP"),
    "a type that does not fit": NULL_GREETING + READY.replace(b"PUSH", b"PULL"),
    "reserved flags": NULL_GREETING + READY + b"\xf8\x05hello",
    "a frame of 2^64-1 bytes": NULL_GREETING + READY + b"\x02" + b"\xff" * 8 + b"x" * 1000,
    "a frame of 2^63-1 bytes": NULL_GREETING + READY + b"\x02\x7f" + b"\xff" * 7 + b"x" * 1000,
    "a frame of 16 GiB": NULL_GREETING + READY + b"\x02" + (16 << 30).to_bytes(8, "big") + b"x" * 1000,
    "a frame of 512 MiB that does not come": NULL_GREETING + READY + b"\x02" + (512 << 20).to_bytes(8, "big") + b"x" * 1000,
    "a command of 1 GiB": NULL_GREETING + READY + b"\x06" + (1 << 30).to_bytes(8, "big") + b"x" * 1000,
    "a ping without its time": NULL_GREETING + READY + b"\x04\x05\x04PING",
}


@pytest.fixture
def puller():
    """`posthouse zmq pull`, which stands for every socket of lib/zmtp."""
    peer = Ours("pull", bind="tcp://127.0.0.1:0")
    yield peer
    peer.kill()


def still_pulls(puller, text):
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(puller.endpoint)
        socket.send_string(text)
        assert puller.hear() == text


@pytest.mark.parametrize("name", ZMTP_NOISE)
def test_what_is_no_zmtp_ends_its_connection_only(puller, name):
    still_pulls(puller, "before")
    before = resident(puller)
    for _ in range(20):
        with raw.connect(puller.endpoint.removeprefix("tcp://")) as connection:
            raw.shout(connection, ZMTP_NOISE[name])
    assert resident(puller) - before < 16 * MEBIBYTE
    still_pulls(puller, "after")


def test_random_bytes_leave_a_zmtp_socket_open(puller):
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    noise = random.Random(seed)
    still_pulls(puller, "before")
    before = resident(puller)
    for number in range(200):
        with raw.connect(puller.endpoint.removeprefix("tcp://")) as connection:
            prefix = (b"", NULL_GREETING, NULL_GREETING + READY)[number % 3]
            raw.shout(connection, prefix + noise.randbytes(noise.randrange(1, 8192)))
    assert resident(puller) - before < 16 * MEBIBYTE
    said = f"after {seed}"
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(puller.endpoint)
        socket.send_string(said)
        # Noise may contain messages; nothing is known of those.
        while puller.hear() != said:
            pass
