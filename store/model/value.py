"""What all stored values share: frozen, checked when made, strict about unknown fields."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, inet_ntoa, inet_pton
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


_set_fields, _set_given, _set_extra, _set_private = (
    BaseModel.__dict__[slot].__set__
    for slot in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


class Value(BaseModel):
    """A value of the store. Equal when all fields are equal; hashable where its fields are."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """A value of parts that were checked where they came in: every field, in the order of the model.

        What pydantic's `model_construct` does, without its look at each field: a quarter of the time, for
        where a thousand values are made for one request.
        """
        made = cls.__new__(cls)
        _set_fields(made, fields)
        _set_given(made, set(fields))
        _set_extra(made, None)
        _set_private(made, None)
        return made


def parse_address(given: Any) -> IPAddress:
    """Parse one IPv4 or IPv6 address, without prefix length or zone."""
    if isinstance(given, IPv4Address | IPv6Address):
        return given
    if not isinstance(given, str):
        raise ValueError("expected an IPv4 or IPv6 address as text, such as 10.64.0.7")
    try:
        address = _parsed(given)
    except ValueError:
        raise ValueError(
            f"{given[:64]!r} is not an IPv4 or IPv6 address; expected one such as 10.64.0.7"
        ) from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(_zone(given))
    return address


def _zone(given: str) -> str:
    """Of RFC 4007: it may be any text, names a link of one host only, and is never stored."""
    return f"{given[:64]!r} carries a zone; leave out what follows the percent sign, and the sign"


@lru_cache(maxsize=1 << 12)
def _parsed(given: str) -> IPAddress:
    """Costs more than the rest of a value; the same address is in several values, read together."""
    try:
        return IPv4Address(inet_pton(AF_INET, given))  # a third of the cost
    except (OSError, ValueError):
        return ip_address(given)


def text_of(address: IPAddress) -> str:
    """What `str` makes of it, in half the time."""
    return inet_ntoa(int(address).to_bytes(4)) if isinstance(address, IPv4Address) else str(address)


def parse_ipv4_address(given: Any) -> IPv4Address:
    """Parse one IPv4 address."""
    address = parse_address(given)
    if not isinstance(address, IPv4Address):
        raise ValueError(f"{address} is not an IPv4 address; expected one such as 10.0.0.7")
    return address


def is_inside(part: IPNetwork, whole: IPNetwork) -> bool:
    """Whether all of a network is in another; a network is in itself. None is in one of the other family."""
    return whole.prefixlen <= part.prefixlen and part.network_address in whole


def of_version(addresses: Iterable[IPAddress], version: int) -> IPAddress | None:
    """The first of one family (4 or 6); None when there is none."""
    return next((each for each in addresses if each.version == version), None)


def parse_network(given: Any) -> IPNetwork:
    """Parse a CIDR. Host bits that are set are an error which names the network that was probably meant."""
    if isinstance(given, IPv4Network | IPv6Network):
        return given
    if not isinstance(given, str) or "/" not in given:
        raise ValueError("expected a CIDR as text, such as 10.64.0.0/16")
    if "%" in given:
        raise ValueError(_zone(given))
    try:
        return ip_network(given)
    except ValueError:
        pass
    try:
        meant = ip_network(given, strict=False)
    except ValueError:
        raise ValueError(f"{given[:64]!r} is not a CIDR; expected one such as 10.64.0.0/16") from None
    raise ValueError(f"{given[:64]} has host bits set; the network is {meant}")


def _unicast(address: IPAddress) -> IPAddress:
    if address.is_multicast or address.is_unspecified or address.is_loopback:
        raise ValueError(f"{address} is not a unicast address that a host can have")
    return address


def _asn(asn: int) -> int:
    # RFC 7607 (0), RFC 6793 (23456, AS_TRANS), RFC 7300 (last of 16 and of 32 bits)
    if asn in {0, 23456, 65535, 4294967295}:
        raise ValueError(f"{asn} is a reserved AS number; use your own, or a private one such as 64512")
    return asn


def _in_order(labels: dict[str, str]) -> dict[str, str]:
    # Equal labels are written the same way, whatever order they were given in.
    return dict(sorted(labels.items())) if len(labels) > 1 else labels


_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _mac(given: str) -> str:
    lower = given.lower()
    if not _MAC.fullmatch(lower) or int(lower[:2], 16) & 1:
        raise ValueError(
            f"{given[:32]!r} is not a unicast MAC address; expected one such as 02:00:5e:10:00:01"
        )
    return lower


ADDRESS_SCHEMA = {
    "type": "string",
    "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}],
    "examples": ["10.64.0.7"],
}
NETWORK_PATTERN = r"[0-9A-Fa-f:.]+/[0-9.]+"
"""What every CIDR looks like, and little else."""

Address_ = Annotated[IPAddress, BeforeValidator(parse_address), WithJsonSchema(ADDRESS_SCHEMA)]
Ipv4Address = Annotated[
    IPv4Address,
    BeforeValidator(parse_ipv4_address),
    WithJsonSchema({"type": "string", "format": "ipv4", "examples": ["10.0.0.7"]}),
]
UnicastAddress = Annotated[Address_, AfterValidator(_unicast)]
Network = Annotated[
    IPNetwork,
    BeforeValidator(parse_network),
    WithJsonSchema({"type": "string", "pattern": f"^{NETWORK_PATTERN}$", "examples": ["10.64.0.0/16"]}),
]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]
"""A name: 1 to 63 lower-case letters, digits, dots and hyphens, letters or digits at both ends."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$")]
"""An endpoint id: 1 to 128 letters, digits, dots, underscores and hyphens; a container id fits."""

Ifname = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$")]
"""The name of a network interface, as Linux takes it."""

Uid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]
MAX_LABELS = 64


class _NoOtherKeys:
    """Says in the JSON schema that keys of no pattern are refused, which pydantic leaves out."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "additionalProperties": False}


LabelMap = Annotated[dict[LabelKey, LabelValue], _NoOtherKeys()]
Labels = Annotated[LabelMap, Field(max_length=MAX_LABELS), AfterValidator(_in_order)]
SomeLabels = Annotated[LabelMap, Field(min_length=1, max_length=MAX_LABELS), AfterValidator(_in_order)]
"""At least one."""
Asn = Annotated[int, Field(ge=1, le=4294967295, strict=True), AfterValidator(_asn)]
Mac = Annotated[
    str,
    AfterValidator(_mac),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$",
            "examples": ["02:00:5e:10:00:01"],
        }
    ),
]
MtuBytes = Annotated[int, Field(ge=1280, le=9216, strict=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
PortNumber = Annotated[int, Field(strict=True, ge=0, le=65535)]
TEXT_CHARACTERS = 1000
Text = Annotated[str, Field(max_length=TEXT_CHARACTERS)]
"""A sentence or two for people."""
