"""The driver of an uplink's shares against the kernel: what was applied is there, what is foreign stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.delta import Delta
from agents.driver import Outcome
from agents.kernel.shares import ShareDriver
from intent.shares import FIRST, LOWEST, OTHERS, ROOT, Class, Discipline, Filter, Share, ShareKey
from tests.contract.kernel.conftest import Place

pytestmark = pytest.mark.needs("root", "ip", "nsenter", "tc")

WEB = FIRST + 7
FILTERS: list[Share] = [
    Filter("up0", ip_address("10.64.0.7"), WEB),
    Filter("up0", ip_address("fd00:64::7"), WEB),
]
CLASSES: list[Share] = [
    Class("up0", ROOT, 0, 50_000_000, 50_000_000),
    Class("up0", OTHERS, ROOT, 49_900_000, 50_000_000, LOWEST),
    Class("up0", WEB, ROOT, 100_000, 50_000_000, 2),
]
WHOLE = [Discipline("up0"), *CLASSES, *FILTERS]


def by_key(shares: Iterable[Share]) -> dict[ShareKey, Share]:
    return {share.key: share for share in shares}


def put(shares: Iterable[Share]) -> Delta[ShareKey, Share]:
    return Delta(by_key(shares), {})


def gone(shares: Iterable[Share]) -> Delta[ShareKey, Share]:
    return Delta({}, by_key(shares))


def shown(host: Place) -> str:
    return "".join(host.run(f"tc {noun} show dev up0") for noun in ("qdisc", "class", "filter"))


@pytest.fixture
def driver(host: Place) -> ShareDriver:
    assert "htb" not in shown(host)
    return ShareDriver()


def test_read_returns_what_was_applied(driver: ShareDriver) -> None:
    assert driver.read() == {}
    assert driver.apply(put(reversed(WHOLE))) is Outcome.DONE
    assert driver.read() == by_key(WHOLE)
    assert ShareDriver().read() == by_key(WHOLE), "one without memory knows its own"


def test_apply_twice_equals_once(host: Place, driver: ShareDriver) -> None:
    driver.apply(put(WHOLE))
    assert driver.apply(put(WHOLE)) is Outcome.DONE
    assert driver.read() == by_key(WHOLE)
    assert shown(host).count("match") == 5, "a filter has one match for IPv4 and four for IPv6"


def test_a_change_is_made_in_place(driver: ShareDriver) -> None:
    driver.apply(put(WHOLE))
    changed = replace(CLASSES[2], rate_kbps=200_000, priority=0)
    moved = replace(FILTERS[0], minor=OTHERS)
    assert driver.apply(put([changed, moved])) is Outcome.DONE
    assert driver.read() == by_key([*WHOLE, changed, moved])


def test_what_is_deleted_is_gone_and_nothing_else(host: Place, driver: ShareDriver) -> None:
    driver.apply(put(WHOLE))
    some = [CLASSES[2], *FILTERS]
    assert driver.apply(gone(some)) is Outcome.DONE
    assert driver.read() == by_key(WHOLE[:3])
    assert driver.apply(gone(WHOLE[:3])) is Outcome.DONE
    assert (driver.read(), "htb" in shown(host)) == ({}, False)
    assert driver.apply(gone(WHOLE)) is Outcome.DONE, "what is not there is gone"


def test_a_discipline_of_somebody_else_is_left_alone(host: Place, driver: ShareDriver) -> None:
    host.run("tc qdisc add dev up0 root handle 1: tbf rate 1gbit burst 128kb latency 50ms")
    before = shown(host)
    assert driver.apply(put(WHOLE)) is Outcome.REJECTED
    assert "not Polder's: tc qdisc del dev up0 root" in driver.refused["up0"]
    assert driver.apply(gone(WHOLE)) is Outcome.DONE
    assert (driver.read(), shown(host)) == ({}, before)
    host.run("tc qdisc del dev up0 root")
    assert driver.apply(put(WHOLE)) is Outcome.DONE
    assert driver.refused["up0"] == ""


def test_an_uplink_that_is_not_there_does_not_stop_the_others(driver: ShareDriver) -> None:
    missing = [Discipline("up9"), replace(CLASSES[0], ifname="up9")]
    assert driver.apply(put([*missing, *WHOLE])) is Outcome.REJECTED
    assert driver.read() == by_key(WHOLE)
