"""ZeroMQ sockets of ours against libzmq (pyzmq): each peer of each pattern replaced in turn.

Ours is `posthouse zmq`, which is lib/zmtp behind standard input and output. ZMTP 3.1 and 3.0 are what
libzmq speaks; a 2.0 peer is made of bytes by hand.
"""

import socket as sockets
import subprocess
import threading
import time
from contextlib import suppress

import pytest
import zmq
from clients.zmq_peers import LIMIT_SECONDS, Ours
from posthouse_node import BINARY
from zmq.utils.monitor import recv_monitor_message

LIMIT_MS = LIMIT_SECONDS * 1000


@pytest.fixture
def ours():
    running = []

    def start(kind, *flags, **where):
        running.append(Ours(kind, *flags, **where))
        return running[-1]

    yield start
    for peer in running:
        peer.kill()


@pytest.fixture
def libzmq():
    context = zmq.Context()

    def socket(kind, *, bind=None, connect=(), **options):
        made = context.socket(kind)
        made.linger = 0
        made.rcvtimeo = made.sndtimeo = LIMIT_MS
        for name, value in options.items():
            setattr(made, name, value)
        if bind:
            made.bind(bind)
        for endpoint in connect:
            made.connect(endpoint)
        return made

    yield socket
    context.destroy(linger=0)


def endpoint_of(socket):
    return socket.last_endpoint.decode()


TCP = "tcp://127.0.0.1:0"


@pytest.fixture(params=["tcp", "ipc"])
def address(request, tmp_path):
    return "tcp://127.0.0.1:0" if request.param == "tcp" else f"ipc://{tmp_path}/socket"


def test_pair_ours_binds(ours, libzmq, address):
    peer = ours("pair", bind=address)
    other = libzmq(zmq.PAIR, connect=[peer.endpoint])
    other.send_string("ping")
    assert peer.hear() == "ping"
    peer.say("pong")
    assert other.recv_string() == "pong"


def test_pair_ours_connects(ours, libzmq, address):
    bind = "tcp://127.0.0.1:*" if address == TCP else address
    other = libzmq(zmq.PAIR, bind=bind)
    peer = ours("pair", connect=[endpoint_of(other)])
    peer.say("ping")
    assert other.recv_string() == "ping"
    other.send_string("pong")
    assert peer.hear() == "pong"


def test_second_pair_of_ours_exits_with_the_reason(ours, libzmq):
    server = ours("pair", bind=TCP)
    first = libzmq(zmq.PAIR, connect=[server.endpoint])
    first.send_string("first")
    assert server.hear() == "first"
    second = ours("pair", connect=[server.endpoint])
    assert second.process.wait(LIMIT_SECONDS) == 1
    assert "already has a peer" in second.errors.get(timeout=LIMIT_SECONDS)
    first.close()
    # The next gets in as soon as the first has left, which the server sees in its own time.
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        third = ours("pair", "--max", "0", "--peers", "1", connect=[server.endpoint])
        with suppress(BrokenPipeError):  # it may be refused, and gone, before it is told anything
            third.say("third")
        code, errors = third.finish()
        if code == 0:
            break
        assert "already has a peer" in errors and time.monotonic() < deadline
    assert server.hear() == "third"


def test_second_pair_of_libzmq_sees_it_on_its_monitor(ours, libzmq):
    server = ours("pair", bind=TCP)
    first = libzmq(zmq.PAIR, connect=[server.endpoint])
    first.send_string("first")
    assert server.hear() == "first"
    second = libzmq(zmq.PAIR)
    monitor = second.get_monitor_socket()
    second.connect(server.endpoint)
    assert monitor.poll(LIMIT_MS)
    events = []
    while not {zmq.EVENT_DISCONNECTED, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL} & set(events):
        assert monitor.poll(LIMIT_MS), events
        events.append(recv_monitor_message(monitor)["event"])
    assert zmq.EVENT_HANDSHAKE_SUCCEEDED not in events
    second.disable_monitor()


def serve(socket, count):
    for _ in range(count):
        socket.send(socket.recv())


def test_several_libzmq_clients_of_our_rep(ours, libzmq):
    server = ours("rep", "--echo", bind=TCP)
    clients = [libzmq(zmq.REQ, connect=[server.endpoint]) for _ in range(3)]
    for number in range(10):
        for name, client in enumerate(clients):
            client.send_string(f"{name} {number}")
        for name, client in enumerate(clients):
            assert client.recv_string() == f"{name} {number}"
    assert {server.hear() for _ in range(30)} == {f"{c} {n}" for c in range(3) for n in range(10)}


def test_several_clients_of_ours_at_a_libzmq_rep(ours, libzmq):
    server = libzmq(zmq.REP, bind="tcp://127.0.0.1:*")
    thread = threading.Thread(target=serve, args=(server, 30))
    thread.start()
    clients = [ours("req", connect=[endpoint_of(server)]) for _ in range(3)]
    for name, client in enumerate(clients):
        client.say(*[f"{name} {number}" for number in range(10)])
    for name, client in enumerate(clients):
        assert [client.hear() for _ in range(10)] == [f"{name} {number}" for number in range(10)]
        assert client.finish()[0] == 0
    thread.join(LIMIT_SECONDS)


def test_our_subscriber_of_two_libzmq_publishers(ours, libzmq):
    publishers = [libzmq(zmq.XPUB, bind="tcp://127.0.0.1:*") for _ in range(2)]
    endpoints = [endpoint_of(publisher) for publisher in publishers]
    subscriber = ours("sub", "--subscribe", "news", connect=endpoints)
    for number, publisher in enumerate(publishers):
        assert publisher.recv() == b"\x01news"
        publisher.send_string("sports: not wanted")
        publisher.send_string(f"news {number}")
    assert {subscriber.hear(), subscriber.hear()} == {"news 0", "news 1"}
    subscriber.hear_nothing()


def test_libzmq_subscriber_of_two_publishers_of_ours(ours, libzmq):
    publishers = [ours("pub", "--peers", "1", bind=TCP) for _ in range(2)]
    subscriber = libzmq(zmq.SUB, connect=[publisher.endpoint for publisher in publishers])
    subscriber.subscribe("news")
    for number, publisher in enumerate(publishers):
        publisher.say("sports: not wanted", f"news {number}")
        assert publisher.finish() == (0, "")
    assert {subscriber.recv_string(), subscriber.recv_string()} == {"news 0", "news 1"}


def test_libzmq_xsub_hears_our_publisher(ours, libzmq):
    publisher = ours("pub", "--peers", "1", bind=TCP)
    subscriber = libzmq(zmq.XSUB, connect=[publisher.endpoint])
    subscriber.send(b"\x01a")
    publisher.say("b", "abc")
    assert subscriber.recv_string() == "abc"


@pytest.mark.parametrize("replaced", ["producer", "worker", "collector", "all"])
def test_pipeline_with_one_part_of_ours(ours, libzmq, replaced):
    count, workers = 60, 3
    is_ours = {part: replaced in (part, "all") for part in ("producer", "worker", "collector")}
    if is_ours["producer"]:
        producer = ours("push", "--peers", str(workers), bind=TCP)
        work_at = producer.endpoint
    else:
        producer = libzmq(zmq.PUSH)
        monitor = producer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        producer.bind("tcp://127.0.0.1:*")
        work_at = endpoint_of(producer)
    if is_ours["collector"]:
        collector = ours("pull", bind=TCP)
        results_at = collector.endpoint
    else:
        collector = libzmq(zmq.PULL, bind="tcp://127.0.0.1:*")
        results_at = endpoint_of(collector)

    # A worker goes on until it is told to stop, which each is once for all its peers.
    def work_with_ours():
        inlet = ours("pull", connect=[work_at])
        outlet = ours("push", connect=[results_at])
        while (line := inlet.hear()) != "stop":
            outlet.say(f"done {line}")
        outlet.finish()

    def work_with_libzmq():
        with libzmq(zmq.PULL, connect=[work_at]) as inlet, libzmq(
            zmq.PUSH, connect=[results_at], linger=LIMIT_MS
        ) as outlet:
            while (line := inlet.recv_string()) != "stop":
                outlet.send_string(f"done {line}")

    target = work_with_ours if is_ours["worker"] else work_with_libzmq
    threads = [threading.Thread(target=target, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    if not is_ours["producer"]:
        # Work is handed out in turn to the workers that are there.
        for _ in range(workers):
            assert monitor.poll(LIMIT_MS)
            recv_monitor_message(monitor)
        producer.disable_monitor()
    hand_out = producer.say if is_ours["producer"] else producer.send_string
    for number in range(count):
        hand_out(str(number))
    hear = collector.hear if is_ours["collector"] else collector.recv_string
    assert {hear() for _ in range(count)} == {f"done {number}" for number in range(count)}
    for _ in range(workers):
        hand_out("stop")
    for thread in threads:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()


def test_our_router_and_libzmq_dealers(ours, libzmq):
    router = ours("router", bind=TCP)
    named = libzmq(zmq.DEALER, connect=[router.endpoint], identity=b"named")
    nameless = libzmq(zmq.DEALER, connect=[router.endpoint])
    named.send_string("one")
    assert router.hear() == "named\tone"
    nameless.send_string("two")
    identity, text = router.hear().split("\t")
    assert identity.startswith("0x00") and text == "two"
    router.say("named\tto one", f"{identity}\tto two")
    assert (named.recv_string(), nameless.recv_string()) == ("to one", "to two")


def test_our_dealer_and_a_libzmq_router(ours, libzmq):
    router = libzmq(zmq.ROUTER, bind="tcp://127.0.0.1:*")
    dealer = ours("dealer", "--identity", "ours", "--separator", "|", connect=[endpoint_of(router)])
    dealer.say("a||c")
    assert router.recv_multipart() == [b"ours", b"a", b"", b"c"]
    router.send_multipart([b"ours", b"x", b"y"])
    assert dealer.hear() == "x|y"


def test_large_messages_pass_both_ways(ours, libzmq):
    peer = ours("pair", bind=TCP)
    other = libzmq(zmq.PAIR, connect=[peer.endpoint])
    for size in (255, 256, 8191, 8192, 5_000_000):
        other.send_string("x" * size)
        assert peer.hear() == "x" * size
        peer.say("y" * size)
        assert other.recv_string() == "y" * size


PLAIN = ["--plain-username", "admin", "--plain-password", "secret"]


def plain_context(context_socket, kind, endpoint, password):
    return context_socket(
        kind, plain_username=b"admin", plain_password=password, connect=[endpoint]
    )


def test_plain_our_server(ours, libzmq):
    server = ours("pull", "--plain-server", *PLAIN, bind=TCP)
    wrong = libzmq(zmq.PUSH, plain_username=b"admin", plain_password=b"guess")
    # Up to 4.3.5 libzmq's PLAIN has a misspelt ERROR and takes the right one for a failed protocol.
    failed = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    monitor = wrong.get_monitor_socket(failed)
    wrong.connect(server.endpoint)
    assert monitor.poll(LIMIT_MS), "libzmq is told that it is not let in"
    wrong.disable_monitor()
    right = plain_context(libzmq, zmq.PUSH, server.endpoint, b"secret")
    right.send_string("hello")
    assert server.hear() == "hello"


def test_plain_our_client(ours, libzmq):
    from zmq.auth.thread import ThreadAuthenticator

    server = libzmq(zmq.PULL)
    authenticator = ThreadAuthenticator(server.context)
    authenticator.start()
    try:
        authenticator.configure_plain(domain="*", passwords={"admin": "secret"})
        server.plain_server = True
        server.bind("tcp://127.0.0.1:*")
        wrong = ours(
            "push", "--peers", "1", "--plain-username", "admin", "--plain-password", "guess",
            connect=[endpoint_of(server)],
        )
        code, errors = wrong.finish()
        assert code == 1 and "400" in errors
        right = ours("push", *PLAIN, connect=[endpoint_of(server)])
        right.say("hello")
        assert right.finish()[0] == 0
        assert server.recv_string() == "hello"
    finally:
        authenticator.stop()


def test_curve_our_server(ours, libzmq):
    server_public, server_secret = (key.decode() for key in zmq.curve_keypair())
    public, secret = zmq.curve_keypair()
    server = ours(
        "rep", "--echo", "--curve-server", "--curve-secret-key", server_secret,
        "--curve-allow", public.decode(), bind=TCP,
    )
    stranger_public, stranger_secret = zmq.curve_keypair()
    stranger = libzmq(
        zmq.REQ, curve_serverkey=server_public.encode(), curve_publickey=stranger_public,
        curve_secretkey=stranger_secret,
    )
    monitor = stranger.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    stranger.connect(server.endpoint)
    assert monitor.poll(LIMIT_MS)
    stranger.disable_monitor()
    client = libzmq(
        zmq.REQ, curve_serverkey=server_public.encode(), curve_publickey=public,
        curve_secretkey=secret, connect=[server.endpoint],
    )
    for text in ("hello", "x" * 100_000, ""):
        client.send_string(text)
        assert client.recv_string() == text


def test_a_key_or_password_may_begin_with_a_hyphen(ours, libzmq):
    secret = next(secret.decode() for _, secret in iter(zmq.curve_keypair, None) if secret.startswith(b"-"))
    assert ours("pull", "--curve-server", "--curve-secret-key", secret, bind=TCP).endpoint
    server = ours("pull", "--plain-server", "--plain-username", "a", "--plain-password", "-b", bind=TCP)
    client = libzmq(zmq.PUSH, plain_username=b"a", plain_password=b"-b", connect=[server.endpoint])
    client.send_string("hello")
    assert server.hear() == "hello"


def test_curve_our_client(ours, libzmq):
    server_public, server_secret = zmq.curve_keypair()
    _, secret = zmq.curve_keypair()
    server = libzmq(
        zmq.PULL, curve_server=True, curve_secretkey=server_secret, bind="tcp://127.0.0.1:*"
    )
    monitor = server.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    )
    flags = ["--curve-secret-key", secret.decode(), "--curve-server-key"]
    ours("push", *flags, secret.decode(), connect=[endpoint_of(server)]).say("wrong server key")
    assert monitor.poll(LIMIT_MS), "libzmq cannot open what a wrong key has sealed"
    server.disable_monitor()
    right = ours("push", *flags, server_public.decode(), connect=[endpoint_of(server)])
    right.say("hello", "again")
    assert right.finish()[0] == 0
    assert [server.recv_string(), server.recv_string()] == ["hello", "again"]


def test_heartbeats_of_libzmq_are_answered(ours, libzmq):
    server = ours("pull", bind=TCP)
    peer = libzmq(zmq.PUSH, heartbeat_ivl=50, heartbeat_timeout=500, heartbeat_ttl=1000)
    monitor = peer.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    peer.connect(server.endpoint)
    peer.send_string("hello")
    assert server.hear() == "hello"
    # As long as four timeouts: libzmq would have given up a peer that does not answer.
    assert not monitor.poll(2000)
    peer.disable_monitor()


def test_a_zmtp_2_peer_made_by_hand(ours):
    server = ours("pull", bind=TCP)
    host, port = server.endpoint.removeprefix("tcp://").split(":")
    with sockets.create_connection((host, int(port)), timeout=LIMIT_SECONDS) as peer:
        # Signature, revision 1, socket type PUSH, an empty identity.
        peer.sendall(b"\xff" + bytes(7) + b"\x01\x7f" + b"\x01\x08" + b"\x00\x00")
        answer = b""
        while len(answer) < 14:
            answer += peer.recv(64)
        assert answer[:10] == b"\xff" + bytes(7) + b"\x01\x7f"
        assert answer[10] >= 1 and answer[11] == 7, "revision, and socket type PULL"
        assert answer[12:] == b"\x00\x00", "an empty identity"
        peer.sendall(b"\x01\x05hello\x00\x05world" + b"\x02" + (300).to_bytes(8, "big") + b"z" * 300)
        assert server.hear() == "hello\tworld"
        assert server.hear() == "z" * 300


def test_a_taken_port_is_an_error_with_its_own_code(ours, libzmq):
    other = libzmq(zmq.PULL, bind="tcp://127.0.0.1:*")
    taken = subprocess.run(
        [str(BINARY), "zmq", "pull", "--bind", endpoint_of(other)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS,
    )
    assert taken.returncode == 6
    assert endpoint_of(other) in taken.stderr
