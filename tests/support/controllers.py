"""What tests do with controllers as real processes; `tests.support.serving` starts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.controller import Controller

SOON_S = 20
TOKEN = "0123456789abcdef0123456789abcdef"

Start = Callable[..., Controller]


def plant(controller: Controller, nodes: int = 2, **pool: Any) -> None:
    """A pool and some nodes."""
    assert controller.send("POST", "/v1/pools", {"name": "p", "cidr": "10.64.0.0/20", **pool})[0] == 201
    for number in range(nodes):
        assert controller.send("POST", "/v1/nodes", {"name": f"n{number}", "asn": 64512})[0] == 201
