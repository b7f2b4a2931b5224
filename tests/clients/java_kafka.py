"""Apache Kafka's Java producer, in a process of its own because a JVM takes over its signals.

Reads from standard input, as JSON, the directory of the jars, a topic, and a list of settings; writes one record with a
new producer for each of the settings, and prints what each came to: `ok`, or the simple names of the exception and
of its causes.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE = {"max.block.ms": "30000", "delivery.timeout.ms": "30000", "request.timeout.ms": "20000", "linger.ms": "0"}
# For a producer whose connections the node only closes: it waits in vain, and says no more than that.
IN_VAIN = {"max.block.ms": "4000"}
SERIALIZER = "org.apache.kafka.common.serialization.StringSerializer"


def write_each(jars, topic, settings):
    """Runs this file for a list of settings; one outcome for each."""
    done = subprocess.run(
        [sys.executable, __file__], input=json.dumps([str(jars), topic, settings]), capture_output=True,
        text=True, timeout=60 + 15 * len(settings))
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def main():
    import jpype

    jars, topic, settings = json.load(sys.stdin)
    jpype.startJVM("-Xmx256m", "-XX:TieredStopAtLevel=1", "-Xrs", classpath=[str(Path(jars) / "*")])
    with ThreadPoolExecutor(8) as pool:  # most of the time they wait
        json.dump(list(pool.map(lambda one: write(jpype, topic, one), settings)), sys.stdout)


def write(jpype, topic, settings):
    properties = jpype.JClass("java.util.Properties")()
    for name, value in {**PATIENCE, "key.serializer": SERIALIZER, "value.serializer": SERIALIZER, **settings}.items():
        properties.setProperty(name, value)
    producer = jpype.JClass("org.apache.kafka.clients.producer.KafkaProducer")(properties)
    record = jpype.JClass("org.apache.kafka.clients.producer.ProducerRecord")(topic, "1")
    try:
        producer.send(record).get()
        return "ok"
    except jpype.JClass("java.lang.Exception") as error:
        return " < ".join(causes(error))
    finally:
        producer.close(jpype.JClass("java.time.Duration").ZERO)


def causes(error):
    while error is not None:
        yield str(error.getClass().getSimpleName())
        error = error.getCause()


if __name__ == "__main__":
    main()
