"""Deleting what has a name: refused while anything uses it, and safe to die in the middle of.

First the claims of empty blocks are given back, each only while its block is empty; then the pool or the
node goes, only while nothing has come to use it. A crash in between leaves fewer claims, which is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from controller.ipam.committer import Commits
from controller.ipam.gone import proof_of_loss
from controller.ipam.tally import Charge, OverQuota
from controller.ipam.unit import Unit, merged
from controller.ipam.units import give_back, unclaim
from controller.precondition import WHATEVER, Match
from controller.problem import Problem
from controller.reading import Found, find, read, scan, scan_all, stored
from controller.scope import Scope
from store import keys
from store.client import Absent, Compare, Delete, DeletePrefix, PrefixEmpty, PrefixUnwritten, Store, Unchanged
from store.keys import Kind
from store.model import AddressState, Block, Drained, Endpoint, Node, Policy, Pool, Usage, Value

ATTEMPTS = 16
CHUNK = 40
"""Claims given back in one transaction: two compares and two operations each, of at most 128."""

SHOWN = 5


class Retirer:
    """Deletes what has a name. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committer: Commits) -> None:
        self._store = store
        self._committer = committer

    def delete_pool(self, name: str, match: Match = WHATEVER) -> None:
        """Delete a pool that no address is assigned from or cools down in. Raises `Problem`."""
        for _ in range(ATTEMPTS):
            pool = find(self._store, keys.POOLS, name)
            match.demand(f"pool {name}", pool.mod_revision)
            self._refuse_used_pool(pool.value)
            claims = scan(self._store, keys.BLOCKS, name).items
            chunks = [claims[start : start + CHUNK] for start in range(0, len(claims), CHUNK)]
            if all(self._committer.commit(give_back(chunk)) for chunk in chunks) and self._committer.commit(
                _end_pool(pool)
            ):
                return
        raise _busy(name)

    def delete_node(self, name: str, match: Match = WHATEVER) -> None:
        """Delete a node that has no endpoint and no peer, and whose blocks hold nobody's address.

        What a node that is lost holds still of endpoints that moved away counts for nothing: who deletes it
        says that it will not come back.

        Raises:
            Problem: there is no such node, or something uses it; says what.
        """
        for _ in range(ATTEMPTS):
            node = find(self._store, keys.NODES, name)
            match.demand(f"node {name}", node.mod_revision)
            self._refuse_used_node(name)
            holds_nothing = self._holds_nothing(name)
            peers = scan(self._store, keys.PEERS)
            _refuse_named(name, "peers", [peer.name for peer in peers.values if peer.node == name])
            tokens = scan(self._store, keys.TOKENS)
            # A node of the same name later must not be theirs.
            _refuse_named(name, "tokens", [token.name for token in tokens.values if token.node == name])
            claims = self._give_back_node(name)
            ends = [
                _end_node(node, peers.revision, tokens.revision, holds_nothing),
                self._end_with(keys.JOINS, name),
                self._end_with(keys.DRAINS, Drained.NODE.value, name),
            ]
            if all(map(self._committer.commit, claims)) and self._committer.commit(merged(ends)):
                return
        raise _busy(name)

    def delete_peer(self, name: str, match: Match) -> None:
        """Delete a peer. Raises `Problem` when there is none."""
        for _ in range(ATTEMPTS):
            peer = find(self._store, keys.PEERS, name)
            match.demand(f"peer {name}", peer.mod_revision)
            ends = [
                Unit((peer.unchanged(),), (Delete(peer.key),)),
                self._end_with(keys.DRAINS, Drained.PEER.value, name),
            ]
            if self._committer.commit(merged(ends)):
                return
        raise _busy(name)

    def delete_policy(
        self,
        name: str,
        may: Callable[[Policy], None],
        match: Match,
        scope: Scope,
    ) -> None:
        """Delete a policy that is in `scope`, and that `may` does not refuse. Raises `Problem`."""
        for _ in range(ATTEMPTS):
            policy = find(self._store, keys.POLICIES, name, scope)
            may(policy.value)
            match.demand(f"policy {name}", policy.mod_revision)
            if self._committer.commit(Unit((policy.unchanged(),), (Delete(policy.key),))):
                return
        raise _busy(name)

    def delete_tenant(self, name: str, match: Match = WHATEVER) -> None:
        """Delete a tenant that holds no address and has no pool, no policy and no token. Raises `Problem`."""
        for _ in range(ATTEMPTS):
            tenant = find(self._store, keys.TENANTS, name)
            match.demand(f"tenant {name}", tenant.mod_revision)
            compares = [tenant.unchanged(), *self._unused_by_tenant(name)]
            nothing_held = Charge(name, max_ipv4=0, max_ipv6=0)
            try:
                if self._committer.commit(Unit(tuple(compares), (Delete(tenant.key),), nothing_held)):
                    return
            except OverQuota as over:
                _refuse_holding_tenant(self._committer.confirm(over))
        raise _busy(name)

    def _end_with(self, kind: Kind[Value], *parts: str) -> Unit:
        """What goes with a thing, if it is there, whether it can be read or not."""
        item = stored(self._store, kind, *parts)
        if item is None:
            return Unit((Absent(kind.key(*parts)),), ())
        return Unit((Unchanged(item.key, item.mod_revision),), (Delete(item.key),))

    def _unused_by_tenant(self, name: str) -> Iterator[Compare]:
        """What has to hold for nothing to be the tenant's own. Raises `Problem` when something is."""
        pools, tokens = scan(self._store, keys.POOLS), scan(self._store, keys.TOKENS)
        policies = scan(self._store, keys.POLICIES)
        _refuse_used_tenant(name, "pools", [each.name for each in pools.values if each.tenant == name])
        _refuse_used_tenant(name, "policies", [each.name for each in policies.values if each.tenant == name])
        _refuse_used_tenant(name, "tokens", [each.name for each in tokens.values if each.tenant == name])
        for kind, found in ((keys.POOLS, pools), (keys.POLICIES, policies), (keys.TOKENS, tokens)):
            yield PrefixUnwritten(kind.prefix(), found.revision)

    def _refuse_used_pool(self, pool: Pool) -> None:
        held = scan(self._store, keys.ADDRESSES, pool.name).values
        if not held:
            return
        assigned = [address.holder for address in held if address.state is AddressState.ASSIGNED]
        cooling = len(held) - len(assigned)
        detail = (
            f"pool {pool.name} is in use: assigned addresses {len(assigned)}{_shown(assigned)}, cooling down "
            f"{cooling} (up to {pool.cooldown_s} s); delete these and wait for the cooldown"
        )
        raise Problem("in-use", detail, assigned=len(assigned), cooling_down=cooling)

    def _refuse_used_node(self, name: str) -> None:
        endpoints: list[Endpoint] = scan(self._store, keys.NODE_ENDPOINTS, name).values
        if endpoints:
            ids = [endpoint.id for endpoint in endpoints]
            raise Problem(
                "in-use",
                f"node {name} is in use: endpoints {len(ids)}{_shown(ids)}; move or delete them first",
                endpoints=ids[:SHOWN],
            )

    def _holds_nothing(self, name: str) -> tuple[Compare, ...]:
        """What has to hold for nobody to wait for the node to let go. Raises `Problem` when somebody does."""
        attachments = keys.ATTACHMENTS.prefix(name)
        ids = [item.key.removeprefix(attachments) for item in scan_all(self._store, attachments)]
        if not ids:
            return (PrefixEmpty(attachments),)
        lost = proof_of_loss(self._store, name)
        if lost is None:
            detail = (
                f"node {name} holds endpoints still that moved away: {len(ids)}{_shown(ids)}; wait until its "
                "agent has let go of them, or, if it never will, stop agent and speaker there and wait until "
                "the node is lost"
            )
            raise Problem("in-use", detail, endpoints=ids[:SHOWN])
        return lost

    def _give_back_node(self, name: str) -> list[Unit]:
        """What gives back each of the node's claims. Raises `Problem` when one is needed."""
        return [
            self._give_back_one(name, block) for block in scan(self._store, keys.NODE_BLOCKS, name).values
        ]

    def _give_back_one(self, name: str, block: Block) -> Unit:
        claim = read(self._store, keys.BLOCKS, block.pool, block.cidr)
        held = scan(self._store, keys.ADDRESSES, block.pool, block.cidr)
        elsewhere = [
            f"{address.endpoint} on {address.node}"
            for address in held.values
            if address.state is AddressState.ASSIGNED and address.service is None
        ]
        if elsewhere:
            detail = (
                f"endpoints on other nodes hold addresses of block {block.cidr} of node {name}: "
                f"{len(elsewhere)}{_shown(elsewhere)}; move them back or delete them first"
            )
            raise Problem("in-use", detail, block=str(block.cidr))
        # Those that cool down and those of services stay: their keys keep them from whoever claims it next.
        unwritten = PrefixUnwritten(keys.ADDRESSES.prefix(block.pool, block.cidr), held.revision)
        compares = (claim.unchanged(), unwritten) if claim else (unwritten,)
        return Unit(compares, unclaim(block))


def _end_pool(pool: Found[Pool]) -> Unit:
    name = pool.value.name
    empty = (PrefixEmpty(keys.ADDRESSES.prefix(name)), PrefixEmpty(keys.BLOCKS.prefix(name)))
    return Unit((pool.unchanged(), *empty), (Delete(pool.key),))


def _end_node(
    node: Found[Node], peers_revision: int, tokens_revision: int, holds_nothing: Sequence[Compare]
) -> Unit:
    name = node.value.name
    compares = (
        node.unchanged(),
        *holds_nothing,
        PrefixEmpty(keys.NODE_ENDPOINTS.prefix(name)),
        PrefixEmpty(keys.NODE_BLOCKS.prefix(name)),
        PrefixUnwritten(keys.PEERS.prefix(), peers_revision),
        PrefixUnwritten(keys.TOKENS.prefix(), tokens_revision),
    )
    leavings = (
        DeletePrefix(keys.node_prefix(name)),
        DeletePrefix(keys.compiled_prefix(name)),
        DeletePrefix(keys.ON_LINK.prefix(name)),
        DeletePrefix(keys.SESSIONS.prefix(name)),
        Delete(keys.LOST.key(name)),
    )
    return Unit(compares, (Delete(node.key), *leavings))


def _refuse_used_tenant(name: str, what: str, names: Sequence[str]) -> None:
    if names:
        detail = f"tenant {name} has {what} {len(names)}{_shown(names)}; delete them first"
        raise Problem("in-use", detail, used_by=list(names[:SHOWN]))


def _refuse_holding_tenant(used: Usage | None) -> None:
    if used is not None:
        detail = f"tenant {used.tenant} holds {used.ipv4} IPv4 and {used.ipv6} IPv6 addresses"
        raise Problem("in-use", f"{detail}; delete its endpoints first", ipv4=used.ipv4, ipv6=used.ipv6)


def _refuse_named(node: str, what: str, names: Sequence[str]) -> None:
    if names:
        detail = f"node {node} has {what} {', '.join(names[:SHOWN])}; delete them first"
        members: dict[str, Any] = {what: list(names[:SHOWN])}
        raise Problem("in-use", detail, **members)


def _shown(names: Iterable[str]) -> str:
    every = list(names)
    return f" ({', '.join(every[:SHOWN])}{', ...' if len(every) > SHOWN else ''})" if every else ""


def _busy(name: str) -> Problem:
    return Problem("busy", f"what uses {name} keeps changing", retry_after_s=1)
