"""What nodes will say of a service that is made or changed, before they can have said it.

A service's address is announced where a node says that it is ready, which it says once an endpoint is
healthy. So a change is nothing at first, and what matters is what follows. A node that is ready stays so
while an endpoint that takes packets now, or will at once, is still selected. One that is not is taken to
become so when an attached endpoint is selected, unless the same check has failed there already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from intent.cluster import Member
from intent.services import selected
from intent.snapshot import Snapshot
from store.model import Check, IPNetwork, Service, host_prefix


def settled(before: Member, after: Member, attached: Collection[str]) -> Member:
    """A node when what has changed of services has had its consequences; `after` itself where it has none.

    Args:
        before: the node as it is.
        after: as it is stored then.
        attached: the endpoints that its agent holds.
    """
    expected: set[IPNetwork] = set()
    gone: set[IPNetwork] = set()
    for was, now in _changed(before.snapshot, after.snapshot):
        prefix = host_prefix(now.address)
        chosen = [
            each for each in after.snapshot.endpoints.values() if each.id in attached and selected(now, each)
        ]
        said = _said(after, now)
        if not _is_ready(after, prefix):
            if any(_may_take(was, now, said.get(each.id)) for each in chosen):
                expected.add(prefix)
        elif not any(_takes(was, now, said.get(each.id)) for each in chosen):
            gone.add(prefix)
    if not expected and not gone:
        return after
    ready = {prefix: each for prefix, each in after.snapshot.ready.items() if prefix not in gone}
    return replace(after, snapshot=replace(after.snapshot, ready=ready, expected=frozenset(expected)))


def _changed(before: Snapshot, after: Snapshot) -> Iterator[tuple[Service | None, Service]]:
    """The services that other endpoints may hold than before, or that ask them something else."""
    for name, now in after.services.items():
        was = before.services.get(name)
        if was is None or (was.selector, was.check, was.tenant, was.address) != (
            now.selector,
            now.check,
            now.tenant,
            now.address,
        ):
            yield was, now


def _said(member: Member, service: Service) -> dict[str, bool]:
    """Whether each endpoint was healthy when its node last said so, in this boot."""
    health = member.snapshot.health.get(service.name)
    if health is None or member.boot_id not in {None, health.boot_id}:
        return {}
    return {each.endpoint: each.healthy for each in health.backends}


def _takes(was: Service | None, now: Service, healthy: bool | None) -> bool:
    """Whether an attached endpoint takes packets from the very beginning: what was said outlives a check."""
    if now.check is None:
        return True
    return was is not None and healthy is True


def _may_take(was: Service | None, now: Service, healthy: bool | None) -> bool:
    """Whether an attached endpoint may come to take packets."""
    asked_already = was is not None and _question(was.check) == _question(now.check)
    return healthy is not False or not asked_already


def _question(check: Check | None) -> tuple[object, ...]:
    return () if check is None else (check.kind, check.port, check.path)


def _is_ready(member: Member, prefix: IPNetwork) -> bool:
    ready = member.snapshot.ready.get(prefix)
    return ready is not None and member.boot_id in {None, ready.boot_id}
