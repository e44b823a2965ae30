"""The two ends of a trace: endpoints by their ids, or addresses, of Polder or not."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from controller.ipam.blocks import block_of
from controller.problem import Fault, Problem, invalid_parameter
from controller.reading import read, scan
from store import keys
from store.client import Store
from store.model import Endpoint, IPAddress, Pool
from store.model.value import UnicastAddress, parse_address

_UNICAST: TypeAdapter[IPAddress] = TypeAdapter(UnicastAddress)


@dataclass(frozen=True, slots=True)
class End:
    """One end, and who has its address."""

    address: IPAddress
    pool: Pool | None = None
    """The pool that the address lies in; None for one that is not Polder's."""
    endpoint: Endpoint | None = None
    service: str | None = None
    claimed_by: str | None = None
    """The node that has claimed the address's block."""
    left: tuple[str, ...] = ()
    """Nodes that the endpoint moved away from: one that has it still may announce it still."""

    @property
    def words(self) -> str:
        """Who it is, for people."""
        if self.endpoint is not None:
            return f"endpoint {self.endpoint.id} ({self.address}) on node {self.endpoint.node}"
        if self.service is not None:
            return f"{self.address} of service {self.service}"
        if self.pool is not None:
            return f"{self.address} of pool {self.pool.name}, which nobody holds"
        return f"{self.address}, outside of Polder"


def ends(store: Store, source: str, destination: str) -> tuple[End, End]:
    """Find both, of one family: IPv4 where an endpoint leaves the choice. Raises `Problem`."""
    pools = scan(store, keys.POOLS).values
    given = [
        _candidates(store, pools, name, text)
        for name, text in (("source", source), ("destination", destination))
    ]
    for one in given[0]:
        for other in given[1]:
            if one.address.version == other.address.version:
                return one, other
    detail = "source and destination have no address of one family"
    raise Problem("invalid", detail, errors=[Fault(detail, parameter="destination")])


def _candidates(store: Store, pools: list[Pool], name: str, text: str) -> list[End]:
    """What is meant by a text: an endpoint with its addresses, IPv4 first, or an address."""
    try:
        address = parse_address(text)
    except ValueError:
        address = None
    if address is not None:
        return [_end(store, pools, _unicast(name, address))]
    found = read(store, keys.ENDPOINTS, text) if text and "/" not in text else None
    if found is None:
        raise invalid_parameter(name, f"{text[:128]!r} is neither an address nor the id of an endpoint")
    endpoint = found.value
    held = sorted(endpoint.addresses, key=lambda address: address.version)
    return [_end(store, pools, address, endpoint) for address in held]


def _unicast(name: str, address: IPAddress) -> IPAddress:
    try:
        return _UNICAST.validate_python(address)
    except ValidationError:
        raise invalid_parameter(name, f"{address} is not a unicast address that a host can have") from None


def _end(store: Store, pools: list[Pool], address: IPAddress, endpoint: Endpoint | None = None) -> End:
    pool = next((pool for pool in pools if address in pool.cidr), None)
    if pool is None:
        return End(address, endpoint=endpoint)
    block = block_of(pool, address)
    claim = read(store, keys.BLOCKS, pool.name, block)
    held = read(store, keys.ADDRESSES, pool.name, block, address)
    service = None
    if endpoint is None and held is not None:
        service = held.value.service
        record = read(store, keys.ENDPOINTS, held.value.endpoint) if held.value.endpoint else None
        if record is not None and address in record.value.addresses:
            endpoint = record.value
    left = held.value.left if held is not None else ()
    return End(address, pool, endpoint, service, claim.value.node if claim else None, left)
