"""What is written out by hand is what the models say."""

from __future__ import annotations

import json
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.endpoint_view import EndpointView, new_texts
from controller.ipam import texts
from store.codec import encode
from store.model import Address, Endpoint
from tests.support.values import VALUES

ENDPOINTS = VALUES[Endpoint]
MOMENTS = VALUES[Address].map(lambda address: address.since)  # type: ignore[attr-defined]


@settings(max_examples=40, deadline=None)
@given(endpoint=ENDPOINTS)
def test_a_record_is_what_the_codec_makes_of_the_endpoint(endpoint: Endpoint) -> None:
    assert texts.record(endpoint, map(str, endpoint.addresses)) == encode(endpoint)


@settings(max_examples=40, deadline=None)
@given(endpoint=ENDPOINTS, since=MOMENTS, by=st.text(), request=st.text())
def test_what_is_held_is_what_the_codec_makes_of_the_address(
    endpoint: Endpoint, since: datetime, by: str, request: str
) -> None:
    said = texts.asking(since, endpoint.tenant, by, request)
    for address, pool in endpoint.placed:
        held = Address(
            address=address,
            pool=pool,
            endpoint=endpoint.id,
            node=endpoint.node,
            since=since,
            tenant=endpoint.tenant,
            by=by,
            request=request,
        )
        assert texts.held(endpoint, str(address), pool, said) == encode(held)


@settings(max_examples=40, deadline=None)
@given(endpoint=ENDPOINTS)
def test_a_new_endpoint_is_shown_in_full(endpoint: Endpoint) -> None:
    shown = EndpointView.model_validate_json(new_texts([endpoint])[0])
    assert shown.model_dump_json() == new_texts([endpoint])[0]
    stored, told = json.loads(encode(endpoint)), json.loads(new_texts([endpoint])[0])
    assert {"v": 1, **{name: told[name] for name in stored if name != "v"}} == stored
