"""Users and roles of etcd: who may read and write which keys.

A user has no password: it is whoever shows a certificate with that common name. Until `enforce` was called
once, etcd asks for no rights and every certificate that it accepts may do everything.

Each call makes something so, whatever was there: it may be repeated, and two may do it at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from store import etcd_wire as wire
from store.errors import Invalid, PermissionDenied, WrongState

ROOT = "root"
"""The role that may do everything, and the user that must have it before etcd enforces rights."""


@dataclass(frozen=True, slots=True)
class Permission:
    """To read every key that begins with `prefix`, or to read and write it."""

    prefix: str
    write: bool = False


class Users(Protocol):
    """Who may do what in the store. Every method may raise `Unavailable` and `PermissionDenied`."""

    def enforced(self) -> bool:
        """Whether rights are asked for at all."""
        ...

    def names(self) -> list[str]:
        """Every user."""
        ...

    def ensure_role(self, role: str, permissions: Iterable[Permission]) -> None:
        """Make a role have exactly these permissions. Idempotent."""
        ...

    def ensure_user(self, user: str, role: str) -> None:
        """Make a user have a role that exists. Idempotent."""
        ...

    def remove_user(self, user: str) -> None:
        """Remove a user: its certificate is good for nothing from now on. Idempotent."""
        ...

    def remove_role(self, role: str) -> None:
        """Remove a role. Idempotent."""
        ...


class AuthService(Protocol):
    """Where requests of etcd's Auth service go: `store.etcd.EtcdStore`."""

    def auth(self, name: str, /, **fields: Any) -> Any:
        """See `EtcdStore.auth`."""
        ...


class EtcdUsers:
    """The users of an etcd cluster; see `Users`. All but `enforced` needs the role root."""

    def __init__(self, etcd: AuthService) -> None:
        self._etcd = etcd

    def enforced(self) -> bool:
        # etcd 3.4 has no request for the status; a log in that cannot succeed tells.
        try:
            self._etcd.auth("Authenticate")
        except WrongState:
            return False
        except (Invalid, PermissionDenied):
            return True
        return True

    def enforce(self) -> None:
        """Ask for rights from now on. The user root must have the role root, and so should the caller."""
        self._etcd.auth("AuthEnable")

    def names(self) -> list[str]:
        return list(self._etcd.auth("UserList").users)

    def ensure_role(self, role: str, permissions: Iterable[Permission]) -> None:
        with suppress(WrongState):
            self._etcd.auth("RoleAdd", name=role)
        have = {(p.permType, p.key, p.range_end) for p in self._etcd.auth("RoleGet", role=role).perm}
        fields = [wire.permission_fields(each.prefix, write=each.write) for each in permissions]
        want = {(each["permType"], each["key"], each["range_end"]) for each in fields}
        kept = {(key, end) for _, key, end in want}
        for _, key, end in have:
            if (key, end) not in kept:
                with suppress(WrongState):
                    self._etcd.auth("RoleRevokePermission", role=role, key=key, range_end=end)
        for kind, key, end in want - have:
            permission = {"permType": kind, "key": key, "range_end": end}
            self._etcd.auth("RoleGrantPermission", name=role, perm=permission)

    def ensure_user(self, user: str, role: str) -> None:
        with suppress(WrongState):
            self._etcd.auth("UserAdd", name=user)
        self._etcd.auth("UserGrantRole", user=user, role=role)

    def remove_user(self, user: str) -> None:
        # Asked first: to a caller that is no user itself, etcd says of everything that there is no such user.
        if user in self.names():
            with suppress(WrongState):
                self._etcd.auth("UserDelete", name=user)

    def remove_role(self, role: str) -> None:
        if role in self._etcd.auth("RoleList").roles:
            with suppress(WrongState):
                self._etcd.auth("RoleDelete", role=role)


def secure(users: EtcdUsers, admins: Iterable[str]) -> None:
    """Make each of these users and root one that may do everything, and have etcd ask for rights.

    Idempotent. Killed on the way, it has locked out nobody: the last request is what closes the door.
    """
    for user in (ROOT, *admins):
        users.ensure_user(user, ROOT)
    users.enforce()
