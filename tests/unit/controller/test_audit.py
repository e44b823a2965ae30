"""One line for each write: who, what, before, after; never a secret, and never a line of somebody else's."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller import unique
from controller.app import NOUNS, create_app
from controller.audit import LONGEST_LINE, AuditFile, AuditFileError, request_id
from controller.auth import Doors
from controller.parts import Parts
from controller.withdrawing import Withdrawals
from store import keys
from store.client import Put
from store.memory import MemoryStore
from store.model import Role
from tests.support.client import client_of
from tests.unit.controller.conftest import NOW
from tests.unit.controller.guarded import ROOT, Guarded, guarded

POOL = {"name": "p", "cidr": "10.0.0.0/24", "cooldown_s": 7}


@pytest.fixture
def closed() -> Iterator[Guarded]:
    with guarded() as made:
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def written(path: Path) -> Iterator[Guarded]:
    """As `closed`, with an audit file."""
    store = MemoryStore()
    parts = Parts.build(store, lambda: NOW)
    file = AuditFile(path)
    app = create_app(store, parts=parts, doors=Doors(token_lines=(ROOT.encode(),)), audit_file=file)
    yield Guarded(client_of(app), store, parts, [NOW])
    parts.close()
    file.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_write_says_who_what_before_and_after(written: Guarded, path: Path) -> None:
    written.give("ops", Role.NETWORK)
    written.send("ops", "POST", "/v1/pools", POOL, **{"X-Request-Id": "abc-1"})
    written.send("ops", "PATCH", "/v1/pools/p", {"cooldown_s": 9})
    written.send(ROOT, "DELETE", "/v1/pools/p")
    written.send(ROOT, "GET", "/v1/pools/p")
    created, changed, deleted = lines(path)
    assert created | {"changes": 0} == {
        "time": "2026-01-01T00:00:00+00:00",
        "who": "ops",
        "role": "network",
        "from": "127.0.0.1",
        "request": "abc-1",
        "method": "POST",
        "path": "/v1/pools",
        "status": 201,
        "changes": 0,
    }
    made = created["changes"]["pools/p"]
    assert made["before"] is None
    assert made["after"]["cooldown_s"] == 7
    edit = changed["changes"]["pools/p"]
    assert edit["before"] == made["after"]
    assert edit["after"] == made["after"] | {"cooldown_s": 9}
    assert (deleted["who"], deleted["role"]) == ("file:1", "admin")
    assert deleted["changes"]["pools/p"] == {"before": edit["after"], "after": None}


def test_what_changes_is_told_of_each_noun(written: Guarded, path: Path) -> None:
    written.made("/v1/pools", {**POOL, "cooldown_s": 0})
    written.made("/v1/nodes", {"name": "n", "asn": 64512})
    written.made("/v1/peers", {"name": "t", "address": "192.0.2.1", "asn": 64501})
    written.made("/v1/tenants", {"name": "shop"})
    rule = {"name": "x", "order": 50, "selector": {"app": "a"}, "ingress": [{"action": "deny"}]}
    written.made("/v1/policies", rule)
    written.made("/v1/services", {"name": "www", "pool": "p", "selector": {"a": "b"}})
    for noun, name in (("nodes", "n"), ("peers", "t")):
        for what in ("drain", "drain", "undrain"):
            written.send(ROOT, "POST", f"/v1/{noun}/{name}:{what}", {} if what == "drain" else None)
    for noun in ("policies/x", "services/www", "tenants/shop", "peers/t", "nodes/n", "pools/p"):
        Withdrawals(written.store, written.parts.committer, written.parts.clock).look()
        assert written.send(ROOT, "DELETE", f"/v1/{noun}").status_code == 204
    told = [
        (name, before is not None, after is not None)
        for line in lines(path)
        for name, change in line["changes"].items()
        for before, after in [(change["before"], change["after"])]
        if before or after  # what goes with a noun if it is there is not read before
    ]
    made = ["pools/p", "nodes/n", "peers/t", "tenants/shop", "policies/x", "services/www"]
    gone = ["policies/x", "services/www", "tenants/shop", "peers/t", "nodes/n", "pools/p"]
    drains = [
        (f"drains/{name}", *change)
        for name in ("node/n", "peer/t")
        for change in ((False, True), (True, True), (True, False))
    ]
    assert told == [*((name, False, True) for name in made), *drains, *((name, True, False) for name in gone)]


def test_an_endpoint_is_told_of_once(written: Guarded, path: Path) -> None:
    written.made("/v1/pools", POOL)
    written.made("/v1/nodes", {"name": "node-1", "asn": 64512})
    written.made("/v1/endpoints", {"id": "web", "node": "node-1"})
    written.send(ROOT, "PATCH", "/v1/endpoints/web", {"labels": {"a": "b"}})
    written.send(ROOT, "DELETE", "/v1/endpoints/web")
    made, changed, ended = lines(path)[2:]
    assert list(made["changes"]) == list(changed["changes"]) == list(ended["changes"]) == ["endpoints/web"]
    assert made["changes"]["endpoints/web"]["after"]["addresses"] == ["10.0.0.1"]
    assert changed["changes"]["endpoints/web"]["before"]["labels"] == {}
    assert changed["changes"]["endpoints/web"]["after"]["labels"] == {"a": "b"}
    assert ended["changes"]["endpoints/web"]["after"] is None


NODE = {"name": "n", "asn": 64512}
PEER = {"name": "t", "address": "192.0.2.1", "asn": 64501}
SERVICE = {"name": "s", "pool": "p", "selector": {"app": "web"}}
RULES = [{"action": "allow", "peers": [{"cidr": "10.0.0.0/8"}]}]
POLICY = {"name": "r", "order": 500, "ingress": RULES}
WRITES = (
    ("POST", "/v1/pools", POOL),
    ("PUT", "/v1/pools/p", {**POOL, "cooldown_s": 8}),
    ("PATCH", "/v1/pools/p", {"cooldown_s": 9}),
    ("POST", "/v1/tenants", {"name": "shop"}),
    ("PUT", "/v1/tenants/shop", {"name": "shop", "max_ipv4": 9}),
    ("PATCH", "/v1/tenants/shop", {"max_ipv4": 8}),
    ("POST", "/v1/nodes", NODE),
    ("POST", "/v1/nodes", {**NODE, "name": "m"}),
    ("PUT", "/v1/nodes/n", {**NODE, "mtu_bytes": 1500}),
    ("PATCH", "/v1/nodes/n", {"mtu_bytes": 9000}),
    ("POST", "/v1/peers", PEER),
    ("PUT", "/v1/peers/t", {**PEER, "asn": 64502}),
    ("PATCH", "/v1/peers/t", {"asn": 64503}),
    ("POST", "/v1/services", SERVICE),
    ("PUT", "/v1/services/s", {**SERVICE, "communities": ["64500:1"]}),
    ("PATCH", "/v1/services/s", {"communities": []}),
    ("POST", "/v1/policies", POLICY),
    ("PUT", "/v1/policies/r", {**POLICY, "order": 501}),
    ("PATCH", "/v1/policies/r", {"order": 502}),
    ("POST", "/v1/nodes/n:drain", {"wait_s": 1}),
    ("POST", "/v1/nodes/n:drain", {"wait_s": 2}),
    ("POST", "/v1/nodes/n:undrain", None),
    ("POST", "/v1/peers/t:drain", {"wait_s": 1}),
    ("POST", "/v1/peers/t:undrain", None),
    ("POST", "/v1/tokens", {"name": "ops", "role": "network"}),
    ("POST", "/v1/tokens/ops:rotate", {}),
    ("DELETE", "/v1/tokens/ops", None),
    ("POST", "/v1/endpoints", {"id": "a", "node": "n", "tenant": "shop", "labels": {"app": "web"}}),
    ("POST", "/v1/endpoints:batch", {"items": [{"id": "b", "node": "n"}, {"id": "c", "node": "n"}]}),
    ("PATCH", "/v1/endpoints/a", {"node": "m"}),
    ("DELETE", "/v1/endpoints/a", None),
    ("POST", "/v1/endpoints:release", {"items": [{"id": "b"}, {"id": "c"}]}),
    ("DELETE", "/v1/policies/r", None),
    ("DELETE", "/v1/services/s", None),
    ("POST", "/v1/nodes/n:drain", {"wait_s": 1}),
    ("POST", "/v1/peers/t:drain", {"wait_s": 1}),
    ("DELETE", "/v1/peers/t", None),
    ("DELETE", "/v1/nodes/n", None),
    ("DELETE", "/v1/tenants/shop", None),
)
ELSEWHERE = {
    ("POST", "/v1/nodes/{name}:join-token"),
    ("POST", "/v1/join"),
    ("POST", "/v1/join:renew"),
    ("POST", "/v1/impact"),
    ("POST", "/v1/restore:finish"),
    ("DELETE", "/v1/pools/{name}"),
}
"""Joins are in `test_joining`, one is above; the others write nothing, or what has no before and after."""
FOLLOWS = (
    keys.ADDRESSES,
    keys.BLOCKS,
    keys.NODE_BLOCKS,
    keys.NODE_ENDPOINTS,
    keys.DISPLACED,
    keys.WITHDRAWING,
    keys.USAGE,
    keys.EVENTS,
    keys.TELLING,
)
"""What follows from the things that are told of, and is not told of."""


def test_whatever_a_request_writes_is_told_with_what_stood_there(written: Guarded, path: Path) -> None:
    def stored() -> dict[str, Any]:
        items = {item.key: item for item in written.store.range(keys.ROOT).items}
        items.pop(keys.CLUSTER.key(), None)  # the mark of the store itself
        return {key: (item.mod_revision, json.loads(item.value)) for key, item in items.items()}

    for method, target, body in WRITES:
        before = stored()
        answer = written.send(ROOT, method, target, body, **{"If-Match": "*"} if method == "PUT" else {})
        assert answer.status_code < 300, (method, target, answer.text)
        after = stored()
        wrote = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        wanted = {
            key.removeprefix(keys.ROOT): tuple(_shown(each.get(key)) for each in (before, after))
            for key in wrote
            if keys.kind_of(key) not in FOLLOWS
        }
        told = {key: (each["before"], each["after"]) for key, each in lines(path)[-1]["changes"].items()}
        assert told == wanted, (method, target)
        assert told, (method, target)


def _shown(stored: Any) -> Any:
    if stored is not None and "secrets" in stored[1]:
        return {**stored[1], "secrets": [{"expires": each["expires"]} for each in stored[1]["secrets"]]}
    return stored and stored[1]


def test_each_write_that_the_api_has_is_among_them() -> None:
    def is_of(target: str, shape: str) -> bool:
        return re.fullmatch(re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(shape)), target) is not None

    declared = {(each.method, each.path) for noun in NOUNS for each in noun.operations}
    writes = {each for each in declared if each[0] != "GET"}
    tried = {each for each in writes if any(each[0] == m and is_of(t, each[1]) for m, t, _ in WRITES)}
    assert writes - tried == ELSEWHERE


def test_what_is_refused_is_told_of_and_changed_nothing(written: Guarded, path: Path) -> None:
    written.give("look", Role.READ_ONLY)
    written.send("look", "POST", "/v1/pools", POOL)
    written.send(None, "POST", "/v1/pools", POOL)
    written.send(ROOT, "POST", "/v1/pools", {"name": "p"})
    told = [(line["who"], line["role"], line["status"], line["changes"]) for line in lines(path)]
    assert told == [("look", "read-only", 403, {}), ("-", "-", 401, {}), ("file:1", "admin", 422, {})]


def test_no_secret_and_no_hash_is_told(
    written: Guarded, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = [
        written.made("/v1/tokens", {"name": "ops", "role": "network"})["token"],
        written.send(ROOT, "POST", "/v1/tokens/ops:rotate", {}).json["token"],
    ]
    written.send(texts[0], "POST", "/v1/pools", POOL)
    written.send(ROOT, "DELETE", "/v1/tokens/ops")
    said = path.read_text() + caplog.text
    assert lines(path)[1]["changes"]["tokens/ops"]["after"]["secrets"][1] == {"expires": None}
    assert "sha256" not in said
    for text in (*texts, ROOT):
        assert text.rpartition("_")[2] not in said


def test_a_write_is_a_line_of_the_log(closed: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audit")
    closed.made("/v1/pools", POOL)
    closed.send(ROOT, "GET", "/v1/pools")
    (record,) = [each for each in caplog.records if each.name == "audit"]
    text = record.getMessage()
    assert text.startswith("event=write who=file:1 role=admin from=127.0.0.1 request=")
    assert ' method=POST path="/v1/pools" status=201 changes={"pools/p":{"before":null,"after":{' in text


def test_a_line_of_the_log_is_cut_and_stays_one(closed: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    labels = {f"key-{number}": "v" * 60 for number in range(64)}
    caplog.set_level(logging.INFO, "audit")
    closed.made("/v1/nodes", {"name": "n", "asn": 64512, "labels": labels})
    closed.send(ROOT, "DELETE", "/v1/pools/" + "a%0d%0aevent=write who=root%1b[2J%E2%80%AE" + "x" * 9000)
    long, evil = [each.getMessage() for each in caplog.records if each.name == "audit"]
    assert long.endswith("... (1 in all)")
    assert len(long) < LONGEST_LINE + 400
    assert evil.isprintable()
    assert "\\r\\nevent=write who=root\\u001b" in evil
    assert len(evil) < 600


def test_what_somebody_else_wrote_into_the_store_begins_no_line(written: Guarded, path: Path) -> None:
    written.made("/v1/pools", POOL)
    item = written.store.get(keys.POOLS.key("p"))
    assert item is not None
    pretty = json.dumps(json.loads(item.value), indent=1).replace('"block"', '"block"\r\n')
    written.store.txn([], [Put(item.key, pretty.encode())])
    written.send(ROOT, "PATCH", "/v1/pools/p", {"cooldown_s": 9})
    assert lines(path)[1]["changes"]["pools/p"]["before"] == json.loads(item.value)


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd8448eb211c80319c", "a.b_c-d:e", "x" * 64])
def test_a_request_id_is_taken_over(closed: Guarded, given: str) -> None:
    assert closed.send(ROOT, "GET", "/v1/pools", **{"X-Request-Id": given}).headers["X-Request-Id"] == given
    assert closed.send(None, "GET", "/v1/pools", **{"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize(
    "given", [None, "", " ", "a b", "x" * 65, "a\nb", "a\n", "-a", '"', "é", "\u0660", "{}"]
)
def test_any_other_request_gets_one(given: str | None) -> None:
    made = request_id(given)
    assert made != given
    assert made.isalnum()
    assert made != request_id(given)


def test_requests_of_one_moment_have_ids_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique, "time_ns", lambda: 1_800_000_000_000_000_000)
    assert len({request_id(None) for _ in range(10_000)}) == 10_000


def test_the_file_is_its_owners_and_is_appended_to(path: Path) -> None:
    for line in ("one", "two"):
        file = AuditFile(path)
        file.append(line)
        file.close()
    assert path.read_text() == "one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_may_be_rotated_in_either_way(path: Path) -> None:
    file = AuditFile(path)
    file.append("one")
    path.rename(path.with_suffix(".1"))
    file.append("two")
    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("r+") as copied:
        copied.truncate()
    file.append("three")
    assert path.read_bytes() == b"three\n"
    assert path.with_suffix(".1").read_text() == "one\n"
    file.close()


def test_a_file_that_cannot_be_written_any_more_is_told_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = AuditFile(path)
    path.unlink()
    path.mkdir()
    file.append('{"who": "ops"}')
    assert "event=audit-failed" in caplog.text
    assert '{"who": "ops"}' in caplog.text
    file.close()


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditFileError, match="cannot append to"):
        AuditFile(tmp_path)
