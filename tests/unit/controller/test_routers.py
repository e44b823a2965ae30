"""/v1/bgp/router-config and -check: which peers are meant, and what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from bgp.tor.vendors import Vendor
from tests.unit.controller.conftest import Api

CONFIG, CHECK = "/v1/bgp/router-config", "/v1/bgp/router-check"


@pytest.fixture
def site(api: Api) -> Api:
    """Two nodes, each with a link to each of two routers."""
    api.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/16"})
    for number in (1, 2):
        api.made("/v1/nodes", {"name": f"node-{number}", "asn": 64510 + number})
        for tor, asn in ((1, 64501), (2, 64502)):
            body = {"address": f"10.{tor}.{number}.0", "local_address": f"10.{tor}.{number}.1", "asn": asn}
            name = f"node-{number}-tor-{tor}"
            api.made("/v1/peers", {"name": name, "node": f"node-{number}", "password_secret": "md5", **body})
    return api


@pytest.mark.parametrize("vendor", Vendor)
def test_one_request_makes_the_whole_router(site: Api, vendor: Vendor) -> None:
    found = site.get(f"{CONFIG}?vendor={vendor}&asn=64501")
    assert found["peers"] == ["node-1-tor-1", "node-2-tor-1"]
    assert (found["asn"], found["secrets"], found["missing"]) == (64501, ["md5"], [])
    for word in ("10.1.1.1", "10.1.2.1", "64511", "64512", "10.64.0.0/16", "<secret:md5>"):
        assert word in found["text"]
    assert "10.2." not in found["text"]


def test_peers_are_named_one_by_one(site: Api) -> None:
    found = site.get(f"{CONFIG}?vendor=frr&peer=node-2-tor-1&peer=node-1-tor-1&peer=node-1-tor-1")
    assert found["peers"] == ["node-1-tor-1", "node-2-tor-1"]


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("peer=node-1-tor-1", 422, "vendor"),
        ("vendor=ios&peer=node-1-tor-1", 422, "vendor"),
        ("vendor=frr", 422, "peer"),
        ("vendor=frr&peer=node-1-tor-1&asn=64501", 422, "peer"),
        ("vendor=frr&peer=node-1-tor-1&peer=node-1-tor-2", 422, "peer"),
        ("vendor=frr&asn=0", 422, "asn"),
        ("vendor=frr&peer=none", 404, None),
        ("vendor=frr&asn=64999", 404, None),
    ],
)
def test_what_is_refused(site: Api, query: str, status: int, parameter: str | None) -> None:
    answer: Any = site.client.get(f"{CONFIG}?{query}")
    assert answer.status_code == status, answer.text
    if parameter is not None:
        assert [each["parameter"] for each in answer.json["errors"]] == [parameter]


def test_a_session_without_a_speaker_is_told(site: Api) -> None:
    before = site.stored()
    found = site.get(f"{CHECK}?asn=64501")
    assert site.stored() == before
    assert found["sessions"] == 2
    assert [(each["node"], each["peer"], each["what"]) for each in found["mismatches"]] == [
        ("node-1", "node-1-tor-1", "speaker"),
        ("node-2", "node-2-tor-1", "speaker"),
    ]
