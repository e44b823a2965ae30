"""What a caller asks for when it wants addresses, in one form however it was said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from controller.scope import EVERYTHING, Scope
from store.model import EndpointKind, IPAddress, Qos


class Request(NamedTuple):
    """One endpoint: an address of its own, or one of each family. What is not given is for us to choose."""

    node: str
    id: str | None = None
    keyed: bool = False
    """The id follows from a key of the caller, which is for this very request and no other."""
    families: tuple[int, ...] = ()
    """4, 6 or both; when empty those of the pools and addresses, and one of either when there are none."""
    pools: tuple[str, ...] = ()
    """At most one of each family."""
    addresses: tuple[IPAddress, ...] = ()
    """At most one of each family; each in a pool of `pools` when there are some."""
    tenant: str | None = None
    labels: Mapping[str, str] = {}
    qos: Qos | None = None
    endpoint_kind: EndpointKind = EndpointKind.CONTAINER
    mac: str | None = None
    """Made from the first address when not given."""
    by: str = ""
    """The name of the caller's token."""
    request: str = ""
    """The caller's id of this request."""
    scope: Scope = EVERYTHING
    """What exists for the caller: nothing else is used, and nothing else is named when it is refused."""
    pointers: tuple[str, str] = ("/pools/{}", "/addresses/{}")
    """Where the pools and addresses stand in the body, for a problem that names one."""

    @property
    def kind(self) -> tuple[object, ...]:
        """What decides which pools may serve it: requests of one kind are alike in that, save `addresses`."""
        return self.node, self.families, self.pools, self.tenant, self.scope, self.pointers

    @property
    def digest(self) -> str:
        """Alike for requests that ask for the same: 32 hexadecimal digits."""
        asked = (
            self.node,
            sorted(self.families),
            sorted(self.pools),
            sorted(map(str, self.addresses)),
            self.tenant,
            sorted(self.labels.items()),
            self.qos and self.qos.model_dump_json(),
            self.endpoint_kind,
            self.mac,
        )
        return hashlib.blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest()

    def pool_at(self, index: int) -> str:
        """The JSON pointer of a pool."""
        return self.pointers[0].format(index)

    def address_at(self, index: int) -> str:
        """The JSON pointer of an address."""
        return self.pointers[1].format(index)
