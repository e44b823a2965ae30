"""What is needed of an endpoint to end it is the same, however it is read."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from controller.ipam.ending import Ending
from controller.ipam.tally import Charge
from controller.reading import Found
from store import keys
from store.client import KeyValue, Unchanged
from store.codec import encode
from store.errors import Corrupt
from store.model import Endpoint, EndpointState

RECORD = Endpoint(
    id="e",
    uid="0" * 32,
    node="n1",
    tenant="blue",
    pools=("p", "six"),
    addresses=(ip_address("10.0.0.1"), ip_address("2001:db8::1")),
    mac="02:00:00:00:00:01",
    labels={"app": "shop"},
)
KEY = keys.NODE_ENDPOINTS.key("n1", "e")


def stored(value: bytes) -> KeyValue:
    return KeyValue(KEY, value, 7, 7)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        RECORD.model_copy(update={"tenant": None, "state": EndpointState.RELEASING}),
        RECORD.model_copy(update={"pools": ("six",), "addresses": (ip_address("2001:db8:0:0::1"),)}),
    ],
)
def test_a_record_as_a_value_and_as_stored_says_the_same(record: Endpoint) -> None:
    ending = Ending.read(stored(encode(record)))
    assert ending == Ending.of(Found(record, KEY, 7))
    assert ending.unchanged() == Unchanged(keys.ENDPOINTS.key("e"), 7)


def test_its_end_is_counted_for_its_tenant() -> None:
    assert Ending.of(Found(RECORD, KEY, 7)).charge() == Charge("blue", -1, -1)
    assert Ending.of(Found(RECORD.model_copy(update={"tenant": None}), KEY, 7)).charge() is None


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        encode(RECORD)[:-1],
        encode(RECORD).replace(b'"v":1', b'"v":2'),
        encode(RECORD).replace(b'["p","six"]', b'["p"]'),
        encode(RECORD).replace(b'"node":"n1",', b""),
        encode(RECORD).replace(b'"id":"e"', b'"id":5'),
    ],
)
def test_what_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(Corrupt, match=KEY):
        Ending.read(stored(value))
