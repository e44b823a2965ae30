"""Which kernel routes a node has of what it takes from its peers.

Of the paths to a prefix those of the highest LOCAL_PREF, of these the ones with the shortest AS path, and of
these, among paths by way of one neighbouring AS, the ones with the lowest MED (RFC 4271 §9.1.2.2). What is
left is one multipath route. A prefix inside a pool is not installed: it would take away what endpoints have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bgp.adj_rib_in import Path
from intent.routes import Route
from store.model import IPNetwork, Pool

DEFAULT_LOCAL_PREF = 100
"""Of a path that carries none."""


@dataclass(frozen=True, slots=True)
class Import:
    """What becomes of one prefix.

    Args:
        paths: the paths to it, by peer.
        route: the route to it; None when it is not installed.
        reason: why a path that could be used is not; empty when all of them are.
    """

    prefix: IPNetwork
    paths: Mapping[str, Path]
    route: Route | None
    reason: str = ""


def imports(taken: Mapping[str, Mapping[IPNetwork, Path]], pools: Iterable[Pool]) -> dict[IPNetwork, Import]:
    """What becomes of each prefix that was taken from a peer.

    Args:
        taken: the paths by peer and prefix.
        pools: every pool.
    """
    pools = tuple(pools)
    prefixes = {prefix for paths in taken.values() for prefix in paths}
    return {
        prefix: _import(
            prefix, {peer: paths[prefix] for peer, paths in sorted(taken.items()) if prefix in paths}, pools
        )
        for prefix in prefixes
    }


def _import(prefix: IPNetwork, paths: Mapping[str, Path], pools: Iterable[Pool]) -> Import:
    if (pool := _hijacked(prefix, pools)) is not None:
        return Import(prefix, paths, None, f"it is inside of pool {pool.name}, {pool.cidr}")
    usable = {peer: path for peer, path in paths.items() if not path.next_hop.is_link_local}
    reason = ", ".join(
        f"next hop {paths[peer].next_hop} of {peer} is link-local" for peer in paths if peer not in usable
    )
    if not usable:
        return Import(prefix, paths, None, reason)
    best = _best(usable)
    gateways = tuple(sorted({usable[peer].next_hop for peer in best}, key=int))
    return Import(
        prefix, paths, Route(prefix, gateways=gateways, reason=f"taken from {', '.join(best)}"), reason
    )


def _hijacked(prefix: IPNetwork, pools: Iterable[Pool]) -> Pool | None:
    """The pool that the prefix is a part of; one that it covers goes on by its own blocks."""
    return next((pool for pool in pools if _is_part(prefix, pool.cidr)), None)


def _is_part(prefix: IPNetwork, other: IPNetwork) -> bool:
    return prefix.prefixlen > other.prefixlen and prefix.network_address in other


def _best(paths: Mapping[str, Path]) -> list[str]:
    """The peers whose paths are used, by name."""
    first = min(_rank(path) for path in paths.values())
    equal = {peer: path for peer, path in paths.items() if _rank(path) == first}
    lowest: dict[int | None, int] = {}
    for path in equal.values():
        lowest[_neighbour(path)] = min(_med(path), lowest.get(_neighbour(path), _med(path)))
    return [peer for peer, path in equal.items() if _med(path) == lowest[_neighbour(path)]]


def _rank(path: Path) -> tuple[int, int]:
    local_pref = DEFAULT_LOCAL_PREF if path.local_pref is None else path.local_pref
    return -local_pref, len(path.as_path)


def _med(path: Path) -> int:
    # RFC 4271 §9.1.2.2 (c): without one it is the lowest
    return path.med or 0


def _neighbour(path: Path) -> int | None:
    return path.as_path[0] if path.as_path else None
