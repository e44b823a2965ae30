"""What is in a certificate, and which requests are signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pki.certificate import (
    Authority,
    PkiError,
    alternative_names,
    common_name,
    fingerprint,
    key_hash,
    new_key,
    request,
    requested_key,
)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


def usages(cert: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_server_is_a_client_too_and_a_client_no_server(authority: Authority) -> None:
    key = new_key().public_key()
    server = authority.issue(key, "etcd", ["192.0.2.1", "2001:db8::1", "etcd-1.example.net"])
    client = authority.issue(key, "root")
    assert usages(server) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert usages(client) == {ExtendedKeyUsageOID.CLIENT_AUTH}
    assert set(alternative_names(server)) == {"192.0.2.1", "2001:db8::1", "etcd-1.example.net"}
    assert (alternative_names(client), common_name(client)) == ((), "root")


def test_a_certificate_lasts_a_year_and_its_authority_ten(authority: Authority) -> None:
    now = datetime.now(UTC)
    leaf = authority.issue(new_key().public_key(), "etcd")
    assert timedelta(days=364) < leaf.not_valid_after_utc - now <= timedelta(days=365)
    assert timedelta(days=3649) < authority.cert.not_valid_after_utc - now <= timedelta(days=3650)
    assert leaf.not_valid_before_utc < now, "clocks differ"


def test_a_leaf_cannot_sign(authority: Authority) -> None:
    leaf = authority.issue(new_key().public_key(), "node")
    basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca) == (True, False)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.digital_signature) == (True, False, True)


def test_serial_numbers_are_random(authority: Authority) -> None:
    key = new_key().public_key()
    assert len({authority.issue(key, "x").serial_number for _ in range(8)}) == 8


def test_it_knows_what_it_signed(authority: Authority) -> None:
    key = new_key().public_key()
    stranger = Authority.create()
    assert authority.issued(authority.issue(key, "x"))
    assert not authority.issued(stranger.issue(key, "x")), "of the same name, and not the same"


def test_the_fingerprint_is_of_the_key(authority: Authority) -> None:
    key = new_key().public_key()
    one, two = authority.issue(key, "x"), authority.issue(key, "y")
    assert fingerprint(one) == fingerprint(two) != fingerprint(authority.cert)
    assert len(fingerprint(one)) == 43


@pytest.mark.parametrize("name", ["a b", "-a", "a..b", "host/1", "", "a:1", "x" * 254, "*"])
def test_a_name_that_no_host_has_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(PkiError, match="host name"):
        authority.issue(new_key().public_key(), "etcd", [name])


def test_a_common_name_has_at_most_64_characters(authority: Authority) -> None:
    with pytest.raises(PkiError, match="64"):
        authority.issue(new_key().public_key(), "x" * 65)


def test_a_request_proves_that_its_sender_has_the_key() -> None:
    key = new_key()
    assert key_hash(requested_key(request(key))) == key_hash(key.public_key())


def _csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _tampered() -> str:
    csr = x509.load_pem_x509_csr(request(new_key()).encode())
    der = bytearray(csr.public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    forged = x509.load_der_x509_csr(bytes(der))
    return forged.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "PKCS #10"),
        ("no PEM", "PKCS #10"),
        ("\udc80", "PKCS #10"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "PKCS #10"),
        (_csr(ec.generate_private_key(ec.SECP384R1())), "P-256"),
        (_csr(rsa.generate_private_key(65537, 2048)), "P-256"),
        (_tampered(), "not signed|PKCS #10"),
    ],
)
def test_other_requests_are_refused(text: str, why: str) -> None:
    with pytest.raises(PkiError, match=why):
        requested_key(text)
