"""Each way in which etcd refuses or fails, as the error that says what to do."""

from __future__ import annotations

import pytest

from store.errors import (
    Compacted,
    Invalid,
    LeaseExpired,
    PermissionDenied,
    StoreError,
    Unavailable,
    WrongState,
)
from store.etcd_faults import OLD_RIGHTS, translate, unavailable, watch_canceled

URL = "http://192.0.2.1:2379"
REFUSED = "failed to connect to all addresses; last error: UNKNOWN: Connection refused"

CASES: list[tuple[str, str, type[StoreError]]] = [
    ("UNAVAILABLE", REFUSED, Unavailable),
    ("UNAVAILABLE", "Socket closed", Unavailable),
    ("UNAVAILABLE", "etcdserver: no leader", Unavailable),
    ("UNAVAILABLE", "etcdserver: request timed out", Unavailable),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", Unavailable),
    ("CANCELLED", "Channel closed!", Unavailable),
    ("UNKNOWN", "", Unavailable),
    ("UNIMPLEMENTED", "unknown service etcdserverpb.KV", Unavailable),
    ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Unavailable),
    ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (8000042 vs. 2097152)", Invalid),
    ("INVALID_ARGUMENT", "etcdserver: request is too large", Invalid),
    ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request", Invalid),
    ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request", Invalid),
    ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision", Invalid),
    ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", Compacted),
    ("NOT_FOUND", "etcdserver: requested lease not found", LeaseExpired),
    ("PERMISSION_DENIED", "etcdserver: permission denied", PermissionDenied),
    ("UNAUTHENTICATED", "etcdserver: invalid auth token", PermissionDenied),
    ("INVALID_ARGUMENT", "etcdserver: user name is empty", PermissionDenied),
    ("FAILED_PRECONDITION", "etcdserver: user name already exists", WrongState),
    ("FAILED_PRECONDITION", "etcdserver: role name not found", WrongState),
    ("INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password", Invalid),
]


@pytest.mark.parametrize(("code", "details", "error"), CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_each_fault_becomes_the_error_that_says_what_to_do(
    code: str, details: str, error: type[StoreError]
) -> None:
    assert type(translate(code, details, endpoint=URL, write=False)) is error


@pytest.mark.parametrize(
    ("details", "unknown"),
    [
        (REFUSED, False),
        ("DNS resolution failed for etcd.example:2379", False),
        ("etcdserver: no leader", False),
        ("etcdserver: too many requests", False),
        ("etcdserver: mvcc: database space exceeded", False),
        ("Socket closed", True),
        ("etcdserver: request timed out", True),
        ("etcdserver: leader changed", True),
        ("Deadline Exceeded", True),
        ("", True),
    ],
)
def test_a_write_is_of_unknown_outcome_unless_it_was_certainly_not_applied(
    details: str, unknown: bool
) -> None:
    fault = translate("UNAVAILABLE", details, endpoint=URL, write=True)
    assert isinstance(fault, Unavailable)
    assert fault.outcome_unknown is unknown
    read = translate("UNAVAILABLE", details, endpoint=URL, write=False)
    assert isinstance(read, Unavailable)
    assert not read.outcome_unknown


def test_a_compaction_has_passed_the_revision_asked_for() -> None:
    fault = translate("OUT_OF_RANGE", "... has been compacted", endpoint=URL, write=False, revision=7)
    assert isinstance(fault, Compacted)
    assert fault.compact_revision == 8


def test_people_are_told_which_etcd_and_where_to_look() -> None:
    assert str(unavailable(URL, "refused")) == (
        f"etcd at {URL} does not answer: is it running? check --etcd (refused)"
    )
    assert "defragment" in str(unavailable(URL, "etcdserver: mvcc: database space exceeded"))


@pytest.mark.parametrize(
    ("heard", "cure"),
    [
        ("Tls handshake failed: CERTIFICATE_VERIFY_FAILED: unable to get local issuer", "--etcd-ca"),
        ("Hostname Verification Check failed.", "use a name"),
        ("Unwrap failed (TSI_DATA_CORRUPTED)", "--etcd-cert and --etcd-key"),
    ],
)
def test_people_are_told_which_certificate_is_wrong(heard: str, cure: str) -> None:
    assert cure in str(unavailable("https://192.0.2.1:2379", heard))


def test_what_passes_by_itself_is_marked() -> None:
    for details, passing in [("etcdserver: no leader", True), (OLD_RIGHTS, True), (REFUSED, False)]:
        fault = translate(
            "INVALID_ARGUMENT" if details is OLD_RIGHTS else "UNAVAILABLE", details, endpoint=URL, write=True
        )
        assert isinstance(fault, Unavailable)
        assert (fault.passing, fault.outcome_unknown) == (passing, False)


def test_a_canceled_watch() -> None:
    compacted = watch_canceled("", 5, endpoint=URL)
    assert isinstance(compacted, Compacted)
    assert compacted.compact_revision == 5
    assert isinstance(watch_canceled("etcdserver: permission denied", 0, endpoint=URL), PermissionDenied)
    assert isinstance(watch_canceled("etcdserver: no leader", 0, endpoint=URL), Unavailable)
