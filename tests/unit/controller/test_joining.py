"""Joining: once, by one key, as one node; and what is left when it is gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from controller import rights
from controller.app import create_app
from controller.joining import Issuer
from controller.parts import Parts
from controller.pulse import CALM_S, STILL_S
from pki.certificate import (
    Authority,
    cert_pem,
    common_name,
    fingerprint,
    key_hash,
    load_cert,
    new_key,
    request,
)
from pki.join_token import JoinToken
from store import keys
from store.memory import MemoryStore
from tests.support.client import client_of
from tests.support.users import MemoryUsers
from tests.unit.controller.conftest import NOW, Api, Clock

URLS = ("https://192.0.2.1:2379",)
AUTHORITY = Authority.create()


@dataclass(frozen=True)
class Domain(Api):
    """A controller that can sign."""

    users: MemoryUsers

    def token(self, node: str = "node-1", **given: Any) -> JoinToken:
        """A join token of a node."""
        return JoinToken.parse(self.made(f"/v1/nodes/{node}:join-token", given)["token"])

    def join(self, token: JoinToken, csr: str) -> TestResponse:
        """What a host sends."""
        return self.send("POST", "/v1/join", {"node": token.node, "secret": token.secret, "request": csr})


@pytest.fixture
def domain() -> Iterator[Domain]:
    users, clock = MemoryUsers(), Clock()
    store = MemoryStore(clock)
    ca = cert_pem(AUTHORITY.cert).decode()
    parts = Parts.build(store, lambda: NOW, issuer=Issuer(users, AUTHORITY, URLS, ca))
    made = Domain(client_of(create_app(store, parts=parts)), store, parts, clock, users)
    for number in (1, 2):
        made.made("/v1/nodes", {"name": f"node-{number}", "asn": 64511})
    yield made
    parts.close()


def refused(answer: TestResponse, status: int = 403, kind: str = "join-refused") -> str:
    assert (answer.status_code, answer.json["type"]) == (status, f"/problems/{kind}"), answer.text
    return str(answer.json["detail"])


def test_a_host_with_the_token_becomes_the_node(domain: Domain) -> None:
    key = new_key()
    token = domain.token()
    ca = load_cert(domain.get("/v1/join")["ca"].encode())
    assert token.fingerprint == fingerprint(ca)
    joined = domain.join(token, request(key)).json
    assert (joined["node"], joined["etcd"]) == ("node-1", list(URLS))
    cert = load_cert(joined["certificate"].encode())
    assert AUTHORITY.issued(cert)
    assert cert.public_key() == key.public_key()
    name = rights.user("node-1", key_hash(key.public_key()))
    assert common_name(cert) == name
    assert domain.users.users == {name: "polder-node-node-1"}
    written = {each.prefix for each in domain.users.roles["polder-node-node-1"] if each.write}
    assert written == {
        f"{keys.ROOT}node/node-1/",
        f"{keys.ROOT}sessions/node-1/",
        f"{keys.ROOT}alive/node-1/",
    }


def test_a_controller_that_stood_still_gives_no_token_that_it_was_asked_for_before(domain: Domain) -> None:
    """Whoever asked has one of another controller by now, which this one would end."""
    token, pulse = domain.token(), domain.parts.pulse
    pulse.beat()
    clock = Clock(pulse._clock() + STILL_S + 1)
    pulse._clock = clock
    assert domain.send("POST", "/v1/nodes/node-1:join-token", {}).status_code == 503
    assert domain.join(token, request(new_key())).status_code == 503
    for _ in range(2):
        clock.now_s += CALM_S / 2
        pulse.beat()
    assert domain.join(token, request(new_key())).status_code == 200


def test_neither_the_secret_nor_a_key_is_stored(domain: Domain) -> None:
    token = domain.token()
    domain.join(token, request(new_key()))
    stored = repr(domain.stored())
    assert token.secret not in stored
    assert "PRIVATE" not in stored


def test_a_token_is_good_for_one_key_and_for_that_one_again(domain: Domain) -> None:
    token, key = domain.token(), new_key()
    first = domain.join(token, request(key)).json
    again = domain.join(token, request(key)).json
    assert (
        load_cert(first["certificate"].encode()).public_key()
        == load_cert(again["certificate"].encode()).public_key()
    )
    assert "used already" in refused(domain.join(token, request(new_key())))
    assert len(domain.users.users) == 1


@pytest.mark.parametrize("spoilt", ["secret", "node", "unknown"])
def test_another_secret_or_node_is_refused(domain: Domain, spoilt: str) -> None:
    token = domain.token()
    other = {
        "secret": JoinToken.make("node-1", token.fingerprint),
        "node": JoinToken("node-2", token.secret, token.fingerprint),
        "unknown": JoinToken("node-9", token.secret, token.fingerprint),
    }[spoilt]
    before = domain.stored()
    assert "not known" in refused(domain.join(other, request(new_key())))
    assert (domain.stored(), domain.users.users) == (before, {})


def test_a_token_ends(domain: Domain) -> None:
    token = domain.token(ttl_s=60)
    domain.wait(61)
    refused(domain.join(token, request(new_key())))


def test_a_new_token_ends_the_one_before(domain: Domain) -> None:
    old, new = domain.token(), domain.token()
    refused(domain.join(old, request(new_key())))
    assert domain.join(new, request(new_key())).status_code == 200


def test_a_host_that_joins_anew_ends_the_certificate_before(domain: Domain) -> None:
    one, two = new_key(), new_key()
    old = domain.join(domain.token(), request(one)).json["certificate"]
    domain.join(domain.token(), request(two))
    assert domain.users.names() == [rights.user("node-1", key_hash(two.public_key()))]
    detail = refused(domain.send("POST", "/v1/join:renew", {"certificate": old, "request": request(one)}))
    assert "joined anew" in detail


def test_a_node_that_is_deleted_has_no_rights_and_no_token(domain: Domain) -> None:
    used, unused = domain.token("node-1"), domain.token("node-2")
    domain.join(used, request(new_key()))
    for name in ("node-1", "node-2"):
        assert domain.send("DELETE", f"/v1/nodes/{name}").status_code == 204
    assert (domain.users.users, domain.users.roles) == ({}, {})
    refused(domain.join(unused, request(new_key())))


def test_what_a_controller_left_that_died_in_a_deletion_is_taken_by_the_next(domain: Domain) -> None:
    domain.join(domain.token(), request(new_key()))
    domain.parts.retirer.delete_node("node-1")
    assert domain.users.users
    assert domain.send("DELETE", "/v1/nodes/node-1").status_code == 404
    assert domain.users.users == {}


def test_a_deletion_that_is_refused_takes_no_rights(domain: Domain) -> None:
    domain.join(domain.token(), request(new_key()))
    peer = {"name": "tor", "address": "192.0.2.1", "asn": 64500, "node": "node-1"}
    domain.made("/v1/peers", peer)
    assert domain.send("DELETE", "/v1/nodes/node-1").status_code == 409
    assert domain.users.users


def test_a_certificate_is_renewed_for_the_same_key(domain: Domain) -> None:
    key = new_key()
    old = domain.join(domain.token(), request(key)).json["certificate"]
    answer = domain.send("POST", "/v1/join:renew", {"certificate": old, "request": request(key)})
    new = load_cert(answer.json["certificate"].encode())
    assert common_name(new) == common_name(load_cert(old.encode()))
    assert (new.public_key(), AUTHORITY.issued(new)) == (key.public_key(), True)


def test_other_certificates_are_not_renewed(domain: Domain) -> None:
    key = new_key()
    name = common_name(load_cert(domain.join(domain.token(), request(key)).json["certificate"].encode()))
    controller = AUTHORITY.issue(key.public_key(), "controller")
    strangers = Authority.create().issue(key.public_key(), name)
    anothers = AUTHORITY.issue(new_key().public_key(), name)
    for cert in (controller, strangers, anothers):
        body = {"certificate": cert_pem(cert).decode(), "request": request(key)}
        assert "no certificate of a node" in refused(domain.send("POST", "/v1/join:renew", body))


def test_bad_requests_name_the_field(domain: Domain) -> None:
    token = domain.token()
    answer = domain.join(token, "no request")
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/request")
    answer = domain.send("POST", "/v1/join:renew", {"certificate": "x", "request": request(new_key())})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/certificate")
    answer = domain.send("POST", "/v1/nodes/node-1:join-token", {"ttl_s": 5})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/ttl_s")
    assert domain.send("POST", "/v1/nodes/node-9:join-token", {}).status_code == 404


def test_while_etcd_asks_for_no_rights_nobody_joins(domain: Domain) -> None:
    token = domain.token()
    domain.users.demanded = False
    assert "polder etcd secure" in refused(domain.join(token, request(new_key())), 409, "not-set-up")
    assert domain.send("POST", "/v1/nodes/node-1:join-token", {}).status_code == 409


def test_a_controller_without_an_authority_says_so(plant: Api) -> None:
    for method, path in (("GET", "/v1/join"), ("POST", "/v1/nodes/node-1:join-token")):
        assert "--pki" in refused(
            plant.send(method, path, {} if method == "POST" else None), 409, "not-set-up"
        )
    assert plant.send("DELETE", "/v1/nodes/node-1").status_code == 204


@pytest.mark.parametrize("node", ["a", "n" * 42, "n" * 43, "n" * 63, "node-1", "node-1-0123456789abcdef"])
def test_users_of_different_nodes_differ_and_fit(node: str) -> None:
    name = rights.user(node, "0123456789abcdef" * 4)
    assert len(name) <= 64
    assert rights.is_node_user(name)


def test_a_nodes_rights_are_not_those_of_one_whose_name_begins_alike() -> None:
    users = MemoryUsers()
    first = rights.admit(users, "node-1", "a" * 64)
    other = rights.admit(users, f"node-1-{'a' * 16}", "b" * 64)
    rights.admit(users, "node-1", "c" * 64)
    assert (first in users.users, other in users.users) == (False, True)
    rights.expel(users, "node-1")
    assert users.names() == [other]


def test_an_edge_may_read_what_all_nodes_announce_as_long_as_it_is_one(domain: Domain) -> None:
    def reads(number: int) -> set[str]:
        return {each.prefix for each in domain.users.roles[f"polder-node-node-{number}"] if not each.write}

    everything = f"{keys.ROOT}node/"
    domain.join(domain.token(), request(new_key()))
    assert everything not in reads(1)
    domain.send("PATCH", "/v1/nodes/node-1", {"edge": True})
    assert everything in reads(1)
    domain.send("PATCH", "/v1/nodes/node-1", {"edge": False})
    assert everything not in reads(1)
    # Not joined yet: it gets its rights when it does.
    domain.send("PATCH", "/v1/nodes/node-2", {"edge": True})
    assert "polder-node-node-2" not in domain.users.roles
    domain.join(domain.token("node-2"), request(new_key()))
    assert everything in reads(2)
    assert f"{keys.ROOT}node/node-1/" not in {
        each.prefix for each in domain.users.roles["polder-node-node-2"] if each.write
    }


def test_a_controller_that_cannot_sign_takes_rights_all_the_same(domain: Domain) -> None:
    domain.join(domain.token(), request(new_key()))
    unsigned = Parts.build(domain.store, lambda: NOW, issuer=Issuer(domain.users))
    try:
        client = client_of(create_app(domain.store, parts=unsigned))
        assert client.get("/v1/join").status_code == 409
        assert client.delete("/v1/nodes/node-1").status_code == 204
    finally:
        unsigned.close()
    assert domain.users.users == {}


def test_the_audit_tells_of_invitation_join_and_renewal(
    domain: Domain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audit")
    key = new_key()
    token = domain.token()
    certificate = domain.join(token, request(key)).json["certificate"]
    body = {"certificate": certificate, "request": request(key)}
    second = domain.send("POST", "/v1/join:renew", body).json["certificate"]
    invited, joined, renewed = (each.getMessage() for each in caplog.records if each.name == "audit")
    assert '"joins/node-1":{"before":null,"after":{' in invited
    assert "who=join:node-1" in joined
    assert f'"used_by":"{key_hash(key.public_key())}"' in joined
    assert f"who=renew:{rights.user('node-1', key_hash(key.public_key()))} role=node" in renewed
    one, two = (load_cert(each.encode()) for each in (certificate, second))
    serials = [
        f'{{"serial":"{each.serial_number:x}","ends":"{each.not_valid_after_utc.isoformat()}"}}'
        for each in (one, two)
    ]
    user = f'"certificates/{rights.user("node-1", key_hash(key.public_key()))}"'
    assert f'{user}:{{"before":null,"after":{serials[0]}}}' in joined
    assert f'{user}:{{"before":{serials[0]},"after":{serials[1]}}}' in renewed
    assert token.secret not in caplog.text
    assert "sha256" not in caplog.text
