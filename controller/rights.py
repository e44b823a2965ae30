"""What a node may do in etcd, and under which names.

A node's user is named for the node and for the key of its certificate. So a certificate that the node had
before it joined anew is good for nothing, however long it is valid, and renewing one changes no user.
"""

from __future__ import annotations

import hashlib
import re

from intent import cluster
from intent.snapshot import watched
from store import keys
from store.etcd_users import Permission, Users

KEY_DIGITS = 16
MAX_LABEL = 64 - len("node--") - KEY_DIGITS
"""RFC 5280, appendix A: a common name has at most 64 characters."""

_NODE_USER = re.compile(rf"node-[a-z0-9.-]{{1,{MAX_LABEL}}}-[0-9a-f]{{{KEY_DIGITS}}}", re.ASCII)


def role(node: str) -> str:
    """The role of a node's user."""
    return f"polder-node-{node}"


def user(node: str, key_hash: str) -> str:
    """The user of a node: whoever has the key with this hash (hexadecimal)."""
    return f"node-{_label(node)}-{key_hash[:KEY_DIGITS]}"


def is_node_user(name: str) -> bool:
    """Whether a user of this name is a node's."""
    return _NODE_USER.fullmatch(name) is not None


def permissions(node: str, *, edge: bool) -> tuple[Permission, ...]:
    """What the programs of a node write, and what they watch beside it; those of an edge see all nodes."""
    own = (keys.node_prefix(node), keys.SESSIONS.prefix(node), keys.ALIVE.prefix(node))
    seen = dict.fromkeys((*watched(node), *(cluster.watched() if edge else ())))
    read = [prefix for prefix in seen if prefix not in own]
    return (*(Permission(prefix, write=True) for prefix in own), *map(Permission, read))


def admit(users: Users, node: str, key_hash: str, *, edge: bool = False) -> str:
    """Make the bearer of a key the user of a node, and nobody else; returns the user's name. Idempotent."""
    name = user(node, key_hash)
    users.ensure_role(role(node), permissions(node, edge=edge))
    users.ensure_user(name, role(node))
    for other in _users_of(users, node):
        if other != name:
            users.remove_user(other)
    return name


def has_joined(users: Users, node: str) -> bool:
    """Whether somebody is the node's user."""
    return bool(_users_of(users, node))


def expel(users: Users, node: str) -> None:
    """Take a node's rights. Idempotent."""
    for name in _users_of(users, node):
        users.remove_user(name)
    users.remove_role(role(node))


def _users_of(users: Users, node: str) -> list[str]:
    stem = f"node-{_label(node)}-"
    return [name for name in users.names() if is_node_user(name) and name[:-KEY_DIGITS] == stem]


def _label(node: str) -> str:
    return node if len(node) <= MAX_LABEL else hashlib.sha256(node.encode()).hexdigest()[:MAX_LABEL]
