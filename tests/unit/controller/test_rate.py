"""How many writes a token may make."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from controller import secret
from controller.audit import AuditFile
from controller.bearers import Bearers
from controller.rate import MAX_BUCKETS, RateLimit, address_name
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
    for number in range(MAX_BUCKETS - 1):
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


def test_too_many_names_share_a_bucket(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    for number in range(MAX_BUCKETS):
        limit.take(str(number))
    allowed = [limit.take(f"new-{number}").wait_s == 0 for number in range(100)]
    assert (sum(allowed), len(limit._buckets)) == (2, MAX_BUCKETS + 1)
    assert limit.take("7").wait_s == 0, "who has one keeps it"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("unix", "unix", True),
    ],
)
def test_whose_an_address_is(one: str, other: str, same: bool) -> None:
    assert (address_name(one) == address_name(other)) is same


JOIN = {"node": "n", "secret": "x", "request": "x"}


@pytest.mark.parametrize(
    ("method", "path", "body", "refused"),
    [
        ("POST", "/v1/join", JOIN, 409),
        ("POST", "/v1/join:renew", {}, 422),
        ("POST", "/v1/nodes", {}, 401),
        ("DELETE", "/v1/nothing", None, 401),
        ("POST", "/healthz", {}, 405),
    ],
)
@pytest.mark.parametrize("who", [None, "polder_wrong_0123456789"])
def test_an_address_without_a_good_token_makes_few_writes_and_few_lines(
    who: str | None, method: str, path: str, body: object, refused: int, tmp_path: Path
) -> None:
    audit = AuditFile(tmp_path / "audit")
    with guarded(strangers_per_s=1, audit_file=audit) as closed:
        begun = time.monotonic()
        sent = Counter(closed.send(who, method, path, body).status_code for _ in range(50))
        assert set(sent) == {refused, 429}
        assert 2 <= sent[refused] <= 3 + time.monotonic() - begun, (
            "what a bucket holds, and what fills it meanwhile"
        )
        assert len((tmp_path / "audit").read_text().splitlines()) == sent[refused]
        answer = closed.send(who, method, path, body)
        assert (answer.json["type"], answer.headers["Retry-After"]) == ("/problems/rate-limited", "1")
        assert closed.send(ROOT, "POST", "/v1/pools", {"name": "p", "cidr": "10.0.0.0/24"}).status_code == 201
        assert closed.send(who, "GET", "/healthz").status_code == 200
        assert closed.send(who, "GET", "/v1/join").status_code == 409
    audit.close()


def test_what_its_role_may_not_do_counts_for_a_token() -> None:
    with guarded(writes_per_s=1) as closed:
        closed.give("look", Role.READ_ONLY)
        sent = Counter(closed.send("look", "POST", "/v1/pools", {}).status_code for _ in range(20))
        assert set(sent) == {403, 429}


def test_a_token_that_cannot_be_looked_up_yet_is_no_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded(strangers_per_s=1) as closed:
        monkeypatch.setattr(Bearers, "in_sync", property(lambda _: False))
        token = secret.make("agent")
        sent = Counter(closed.send(token, "POST", "/v1/pools", {}).status_code for _ in range(20))
        assert sent == {503: 20}
