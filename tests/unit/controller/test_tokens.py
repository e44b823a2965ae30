"""Tokens: made once, told once, rotated without a gap, ended at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller import secret
from controller.app import create_app
from controller.auth import Doors, Gate
from controller.parts import Parts
from lab.wait import wait_until
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import Role
from tests.support.client import client_of
from tests.unit.controller.conftest import NOW, Api
from tests.unit.controller.guarded import ROOT, Guarded, guarded

OPS = {"name": "ops", "role": "network"}


@pytest.fixture
def closed() -> Iterator[Guarded]:
    with guarded() as made:
        yield made


def test_a_token_is_told_once_and_works_at_once(closed: Guarded) -> None:
    given = closed.made("/v1/tokens", OPS)
    text = given.pop("token")
    assert text.startswith("polder_ops_")
    assert len(text.rpartition("_")[2]) * 4 == 256
    assert closed.send(text, "GET", "/v1/pools").status_code == 200
    assert closed.send(text, "GET", "/v1/tokens").status_code == 403
    for path in ("/v1/tokens", "/v1/tokens/ops"):
        answer = closed.send(ROOT, "GET", path)
        shown = answer.json["items"][0] if path == "/v1/tokens" else answer.json
        assert shown == given
        assert "sha256" not in answer.text
        assert text not in answer.text


def test_only_a_hash_is_stored(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS)["token"]
    stored = closed.store.get(keys.TOKENS.key("ops"))
    assert stored is not None
    assert text.rpartition("_")[2].encode() not in stored.value
    assert hashlib.sha256(text.encode()).hexdigest().encode() in stored.value


def test_two_tokens_share_nothing(closed: Guarded) -> None:
    one, two = (closed.made("/v1/tokens", OPS | {"name": name})["token"] for name in ("a", "b"))
    assert one.rpartition("_")[2] != two.rpartition("_")[2]
    # The name is part of what is hashed: the secret of one under the name of the other is nobody's.
    crossed = f"polder_a_{two.rpartition('_')[2]}"
    assert closed.send(crossed, "GET", "/v1/pools").status_code == 401


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a"}, "/role"),
        ({"name": "a", "role": "root"}, "/role"),
        ({"name": "a", "role": "tenant"}, "/tenant"),
        ({"name": "a", "role": "admin", "tenant": "t"}, "/tenant"),
        ({"name": "a", "role": "node"}, "/node"),
        ({"name": "a", "role": "tenant", "tenant": "t", "node": "n"}, "/node"),
        ({"name": "a", "role": "tenant", "tenant": "nowhere"}, "/tenant"),
        ({"name": "a", "role": "node", "node": "nowhere"}, "/node"),
        ({"name": "a", "role": "admin", "ttl_s": 0}, "/ttl_s"),
        ({"name": "a", "role": "admin", "ttl_s": 1 << 40}, "/ttl_s"),
        ({"name": "a", "role": "admin", "ttl_s": "1"}, "/ttl_s"),
        ({"name": "a", "role": "admin", "secrets": []}, "/secrets"),
        ({"name": "a_b", "role": "admin"}, "/name"),
        ({"name": "ä", "role": "admin"}, "/name"),
        ({"name": "a\n", "role": "admin"}, "/name"),
        ({"name": "a/b", "role": "admin"}, "/name"),
        ({"name": "anybody", "role": "admin"}, "/name"),
    ],
)
def test_what_cannot_be_a_token_is_refused(closed: Guarded, body: dict[str, object], pointer: str) -> None:
    before = closed.stored()
    answer = closed.send(ROOT, "POST", "/v1/tokens", body)
    assert answer.status_code == 422, answer.text
    assert pointer in [fault["pointer"] for fault in answer.json["errors"]]
    assert closed.stored() == before


def test_a_name_is_given_once(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS)["token"]
    before = closed.stored()
    answer = closed.send(ROOT, "POST", "/v1/tokens", OPS)
    assert (answer.status_code, answer.json["type"]) == (409, "/problems/conflict")
    assert "rotate" in answer.json["detail"]
    assert closed.stored() == before
    assert closed.send(text, "GET", "/v1/pools").status_code == 200


def test_a_rotation_leaves_nobody_outside(closed: Guarded) -> None:
    old = closed.made("/v1/tokens", OPS)["token"]
    answer = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {"overlap_s": 60})
    assert answer.status_code == 200, answer.text
    new = answer.json["token"]
    assert answer.json["expires"] is None
    assert answer.json["overlap_until"] == "2026-01-01T00:01:00Z"
    assert [closed.send(text, "GET", "/v1/pools").status_code for text in (old, new)] == [200, 200]
    closed.pass_time(60)
    assert [closed.send(text, "GET", "/v1/pools").status_code for text in (old, new)] == [401, 200]


def test_a_rotation_without_overlap_ends_a_secret_that_leaked(closed: Guarded) -> None:
    old = closed.made("/v1/tokens", OPS)["token"]
    new = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {"overlap_s": 0}).json["token"]
    assert [closed.send(text, "GET", "/v1/pools").status_code for text in (old, new)] == [401, 200]
    stored = closed.store.get(keys.TOKENS.key("ops"))
    assert stored is not None
    assert secret.digest(old).encode() not in stored.value


def test_a_rotation_whose_answer_was_lost_is_repeated(closed: Guarded) -> None:
    old = closed.made("/v1/tokens", OPS)["token"]
    texts = [closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {}).json["token"] for _ in range(3)]
    assert {closed.send(text, "GET", "/v1/pools").status_code for text in (old, *texts)} == {200}
    before = closed.stored()
    refused = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {})
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/conflict")
    assert closed.stored() == before
    closed.pass_time(3600)
    assert closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {}).status_code == 200


def test_a_rotation_keeps_the_life_of_the_secrets(closed: Guarded) -> None:
    closed.made("/v1/tokens", OPS | {"ttl_s": 100})
    closed.pass_time(90)
    rotated = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {"overlap_s": 3600}).json
    # The old one ends when it always would have, not later.
    assert (rotated["overlap_until"], rotated["expires"]) == ("2026-01-01T00:01:40Z", "2026-01-01T00:03:10Z")
    changed = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {"ttl_s": 500}).json
    assert (changed["ttl_s"], changed["expires"]) == (500, "2026-01-01T00:09:50Z")


@pytest.mark.parametrize("body", [{"overlap_s": -1}, {"overlap_s": 1 << 40}, {"overlap": 1}, {"ttl_s": 0}])
def test_a_rotation_that_makes_no_sense(closed: Guarded, body: dict[str, int]) -> None:
    closed.made("/v1/tokens", OPS)
    before = closed.stored()
    assert closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", body).status_code == 422
    assert closed.stored() == before


def test_a_token_expires(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS | {"ttl_s": 10})["token"]
    closed.pass_time(9.9)
    assert closed.send(text, "GET", "/v1/pools").status_code == 200
    closed.pass_time(0.1)
    before = closed.stored()
    answer = closed.send(text, "POST", "/v1/pools", {"name": "p", "cidr": "10.0.0.0/24"})
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/unauthorized")
    assert "expired" in answer.json["detail"]
    assert closed.stored() == before


def test_a_revoked_token_ends_at_once(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS)["token"]
    assert closed.send(ROOT, "DELETE", "/v1/tokens/ops").status_code == 204
    before = closed.stored()
    answer = closed.send(text, "POST", "/v1/pools", {"name": "p", "cidr": "10.0.0.0/24"})
    assert answer.status_code == 401
    assert closed.stored() == before
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", ":rotate")):
        body = {} if method == "POST" else None
        assert closed.send(ROOT, method, f"/v1/tokens/ops{path}", body).status_code == 404


def test_what_another_controller_revokes_ends_here(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS)["token"]
    closed.store.txn([], [Delete(keys.TOKENS.key("ops"))])
    wait_until(lambda: closed.send(text, "GET", "/v1/pools").status_code == 401, 10, "the end of the token")


def test_with_the_store_away_known_tokens_go_on_until_they_expire(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS | {"ttl_s": 10})["token"]
    closed.store.set_available(False)
    assert closed.send(text, "GET", "/v1/pools").status_code == 503  # let in; the handler asks the store
    assert closed.send(text, "GET", "/v1/openapi.json").status_code == 200
    closed.pass_time(10)
    assert closed.send(text, "GET", "/v1/openapi.json").status_code == 401


def test_before_the_tokens_were_read_nobody_is_called_unknown() -> None:
    store = MemoryStore()
    store.set_available(False)
    parts = Parts.build(store, lambda: NOW)
    client = client_of(create_app(store, parts=parts, doors=Doors(token_lines=(ROOT.encode(),))))
    for text, status in ((secret.make("ops"), 503), ("no-token-of-polder", 401), (ROOT, 200)):
        answer = client.get("/v1/openapi.json", headers={"Authorization": f"Bearer {text}"})
        assert answer.status_code == status, answer.text
    parts.close()


def test_what_is_not_a_token_of_anybody_is_told_nothing(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS | {"ttl_s": 10})["token"]
    closed.pass_time(10)
    head, _, tail = text.rpartition("_")
    wrong = [
        f"{head}_{'0' * 64}",
        f"polder_nobody_{tail}",
        f"{head}_{tail[:-1]}",
        f"{head}_{tail}0",
        f"{head}_{tail.upper()}",
        f"polder_OPS_{tail}",
        f"polder__{tail}",
        text.replace("_", "-"),
        f"{text}, {text}",
        f"{text}\x00",
        "polder_" + "a" * 64 + f"_{tail}",
        "x" * 100_000,
        "\u0660" * 20,
    ]
    answers = {closed.send(each, "GET", "/v1/pools").json["detail"] for each in wrong}
    assert len(answers) == 1
    assert "expired" in closed.send(text, "GET", "/v1/pools").json["detail"]


def test_a_token_that_is_sent_counts_also_where_none_is_demanded(api: Api) -> None:
    text = api.made("/v1/tokens", {"name": "look", "role": Role.READ_ONLY})["token"]
    headers = {"Authorization": f"Bearer {text}"}
    assert api.client.get("/v1/pools", headers=headers).status_code == 200
    assert api.client.delete("/v1/pools/p", headers=headers).status_code == 403
    assert api.client.get("/v1/pools", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert api.client.get("/v1/pools").status_code == 200


def test_an_open_controller_is_no_server_of_other_names(api: Api) -> None:
    """A page whose name was made to resolve to 127.0.0.1 is of the same origin to a browser."""
    for host in ("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"):
        assert api.client.get("/v1/pools", headers={"Host": host}).status_code == 403, host
    for host in ("localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "192.0.2.1"):
        assert api.client.get("/v1/pools", headers={"Host": host}).status_code == 200, host


PAGES = (
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
)
"""What a browser says of a page of another site."""


@pytest.mark.parametrize("said", PAGES)
def test_a_page_of_another_site_writes_nothing_to_an_open_controller(api: Api, said: dict[str, str]) -> None:
    api.made("/v1/nodes", {"name": "a", "asn": 64511})
    before = api.stored()
    for path in ("/v1/nodes/a:drain", "/v1/nodes/a:undrain", "/v1/restore:finish", "/v1/join"):
        answer = api.client.post(path, headers=said)
        assert (answer.status_code, answer.json["type"]) == (403, "/problems/forbidden"), path
    assert api.client.delete("/v1/nodes/a", headers=said).status_code == 403
    assert api.stored() == before
    assert api.client.get("/v1/nodes", headers=said).status_code == 200, "a page cannot read the answer"


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "http://localhost"},
        {"Origin": "http://LOCALHOST:8080", "Host": "localhost:8080"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://polder.example"},
        {"Sec-Fetch-Site": "none"},
        {},
    ],
)
def test_a_page_of_its_own_may_write_to_an_open_controller(api: Api, said: dict[str, str]) -> None:
    assert api.client.post("/v1/nodes", json={"name": "a", "asn": 64511}, headers=said).status_code == 201


@pytest.mark.parametrize("said", PAGES)
def test_who_sends_a_token_may_be_any_page(closed: Guarded, said: dict[str, str]) -> None:
    assert (
        closed.send(ROOT, "POST", "/v1/pools", {"name": "p", "cidr": "10.0.0.0/24"}, **said).status_code
        == 201
    )


def test_an_answer_with_a_secret_is_not_kept_on_the_way(closed: Guarded) -> None:
    answer = closed.send(ROOT, "POST", "/v1/tokens", OPS)
    assert answer.headers["Cache-Control"] == "no-store"
    rotated = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {})
    assert rotated.headers["Cache-Control"] == "no-store"


def test_a_token_that_was_changed_since_is_left_alone(closed: Guarded) -> None:
    closed.made("/v1/tokens", OPS)
    read = closed.send(ROOT, "GET", "/v1/tokens/ops").headers["ETag"]
    closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {}, **{"If-Match": read})
    before = closed.stored()
    for method, path in (("DELETE", ""), ("POST", ":rotate")):
        body = {} if method == "POST" else None
        answer = closed.send(ROOT, method, f"/v1/tokens/ops{path}", body, **{"If-Match": read})
        assert answer.status_code == 412, answer.text
    assert closed.stored() == before


def test_a_node_with_a_token_is_not_deleted(closed: Guarded) -> None:
    closed.made("/v1/nodes", {"name": "n", "asn": 64512})
    closed.made("/v1/tokens", {"name": "t", "role": "node", "node": "n"})
    refused = closed.send(ROOT, "DELETE", "/v1/nodes/n")
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/in-use")
    closed.send(ROOT, "DELETE", "/v1/tokens/t")
    assert closed.send(ROOT, "DELETE", "/v1/nodes/n").status_code == 204


def test_an_answer_that_goes_on_knows_when_its_token_ends(closed: Guarded) -> None:
    gate = Gate(closed.parts.bearers, lambda: closed.now[0], Doors(token_lines=(ROOT.encode(),)))
    old = closed.made("/v1/tokens", OPS | {"ttl_s": 100})["token"]
    whose = gate.identify(f"Bearer {old}")
    assert whose.lasts()
    new = closed.send(ROOT, "POST", "/v1/tokens/ops:rotate", {"overlap_s": 10}).json["token"]
    assert whose.lasts()
    closed.pass_time(10)
    assert not whose.lasts()
    whose = gate.identify(f"Bearer {new}")
    assert whose.lasts()
    closed.send(ROOT, "DELETE", "/v1/tokens/ops")
    assert not whose.lasts()
    assert gate.identify(f"Bearer {ROOT}").lasts()


def test_a_poll_whose_token_ends_leaves_nothing_behind(closed: Guarded) -> None:
    text = closed.made("/v1/tokens", OPS)["token"]
    since = closed.send(text, "GET", "/v1/pools").json["revision"]
    watched = f"/v1/pools?watch=poll&since={since}&wait_s=60"
    with ThreadPoolExecutor(1) as threads:
        polled = threads.submit(closed.send, text, "GET", watched)
        wait_until(lambda: closed.parts.hubs._hubs, 10, "the poll to ask")
        hub = next(iter(closed.parts.hubs._hubs.values()))
        wait_until(lambda: hub._subscriptions, 10, "the poll to wait")
        closed.send(ROOT, "DELETE", "/v1/tokens/ops")
        closed.made("/v1/pools", {"name": "p", "cidr": "10.0.0.0/24"})
        answer = polled.result(20)
    assert (answer.status_code, answer.json["type"]) == (401, "/problems/unauthorized")
    assert hub._subscriptions == set()


def test_told_insecure_it_answers_to_any_name() -> None:
    parts = Parts.build(MemoryStore())
    client = client_of(create_app(parts.store, parts=parts, doors=Doors(any_host=True)))
    assert client.get("/v1/pools", headers={"Host": "lab.example"}).status_code == 200
    parts.close()


def test_a_token_that_a_restored_backup_brings_back_is_revoked_while_that_is_completed(
    closed: Guarded,
) -> None:
    """Whoever it was revoked for must not have it for as long as nodes are waited for."""
    closed.parts.epoch.check()
    closed.give("stolen", Role.ADMIN)
    closed.store.set_cluster_id("2")
    assert closed.send(ROOT, "GET", "/v1/restore").json["restoring"]
    assert closed.send(ROOT, "DELETE", "/v1/tokens/stolen").status_code == 204
    assert closed.send("stolen", "GET", "/v1/pools").status_code == 401
    assert closed.made("/v1/tokens", OPS)["token"]
