"""Where sampled packets go, as Open vSwitch is told."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from store.model.export import Export


@pytest.mark.parametrize(
    ("fields", "target"),
    [
        ({"protocol": "ipfix", "collector": "192.0.2.9"}, "192.0.2.9:4739"),
        ({"protocol": "sflow", "collector": "192.0.2.9"}, "192.0.2.9:6343"),
        ({"protocol": "ipfix", "collector": "2001:db8::9", "port": 9995}, "[2001:db8::9]:9995"),
    ],
)
def test_the_target_of_a_collector(fields: dict[str, object], target: str) -> None:
    assert Export.model_validate(fields).target == target


@pytest.mark.parametrize(
    "fields",
    [
        {"collector": "127.0.0.1"},
        {"collector": "collector.example"},
        {"port": 0},
        {"sampling": 0},
        {"protocol": "netflow"},
    ],
)
def test_what_is_no_collector(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Export.model_validate({"protocol": "ipfix", "collector": "192.0.2.9", **fields})
