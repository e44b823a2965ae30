"""An authority and its certificates in one directory: `ca.pem`, `ca.key`, and NAME.pem, NAME.key for each.

The common name of a certificate is its NAME. A key is kept when its certificate is issued again: one file
changes then, so a crash never leaves a certificate beside the key of another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pki import files
from pki.certificate import (
    Authority,
    Identity,
    PkiError,
    alternative_names,
    cert_pem,
    key_pem,
    load_cert,
    load_key,
    new_key,
)

CA = "ca"
ETCD = "etcd"
CONTROLLER = "controller"
ROOT = "root"
"""The user of etcd who may do everything; etcd demands this very name."""

LOCAL = ("localhost", "127.0.0.1", "::1")
MAKE = "make it with: polder pki init --dir {}"


@dataclass(frozen=True, slots=True)
class Pair:
    """The PEM files of a certificate and its key (mode 0600)."""

    cert: Path
    key: Path


class Directory:
    """The files of one authority."""

    def __init__(self, path: Path, authority: Authority) -> None:
        self.path = path
        self.authority = authority
        self.ca = pair(path, CA).cert

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an authority in a directory that is there, or is made."""
        files.directory(path)
        authority = Authority.create()
        where = pair(path, CA)
        files.write(where.key, key_pem(authority.key))
        files.write(where.cert, cert_pem(authority.cert))
        return cls(path, authority)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The authority that is there. Raises `PkiError`."""
        identity = read_identity(pair(path, CA), MAKE.format(path))
        return cls(path, Authority(identity))

    def issue(self, name: str, sans: Sequence[str] = ()) -> Pair:
        """Write NAME.pem, for the key in NAME.key, which is made when it is not there. Raises `PkiError`.

        Args:
            name: the common name, and the name of the files.
            sans: host names and addresses of a server; those of the certificate that is there if none.
        """
        if name == CA or not name or "/" in name or name.startswith("."):
            raise PkiError(
                f"{name[:128]!r} cannot be the name of a certificate; take one such as {CONTROLLER}"
            )
        where = pair(self.path, name)
        old = read_cert(where.cert, "") if where.cert.exists() else None
        cert = self.authority.issue(
            self._key(where).public_key(), name, sans or (alternative_names(old) if old else ())
        )
        files.write(where.cert, cert_pem(cert))
        return where

    def certificates(self) -> list[tuple[Path, x509.Certificate]]:
        """What is there, the authority's own first. Raises `PkiError`."""
        paths = sorted(self.path.glob("*.pem"), key=lambda path: (path != self.ca, path.name))
        return [(path, read_cert(path, "")) for path in paths]

    def _key(self, where: Pair) -> ec.EllipticCurvePrivateKey:
        if where.key.exists():
            return read_key(where.key, "")
        key = new_key()
        files.write(where.key, key_pem(key))
        return key


def init(path: Path, sans: Sequence[str]) -> None:
    """Make an authority and the certificates of etcd, the controller and etcd's root user.

    Args:
        path: a directory that is not there, or empty; it appears with all that belongs in it, or not at all.
        sans: names and addresses of the hosts that etcd and the controllers run on; this host is one.

    Raises:
        PkiError: it is there, or a name cannot be used.
    """
    with files.new_directory(path) as made:
        directory = Directory.create(made)
        directory.issue(ETCD, with_loopback(sans))
        directory.issue(CONTROLLER, with_loopback(sans))
        directory.issue(ROOT)


def with_loopback(sans: Sequence[str]) -> tuple[str, ...]:
    """The names and addresses of a server, and those under which its own host reaches it."""
    return tuple(dict.fromkeys((*LOCAL, *sans)))


def pair(path: Path, name: str) -> Pair:
    """The files of one certificate in a directory."""
    return Pair(path / f"{name}.pem", path / f"{name}.key")


def read_cert(path: Path, cure: str) -> x509.Certificate:
    """The certificate of a file. Raises `PkiError`, which ends with the cure if the file is not there."""
    data = files.read(path, cure)
    try:
        return load_cert(data)
    except PkiError as fault:
        raise PkiError(f"{path} {fault}") from None


def read_key(
    path: Path, cure: str, *, read: Callable[[Path, str], bytes] = files.read
) -> ec.EllipticCurvePrivateKey:
    """The private key of a file, which is read by one of the functions of `files`; see `read_cert`."""
    data = read(path, cure)
    try:
        return load_key(data)
    except PkiError as fault:
        raise PkiError(f"{path} {fault}") from None


def read_identity(where: Pair, cure: str) -> Identity:
    """A certificate and its key. Raises `PkiError`, also when they do not belong together."""
    identity = Identity(read_cert(where.cert, cure), read_key(where.key, cure))
    if identity.cert.public_key() != identity.key.public_key():
        raise PkiError(f"{where.key} is not the key of {where.cert}; give the two that were made together")
    return identity
