"""The Redis door with authentication on: logins, permissions and `ACL`, with redis-py and redis-cli."""

import subprocess
import threading
import time

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from redis.retry import Retry

from posthouse_node import Node

SECONDS = 30
ADMIN = ("admin", "the administrator's secret")
ALICE = ("alice", "alice's secret")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A node whose clients must log in."""
    directory = tmp_path_factory.mktemp("guarded")
    secret = directory / "admin-password"
    secret.write_text(ADMIN[1] + "\n")
    node = Node(directory / "node", "--authentication", "--admin-password-file", secret).start()
    yield node
    assert node.stop() == 0, node.log()


def connect(node, user=None, **options):
    """A client that does not log in again by itself when it is refused."""
    name, password = user or (None, None)
    return redis.Redis(**node.redis, username=name, password=password, socket_timeout=SECONDS,
                       decode_responses=True, retry=Retry(NoBackoff(), 0), **options)


@pytest.fixture
def admin(guarded):
    with connect(guarded, ADMIN) as client:
        client.flushall()
        yield client


@pytest.fixture
def alice(guarded, admin):
    """Somebody who may do everything with keys, streams and channels that begin with `app:`."""
    grant(admin, ALICE, "~app:*", "&app:*", "+@all", "-@dangerous")
    with connect(guarded, ALICE) as client:
        yield client


def grant(admin, user, *modifiers):
    assert admin.execute_command("ACL", "SETUSER", user[0], "reset", "on", ">" + user[1], *modifiers)


def cli(node, *arguments, user=None):
    """What redis-cli prints."""
    host, port = node.addresses["redis"].rsplit(":", 1)
    login = ["--user", user[0], "--pass", user[1], "--no-auth-warning"] if user else []
    done = subprocess.run(["redis-cli", "-h", host, "-p", port, *login, *arguments],
                          capture_output=True, text=True, timeout=SECONDS)
    return done.stdout.strip()


def until(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def refused(call, *arguments):
    with pytest.raises(NoPermissionError) as refusal:
        call(*arguments)
    return str(refusal.value)


def test_nothing_is_answered_before_a_login(guarded):
    for command in (["PING"], ["GET", "k"], ["SUBSCRIBE", "c"], ["MULTI"], ["INFO"], ["ACL", "WHOAMI"],
                    ["CLIENT", "LIST"], ["COMMAND"]):
        assert cli(guarded, *command) == "NOAUTH Authentication required."
    assert cli(guarded, "HELLO", "3").startswith("NOAUTH HELLO must be called with the client already auth")
    assert cli(guarded, "NONSENSE").startswith("ERR unknown command")
    assert cli(guarded, "RESET") == "RESET"
    assert cli(guarded, "QUIT") == "OK"


def test_a_request_before_a_login_is_small(guarded):
    with connect(guarded, protocol=2) as client:
        with pytest.raises((redis.ConnectionError, ResponseError)):
            client.execute_command("AUTH", "alice", "x" * 20_000)


@pytest.mark.parametrize("user", [("alice", "wrong"), ("nobody", "wrong"), ("ADMIN", ADMIN[1]), ("", "")])
def test_a_wrong_user_is_told_what_a_wrong_password_is(guarded, alice, user):
    answer = "WRONGPASS invalid username-password pair or user is disabled."
    assert cli(guarded, "AUTH", *user) == answer
    assert cli(guarded, "HELLO", "3", "AUTH", *user) == answer


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_right_password_lets_in_by_auth_and_by_hello(guarded, alice, protocol):
    with connect(guarded, ALICE, protocol=protocol, client_name="worker") as client:
        assert client.acl_whoami() == "alice"
        assert client.client_getname() == "worker"
        assert client.client_info()["user"] == "alice"
        assert client.set("app:k", "v") and client.get("app:k") == "v"
    with pytest.raises(AuthenticationError):
        connect(guarded, (ALICE[0], "wrong"), protocol=protocol).ping()


def test_reset_logs_out(guarded, alice):
    with connect(guarded, ALICE) as client, client.client() as single:
        assert single.acl_whoami() == "alice"
        assert single.execute_command("RESET") == "RESET"
        with pytest.raises(AuthenticationError, match="Authentication required"):
            single.execute_command("GET", "app:k")
        assert single.execute_command("AUTH", *ALICE)
        assert single.execute_command("ACL", "WHOAMI") == "alice"


KEY = "this user has no permissions to access one of the keys used as arguments"
CHANNEL = "this user has no permissions to access one of the channels used as arguments"


@pytest.mark.parametrize("command", [
    "GET k", "SET k v", "DEL k", "EXISTS k", "TYPE k", "MGET app:k k", "MSET app:k v k v", "RENAME app:k k",
    "COPY k app:k", "SUNIONSTORE app:k k", "SUNIONSTORE k app:k", "LMOVE k app:k LEFT LEFT", "BLPOP app:k k 1",
    "SORT app:l STORE k", "SORT app:l BY w_*", "SORT app:l GET w_*->f", "XADD s * f v", "XLEN s", "XRANGE s - +",
    "XREAD STREAMS app:s s 0 0", "XGROUP CREATE s g $", "EVAL return 1 k", "OBJECT ENCODING k", "WATCH k",
    "MEMORY USAGE k", "EXPIRE k 10", "PFCOUNT app:k k", "ZUNIONSTORE app:k 2 app:z k", "TYPE __posthouse_keys",
    "XRANGE __posthouse_keys - +",
])
def test_what_is_not_hers_is_refused_in_redis_words(alice, command):
    alice.rpush("app:l", 1)
    words = command.split()
    if words[0] == "EVAL":
        words = ["EVAL", "return 1", "1", "k"]
    assert refused(alice.execute_command, *words) == KEY


def test_what_is_hers_is_as_it_is_without_permissions(alice):
    assert alice.mset({"app:a": 1, "app:b": 2})
    assert alice.rpush("app:l", 2, 1) and alice.sort("app:l", by="app:w_*", get="app:w_*") == [None, None]
    assert alice.eval("return redis.call('incr', KEYS[1])", 1, "app:a") == 2
    assert alice.rename("app:a", "app:c")
    entry = alice.xadd("app:s", {"f": "v"})
    assert alice.xgroup_create("app:s", "g", 0)
    assert alice.xreadgroup("g", "worker", {"app:s": ">"})
    assert alice.xack("app:s", "g", entry) == 1
    assert alice.xpending("app:s", "g")["pending"] == 0
    assert alice.type("app:s") == "stream"
    assert alice.delete("app:s") == 1


@pytest.mark.parametrize("command", [
    "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "CONFIG|SET hz 10", "CONFIG|GET *", "INFO", "CLIENT|LIST",
    "CLIENT|KILL 127.0.0.1:1", "CLIENT|PAUSE 1", "SCRIPT|FLUSH", "SCRIPT|KILL", "SAVE", "BGSAVE", "SLOWLOG|GET",
    "SLOWLOG|RESET", "ACL|LIST", "ACL|USERS", "ACL|SETUSER alice ~*", "ACL|DELUSER admin", "ACL|LOG",
])
def test_what_is_done_to_the_node_needs_the_cluster(alice, command):
    name = command.split()[0].lower()
    error = refused(alice.execute_command, *command.replace("|", " ").split())
    assert error == f"this user has no permissions to run the '{name}' command"


def test_names_that_are_not_hers_are_not_shown(admin, alice):
    admin.mset({"other": 1, "app:a": 1, "app:b": 1})
    admin.xadd("other-stream", {"f": "v"})
    alice.xadd("app:stream", {"f": "v"})
    hers = {"app:a", "app:b", "app:stream"}
    assert set(alice.keys()) == hers
    assert set(alice.scan_iter()) == hers
    assert alice.dbsize() == 3
    assert {alice.randomkey() for _ in range(50)} <= hers
    assert len(admin.keys()) == 5 and admin.dbsize() == 5


def test_channels_are_hers_or_not(guarded, admin, alice):
    assert refused(alice.publish, "news", "x") == CHANNEL
    assert alice.publish("app:news", "x") == 0
    with alice.pubsub() as mine, admin.pubsub() as other:
        for subscribe, name in ((mine.subscribe, "news"), (mine.psubscribe, "*"), (mine.psubscribe, "a*")):
            subscribe(name)
            assert refused(mine.parse_response) == CHANNEL
        other.subscribe("secret")
        assert other.get_message(timeout=SECONDS)["type"] == "subscribe"
        assert alice.pubsub_channels() == []
        assert alice.pubsub_numsub("secret") == [("secret", 0)]
        assert admin.pubsub_channels() == ["secret"]
        mine.psubscribe("app:*")
        assert mine.get_message(timeout=SECONDS)["type"] == "psubscribe"
        admin.publish("app:x", "hello")
        assert mine.get_message(timeout=SECONDS)["data"] == "hello"


def test_notifications_of_keys_that_are_not_hers_are_not_heard(guarded, admin):
    bob = ("bob", "bob's secret")
    grant(admin, bob, "~app:*", "&__key*", "+@all", "-@dangerous")
    admin.config_set("notify-keyspace-events", "KEA")
    try:
        with connect(guarded, bob) as client, client.pubsub() as heard:
            heard.psubscribe("__key*")
            assert heard.get_message(timeout=SECONDS)["type"] == "psubscribe"
            admin.set("secret", "v")
            admin.set("app:k", "v")
            messages = [heard.get_message(timeout=SECONDS) for _ in range(2)]
            assert [message["channel"] for message in messages] == ["__keyspace@0__:app:k", "__keyevent@0__:set"]
            assert messages[1]["data"] == "app:k"
    finally:
        admin.config_set("notify-keyspace-events", "")


def test_a_transaction_is_checked_when_it_is_queued_and_when_it_runs(guarded, admin, alice):
    with alice.pipeline() as pipe:
        pipe.set("app:a", 1)
        pipe.get("other")
        with pytest.raises(NoPermissionError):
            pipe.execute()
    assert alice.get("app:a") is None
    with alice.client() as single:
        single.execute_command("MULTI")
        single.execute_command("SET", "app:a", 1)
        admin.execute_command("ACL", "SETUSER", "alice", "-@write")
        (answer,) = single.execute_command("EXEC")
        assert isinstance(answer, NoPermissionError) and "ACLs rules changed" in str(answer)
    assert admin.get("app:a") is None


def test_a_script_may_do_no_more_than_its_user(alice):
    error = "can't access at least one of the keys"
    with pytest.raises(ResponseError, match=error):
        alice.eval("return redis.call('get', 'other')", 0)
    with pytest.raises(ResponseError, match="can't run this command"):
        alice.eval("return redis.call('flushall')", 0)
    assert error in alice.eval("return redis.pcall('get', 'other').err", 0)


def test_reading_and_writing_are_different_things(guarded, admin):
    carol = ("carol", "carol's secret")
    grant(admin, carol, "%R~in:*", "%W~out:*", "+@read", "+@write")
    admin.set("in:k", "v")
    with connect(guarded, carol) as client:
        assert client.get("in:k") == "v"
        assert client.copy("in:k", "out:k")
        assert client.set("out:k", "w")
        for command in ("SET in:k v", "GET out:k", "GETDEL out:k", "INCR out:k", "SET out:k v GET", "RENAME in:k out:k"):
            assert refused(client.execute_command, *command.split()) == KEY
        assert client.exists("out:k") == 1, "who may write may know of it"


def test_permissions_change_at_once_and_users_go(guarded, admin, alice):
    alice.set("app:k", "v")
    admin.execute_command("ACL", "SETUSER", "alice", "resetkeys")
    assert refused(alice.get, "app:k") == KEY
    admin.execute_command("ACL", "SETUSER", "alice", "~app:*", "+@read")
    assert alice.get("app:k") == "v"
    with alice.client() as single, alice.client() as waiting:
        assert single.execute_command("ACL", "WHOAMI") == "alice"
        errors = []

        def wait():
            try:
                waiting.execute_command("XREAD", "BLOCK", 0, "STREAMS", "app:none", "$")
            except redis.ConnectionError as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: admin.info("clients")["blocked_clients"] == 1)
        assert admin.acl_deluser("alice") == 1
        thread.join(SECONDS)
        assert errors, "its connection ends, whatever it waits for"
        with pytest.raises(redis.ConnectionError):
            single.connection.send_command("PING")
            single.connection.read_response()
    with pytest.raises(AuthenticationError):
        connect(guarded, ALICE).ping()


@pytest.mark.parametrize("command", ["BLPOP app:none 0", "XREAD BLOCK 0 STREAMS app:none $"])
def test_who_waits_for_what_is_no_longer_hers_is_told_so(guarded, admin, alice, command):
    errors = []

    def wait():
        try:
            alice.execute_command(*command.split())
        except NoPermissionError as error:
            errors.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: admin.info("clients")["blocked_clients"] == 1)
    admin.execute_command("ACL", "SETUSER", "alice", "resetkeys")
    thread.join(SECONDS)
    assert errors == [KEY]


def test_a_user_that_is_off_stays_out(guarded, admin, alice):
    assert alice.ping()
    admin.execute_command("ACL", "SETUSER", "alice", "off")
    with pytest.raises(AuthenticationError):
        connect(guarded, ALICE).ping()
    assert cli(guarded, "AUTH", *ALICE).startswith("WRONGPASS")
    admin.execute_command("ACL", "SETUSER", "alice", "on")
    assert connect(guarded, ALICE).ping()


def test_users_are_shown_as_redis_shows_them_and_without_their_passwords(admin, alice):
    assert {"admin", "alice"} <= set(admin.acl_users())
    lines = admin.acl_list()
    assert "user alice on ~app:* &app:* -@all +@read +@write +@pubsub" in lines
    assert "user admin on ~* &* +@all" in lines
    assert not any("secret" in line for line in lines)
    shown = admin.execute_command("ACL", "GETUSER", "alice")
    shown = shown if isinstance(shown, dict) else dict(zip(shown[::2], shown[1::2]))
    assert "on" in shown["flags"] and not shown["passwords"]
    assert admin.execute_command("ACL", "GETUSER", "nobody") is None
    assert "get" in admin.acl_cat("read")
    assert len(admin.acl_genpass(512)) == 128


@pytest.mark.parametrize("modifier, reason", [
    ("+get", "single commands"), ("~a*b", "the beginning of names"), ("(~a)", "selectors"),
    ("nopass", "has a password"), ("#" + "0" * 64, "SCRAM"), ("+@geo", "Unknown command or category"),
    ("junk", "Syntax error"),
])
def test_what_rules_cannot_say_is_refused_with_the_reason(admin, modifier, reason):
    with pytest.raises(ResponseError, match="Error in ACL SETUSER modifier.*" + reason):
        admin.execute_command("ACL", "SETUSER", "dave", modifier)
    assert "dave" not in admin.acl_users()


def test_refusals_are_in_the_log(guarded, admin, alice):
    admin.acl_log_reset()
    refused(alice.get, "other")
    refused(alice.get, "other")
    refused(alice.flushall)
    refused(alice.publish, "news", "x")
    cli(guarded, "AUTH", "alice", "wrong")
    shown = {(entry["reason"], entry["object"], entry["username"]): entry["count"] for entry in admin.acl_log()}
    assert shown[("key", "other", "alice")] == 2
    assert shown[("command", "flushall", "alice")] == 1
    assert shown[("channel", "news", "alice")] == 1
    assert shown[("auth", "AUTH", "alice")] == 1
    assert admin.acl_log_reset() and not admin.acl_log()


def test_a_stream_is_a_topic_whoever_calls_it_what(admin, alice):
    """A key that was renamed is its topic still: who may not read the one does not read the other."""
    admin.xadd("secret", {"f": "v"})
    admin.rename("secret", "app:mine")
    assert refused(alice.xrange, "app:mine") == KEY
    assert refused(alice.delete, "app:mine") == KEY
    assert alice.keys() == []


def test_no_secret_is_in_the_slow_log(admin, guarded, alice):
    admin.config_set("slowlog-log-slower-than", 0)
    try:
        admin.slowlog_reset()
        cli(guarded, "HELLO", "3", "AUTH", *ALICE)
        grant(admin, ALICE, "~app:*", "+@read")
        assert "secret" not in str(admin.execute_command("SLOWLOG", "GET", -1))
    finally:
        admin.config_set("slowlog-log-slower-than", 10_000)
