"""Who is who in a lab: the certificates of `polder pki init`, and the token of its operator.

They are made anew for each lab, so nothing that a lab leaves behind opens another.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path

from lab.etcd import EtcdTls
from pki import files
from pki.directory import CA, ETCD, ROOT, Pair, init, pair


class Credentials:
    """The files, made below a directory.

    Args:
        directory: where `pki/` and `tokens` are made.
        addresses: of the hosts that etcd and the controllers run on.
    """

    def __init__(self, directory: Path, addresses: Iterable[str]) -> None:
        self.pki = directory / "pki"
        init(self.pki, tuple(addresses))
        self.ca = pair(self.pki, CA).cert
        self.token = secrets.token_hex(32)
        self.token_file = directory / "tokens"
        files.write(self.token_file, f"{self.token}\n".encode())

    @property
    def root(self) -> Pair:
        """Of the user of etcd who may do everything."""
        return pair(self.pki, ROOT)

    def etcd_tls(self) -> EtcdTls:
        """What each member of etcd shows; its health is asked for as root."""
        own = pair(self.pki, ETCD)
        return EtcdTls(self.ca, own.cert, own.key, self.root.cert, self.root.key)

    def trust(self) -> ssl.SSLContext:
        """What a client of the controllers believes."""
        return ssl.create_default_context(cafile=str(self.ca))
