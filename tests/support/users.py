"""Users of a store in memory: who was given which role. What a role may do is etcd's to enforce."""

from __future__ import annotations

from collections.abc import Iterable

from store.etcd_users import Permission


class MemoryUsers:
    """The `Users` protocol over dictionaries."""

    def __init__(self) -> None:
        self.demanded = True
        self.roles: dict[str, set[Permission]] = {}
        self.users: dict[str, str] = {}

    def enforced(self) -> bool:
        return self.demanded

    def names(self) -> list[str]:
        return sorted(self.users)

    def ensure_role(self, role: str, permissions: Iterable[Permission]) -> None:
        self.roles[role] = set(permissions)

    def ensure_user(self, user: str, role: str) -> None:
        self.users[user] = role

    def remove_user(self, user: str) -> None:
        self.users.pop(user, None)

    def remove_role(self, role: str) -> None:
        self.roles.pop(role, None)
