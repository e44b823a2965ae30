"""What is stored can be read back, and what cannot be read is reported as such."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import keys
from store.codec import decode, encode
from store.errors import Corrupt
from store.model import Value
from tests.support.values import VALUES

MODELS = sorted(VALUES, key=lambda model: model.__name__)
parts = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=20)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_every_kind_has_a_strategy() -> None:
    assert {kind.model for kind in keys.KINDS} == set(VALUES)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_decode_is_the_inverse_of_encode(model: type[Value], data: st.DataObject) -> None:
    value = data.draw(VALUES[model])
    encoded = encode(value)
    again = decode(model, encoded)
    assert again == value
    assert encode(again) == encoded


@settings(deadline=None)
@given(model=st.sampled_from(MODELS), data=st.data())
def test_another_version_or_an_unknown_field_is_corrupt(model: type[Value], data: st.DataObject) -> None:
    body = json.loads(encode(data.draw(VALUES[model])))
    for wrong in ({**body, "v": 2}, {**body, "surprise": 1}, {k: v for k, v in body.items() if k != "v"}):
        with pytest.raises(Corrupt, match="/the/key"):
            decode(model, json.dumps(wrong).encode(), key="/the/key")


@settings(deadline=None)
@given(
    model=st.sampled_from(MODELS), data=st.binary() | anything.map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_stored_decodes_or_is_corrupt(model: type[Value], data: bytes) -> None:
    with pytest.raises(Corrupt):
        decode(model, data)


@settings(deadline=None)
@given(model=st.sampled_from(MODELS), data=st.data())
def test_damaged_values_decode_or_are_corrupt(model: type[Value], data: st.DataObject) -> None:
    body = json.loads(encode(data.draw(VALUES[model])))
    field = data.draw(st.sampled_from(sorted(body)))
    body[field] = data.draw(anything)
    try:
        value = decode(model, json.dumps(body).encode())
    except Corrupt:
        return
    assert decode(model, encode(value)) == value


@settings(deadline=None)
@given(kind=st.sampled_from(keys.KINDS), data=st.data())
def test_the_parts_of_a_key_are_those_it_was_made_of(kind: keys.Kind[Value], data: st.DataObject) -> None:
    count = kind.template.count("{}")
    given_parts = tuple(data.draw(parts) for _ in range(count))
    key = kind.key(*given_parts)
    assert kind.parts(key) == given_parts
    assert keys.kind_of(key) is kind
    for first in range(count):
        assert key.startswith(kind.prefix(*given_parts[:first]))


@settings(deadline=None)
@given(key=st.text(max_size=40))
def test_a_foreign_key_is_of_no_kind(key: str) -> None:
    assert keys.kind_of(key) is None


def test_keys_of_elections_are_of_no_kind() -> None:
    assert keys.kind_of(keys.leader("reclaim")) is None


def test_a_prefix_is_one_part_of_a_key() -> None:
    key = keys.NODE_BLOCKS.key("node-1", ip_network("10.64.0.0/26"))
    assert key == "/polder/v1/node/node-1/blocks/10.64.0.0-26"
    assert keys.NODE_BLOCKS.parts(key) == ("node-1", "10.64.0.0-26")
    assert key.startswith(keys.node_prefix("node-1"))


@pytest.mark.parametrize("wrong", [(), ("a", "b", "c"), ("", "b")])
def test_a_key_takes_its_parts_and_no_other(wrong: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="part"):
        keys.BLOCKS.key(*wrong)
