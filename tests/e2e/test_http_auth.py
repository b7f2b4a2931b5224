"""Who may do what over HTTP, by curl-like requests, by the command line, and by a browser's session."""

import base64
import http.client
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from clients.access import ADMIN_PASSWORD, admin, allow, as_user, guarded_node, make_token, make_user


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    node = guarded_node(tmp_path_factory.mktemp("guarded")).start()
    make_user(node, "alice", ["Read,Write topic orders*", "Create topic orders*"])
    make_user(node, "bob")
    admin(node, "topic", "create", "orders")
    admin(node, "topic", "create", "secret")
    admin(node, "produce", "secret", input="hidden\n")
    yield node
    assert node.stop() == 0, node.log()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def ask(node, path, *, method=None, body=None, headers=None, timeout=30):
    """The status, the headers and the text of an answer."""
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(node.http + path, data=data, method=method, headers=headers or {})
    try:
        with _opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


ALICE = basic("alice", "alice-password")
BOB = basic("bob", "bob-password")


def test_nothing_is_answered_to_nobody_but_health_and_the_login(guarded):
    for path in ("/topics", "/metrics", "/openapi.json", "/groups", "/sql", "/nothing-here", "/"):
        status, headers, text = ask(guarded, path)
        assert status == 401, (path, text)
        assert "Bearer" in headers["WWW-Authenticate"] and "Basic" in headers["WWW-Authenticate"]
        assert json.loads(text)["code"] == "unauthenticated"
    for path in ("/healthz", "/readyz", "/login"):
        assert ask(guarded, path)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        basic("alice", "wrong"),
        basic("nobody", "alice-password"),
        bearer("ph_0123456789abcdef_" + "x" * 43),
        bearer("nonsense"),
        {"Cookie": "posthouse_session=made-up"},
    ],
    ids=["password", "user", "token", "no-token", "session"],
)
def test_what_is_wrong_is_refused_with_one_answer(guarded, headers):
    status, answered, text = ask(guarded, "/topics", headers=headers)
    assert status == 401, text
    assert "wrong" not in text.replace("is wrong or expired", ""), "it does not say which part"
    assert answered["WWW-Authenticate"]


def test_a_user_sees_and_does_what_rules_allow(guarded):
    status, _, text = ask(guarded, "/topics", headers=ALICE)
    assert status == 200 and [one["name"] for one in json.loads(text)] == ["orders"]
    status, _, text = ask(guarded, "/topics/orders/records", body="1", headers=ALICE)
    assert status in (200, 201), text
    status, _, text = ask(guarded, "/topics/secret/records", headers=ALICE)
    assert status == 403 and json.loads(text)["code"] == "denied", text
    assert ask(guarded, "/topics", headers=BOB)[2] == "[]"
    # Whether it exists or not, the answer is the same but for the name.
    other = ask(guarded, "/topics/absent/records", headers=BOB)[2]
    assert ask(guarded, "/topics/secret/records", headers=BOB)[2] == other.replace("absent", "secret")


def test_sql_shows_no_name_and_no_value_of_what_may_not_be_read(guarded):
    for query in (
        "SELECT * FROM secret",
        "SELECT table_name FROM information_schema.tables",
        "SELECT column_name, table_name FROM information_schema.columns",
        "SELECT relname FROM pg_catalog.pg_class",
        "EXPLAIN SELECT * FROM secret",
    ):
        text = ask(guarded, "/sql", body=query, headers=ALICE)[2]
        assert "hidden" not in text, text
        if "FROM secret" not in query:
            assert "secret" not in text, text


def test_a_token_stands_for_its_user_until_it_is_ended(guarded):
    token = make_token(guarded, "alice", "--label", "build")
    assert ask(guarded, "/topics", headers=bearer(token))[0] == 200
    listed = admin(guarded, "token", "list").stdout
    assert "build" in listed and token not in listed
    ended = [line.split("\t")[0] for line in listed.splitlines() if "build" in line]
    admin(guarded, "token", "delete", ended[0])
    assert ask(guarded, "/topics", headers=bearer(token))[0] == 401


def test_an_event_stream_ends_with_the_token_by_which_it_began(guarded):
    token = make_token(guarded, "alice", "--label", "stream")
    request = urllib.request.Request(
        guarded.http + "/topics/orders/records?follow=true", headers=bearer(token)
    )
    with urllib.request.urlopen(request, timeout=60) as stream:
        listed = admin(guarded, "token", "list").stdout.splitlines()
        (mine,) = [line.split("\t")[0] for line in listed if "stream" in line]
        ended = threading.Event()

        def read():
            while stream.read1(65536):
                pass
            ended.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        admin(guarded, "token", "delete", mine)
        assert ended.wait(30), "the stream goes on"
        reader.join(30)


def test_a_rule_that_is_taken_away_ends_a_live_subscription(guarded):
    make_user(guarded, "listener", ["Read channel news"])
    headers = basic("listener", "listener-password")
    request = urllib.request.Request(guarded.http + "/channels/news", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as stream:
        admin(guarded, "acl", "remove", "--user", "listener")
        while stream.read1(65536):
            pass
    assert ask(guarded, "/channels/news", headers=headers)[0] == 403


def log_in(node, user, password, **more):
    form = urllib.parse.urlencode({"user": user, "password": password, **more})
    return ask(node, "/login", body=form)


def test_a_browser_logs_in_and_out(guarded):
    status, headers, _ = ask(guarded, "/topics?x=1", headers={"Accept": "text/html"})
    assert status == 303 and headers["Location"] == "/login?next=%2Ftopics%3Fx%3D1"
    status, headers, text = log_in(guarded, "alice", "wrong")
    assert status == 401 and "wrong" in text and "Set-Cookie" not in headers
    status, headers, _ = log_in(guarded, "alice", "alice-password", next="/topics")
    assert status == 303 and headers["Location"] == "/topics"
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert json.loads(ask(guarded, "/whoami", headers=session)[2])["user"] == "alice"
    status, _, _ = ask(guarded, "/logout", method="POST", headers=session)
    assert status == 303
    assert ask(guarded, "/whoami", headers=session)[0] == 401


@pytest.mark.parametrize("proof", ["password", "token"])
def test_a_session_ends_with_what_it_began_by(guarded, proof):
    user = f"passing-{proof}"
    make_user(guarded, user)
    shown = f"{user}-password" if proof == "password" else make_token(guarded, user)
    _, headers, _ = log_in(guarded, user, shown)
    session = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    assert ask(guarded, "/whoami", headers=session)[0] == 200
    if proof == "password":
        admin(guarded, "user", "delete", user)
    else:
        admin(guarded, "token", "delete", shown.split("_")[1])
    assert ask(guarded, "/whoami", headers=session)[0] == 401


def test_a_session_is_of_no_use_to_another_site(guarded):
    _, headers, _ = log_in(guarded, "alice", "alice-password")
    session = {"Cookie": headers["Set-Cookie"].split(";")[0], "Origin": "https://evil.example"}
    status, _, text = ask(guarded, "/topics/orders/records", body="x", headers=session)
    assert status == 403 and json.loads(text)["code"] == "cross_site", text
    for next_path in ("//evil.example", "https://evil.example", "/\\evil.example"):
        assert log_in(guarded, "alice", "alice-password", next=next_path)[1]["Location"] == "/"


def test_the_command_line_asks_for_what_is_missing_and_says_what_is_not_allowed(guarded):
    done = guarded.cli("topic", "list", check=False)
    assert done.returncode != 0 and "POSTHOUSE_TOKEN" in done.stderr, done.stderr
    done = guarded.cli("topic", "list", "--token", make_token(guarded, "alice"))
    assert done.stdout.split()[0] == "orders"
    done = guarded.cli(
        "topic", "delete", "orders", check=False, env=as_user("alice", "alice-password")
    )
    assert done.returncode != 0 and "User:alice may not Delete topic orders" in done.stderr


def test_users_are_made_changed_and_deleted(guarded):
    make_user(guarded, "carol")
    carol = as_user("carol", "carol-password")
    guarded.cli("user", "password", "carol", input="new\n", env=carol)
    assert guarded.cli("topic", "list", check=False, env=carol).returncode != 0
    changed = as_user("carol", "new")
    done = guarded.cli("user", "create", "dave", input="x\n", check=False, env=changed)
    assert "User:carol may not Alter the cluster" in done.stderr
    assert guarded.cli("user", "list", env=changed).stdout.split("\t")[0] == "carol"
    admin(guarded, "user", "alter", "carol", "--disabled", "true")
    assert guarded.cli("topic", "list", check=False, env=changed).returncode != 0
    admin(guarded, "user", "delete", "carol")
    assert "carol" not in admin(guarded, "user", "list").stdout
    last = admin(guarded, "user", "delete", "admin", check=False)
    assert "only superuser" in last.stderr, last.stderr


def test_what_is_typed_wrong_is_explained(guarded):
    wrong = admin(guarded, "acl", "add", "alice", "Fly", "topic", "orders", check=False)
    assert "DescribeConfigs" in wrong.stderr, wrong.stderr
    wrong = admin(guarded, "acl", "add", "alice", "Read", "planet", "orders", check=False)
    assert "transactional-id" in wrong.stderr, wrong.stderr
    wrong = admin(guarded, "acl", "remove", check=False)
    assert "every rule" in wrong.stderr, wrong.stderr


def test_everything_is_there_after_a_restart(tmp_path):
    node = guarded_node(tmp_path).start()
    make_user(node, "alice", ["Read topic orders"])
    admin(node, "topic", "create", "orders")
    token = make_token(node, "alice")
    node.kill()
    node.start()
    assert ask(node, "/topics/orders", headers=bearer(token))[0] == 200
    assert ask(node, "/topics/orders", headers=ALICE)[0] == 200
    assert node.stop() == 0, node.log()


def test_the_first_password_is_printed_once(tmp_path):
    from posthouse_node import Node

    node = Node(tmp_path / "node", "--authentication").start()
    lines = node.log().splitlines()
    (at,) = [index for index, line in enumerate(lines) if "made the first user, admin" in line]
    password = lines[at + 1]
    assert node.cli("user", "list", env=as_user("admin", password)).stdout.startswith("admin")
    node.stop()
    before = len(node.log())
    node.start()
    assert password not in node.log()[before:]
    assert node.stop() == 0, node.log()


def test_the_audit_log_tells_superusers_who_came_and_who_was_refused(guarded):
    ask(guarded, "/topics", headers=basic("mallory", "guess"))
    ask(guarded, "/topics/secret/records", headers=BOB)
    read = admin(guarded, "consume", "__posthouse_audit", "--from", "beginning").stdout
    for part in ('"login-refused"', "mallory", '"denied"', "User:bob", "topic secret", '"changed"'):
        assert part in read, part
    for secret in ("guess", "alice-password", ADMIN_PASSWORD):
        assert secret not in read
    allow(guarded, "bob", "Read topic *")
    status, _, text = ask(guarded, "/topics/__posthouse_audit/records", headers=BOB)
    assert status == 403, text
    admin(guarded, "acl", "remove", "--user", "bob")


def test_requests_of_one_client_are_one_login_in_the_audit_log(guarded):
    make_user(guarded, "dora")
    for _ in range(5):
        assert ask(guarded, "/whoami", headers=basic("dora", "dora-password"))[0] == 200
    for _ in range(2):
        assert ask(guarded, "/whoami", headers=basic("dora", "wrong"))[0] == 401
    deadline = time.monotonic() + 30
    while True:
        lines = admin(guarded, "consume", "__posthouse_audit", "--from", "beginning").stdout.splitlines()
        events = [json.loads(line[line.index("{"):])["event"] for line in lines
                  if '"dora"' in line or '"User:dora"' in line]
        if events.count("login-refused") == 2:
            break
        assert time.monotonic() < deadline, lines
    assert events.count("login") == 1, events


def test_many_failures_slow_the_next_answer_down_and_keep_nobody_else_out(tmp_path):
    node = guarded_node(tmp_path).start()
    make_user(node, "alice")
    for _ in range(8):
        assert ask(node, "/topics", headers=basic("alice", "wrong"))[0] == 401
    assert ask(node, "/topics", headers=ALICE)[0] == 200
    metrics = ask(node, "/metrics", headers=basic("admin", ADMIN_PASSWORD))[2]
    assert 'posthouse_broker_logins_delayed_total{door="http"}' in metrics
    assert node.stop() == 0, node.log()


@pytest.mark.parametrize("path", ["/topics/orders/records", "/nothing-here"])
def test_an_answer_that_comes_before_the_body_does_not_cost_the_connection(guarded, path):
    connection = http.client.HTTPConnection(guarded.addresses["http"], timeout=30)
    for _ in range(20):
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(100_000))
        connection.endheaders()
        for _ in range(10):
            connection.send(b"x" * 10_000)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (401, "unauthenticated")
        assert connection.sock, "the connection is kept"
    connection.close()


@pytest.mark.parametrize("announced", [1 << 30, 100_000], ids=["too-large", "never-sent"])
def test_a_body_that_nobody_wants_is_not_waited_for(guarded, announced):
    connection = http.client.HTTPConnection(guarded.addresses["http"], timeout=30)
    connection.putrequest("POST", "/topics/orders/records")
    connection.putheader("Content-Length", str(announced))
    connection.endheaders()
    connection.send(b"x")
    assert connection.getresponse().status == 401
