"""Fields of a stored value can be changed without making the value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from store.codec import encode, encode_fields, fields
from store.errors import Corrupt
from store.model import Address, AddressState

SINCE = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)

COOLDOWN = timedelta(seconds=62)


@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7"])
@pytest.mark.parametrize("since", [SINCE, SINCE.replace(microsecond=0)])
def test_changed_fields_give_the_bytes_of_the_changed_value(address: str, since: datetime) -> None:
    held = Address(address=address, pool="p", endpoint="e", node="n", since=SINCE, left=("m",), by="ü")
    assert b"free_at" not in encode(held), "older programs read what is assigned"
    update = {"state": AddressState.COOLDOWN, "since": since, "left": (), "free_at": since + COOLDOWN}
    cool = held.model_copy(update=update)
    changes = {**update, "state": "cooldown"}
    assert encode_fields({**fields(encode(held)), **changes}) == encode(cool)
    assert encode_fields(cool.model_dump()) == encode(cool)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v":2,"a":1}', b'{"a":1}', b"\xff"])
def test_what_is_not_of_this_schema_is_told(data: bytes) -> None:
    with pytest.raises(Corrupt, match="k"):
        fields(data, key="k")
