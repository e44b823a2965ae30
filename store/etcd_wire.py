"""Store operations as the fields of etcd's messages, and its answers as our values. Pure.

The request functions return plain dictionaries, which the generated message classes take as keyword
arguments, nested ones included, or fill a message: so nothing here imports the client. Names are those
of etcd's `rpc.proto` (API v3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from store.client import (
    Absent,
    Change,
    Changed,
    Compare,
    Delete,
    Exists,
    KeyValue,
    Op,
    PrefixEmpty,
    PrefixUnwritten,
    Put,
    Removed,
    Unchanged,
)

Fields = dict[str, Any]

GREATER, LESS = 1, 2  # of a compare, which else asks whether both are equal
CREATE, MOD = 1, 2
EVENT_DELETE = 1
NO_PUT = 0
READ, READ_WRITE = 0, 2
END = b"\0"
"""The end of a range to the last key of all."""


def span(prefix: str) -> Fields:
    """The half-open range of keys that begin with `prefix`; every key when it is empty."""
    start = prefix.encode()
    stem = start.rstrip(b"\xff")
    if not stem:
        return {"key": start or b"\0", "range_end": END}
    return {"key": start, "range_end": stem[:-1] + bytes([stem[-1] + 1])}


def range_fields(prefix: str, limit: int, after: str, before: str, revision: int) -> Fields:
    """A RangeRequest; see `Store.range`."""
    fields = span(prefix)
    if after:
        fields["key"] = max(fields["key"], after.encode() + b"\0")
    if before:
        end = fields["range_end"]
        fields["range_end"] = before.encode() if end == END else min(end, before.encode())
    return {**fields, "limit": limit, "revision": revision}


def gets_fields(keys: Iterable[str]) -> Fields:
    """A TxnRequest that reads each of these keys."""
    return {"success": [{"request_range": {"key": key.encode()}} for key in keys]}


def counts_fields(prefixes: Iterable[str]) -> Fields:
    """A TxnRequest that counts the keys that begin with each of these."""
    return {"success": [{"request_range": {**span(prefix), "count_only": True}} for prefix in prefixes]}


def fill_txn(request: Any, compares: Iterable[Compare], ops: Iterable[Op]) -> None:
    """Fill an empty TxnRequest: half the cost of one that is made of dictionaries."""
    add = request.compare.add
    for compare in compares:
        message = add()
        if isinstance(compare, Absent):  # nearly all of them are
            message.key, message.target, message.create_revision = compare.key.encode(), CREATE, 0
        else:
            _fill(message, compare)
    add = request.success.add
    for op in ops:
        if isinstance(op, Put):
            put = add().request_put
            put.key = op.key.encode()
            put.value = op.value
            if op.lease_id:
                put.lease = op.lease_id
        else:
            fields = {"key": op.key.encode()} if isinstance(op, Delete) else span(op.prefix)
            add(request_delete_range=fields)


def hull(prefixes: Iterable[str]) -> Fields:
    """The smallest half-open range that holds every key that begins with one of `prefixes`."""
    spans = [span(prefix) for prefix in prefixes]
    ends = [each["range_end"] for each in spans]
    return {"key": min(each["key"] for each in spans), "range_end": END if END in ends else max(ends)}


def watch_fields(span: Fields, start_revision: int, previous: bool, *, removals: bool = False) -> Fields:
    """A WatchCreateRequest, of `removals` alone or of all. No fragments: an answer holds whole transactions.

    It begins one revision early, which `changes` leaves out: etcd lets a watch begin at the very revision
    that is compacted, and then says nothing of what was deleted there. 0 is from now on.
    """
    return {
        **span,
        "start_revision": start_revision and max(1, start_revision - 1),
        "prev_kv": previous,
        "filters": [NO_PUT] if removals else [],
    }


def permission_fields(prefix: str, *, write: bool) -> Fields:
    """An authpb.Permission to read, or to read and write, every key that begins with `prefix`."""
    return {"permType": READ_WRITE if write else READ, **span(prefix)}


def key_value(kv: Any) -> KeyValue:
    """Our value of an mvccpb.KeyValue."""
    return KeyValue(kv.key.decode(), kv.value, kv.create_revision, kv.mod_revision, kv.lease)


def changes(events: Iterable[Any], start_revision: int, prefixes: tuple[bytes, ...]) -> tuple[Change, ...]:
    """Our values of the mvccpb.Events from a revision on whose keys begin with one of these prefixes."""
    return tuple(
        _change(event)
        for event in events
        if event.kv.mod_revision >= start_revision and event.kv.key.startswith(prefixes)
    )


def _change(event: Any) -> Change:
    before = key_value(event.prev_kv) if event.HasField("prev_kv") else None
    if event.type == EVENT_DELETE:
        return Removed(event.kv.key.decode(), event.kv.mod_revision, before)
    return Changed(key_value(event.kv), before)


def _fill(message: Any, compare: Compare) -> None:
    """Fill a Compare, save that of a key which is absent."""
    # Over a range it holds when it holds for each key in it; over an empty one, the revisions are 0.
    match compare:
        case Exists(key):
            message.key, message.target, message.create_revision = key.encode(), CREATE, 0
            message.result = GREATER
        case Unchanged(key, revision):
            message.key, message.target, message.mod_revision = key.encode(), MOD, revision
        case PrefixEmpty(prefix):
            fields = span(prefix)
            message.key, message.range_end = fields["key"], fields["range_end"]
            message.target, message.create_revision = CREATE, 0
        case PrefixUnwritten(prefix, revision):
            fields = span(prefix)
            message.key, message.range_end = fields["key"], fields["range_end"]
            message.target, message.result, message.mod_revision = MOD, LESS, revision + 1
