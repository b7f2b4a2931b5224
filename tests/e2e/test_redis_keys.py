"""Keys of the Redis door, through redis-py, RQ and Celery as they come."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import redis

pytestmark = pytest.mark.timeout(180)

WAIT = 30
JOBS = """
import sys, redis, rq

def square(number):
    return number * number

def fail():
    raise ValueError("on purpose")
"""
TASKS = """
import os
from celery import Celery, chord

url = os.environ["REDIS_URL"]
app = Celery("tasks", broker=url, backend=url)
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)

@app.task
def add(left, right):
    return left + right

@app.task
def total(numbers):
    return sum(numbers)
"""


def connect(node, **options):
    host, port = node.addresses["redis"].rsplit(":", 1)
    return redis.Redis(host=host, port=int(port), socket_timeout=WAIT, **options)


def url(node, database):
    return f"redis://{node.addresses['redis']}/{database}"


@pytest.fixture(params=[2, 3])
def client(request, shared_node):
    """A client that speaks RESP2, then RESP3, in an empty database."""
    with connect(shared_node, db=7, protocol=request.param, decode_responses=True) as client:
        client.flushdb()
        yield client


def until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.05)


def test_every_type_is_read_back_as_written(client):
    assert client.set("s", "v", ex=100, nx=True) and not client.set("s", "w", nx=True)
    assert client.get("s") == "v" and 0 < client.ttl("s") <= 100
    assert client.hset("h", mapping={"a": 1, "b": 2}) == 2 and client.hgetall("h") == {"a": "1", "b": "2"}
    assert client.rpush("l", "a", "b", "c") == 3 and client.lrange("l", 0, -1) == ["a", "b", "c"]
    assert client.sadd("m", "x", "y") == 2 and client.smembers("m") == {"x", "y"}
    assert client.zadd("z", {"one": 1, "two": 2.5}) == 2
    pairs = [tuple(pair) for pair in client.zrange("z", 0, -1, withscores=True)]
    assert pairs == [("one", 1.0), ("two", 2.5)]
    assert client.pfadd("p", *range(1000)) == 1 and abs(client.pfcount("p") - 1000) < 30
    assert sorted(client.scan_iter()) == ["h", "l", "m", "p", "s", "z"]
    assert [client.type(key) for key in ("s", "h", "l", "m", "z")] == ["string", "hash", "list", "set", "zset"]


def test_errors_are_redis_own(client):
    client.rpush("l", "a")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE Operation against a key holding the wrong kind of value"):
        client.get("l")
    client.set("s", "text")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        client.incr("s")
    with pytest.raises(redis.ResponseError, match="no such key"):
        client.rename("none", "other")


def test_a_transaction_is_refused_when_a_watched_key_changed(client, shared_node):
    client.set("n", 1)
    with client.pipeline() as pipeline:
        pipeline.watch("n")
        with connect(shared_node, db=7) as other:
            other.incr("n")
        pipeline.multi()
        pipeline.set("n", 10)
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert client.get("n") == "2"
    assert client.pipeline().incr("n").lpush("l", "x").execute() == [3, 1]


def test_counters_lose_nothing_when_many_clients_count(client, shared_node):
    def count():
        with connect(shared_node, db=7) as own:
            for _ in range(200):
                own.incr("n")

    threads = [threading.Thread(target=count) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert client.get("n") == "1600"


def test_a_blocked_client_gets_what_another_pushes(client, shared_node):
    got = []

    def pop():
        with connect(shared_node, db=7, decode_responses=True) as own:
            got.append(own.blpop(["first", "second"], timeout=WAIT))

    thread = threading.Thread(target=pop)
    thread.start()
    until(lambda: int(client.info("clients").get("blocked_clients", 1)) > 0)
    client.rpush("second", "x")
    thread.join(WAIT)
    assert [tuple(item) for item in got] == [("second", "x")]
    assert client.llen("second") == 0
    assert client.blpop(["none"], timeout=0.1) is None


def test_who_waits_is_served_between_two_commands_of_a_pipeline(client, shared_node):
    got = []

    def pop():
        with connect(shared_node, db=7, decode_responses=True) as own:
            got.append(own.blpop(["list"], timeout=WAIT)[1])

    thread = threading.Thread(target=pop)
    thread.start()
    until(lambda: int(client.info("clients").get("blocked_clients", 0)) > 0)
    with client.pipeline(transaction=False) as pipeline:
        answers = pipeline.set("k", "v").rpush("list", "first").lpop("list").get("k").execute()
    thread.join(WAIT)
    assert (got, answers) == (["first"], [True, 1, None, "v"])


def test_a_pipeline_of_every_kind_of_command_is_answered_in_order(client):
    with client.pipeline(transaction=False) as pipeline:
        for number in range(200):
            pipeline.set("k", number).get("k").incr("n").delete("k").get("k").xlen("none")
            pipeline.execute_command("MULTI")
            pipeline.execute_command("GET", "n")
            pipeline.execute_command("EXEC")
            pipeline.hset("h", "f", number).lpop("h").hget("h", "f").exists("h", "n").ping()
        answers = pipeline.execute(raise_on_error=False)
    kinds = len(answers) // 200
    for number in range(200):
        answer = answers[number * kinds:(number + 1) * kinds]
        assert str(answer[10]).startswith("WRONGTYPE"), answer
        answer[10] = None
        assert [str(one) for one in answer] == [
            "True", str(number), str(number + 1), "1", "None", "0", "OK", "QUEUED", f"['{number + 1}']",
            "1" if number == 0 else "0", "None", str(number), "2", "True"]


def test_a_lock_is_held_by_one_and_released_by_its_owner(client):
    lock, other = client.lock("lock", timeout=WAIT), client.lock("lock", timeout=WAIT)
    assert lock.acquire(blocking=False) and not other.acquire(blocking=False)
    assert lock.extend(5) and lock.reacquire() and lock.owned()
    lock.release()
    assert other.acquire(blocking=False)
    with pytest.raises(redis.exceptions.LockError):
        lock.release()


def test_scripts_run_whole_and_answer_as_lua_does(client):
    script = client.register_script("redis.call('set', KEYS[1], ARGV[1]); return {redis.call('get', KEYS[1]), 3.7, false}")
    assert script(keys=["k"], args=["v"]) == ["v", 3, None]
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 0)
    client.lpush("l", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.eval("return redis.call('get', 'l')", 0)
    assert client.eval("return redis.pcall('get', 'l').err", 0).startswith("WRONGTYPE")


def test_keys_survive_a_kill(node):
    with connect(node, decode_responses=True) as client:
        client.config_set("appendfsync", "always")
        client.set("s", "v", px=3_600_000)
        client.rpush("l", *range(100))
        client.zadd("z", {"m": 1.5})
        client.pipeline().hset("h", "f", "v").sadd("m", "x").execute()
        client.spop("m")
        client.eval("redis.call('lpop', 'l')", 0)
    node.kill()
    node.restart()
    with connect(node, decode_responses=True) as client:
        assert client.get("s") == "v" and client.pttl("s") > 3_000_000
        assert client.lrange("l", 0, -1) == [str(number) for number in range(1, 100)]
        assert client.zscore("z", "m") == 1.5 and client.hgetall("h") == {"f": "v"}
        assert client.exists("m") == 0


def test_rq_workers_do_their_jobs(shared_node, tmp_path):
    import rq

    (tmp_path / "jobs.py").write_text(JOBS)
    database = 8
    connection = connect(shared_node, db=database)
    connection.flushdb()
    queue = rq.Queue(connection=connection)
    jobs = [queue.enqueue("jobs.square", number) for number in range(10)]
    failing = queue.enqueue("jobs.fail")
    after = queue.enqueue("jobs.square", 100, depends_on=jobs[-1])
    command = [sys.executable, "-m", "rq.cli", "worker", "--burst", "--url", url(shared_node, database)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert [job.return_value() for job in jobs] == [number * number for number in range(10)], done.stderr
    assert after.return_value() == 10_000
    assert failing.get_status(refresh=True) == rq.job.JobStatus.FAILED


def test_celery_workers_do_their_tasks(shared_node, tmp_path, monkeypatch):
    (tmp_path / "posthouse_tasks.py").write_text(TASKS)
    monkeypatch.setenv("REDIS_URL", url(shared_node, 9))
    monkeypatch.syspath_prepend(str(tmp_path))
    import posthouse_tasks as tasks
    from celery import chord

    with connect(shared_node, db=9) as client:
        client.flushdb()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "celery", "-A", "posthouse_tasks", "worker", "--concurrency", "2", "--pool", "threads"]
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    try:
        assert tasks.add.delay(2, 3).get(timeout=60) == 5
        sums = [tasks.add.delay(number, number) for number in range(20)]
        assert [task.get(timeout=60) for task in sums] == [2 * number for number in range(20)]
        later = tasks.add.apply_async((1, 1), countdown=1)
        assert later.get(timeout=60) == 2
        together = chord([tasks.add.s(number, 1) for number in range(5)])(tasks.total.s())
        assert together.get(timeout=60) == 15, (tmp_path / "worker.log").read_text()
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
