"""The servers of the sections about TLS and authorisation: the same key and cipher on every side, the same users
and rules."""

import shutil
import socket
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding, AclOperation, AclPermissionType, AdminClient, ResourcePatternType, ResourceType,
    ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion)

from .clients import NONE, Security
from .servers import PEERS, RELEASE, ROOT, Kafka, Posthouse, PosthouseRedis, RedisServer, free_port, pong

USER, PASSWORD = "bench", "a password of the benchmark"
ADMINISTRATOR, ADMINISTRATORS_PASSWORD = "admin", "the administrator's password"
CIPHER = "TLS_AES_256_GCM_SHA384"
MECHANISM = "SCRAM-SHA-512"
PATIENCE_SECONDS = 60


class Keys:
    """A local authority and one server's key, from `posthouse cert dev`."""

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="bench-keys-", dir=ROOT / "target"))
        subprocess.run([RELEASE / "posthouse", "cert", "dev", "--dir", self.directory],
                       check=True, capture_output=True, timeout=PATIENCE_SECONDS)
        self.authority = self.directory / "authority.pem"
        self.certificate = self.directory / "server.pem"
        self.key = self.directory / "server.key"
        self.keystore = self.directory / "keystore.pem"  # as Kafka takes it: both in one file
        self.keystore.write_text(self.key.read_text() + self.certificate.read_text())
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def security(self, tls, user=None, password=None):
        """How a Kafka client of either kind connects."""
        words = {"security.protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT")}
        librdkafka, java = dict(words), dict(words)
        if tls:
            librdkafka |= {"ssl.ca.location": str(self.authority)}
            java |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": self.authority,
                     "ssl.enabled.protocols": "TLSv1.3", "ssl.cipher.suites": CIPHER}
        if user:
            librdkafka |= {"sasl.mechanism": MECHANISM, "sasl.username": user, "sasl.password": password}
            java |= {"sasl.mechanism": MECHANISM, "sasl.jaas.config":
                     "org.apache.kafka.common.security.scram.ScramLoginModule required "
                     f'username="{user}" password="{password}";'}
        path = self.directory / f"client-{'tls' if tls else 'plain'}-{user}.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in java.items()))
        return Security(librdkafka, path)

    def negotiated(self, port):
        """What a client gets that leaves the choice to the server."""
        context = ssl.create_default_context(cafile=self.authority)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as connection:
            with context.wrap_socket(connection, server_hostname="localhost") as secured:
                cipher, version, _ = secured.cipher()
                return f"{version} {cipher}"


@dataclass(frozen=True)
class Way:
    """How a client reaches a server: in the clear, over TLS, or over TLS with a password, and rules about it."""

    title: str
    tls: bool
    guarded: bool = False


PLAIN, TLS, GUARDED = Way("plain", False), Way("TLS", True), Way("TLS, password, rules", True, True)
WAYS = [PLAIN, TLS, GUARDED]


class Secured:
    """What each of the servers adds to the plain one: an address with TLS and, when guarded, users and rules."""

    def __init__(self, keys, guarded):
        super().__init__(False)
        self.keys = keys
        self.guarded = guarded
        self.tls_port = free_port()

    def __enter__(self):
        super().__enter__()
        try:
            chosen = self.keys.negotiated(self.tls_port)
            if chosen != f"TLSv1.3 {CIPHER}":
                raise RuntimeError(f"{self.name} chose {chosen}")
            if self.guarded:
                self.let_in()
        except BaseException:
            self.__exit__()
            raise
        return self

    def let_in(self):
        """Makes the benchmark's user and its rules."""
        raise NotImplementedError


def serving_tls(server, door):
    """The flags of `posthouse serve` for a door with TLS and, when guarded, for clients that log in."""
    flags = ["--tls-certificate", str(server.keys.certificate), "--tls-key", str(server.keys.key),
             "--set", f"{door}.tls_address=127.0.0.1:{server.tls_port}"]
    return flags + (guarding(server.directory) if server.guarded else [])


def guarding(directory):
    """The flags of `posthouse serve` with which every client logs in."""
    password = directory / "administrator"
    password.write_text(ADMINISTRATORS_PASSWORD)
    return ["--authentication", "--admin-password-file", str(password)]


def administer(http, *arguments, input=None):
    """Runs a client command as the administrator of a node."""
    subprocess.run(
        [str(RELEASE / "posthouse"), *arguments], input=input, check=True, capture_output=True, text=True,
        timeout=PATIENCE_SECONDS,
        env={"POSTHOUSE_NODE": http, "POSTHOUSE_USER": ADMINISTRATOR, "POSTHOUSE_PASSWORD": ADMINISTRATORS_PASSWORD})


class KafkaPeer(Secured):
    """What both Kafka servers have in common: how they are reached, and how they are administered."""

    def reach(self, way):
        """Where a client of the benchmark goes, and how."""
        credentials = (USER, PASSWORD) if way.guarded else ()
        address = f"127.0.0.1:{self.tls_port}" if way.tls else self.bootstrap
        return address, self.keys.security(way.tls, *credentials) if way != PLAIN else NONE

    def administrators(self):
        """The same for whoever makes topics, users and rules."""
        return self.bootstrap, NONE

    def let_in(self):
        bootstrap, security = self.administrators()
        admin = AdminClient({"bootstrap.servers": bootstrap, **security.librdkafka})
        make_users(admin, [USER])
        allow(admin, [("TOPIC", "bench", "WRITE"), ("TOPIC", "bench", "READ"),
                      ("GROUP", "bench", "READ"), ("GROUP", "perf-consumer", "READ")])


class TlsPosthouse(KafkaPeer, Posthouse):
    """`posthouse serve` with a Kafka door that speaks TLS."""

    def command(self):
        return super().command() + serving_tls(self, "kafka")

    def administrators(self):
        if not self.guarded:
            return super().administrators()
        return (f"127.0.0.1:{self.tls_port}",
                self.keys.security(True, ADMINISTRATOR, ADMINISTRATORS_PASSWORD))


class TlsKafka(KafkaPeer, Kafka):
    """Apache Kafka with a listener that speaks TLS 1.3. When guarded, its authorizer asks about whoever logged in
    there; its plain listener is for the node itself and for whoever administers it."""

    def settings(self, controller):
        protocol = "SASL_SSL" if self.guarded else "SSL"
        plain = super().settings(controller)
        here = f",{protocol}://127.0.0.1:{self.tls_port}"
        return plain | {
            "listeners": plain["listeners"] + here,
            "advertised.listeners": plain["advertised.listeners"] + here,
            "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": self.keys.keystore,
            "ssl.enabled.protocols": "TLSv1.3", "ssl.cipher.suites": CIPHER,
        } | (self.rules() if self.guarded else {})

    def rules(self):
        module = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        return {"sasl.enabled.mechanisms": MECHANISM, "super.users": "User:ANONYMOUS",
                f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": module,
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer"}


class RedisPeer(Secured):
    """What both Redis servers have in common: how redis-benchmark reaches them."""

    def reach(self, way):
        flags = ["-p", str(self.tls_port if way.tls else self.port)]
        if way.tls:
            flags += ["--tls", "--cacert", str(self.keys.authority), "--tls-ciphersuites", CIPHER]
        return flags + (["--user", USER, "-a", PASSWORD] if way.guarded else [])


class TlsPosthouseRedis(RedisPeer, PosthouseRedis):
    """`posthouse serve` with a Redis door that speaks TLS; HTTP is for whoever administers it."""

    def command(self):
        return super().command() + serving_tls(self, "redis")

    def http_address(self):
        return f"127.0.0.1:{self.http}"

    def let_in(self):
        administer(self.http_address(), "user", "create", USER, input=PASSWORD + "\n")
        administer(self.http_address(), "acl", "add", USER, "Read,Write", "key", "key:*")

    def is_ready(self):
        return answers(self.port) if self.guarded else pong(self.port)


class TlsRedisServer(RedisPeer, RedisServer):
    """Debian's redis-server with a port that speaks TLS 1.3."""

    def command(self):
        return super().command() + [
            "--tls-port", str(self.tls_port), "--tls-cert-file", str(self.keys.certificate),
            "--tls-key-file", str(self.keys.key), "--tls-ca-cert-file", str(self.keys.authority),
            "--tls-auth-clients", "no", "--tls-protocols", "TLSv1.3", "--tls-ciphersuites", CIPHER]

    def let_in(self):
        for rule in (["ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", "~key:*", "+@all"],
                     ["ACL", "SETUSER", "default", "resetpass", "off"]):
            subprocess.run([PEERS / "redis-cli", "-p", str(self.port), *rule],
                           check=True, capture_output=True, timeout=PATIENCE_SECONDS)


def answers(port, timeout=0.2):
    """Whether a Redis server on the port says anything, be it that nobody has logged in."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(b"PING\r\n")
        return len(connection.recv(1)) == 1


def make_users(admin, names):
    """Users of one password, by Kafka's own API."""
    changes = [
        UserScramCredentialUpsertion(name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode())
        for name in names]
    for future in admin.alter_user_scram_credentials(changes).values():
        future.result(PATIENCE_SECONDS)


def allow(admin, rules):
    """Rules of the benchmark's user, each (kind, prefix, operation), by Kafka's own API."""
    bindings = [
        AclBinding(ResourceType[kind], prefix, ResourcePatternType.PREFIXED, f"User:{USER}", "*",
                   AclOperation[operation], AclPermissionType.ALLOW)
        for kind, prefix, operation in rules]
    for future in admin.create_acls(bindings).values():
        future.result(PATIENCE_SECONDS)
