"""Certificates for a node under test, as `posthouse cert dev` makes them."""

import datetime
import ipaddress
import os
import shutil
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from posthouse_node import BINARY

TLS_DOORS = ("kafka", "redis", "http")


class Certificates:
    """A directory with an authority, a node's certificate and those of clients."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.authority = self.directory / "authority.pem"
        self.certificate = self.directory / "server.pem"
        self.key = self.directory / "server.key"

    def make(self, *arguments):
        subprocess.run([str(BINARY), "cert", "dev", "--dir", str(self.directory), *arguments],
                       capture_output=True, check=True, timeout=60)
        return self

    def client(self, name):
        """The certificate and the key of a client."""
        return self.directory / f"client-{name}.pem", self.directory / f"client-{name}.key"

    def flags(self, client_certificates=None):
        """What `posthouse serve` takes to open a TLS door beside each plain one, on free ports."""
        flags = ["--tls-certificate", self.certificate, "--tls-key", self.key]
        for door in TLS_DOORS:
            flags += ["--set", f"{door}.tls_address=127.0.0.1:0"]
        if client_certificates:
            flags += ["--set", f"tls.client_authorities={self.authority}",
                      "--set", f"tls.client_certificates={client_certificates}"]
        return flags

    def issue(self, directory, days):
        """A node's certificate of the same authority that is valid for so many days from now."""
        issued = Certificates(directory)
        issued.directory.mkdir(parents=True)
        authority = x509.load_pem_x509_certificate(self.authority.read_bytes())
        authority_key = serialization.load_pem_private_key(
            (self.directory / "authority.key").read_bytes(), None)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.timezone.utc)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                           critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        shutil.copy(self.authority, issued.authority)
        return issued

    def copy(self, directory):
        shutil.copytree(self.directory, directory)
        return Certificates(directory)

    def replace_with(self, other):
        """Puts another pair in the place of this one, each file at once."""
        for own, new in ((self.key, other.key), (self.certificate, other.certificate)):
            beside = own.with_suffix(".new")
            shutil.copy(new, beside)
            os.replace(beside, own)
