"""What nobody may get past a real controller: each has its own refusal, and nothing is changed."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.controller import Controller
from lab.etcd import EtcdServer
from lab.wait import wait_until
from store import keys
from store.client import DeletePrefix, KeyValue
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from tests.support.controllers import SOON_S, TOKEN

pytest_plugins = ["tests.support.etcd"]
pytestmark = pytest.mark.needs("etcd", "etcdctl")

POOL = {"name": "p", "cidr": "10.9.0.0/24"}
NODE = {"name": "n", "asn": 64512}
OLD = {"If-Match": '"1"'}


@dataclass(frozen=True)
class Bad:
    """A request, and how it has to be refused."""

    what: str
    method: str
    path: str
    body: Any
    """Bytes are sent as they are; all else as JSON."""
    status: int
    type: str
    place: str | None = None
    """The pointer or parameter that is named."""
    who: str = "admin"
    headers: Mapping[str, str] = field(default_factory=dict)


def numbers(body: dict[str, Any], name: str) -> Iterator[Bad]:
    for text in ("-1", "-9223372036854775809", "18446744073709551616", "1e400", "0.5", "true", '"7"'):
        raw = json.dumps({**body, name: "?"}).replace('"?"', text).encode()
        path = "/v1/pools" if "cidr" in body else "/v1/nodes"
        yield Bad(f"{name} of {text}", "POST", path, raw, 422, "invalid", f"/{name}")


def names() -> Iterator[Bad]:
    for name in ("a/b", "../a", "a\x00b", "a\nb", "\x7f", "\x1b[2J", "\u202e", ""):
        for path, body, place in (
            ("/v1/pools", {**POOL, "name": name}, "/name"),
            ("/v1/nodes", {**NODE, "name": name}, "/name"),
            ("/v1/tenants", {"name": name}, "/name"),
            ("/v1/services", {"name": name, "pool": "four", "selector": {"a": "b"}}, "/name"),
            ("/v1/policies", {"name": name, "ingress": [{"action": "deny"}]}, "/name"),
            ("/v1/endpoints", {"node": "node-1", "id": name}, "/id"),
        ):
            yield Bad(f"{path} named {name!r}", "POST", path, body, 422, "invalid", place)
    for name in ("a%2Fb", "..%2Fa", "a%00b", "a%0Ab", "%FF", "%ED%A0%80"):
        for noun in ("pools", "nodes", "peers", "services", "policies", "tenants", "endpoints", "tokens"):
            kind = "no-such-path" if "%2F" in name else "not-found"
            yield Bad(f"{noun} {name}", "DELETE", f"/v1/{noun}/{name}", None, 404, kind)


def others() -> Iterator[Bad]:
    """Requests of the tenant rival for what is the tenant shop's."""
    for method, body in (("GET", None), ("PATCH", {"labels": {"a": "b"}}), ("DELETE", None)):
        yield Bad(f"{method} of shop's", method, "/v1/endpoints/a", body, 404, "not-found", who="rival")
    yield Bad("shop's address", "GET", "/v1/addresses/10.64.0.1", None, 404, "not-found", who="rival")
    yield Bad("the tenant shop", "GET", "/v1/tenants/shop", None, 404, "not-found", who="rival")
    wanted = {"node": "node-1", "tenant": "shop"}
    policy = {"name": "p", "tenant": "shop", "ingress": [{"action": "deny"}]}
    yield Bad("a policy for shop", "POST", "/v1/policies", policy, 422, "invalid", "/tenant", who="rival")
    yield Bad("one for shop", "POST", "/v1/endpoints", wanted, 422, "invalid", "/tenant", who="rival")


def of_bytes() -> Iterator[Bad]:
    for method, path in (("POST", "/v1/pools"), ("POST", "/v1/endpoints:batch"), ("PATCH", "/v1/pools/four")):
        for what, raw, status, kind in (
            ("10 MB", b'{"name":"' + b"x" * (10 << 20) + b'"}', 413, "too-large"),
            ("deep JSON", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, "too-deep"),
            ("duplicate keys", b'{"name":"p","cidr":"10.9.0.0/24","name":"q"}', 400, "duplicate-key"),
            ("invalid UTF-8", b'{"name":"\xff"}', 400, "malformed"),
            ("half a surrogate", b'{"name":"\\ud800"}', 400, "malformed"),
        ):
            yield Bad(f"{what} {method} {path}", method, path, raw, status, kind)


ASKED = [
    Bad(
        "v4 address in a v6 pool",
        "POST",
        "/v1/endpoints",
        {"node": "node-1", "pool": "six", "address": "10.64.0.9"},
        422,
        "invalid",
        "/address",
    ),
    Bad("zero-length prefix", "POST", "/v1/pools", {**POOL, "cidr": "0.0.0.0/0"}, 422, "invalid", "/cidr"),
    Bad("likewise in IPv6", "POST", "/v1/pools", {**POOL, "cidr": "::/0"}, 422, "invalid", "/cidr"),
    Bad(
        "block longer than the pool",
        "POST",
        "/v1/pools",
        {**POOL, "block_prefixlen": 20},
        422,
        "invalid",
        "/block_prefixlen",
    ),
    Bad(
        "reserved range outside",
        "POST",
        "/v1/pools",
        {**POOL, "reserved": ["10.8.0.0/30"]},
        422,
        "invalid",
        "/reserved",
    ),
    Bad("quota below use", "PATCH", "/v1/tenants/shop", {"max_ipv4": 1}, 422, "invalid", "/max_ipv4"),
    *of_bytes(),
    *numbers(POOL, "cooldown_s"),
    *numbers(POOL, "block_prefixlen"),
    *numbers(NODE, "asn"),
    *names(),
    Bad("a path with two slashes before it", "GET", "//v1/pools?watch=sse", None, 404, "no-such-path"),
    Bad("expired token", "POST", "/v1/pools", POOL, 401, "unauthorized", who="expired"),
    Bad("foreign token", "POST", "/v1/pools", POOL, 401, "unauthorized", who="foreign"),
    *others(),
    Bad("stale ETag", "PATCH", "/v1/pools/four", {"cooldown_s": 9}, 412, "stale", headers=OLD),
    Bad("stale ETag", "DELETE", "/v1/endpoints/a", None, 412, "stale", headers=OLD),
    Bad("cursor of another query", "GET", "/v1/pools?cursor={cursor}", None, 400, "cursor", "cursor"),
    Bad("likewise", "GET", "/v1/endpoints?node=node-1&cursor={cursor}", None, 400, "cursor", "cursor"),
]


@dataclass(frozen=True)
class Place:
    """A controller that demands tokens, with something in it; and what requests are made of."""

    api: Controller
    store: EtcdStore
    tokens: Mapping[str, str]
    cursor: str

    def send(self, bad: Bad) -> tuple[int, str, Any]:
        raw = bad.body if isinstance(bad.body, bytes) else json.dumps(bad.body).encode()
        headers = {"Authorization": f"Bearer {self.tokens[bad.who]}", **bad.headers}
        if bad.body is not None:
            headers["Content-Type"] = "application/json"
        with closing(self.api.connect()) as connection:
            path = bad.path.replace("{cursor}", self.cursor)
            connection.request(bad.method, path, None if bad.body is None else raw, headers)
            answer: http.client.HTTPResponse = connection.getresponse()
            return answer.status, answer.headers.get_content_type(), json.loads(answer.read())

    def stored(self) -> list[KeyValue]:
        """All but who has which duty."""
        return [item for item in self.store.range(keys.ROOT).items if "/leader/" not in item.key]


@pytest.fixture(scope="module")
def place(etcd: EtcdServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    path = tmp_path_factory.mktemp("bad")
    (path / "tokens").write_text(TOKEN)
    admin = {"Authorization": f"Bearer {TOKEN}"}
    with closing(EtcdStore(EtcdConfig(etcd.endpoints))) as store:
        store.txn([], [DeletePrefix(keys.ROOT)])
        options = ("--etcd", etcd.url, "--token-file", str(path / "tokens"))
        with Controller(path / "log", *options) as api:
            wait_until(api.ready, SOON_S, "the controller to be ready")

            def made(path: str, body: Any) -> Any:
                status, answer = api.send("POST", path, body, **admin)
                assert status == 201, answer
                return answer

            made("/v1/pools", {"name": "four", "cidr": "10.64.0.0/24"})
            made("/v1/pools", {"name": "six", "cidr": "2001:db8::/112"})
            made("/v1/nodes", {"name": "node-1", "asn": 64512})
            texts = {"admin": TOKEN, "foreign": "polder_admin_" + "x" * 43}
            for tenant in ("shop", "rival"):
                made("/v1/tenants", {"name": tenant, "max_ipv4": 5})
                token = {"name": tenant, "role": "tenant", "tenant": tenant}
                texts[tenant] = made("/v1/tokens", token)["token"]
            texts["expired"] = made("/v1/tokens", {"name": "old", "role": "admin", "ttl_s": 1})["token"]
            for name in ("a", "b"):
                made("/v1/endpoints", {"id": name, "node": "node-1", "tenant": "shop", "pool": "four"})
            old = {"Authorization": f"Bearer {texts['expired']}"}
            wait_until(lambda: api.send("GET", "/v1/pools", **old)[0] == 401, SOON_S, "the token to expire")
            cursor = api.send("GET", "/v1/endpoints?limit=1", **admin)[1]["next"]
            yield Place(api, store, texts, cursor)
            assert "Traceback" not in api.said()


@pytest.mark.parametrize("bad", ASKED, ids=lambda bad: ascii(bad.what))
def test_it_is_refused_and_nothing_is_changed(place: Place, bad: Bad) -> None:
    before = place.stored()
    status, media_type, problem = place.send(bad)
    assert (status, media_type, problem["type"]) == (
        bad.status,
        "application/problem+json",
        f"/problems/{bad.type}",
    ), problem
    assert problem["status"] == status
    assert problem["detail"]
    if bad.place is not None:
        named = [each.get("pointer", each.get("parameter")) for each in problem["errors"]]
        assert bad.place in named
    assert place.stored() == before
