"""An endpoint that ends: as much of its record as that takes.

A pass of reclaim looks at a hundred thousand. To check all that a record says costs five times what is
needed to end it: the texts stay texts, and what only its workload cares for is not looked at.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from controller.ipam.tally import Charge
from controller.reading import Found
from store import keys
from store.client import KeyValue, Unchanged
from store.codec import SCHEMA_VERSION
from store.errors import Corrupt
from store.model import Endpoint


class _Needed(BaseModel):
    v: int
    id: str
    node: str
    tenant: str | None
    pools: tuple[str, ...]
    addresses: tuple[str, ...]
    state: str


class Ending(NamedTuple):
    """What has to be known of an endpoint to end it."""

    id: str
    node: str
    tenant: str | None
    state: str
    addresses: tuple[str, ...]
    """As they are stored."""
    pools: tuple[str, ...]
    """The pool of each."""
    mod_revision: int
    """Of the record, and of the copy below its node, which is written with it."""

    @classmethod
    def of(cls, record: Found[Endpoint]) -> Ending:
        """The endpoint of a record, or of the copy below its node."""
        value = record.value
        addresses = tuple(map(str, value.addresses))
        return cls(
            value.id, value.node, value.tenant, value.state, addresses, value.pools, record.mod_revision
        )

    @classmethod
    def read(cls, item: KeyValue) -> Ending:
        """Likewise, of one as it is stored.

        Raises:
            Corrupt: something that is needed is not there.
        """
        try:
            it = _Needed.model_validate_json(item.value)
        except ValidationError as fault:
            raise Corrupt(item.key, f"not a valid Endpoint: {fault}") from fault
        if it.v != SCHEMA_VERSION or len(it.addresses) != len(it.pools):
            raise Corrupt(item.key, "not a valid Endpoint")
        return cls(it.id, it.node, it.tenant, it.state, it.addresses, it.pools, item.mod_revision)

    def unchanged(self) -> Unchanged:
        """The compare that holds while the record is as it was read."""
        return Unchanged(keys.ENDPOINTS.key(self.id), self.mod_revision)

    def charge(self) -> Charge | None:
        """What its end adds to its tenant's use: less than nothing."""
        if self.tenant is None:
            return None
        ipv6 = sum(":" in address for address in self.addresses)
        return Charge(self.tenant, ipv6 - len(self.addresses), -ipv6)
