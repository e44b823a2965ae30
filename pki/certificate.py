"""Certificates of one authority, in memory: P-256 keys, SHA-256 signatures, random serial numbers.

A certificate names who has it in its common name, which etcd takes for the user. Servers are checked by
their subject alternative names and by nothing else. Whatever a request asks for beside its public key is
ignored: the authority says what a certificate is for.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = datetime.timedelta(days=3650)
LIFETIME = datetime.timedelta(days=365)
SKEW = datetime.timedelta(minutes=5)
"""Certificates are valid from so long before they are made: clocks differ."""

_HOST = re.compile(
    r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)

PublicKey = ec.EllipticCurvePublicKey
Certificate = x509.Certificate


class PkiError(Exception):
    """A key, a certificate or a request cannot be used. One line for people."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and the key that it is for."""

    cert: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """Signs certificates. Whoever has its key can be anybody."""

    def __init__(self, identity: Identity) -> None:
        self.cert = identity.cert
        self.key = identity.key

    @classmethod
    def create(cls, name: str = "Polder CA") -> Self:
        """Make a new authority, for ten years."""
        key = new_key()
        subject = _name(name)
        builder = _builder(subject, subject, key.public_key(), CA_LIFETIME)
        cert = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(Identity(cert, key))

    def issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        name: str,
        sans: Sequence[str] = (),
        *,
        lifetime: datetime.timedelta = LIFETIME,
    ) -> x509.Certificate:
        """A certificate.

        Args:
            public_key: whose it is.
            name: the common name, at most 64 characters.
            sans: host names and addresses of a server; without any it is a client's only.
            lifetime: from now on.
        """
        usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if sans:
            # Members of etcd are clients of each other, a controller is one of etcd.
            usages.insert(0, ExtendedKeyUsageOID.SERVER_AUTH)
        builder = (
            _builder(_name(name), self.cert.subject, public_key, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if sans:
            names = [_san(each) for each in sans]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issued(self, cert: x509.Certificate) -> bool:
        """Whether this authority signed the certificate, which may have expired."""
        try:
            cert.verify_directly_issued_by(self.cert)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def new_key() -> ec.EllipticCurvePrivateKey:
    """A new private key."""
    return ec.generate_private_key(ec.SECP256R1())


def request(key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate signing request (PKCS #10) in PEM: it proves that its sender has the key."""
    empty = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return empty.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def requested_key(pem: str) -> ec.EllipticCurvePublicKey:
    """The key of a signing request whose sender has it. Raises `PkiError`."""
    try:
        asked = x509.load_pem_x509_csr(pem.encode())
        key = asked.public_key()
        proven = asked.is_signature_valid
    except (ValueError, TypeError, UnicodeEncodeError):
        raise PkiError("expected a certificate signing request (PKCS #10) in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PkiError("expected a request for a P-256 key")
    if not proven:
        raise PkiError("the request is not signed by the key that it is for")
    return key


def load_cert(pem: bytes) -> x509.Certificate:
    """The first certificate of a PEM text. Raises `PkiError`."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise PkiError("holds no certificate in PEM") from None


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A private key in PEM, without a password. Raises `PkiError`."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise PkiError("holds no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("holds a key that is not of an elliptic curve, such as P-256")
    return key


def cert_pem(cert: x509.Certificate) -> bytes:
    """A certificate as it is stored and sent."""
    return cert.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as it is stored."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_hash(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key (its SubjectPublicKeyInfo, RFC 5280), in hexadecimal."""
    return _spki_hash(key).hex()


def fingerprint(cert: x509.Certificate) -> str:
    """SHA-256 of the certificate's public key, 43 characters: survives a renewal with the same key."""
    key = cert.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise PkiError("the authority's key is not of an elliptic curve, such as P-256")
    return urlsafe_b64encode(_spki_hash(key)).rstrip(b"=").decode()


def common_name(cert: x509.Certificate) -> str:
    """Whom the certificate names; empty when nobody."""
    names = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def alternative_names(cert: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that a server's certificate is for."""
    try:
        found = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _spki_hash(key: ec.EllipticCurvePublicKey) -> bytes:
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError:
        raise PkiError(
            f"{common_name[:70]!r} cannot be a name in a certificate: 1 to 64 characters"
        ) from None


def _san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    if len(text) > 253 or not _HOST.fullmatch(text):
        raise PkiError(f"{text[:128]!r} is not a host name or an address, such as etcd-1.example.net")
    return x509.DNSName(text)
