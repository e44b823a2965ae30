"""How a host becomes a node: it shows the secret of a join token and gets a certificate for its own key.

Three things are made, each of which may be made again: the token is marked with the key that used it, the
key's bearer becomes the node's user of etcd, the certificate is signed. So a host whose answer was lost asks
again with the same key, as long as the token lives; any other key is refused. With the controller dead in
between, the same holds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller import rights, trail
from controller.problem import Problem, invalid
from controller.reading import Found, find, put, read
from controller.secret import digest, same
from pki.certificate import (
    Authority,
    Certificate,
    PkiError,
    PublicKey,
    cert_pem,
    common_name,
    fingerprint,
    key_hash,
    load_cert,
    requested_key,
)
from pki.join_token import JoinToken
from store import keys
from store.client import Compare, Exists, Put, Store
from store.codec import decode
from store.errors import LeaseExpired, PermissionDenied
from store.etcd_users import Users
from store.model import Join

ATTEMPTS = 8

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Issuer:
    """What it takes to let nodes in and out."""

    users: Users
    authority: Authority | None = None
    """None where this controller cannot sign: then nobody joins here, but nodes can still be removed."""
    etcd: tuple[str, ...] = ()
    """The URLs under which nodes reach etcd."""
    etcd_ca: str = ""
    """What etcd's certificates are checked against, PEM."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What a node needs from now on."""

    node: str
    etcd: tuple[str, ...]
    etcd_ca: str
    certificate: str


class Joining:
    """Lets nodes in and out. Safe to call from many threads, and from many controllers at once.

    Args:
        store: where the tokens are.
        clock: the time of day.
        issuer: None where etcd knows no users.
        guard: asked before each write of a token; raises where nothing is to be written.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        issuer: Issuer | None,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        self._guard = guard
        self._store = store
        self._clock = clock
        self._issuer = issuer

    def authority(self) -> str:
        """The certificate of the controllers' authority, PEM. Raises `Problem`."""
        return cert_pem(self._ready()[1].cert).decode()

    def invite(self, node: str, ttl_s: int) -> tuple[JoinToken, Join]:
        """A join token for a node, good for so many seconds; one that it had before is good no more.

        Raises:
            Problem: there is no such node, or this controller cannot sign.
        """
        issuer, authority = self._ready()
        _demand_rights(issuer)
        for _ in range(ATTEMPTS):
            registered = find(self._store, keys.NODES, node)
            token = JoinToken.make(node, fingerprint(authority.cert))
            expires = self._clock() + timedelta(seconds=ttl_s)
            join = Join(name=node, sha256=digest(token.secret), expires=expires)
            written = put(keys.JOINS, join, node, lease_id=self._store.grant(ttl_s))
            if self._write((Exists(registered.key),), written):
                return token, join
        raise _busy(node)

    def join(self, node: str, secret: str, request: str) -> Joined:
        """Make the bearer of the requested key the node. Idempotent for the same key, while the token lives.

        Args:
            node, secret: of the join token.
            request: a certificate signing request, PEM.

        Raises:
            Problem: the token is not good, was used by another key, or the request is not valid.
        """
        issuer, authority = self._ready()
        self._claimed(node, secret)
        _demand_rights(issuer)
        key = _requested(request)
        self._claim(node, secret, key_hash(key))
        registered = read(self._store, keys.NODES, node)
        edge = registered is not None and registered.value.edge
        name = rights.admit(issuer.users, node, key_hash(key), edge=edge)
        if self.expel_if_gone(node):
            raise _refused()
        certificate = _given(name, None, authority.issue(key, name))
        return Joined(node, issuer.etcd, issuer.etcd_ca, certificate)

    def renew(self, certificate: str, request: str) -> tuple[str, str]:
        """The user of a certificate that has not ended, and a new one for its bearer, PEM.

        The request proves that its sender has the key; who overhears it and sends it again gets a
        certificate that is of no use without the key.

        Raises:
            Problem: it is no certificate of a node, has ended, or the node was removed or joined anew.
        """
        issuer, authority = self._ready()
        key = _requested(request)
        try:
            old = load_cert(certificate.encode())
        except (PkiError, UnicodeEncodeError):
            raise invalid("/certificate", "expected a certificate in PEM") from None
        name = common_name(old)
        if not authority.issued(old) or old.public_key() != key or not rights.is_node_user(name):
            raise _refused("this is no certificate of a node, with a request for the same key")
        _demand_rights(issuer)
        if old.not_valid_after_utc <= self._clock() or name not in issuer.users.names():
            raise _refused("the certificate has ended, or its node was removed or has joined anew")
        return name, _given(name, old, authority.issue(key, name))

    def allow(self, node: str, *, edge: bool) -> None:
        """Give a node that has joined the rights of an edge, or take them. Idempotent."""
        if self._issuer is not None and rights.has_joined(self._issuer.users, node):
            self._issuer.users.ensure_role(rights.role(node), rights.permissions(node, edge=edge))

    def expel_if_gone(self, node: str) -> bool:
        """Take the rights of a node that does not exist; whether it does not. Idempotent."""
        if read(self._store, keys.NODES, node) is not None:
            return False
        if self._issuer is None:
            return True
        try:
            rights.expel(self._issuer.users, node)
        except PermissionDenied as fault:
            # Who cannot sign need not be allowed to change users either; who let the node in is.
            if self._issuer.authority is not None:
                raise
            log.warning("event=rights-kept node=%s why=%r", node, str(fault))
        return True

    def _claim(self, node: str, secret: str, holder: str) -> None:
        """Mark the token as used by a key. Raises `Problem` when another has used it."""
        for _ in range(ATTEMPTS):
            found, lease_id = self._claimed(node, secret)
            if found.value.used_by == holder:
                return
            if found.value.used_by is not None:
                raise _refused("this join token was used already, by another key")
            used = found.value.model_copy(update={"used_by": holder})
            try:
                exists = Exists(keys.NODES.key(node))
                marked = put(keys.JOINS, used, node, lease_id=lease_id)
                if self._write((found.unchanged(), exists), marked):
                    return
            except LeaseExpired:
                raise _refused() from None
        raise _busy(node)

    def _claimed(self, node: str, secret: str) -> tuple[Found[Join], int]:
        """What is stored of a token, and its lease. Raises `Problem` when the secret is not its."""
        item = self._store.get(keys.JOINS.key(node))
        if item is None:
            raise _refused()
        if (request := trail.current()) is not None:
            request.saw(item)
        join = decode(Join, item.value, key=item.key)
        if not same(digest(secret), join.sha256) or join.expires <= self._clock():
            raise _refused()
        return Found(join, item.key, item.mod_revision), item.lease_id

    def _write(self, compares: Sequence[Compare], op: Put) -> bool:
        """Write a token, and tell the audit of it. False when a compare did not hold."""
        self._guard()
        written = self._store.txn(compares, (op,))
        if (request := trail.current()) is not None:
            request.wrote((op,), written)
        return written.succeeded

    def _ready(self) -> tuple[Issuer, Authority]:
        if self._issuer is None or self._issuer.authority is None:
            raise Problem("not-set-up", "this controller has no authority to sign with: start it with --pki")
        return self._issuer, self._issuer.authority


def _demand_rights(issuer: Issuer) -> None:
    """Refuse while etcd lets every certificate do everything. Asked of etcd, so after all else is checked."""
    if not issuer.users.enforced():
        detail = "etcd asks nobody for rights, so a node could do all; run polder etcd secure first"
        raise Problem("not-set-up", detail)


def _requested(request: str) -> PublicKey:
    try:
        return requested_key(request)
    except PkiError as fault:
        raise invalid("/request", str(fault)) from None


def _given(name: str, old: Certificate | None, new: Certificate) -> str:
    """A certificate that is given away, PEM. The audit tells of it: there is no other record of it."""
    if (request := trail.current()) is not None:
        request.gave(f"certificates/{name}", _described(old) if old else None, _described(new))
    return cert_pem(new).decode()


def _described(cert: Certificate) -> bytes:
    told = {"serial": f"{cert.serial_number:x}", "ends": cert.not_valid_after_utc.isoformat()}
    return json.dumps(told, separators=(",", ":")).encode()


def _refused(why: str = "this join token is not known, or has ended") -> Problem:
    return Problem("join-refused", f"{why}; make a new one: polder node join-token NODE")


def _busy(node: str) -> Problem:
    return Problem("busy", f"others join as {node} at the same time", retry_after_s=1)
