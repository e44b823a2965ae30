"""The Store over etcd: pyetcd's generated messages on gRPC channels of our own.

One channel per endpoint, opened at its first use (a channel does not survive a fork). Requests go to
one endpoint until it fails, then to the next: what may be repeated is repeated there within the same
deadline, and so is a write that was certainly not applied. A write whose answer was lost is not: its
caller learns that soon, and repeats it if that is safe.

Every request demands that the member has a leader, so one that is cut off from its cluster refuses at
once where it would keep us waiting. A member that hangs is noticed by the deadline of a request, and
by the keepalive of the connection where nothing but a watch waits on it. The watches on an endpoint that
failed are lost with it: who follows one opens it anew at the next.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

# No child of ours uses gRPC. Its handlers of fork() stop its threads for each, and can hang.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# The host's own resolver: for a name that has no IPv6 address in /etc/hosts gRPC's own waits for DNS.
os.environ.setdefault("GRPC_DNS_RESOLVER", "native")

import grpc
from pyetcd import etcdrpc

from store import etcd_wire as wire
from store.client import MAX_TXN_OPS, Change, Compare, KeyValue, Op, Range, TxnResult
from store.errors import Compacted, Invalid, LeaseExpired, StoreError, Unavailable
from store.etcd_config import CHANNEL_OPTIONS, EtcdConfig, Pems, target
from store.etcd_faults import OLD_RIGHTS, translate, unavailable, watch_canceled
from store.etcd_tls import TlsFiles
from store.stride import Strides

HAS_LEADER = (("hasleader", "true"),)
PASSING_PAUSE_S = 0.1
AT_ONCE = 8
"""Transactions of one read that are under way at a time."""

AUTH_REQUESTS = {
    "AuthEnable": etcdrpc.AuthEnableRequest,
    "Authenticate": etcdrpc.AuthenticateRequest,
    "UserAdd": etcdrpc.AuthUserAddRequest,
    "UserList": etcdrpc.AuthUserListRequest,
    "UserDelete": etcdrpc.AuthUserDeleteRequest,
    "UserGrantRole": etcdrpc.AuthUserGrantRoleRequest,
    "RoleAdd": etcdrpc.AuthRoleAddRequest,
    "RoleList": etcdrpc.AuthRoleListRequest,
    "RoleGet": etcdrpc.AuthRoleGetRequest,
    "RoleDelete": etcdrpc.AuthRoleDeleteRequest,
    "RoleGrantPermission": etcdrpc.AuthRoleGrantPermissionRequest,
    "RoleRevokePermission": etcdrpc.AuthRoleRevokePermissionRequest,
}

NO_PASSWORD = b"\x1a\x02\x08\x01"
"""`options { no_password: true }` of an AuthUserAddRequest, a field that the client's messages lack."""

LINEARIZABLE = frozenset({"range", "txn"})
"""Requests whose answers tell the revision of the cluster, not of one member that may lag."""

log = logging.getLogger(__name__)


class _Member:
    """One endpoint and its channel. What began before the certificates changed ends on the former channel."""

    def __init__(self, url: str, tls: TlsFiles) -> None:
        self.url = url
        self._tls = tls
        self._lock = threading.Lock()
        self._pems: Pems | None = None
        self._channels: list[Any] = []
        self._closed = False
        self._methods: dict[str, Any] = {}

    def method(self, name: str) -> Any:
        """A callable of the channel, which is opened first if need be."""
        with self._lock:
            if self._closed:
                raise ValueError(f"the channel to {self.url} was closed")  # as gRPC does
            pems = self._tls.pems()
            if pems is not self._pems:
                self._channels.append(self._open(pems))
                self._methods = _methods(self._channels[-1])
                self._pems = pems
                for older in self._channels[:-2]:
                    older.close()
                del self._channels[:-2]
            return self._methods[name]

    def close(self) -> None:
        """Close the channel for good; calls in flight end as canceled."""
        with self._lock:
            self._closed = True
            for channel in self._channels:
                channel.close()

    def _open(self, pems: Pems) -> Any:
        if not self.url.startswith("https:"):
            return grpc.insecure_channel(target(self.url), options=CHANNEL_OPTIONS)
        credentials = grpc.ssl_channel_credentials(*pems)
        return grpc.secure_channel(target(self.url), credentials, options=CHANNEL_OPTIONS)


def _methods(channel: Any) -> dict[str, Any]:
    kv, lease, auth = etcdrpc.KVStub(channel), etcdrpc.LeaseStub(channel), etcdrpc.AuthStub(channel)
    return {
        **{name: getattr(auth, name) for name in AUTH_REQUESTS},
        "range": kv.Range,
        "txn": kv.Txn,
        "compact": kv.Compact,
        "grant": lease.LeaseGrant,
        "revoke": lease.LeaseRevoke,
        # A stream in etcd's API. One message, then the end of the stream, is the same on the wire.
        "keep_alive": channel.unary_unary(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=etcdrpc.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=etcdrpc.LeaseKeepAliveResponse.FromString,
        ),
        "watch": etcdrpc.WatchStub(channel).Watch,
    }


class EtcdStore:
    """The Store protocol over an etcd cluster; see `store.client.Store`.

    Ordering: none between threads. Blocking: each call at most `config.deadline_s`, in the way of `pause` and
    of `call`, which is given a method of a channel and what to ask: several things when they only read.
    """

    def __init__(
        self,
        config: EtcdConfig,
        *,
        call: Callable[..., list[Any]] = lambda method, asked, **how: [*map(partial(method, **how), asked)],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask, self._pause = call, pause
        self._deadline_s = config.deadline_s
        tls = TlsFiles(config)
        self._members = tuple(_Member(url, tls) for url in config.endpoints)
        self._current = 0
        self._strides = Strides()
        self._closed = False
        self._cluster_id = self._went_back = self._reached = 0
        self._watches: weakref.WeakSet[EtcdWatch] = weakref.WeakSet()
        self._lock = threading.Lock()

    def get(self, key: str) -> KeyValue | None:
        (response,) = self._call("range", etcdrpc.RangeRequest(key=key.encode()))
        return wire.key_value(response.kvs[0]) if response.kvs else None

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        fields = wire.range_fields(prefix, limit and limit + 1, after, before, revision)
        found: list[KeyValue] = []
        for end in self._strides.ends(prefix, after, limit, fields["range_end"]):
            fields["range_end"] = end
            (answer,) = self._call("range", etcdrpc.RangeRequest(**fields), revision=fields["revision"])
            found.extend(map(wire.key_value, answer.kvs))
            fields["revision"] = fields["revision"] or answer.header.revision
            if 0 < limit < len(found):
                self._strides.learn(prefix, found)
                return Range(tuple(found[:limit]), fields["revision"], more=True)
            fields.update(key=end, limit=limit and limit + 1 - len(found))
        return Range(tuple(found), fields["revision"])

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        answers = self._read_all(keys, wire.gets_fields)
        return {item.key: item for each in answers for item in map(wire.key_value, each.kvs)}

    def count(self, prefixes: Sequence[str]) -> list[int]:
        return [each.count for each in self._read_all(prefixes, wire.counts_fields)]

    def _read_all(
        self, wanted: Sequence[str], fields: Callable[[Sequence[str]], wire.Fields]
    ) -> Iterator[Any]:
        parts = [wanted[start : start + MAX_TXN_OPS] for start in range(0, len(wanted), MAX_TXN_OPS)]
        for start in range(0, len(parts), AT_ONCE):
            asked = [etcdrpc.TxnRequest(**fields(each)) for each in parts[start : start + AT_ONCE]]
            for answer in self._call("txn", *asked):
                yield from (each.response_range for each in answer.responses)

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        if max(len(compares), len(ops)) > MAX_TXN_OPS:
            raise Invalid(f"a transaction takes {MAX_TXN_OPS} compares and as many operations, not more")
        request = etcdrpc.TxnRequest()
        wire.fill_txn(request, compares, ops)
        (response,) = self._call("txn", request, write=bool(ops))
        return TxnResult(response.succeeded, response.header.revision)

    def watch(
        self,
        prefixes: Sequence[str],
        *,
        start_revision: int,
        previous: bool = False,
        in_order: bool = False,
        removals: Sequence[str] = (),
    ) -> EtcdWatch:
        spans = [wire.hull(prefixes)] if in_order else [wire.span(prefix) for prefix in prefixes]
        creates = [wire.watch_fields(span, start_revision, previous) for span in spans]
        for span in map(wire.span, removals):
            creates.append(wire.watch_fields(span, start_revision, previous, removals=True))
        wanted = tuple(prefix.encode() for prefix in (*prefixes, *removals))
        try:
            watch = EtcdWatch(self, self._members[self._current], creates, start_revision, wanted)
        except ValueError as error:
            raise Unavailable(f"the store was closed ({error})") from error
        with self._lock:
            self._watches.add(watch)
        return watch

    def grant(self, ttl_s: int) -> int:
        if ttl_s < 1:
            raise Invalid(f"a lease lasts at least 1 second, not {ttl_s}")
        # Not a write that must not be repeated: a lease whose answer was lost ends by itself.
        return int(self._call("grant", etcdrpc.LeaseGrantRequest(TTL=ttl_s))[0].ID)

    def keep_alive(self, lease_id: int) -> int:
        left_s = int(self._call("keep_alive", etcdrpc.LeaseKeepAliveRequest(ID=lease_id))[0].TTL)
        if left_s <= 0:
            raise LeaseExpired(f"lease {lease_id:x} is gone")
        return left_s

    def revoke(self, lease_id: int) -> None:
        try:
            self._call("revoke", etcdrpc.LeaseRevokeRequest(ID=lease_id))
        except LeaseExpired:
            return

    def compact(self, revision: int) -> None:
        """Forget the history before `revision`: what etcd does by itself, for tests."""
        try:
            self._call("compact", etcdrpc.CompactionRequest(revision=revision))
        except Compacted:
            return

    def auth(self, name: str, /, **fields: Any) -> Any:
        """One request of etcd's Auth service, by its name there: `auth("UserAdd", name="root")`.

        A user that is added has no password: only a certificate makes its bearer that user.

        Raises:
            WrongState: what it is about exists already, or does not.
        """
        request = AUTH_REQUESTS[name](**fields)
        if name == "UserAdd":
            request.MergeFromString(NO_PASSWORD)
        return self._call(name, request)[0]

    def cluster_id(self) -> str:
        if not self._cluster_id:
            self.get("/")
        return f"{self._cluster_id:x}" + (f".{self._went_back}" if self._went_back else "")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            watches = list(self._watches)
        for watch in watches:
            watch.close()
        for member in self._members:
            member.close()

    def _call(self, name: str, *requests: Any, write: bool = False, revision: int = 0) -> list[Any]:
        """The answers, by one endpoint after the other. A `write` is repeated only if it was not applied."""
        until = time.monotonic() + self._deadline_s
        while True:
            try:
                return self._round(name, requests, write, revision, until)
            except Unavailable as fault:
                if not fault.passing or time.monotonic() + PASSING_PAUSE_S > until:
                    raise
            self._pause(PASSING_PAUSE_S)

    def _round(
        self, name: str, requests: Sequence[Any], write: bool, revision: int, until: float
    ) -> list[Any]:
        """Ask each endpoint at most once."""
        first, count = self._current, len(self._members)
        fault: StoreError = Unavailable("no etcd endpoint")
        reached = self._reached
        for tried in range(count):
            member = self._members[(first + tried) % count]
            # A part of what is left for each, writes too: those that were under way when the leader died are
            # never answered, and whoever waits for one keeps all that wait behind it.
            timeout_s = max(0.001, until - time.monotonic()) / (count - tried)
            try:
                answers = self._ask(member.method(name), requests, timeout=timeout_s, metadata=HAS_LEADER)
                for answer in answers:
                    self._note(name, answer.header, reached)
                return answers
            except (grpc.RpcError, ValueError) as error:
                fault = self._fault(error, member, write=write, revision=revision)
            if not isinstance(fault, Unavailable) or fault.outcome_unknown:
                break
        raise fault

    def _note(self, name: str, header: Any, reached: int) -> None:
        """Remember which cluster answered, and how far it was; `reached` is what was known before asking."""
        with self._lock:
            moved = header.cluster_id != self._cluster_id
            self._cluster_id = header.cluster_id
            if name not in LINEARIZABLE:
                return
            # Nothing but a restored backup makes the revision of a cluster go back.
            if header.revision < reached == self._reached and not moved:
                self._went_back += 1
                self._reached = header.revision
            self._reached = header.revision if moved else max(self._reached, header.revision)

    def _fault(self, error: Exception, member: _Member, *, write: bool, revision: int = 0) -> StoreError:
        """Translate, and prefer the next endpoint from now on when this one does not answer."""
        if not isinstance(error, grpc.RpcError):  # gRPC raises ValueError for a channel that was closed
            return Unavailable(f"the store was closed ({error})")
        details = error.details() or ""
        fault = translate(error.code().name, details, endpoint=member.url, write=write, revision=revision)
        if isinstance(fault, Unavailable) and not details.startswith(OLD_RIGHTS):
            self._demote(member)
        return fault

    def _demote(self, member: _Member) -> None:
        with self._lock:
            if self._members[self._current] is not member or len(self._members) == 1 or self._closed:
                return
            self._current = (self._current + 1) % len(self._members)
            following = self._members[self._current].url
            left = [watch for watch in self._watches if watch.member is member]
        for watch in left:
            watch.lose()
        log.warning("etcd endpoint failed url=%s next=%s", member.url, following)


class EtcdWatch:
    """An open watch; see `store.client.Watch`. One stream carries the watches of all prefixes."""

    def __init__(
        self,
        store: EtcdStore,
        member: _Member,
        creates: Sequence[wire.Fields],
        start_revision: int,
        wanted: tuple[bytes, ...],
    ) -> None:
        self._start_revision = start_revision
        self._wanted = wanted
        self._closed = threading.Event()
        self._store = store
        self.member = member
        self._stream = member.method("watch")(self._requests(creates), metadata=HAS_LEADER)

    def __iter__(self) -> Iterator[tuple[Change, ...]]:
        while (changes := self._next()) is not None:
            if changes:
                yield changes

    def _next(self) -> tuple[Change, ...] | None:
        """What the next answer brought; None once closed. An error closes the watch."""
        try:
            response = next(self._stream)
            if not response.canceled:
                return wire.changes(response.events, self._start_revision, self._wanted)
            reason, compacted = response.cancel_reason, response.compact_revision
            fault = watch_canceled(reason, compacted, endpoint=self.member.url)
        except StopIteration:
            fault = unavailable(self.member.url, "it ended the watch")
        except grpc.RpcError as error:
            if self._closed.is_set():
                return None
            fault = self._store._fault(error, self.member, write=False)
        if self._closed.is_set():
            return None
        self.close()
        raise fault

    def close(self) -> None:
        self._closed.set()
        self._stream.cancel()

    def lose(self) -> None:
        """End as a stream that broke. From any thread."""
        self._stream.cancel()

    def _requests(self, creates: Sequence[dict[str, Any]]) -> Iterator[Any]:
        for fields in creates:
            yield etcdrpc.WatchRequest(create_request=fields)
        self._closed.wait()  # the end of the requests could be taken for the end of the watch
