"""What a failed request to etcd means: gRPC status code and etcd's words to `store.errors`. Pure.

etcd sends most of its errors as a gRPC code that several of them share, so its words (`rpctypes` in
etcd's source) decide. Whatever is not known for certain to have been refused may have been applied.
"""

from __future__ import annotations

from store.errors import (
    Compacted,
    Invalid,
    LeaseExpired,
    PermissionDenied,
    StoreError,
    Unavailable,
    WrongState,
)

NO_LEADER = "etcdserver: no leader"
OLD_RIGHTS = "etcdserver: revision of auth store is old"
"""Somebody's user or role was changed while the request was on its way; it was not applied."""

NOT_APPLIED = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    NO_LEADER,
    OLD_RIGHTS,
    "etcdserver: too many requests",
    "etcdserver: mvcc: database space exceeded",
)
"""Said before the request is proposed, or by the client before it is sent: it was not applied."""

CURES = {
    "database space exceeded": (
        "its database is full: compact and defragment it, then disarm the NOSPACE alarm"
    ),
    "Hostname Verification": "its certificate is not for this name; use a name that it is for in --etcd",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not one that --etcd-ca signed, or has expired",
    "TSI_DATA_CORRUPTED": (
        "it refuses this client; give --etcd-cert and --etcd-key, signed by its CA and not expired"
    ),
}
"""What to do, by words that say what is wrong. The last is all that gRPC tells of an alert of etcd's."""

PASSING = (NO_LEADER, OLD_RIGHTS)

WRONG_STATE = (
    "etcdserver: user name already exists",
    "etcdserver: user name not found",
    "etcdserver: role name already exists",
    "etcdserver: role name not found",
    "etcdserver: permission is not granted to the role",
    "etcdserver: authentication is not enabled",
)

REFUSED = ("etcdserver: user name is empty", "etcdserver: invalid auth token")


def translate(code: str, details: str, *, endpoint: str, write: bool, revision: int = 0) -> StoreError:
    """The error to raise for a failed request.

    Args:
        code: the name of the gRPC status code.
        details: the text that came with it.
        endpoint: the URL that was asked.
        write: whether the request may have changed something that must not be done twice.
        revision: the revision that was asked for; a compaction is known to have passed it.
    """
    if code in {"PERMISSION_DENIED", "UNAUTHENTICATED"} or details.startswith(REFUSED):
        return PermissionDenied(f"etcd at {endpoint} refuses this client: {details}")
    if code == "OUT_OF_RANGE" and details.endswith("has been compacted"):
        return Compacted(revision + 1)
    if code == "NOT_FOUND" and "lease not found" in details:
        return LeaseExpired(details)
    if details.startswith(WRONG_STATE):
        return WrongState(f"etcd at {endpoint}: {details}")
    if details.startswith(OLD_RIGHTS):
        return unavailable(endpoint, details)
    if code in {"INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION"} or _too_large(details):
        return Invalid(f"etcd at {endpoint} refuses the request: {details}")
    return unavailable(
        endpoint, f"{code} {details}", outcome_unknown=write and not details.startswith(NOT_APPLIED)
    )


def watch_canceled(reason: str, compact_revision: int, *, endpoint: str) -> StoreError:
    """The error to raise when etcd ends a watch: `compact_revision` is not 0 when it started too early."""
    if compact_revision:
        return Compacted(compact_revision)
    if "permission denied" in reason:
        return PermissionDenied(f"etcd at {endpoint} refuses this client: {reason}")
    return unavailable(endpoint, f"it canceled the watch: {reason}")


def unavailable(endpoints: str, why: str, *, outcome_unknown: bool = False) -> Unavailable:
    """The error for people: which etcd, what to look at, and what was heard."""
    look = next((cure for words, cure in CURES.items() if words in why), "is it running? check --etcd")
    passing = any(words in why for words in PASSING)
    return Unavailable(
        f"etcd at {endpoints} does not answer: {look} ({why})",
        outcome_unknown=outcome_unknown,
        passing=passing,
    )


def _too_large(details: str) -> bool:
    return "message larger than max" in details or "request is too large" in details
