"""What a failed request to etcd means: gRPC status code and etcd's words to `store.errors`. Pure.

etcd sends most of its errors as a gRPC code that several of them share, so its words (`rpctypes` in
etcd's source) decide. Whatever is not known for certain to have been refused may have been applied.
"""

from __future__ import annotations

from store.errors import Compacted, Invalid, LeaseExpired, PermissionDenied, StoreError, Unavailable

NO_LEADER = "etcdserver: no leader"

# Said before the request is proposed, or by the client before it is sent.
NOT_APPLIED = (
    "failed to connect to all addresses",
    "DNS resolution failed",
    NO_LEADER,
    "etcdserver: too many requests",
    "etcdserver: mvcc: database space exceeded",
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
    if code in {"INVALID_ARGUMENT", "OUT_OF_RANGE", "FAILED_PRECONDITION"} or _too_large(details):
        return Invalid(f"etcd at {endpoint} refuses the request: {details}")
    return unavailable(endpoint, f"{code} {details}", outcome_unknown=write and not applied_never(details))


def watch_canceled(reason: str, compact_revision: int, *, endpoint: str) -> StoreError:
    """The error to raise when etcd ends a watch: `compact_revision` is not 0 when it started too early."""
    if compact_revision:
        return Compacted(compact_revision)
    if "permission denied" in reason:
        return PermissionDenied(f"etcd at {endpoint} refuses this client: {reason}")
    return unavailable(endpoint, f"it canceled the watch: {reason}")


def unavailable(endpoints: str, why: str, *, outcome_unknown: bool = False) -> Unavailable:
    """The error for people: which etcd, what to look at, and what was heard."""
    look = "is it running? check --etcd"
    if endpoints.startswith("https:"):
        look += ", and that --etcd-ca signed its certificate and it accepts --etcd-cert"
    if "database space exceeded" in why:
        look = "its database is full: compact and defragment it, then disarm the NOSPACE alarm"
    return Unavailable(
        f"etcd at {endpoints} does not answer: {look} ({why})", outcome_unknown=outcome_unknown
    )


def applied_never(details: str) -> bool:
    """Whether these words prove that the request was not applied."""
    return details.startswith(NOT_APPLIED)


def _too_large(details: str) -> bool:
    return "message larger than max" in details or "request is too large" in details
