"""What the rules of a node follow from."""

from __future__ import annotations

from agents.node.judging import Judging
from intent.snapshot import Snapshot
from store.model import Action, Endpoint, Group
from tests.support.cluster import endpoint

SHOP, NOBODYS = Group(tenant="shop", members="1" * 16), Group(members="2" * 16)


def of(tenant: str | None) -> Endpoint:
    return endpoint().model_copy(update={"tenant": tenant})


def groups(judging: Judging, one: Endpoint, *told: Group) -> dict[str | None, Group]:
    """The groups that count once the store says so."""
    snapshot = Snapshot("node-1", endpoints={one.id: one}, groups={each.tenant: each for each in told})
    return dict(judging.rules(snapshot).groups)


def test_a_group_that_a_restored_store_lacks_counts_until_it_is_told_again() -> None:
    judging = Judging()
    assert groups(judging, of("shop"), SHOP, NOBODYS) == {"shop": SHOP, None: NOBODYS}
    assert groups(judging, of("shop"), NOBODYS) == {"shop": SHOP, None: NOBODYS}
    closed = SHOP.model_copy(update={"default": Action.DENY})
    assert groups(judging, of("shop"), closed, NOBODYS) == {"shop": closed, None: NOBODYS}


def test_a_group_goes_with_the_last_endpoint_and_that_of_those_without_tenant_at_once() -> None:
    judging = Judging()
    groups(judging, of("shop"), SHOP, NOBODYS)
    assert groups(judging, of(None)) == {}


def test_what_was_never_told_is_not_made_up() -> None:
    assert groups(Judging(), of("shop"), NOBODYS) == {None: NOBODYS}
