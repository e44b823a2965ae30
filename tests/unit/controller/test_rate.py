"""How many writes a token may make."""

from __future__ import annotations

import pytest

from controller.rate import MAX_BUCKETS, RateLimit
from store.model import Role
from tests.unit.controller.conftest import Clock
from tests.unit.controller.guarded import ROOT, guarded


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_then_the_rate(clock: Clock) -> None:
    limit = RateLimit(10, clock)
    assert [limit.take("a").left for _ in range(20)] == list(range(19, -1, -1))
    assert limit.take("a").wait_s == pytest.approx(0.1)
    clock.now_s += 0.25
    assert [limit.take("a").wait_s > 0 for _ in range(3)] == [False, False, True]
    clock.now_s += 100
    assert [limit.take("a").wait_s > 0 for _ in range(21)] == [False] * 20 + [True]


def test_one_does_not_use_up_what_another_has(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    assert [limit.take("a").wait_s > 0 for _ in range(3)] == [False, False, True]
    assert limit.take("b").wait_s == 0


def test_a_refusal_costs_nothing(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    for _ in range(100):
        limit.take("a")
    clock.now_s += 1
    assert limit.take("a").wait_s == 0


def test_buckets_of_tokens_that_are_long_gone_are_thrown_away(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    for number in range(MAX_BUCKETS):
        limit.take(str(number))
    limit.take("busy")
    limit.take("busy")
    clock.now_s += 1.5
    limit.take("busy")
    clock.now_s += 1
    for number in range(10):
        limit.take(f"new-{number}")
    assert len(limit._buckets) == 11
    assert limit.take("busy").wait_s == 0
    assert limit.take("busy").wait_s > 0


def test_the_answer_says_what_is_left_and_when_to_come_back() -> None:
    with guarded(writes_per_s=1) as closed:
        closed.give("other", Role.NETWORK)
        pool = {"name": "p", "cidr": "10.0.0.0/24"}
        first = closed.send(ROOT, "POST", "/v1/pools", pool)
        assert first.headers["RateLimit-Policy"] == '"writes";q=2;w=2'
        assert first.headers["RateLimit"].startswith('"writes";r=1;t=')
        statuses = [closed.send(ROOT, "POST", "/v1/pools", pool).status_code for _ in range(5)]
        assert 429 in statuses
        before = closed.stored()
        refused = closed.send(ROOT, "DELETE", "/v1/pools/p")
        assert (refused.status_code, refused.json["type"]) == (429, "/problems/rate-limited")
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["RateLimit"].startswith('"writes";r=0;')
        assert closed.stored() == before
        assert closed.send(ROOT, "GET", "/v1/pools/p").status_code == 200
        assert "RateLimit" not in closed.send(ROOT, "GET", "/v1/pools/p").headers
        assert closed.send("other", "DELETE", "/v1/pools/p").status_code == 204
