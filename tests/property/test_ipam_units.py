"""New endpoints are stored and shown as their models say, however many are written at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from ipaddress import ip_network

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.api.endpoint_view import EndpointView, new_texts
from controller.ipam import units
from controller.reading import Found
from store import keys
from store.client import Put
from store.codec import encode
from store.model import Address, Block, Endpoint, IPAddress, Tenant
from tests.support.values import VALUES

ENDPOINTS = st.lists(VALUES[Endpoint], min_size=1, max_size=4, unique_by=lambda each: each.id)
TIMES = st.datetimes(timezones=st.just(UTC))
REQUESTS = st.from_regex(r"[A-Za-z0-9._:-]{0,9}", fullmatch=True)


def block_of(address: IPAddress, pool: str, node: str) -> Found[Block]:
    cidr = ip_network((address, 26 if address.version == 4 else 122), strict=False)
    return Found(Block(pool=pool, cidr=cidr, node=node), keys.BLOCKS.key(pool, cidr), 1)


@settings(max_examples=40, deadline=None)
@given(
    given_=ENDPOINTS,
    since=TIMES,
    by=st.text(max_size=9),
    request=st.from_regex(r"[A-Za-z0-9._:-]{0,9}", fullmatch=True),
)
def test_records_and_addresses_are_what_the_codec_makes_of_the_values(
    given_: list[Endpoint], since: datetime, by: str, request: str
) -> None:
    first = given_[0]
    tenant = Found(Tenant(name=first.tenant), "key", 1) if first.tenant else None
    made = [each.model_copy(update={"node": first.node, "tenant": first.tenant}) for each in given_]
    new = [(each, [block_of(address, pool, each.node) for address, pool in each.placed]) for each in made]
    unit = units.assign(new, units.Asked((), tenant, by, request, since))
    wanted = {}
    for endpoint, blocks in new:
        wanted[keys.ENDPOINTS.key(endpoint.id)] = encode(endpoint)
        wanted[keys.NODE_ENDPOINTS.key(endpoint.node, endpoint.id)] = encode(endpoint)
        for (address, pool), block in zip(endpoint.placed, blocks, strict=True):
            wanted[keys.ADDRESSES.key(pool, block.value.cidr, address)] = encode(
                Address(
                    address=address,
                    pool=pool,
                    endpoint=endpoint.id,
                    node=endpoint.node,
                    since=since,
                    tenant=endpoint.tenant,
                    by=by,
                    request=request,
                )
            )
    assert {each.key: each.value for each in unit.ops if isinstance(each, Put)} == wanted


@settings(max_examples=40, deadline=None)
@given(endpoints=ENDPOINTS)
def test_new_endpoints_are_shown_as_the_model_says(endpoints: list[Endpoint]) -> None:
    for endpoint, text in zip(endpoints, new_texts(endpoints), strict=True):
        assert EndpointView.model_validate_json(text).model_dump_json() == text
        stored, told = json.loads(encode(endpoint)), json.loads(text)
        kept = {"v": 1, "asked": ""}
        assert kept | {name: told[name] for name in stored if name not in kept} == stored
