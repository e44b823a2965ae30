"""A small certificate authority for one lab: made in a directory, used, thrown away with it.

Keys are P-256, certificates last one day from a minute ago (clocks of the lab may differ), key files
are readable by their owner only. Not for production: whoever can read the directory can sign.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=1)
SKEW = datetime.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """The PEM files of a certificate and its key (mode 0600)."""

    cert: Path
    key: Path


class Authority:
    """A certificate authority whose certificate is the file `ca`."""

    def __init__(self, directory: Path, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate) -> None:
        self.ca = directory / "ca.pem"
        self._directory = directory
        self._key = key
        self._cert = cert
        self.ca.write_bytes(cert.public_bytes(serialization.Encoding.PEM))

    @classmethod
    def create(cls, directory: Path, name: str = "Polder lab") -> Self:
        """Make an authority and write `ca.pem`. Its key stays in memory."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(directory, key, builder.sign(key, hashes.SHA256()))

    def server(self, name: str, sans: Sequence[str]) -> Pair:
        """Issue a server certificate for host names and addresses; writes `<name>.pem` and `<name>.key`."""
        return self._issue(name, ExtendedKeyUsageOID.SERVER_AUTH, [_san(each) for each in sans])

    def client(self, name: str) -> Pair:
        """Issue a client certificate whose common name is `name`."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH, [x509.DNSName(name)])

    def _issue(self, name: str, usage: x509.ObjectIdentifier, sans: list[x509.GeneralName]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        # etcd's gateway calls its own gRPC port with the server's certificate, so that one is a client too
        usages = list(dict.fromkeys([usage, ExtendedKeyUsageOID.CLIENT_AUTH]))
        cert = (
            _builder(_name(name), self._cert.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(sans), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        _write_private(pair.key, key)
        return pair


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
