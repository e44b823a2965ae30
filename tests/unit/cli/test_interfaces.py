"""A workload with several interfaces: one request for all of its endpoints."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder

CREATE = ("endpoint", "create", "web", "--node", "node-1")


def test_all_of_them_are_asked_for_at_once(polder: Polder) -> None:
    made = [{"id": "web", "pools": ["front", "front6"]}, {"id": "web.eth1", "pools": ["back"]}]
    answer = {"items": [{"status": 201, "endpoint": each} for each in made], "refused": 0}
    with serving(Reply(200, answer)) as canned:
        ran = polder(
            *CREATE, "--label", "app=web", "--interface", "eth0=front,front6", "--interface", "eth1=back",
            "--server", canned.url, "-o", "json",
        )  # fmt: skip
    assert json.loads(ran.out) == {"items": made}
    asked = canned.asked[0]
    assert (asked.method, asked.target) == ("POST", "/v1/endpoints:batch")
    common = {"node": "node-1", "labels": {"app": "web"}}
    assert asked.body == {
        "atomic": True,
        "items": [
            {**common, "id": "web", "pools": ["front", "front6"]},
            {**common, "id": "web.eth1", "pools": ["back"]},
        ],
    }


@pytest.mark.parametrize(
    "words",
    [
        ("--interface", "eth0"),
        ("--interface", "eth0=a,b,c"),
        ("--interface", "eth0=a", "--interface", "eth0=b"),
        ("--interface", "eth0=a", "--pool", "b"),
        ("--interface", "eth0=a", "--mac", "52:54:00:00:00:01"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(polder: Polder, words: tuple[str, ...]) -> None:
    assert polder(*CREATE, *words, "--server", "http://127.0.0.1:1").code == 2
