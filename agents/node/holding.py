"""What the agent reads from its switch, said in one value: for checks, and to complete a restored backup.

The ports' `external_ids` tell which endpoints are plugged in, whatever the store says. The value is written
again when that changes, some seconds apart, and when the store has become another: a restored backup.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from agents.node.plug import Plugged
from agents.publisher import Publisher
from intent.mtu import mtu_of
from store import keys
from store.codec import encode
from store.model import HeldEndpoint, Holding

log = logging.getLogger(__name__)

PAUSE_S = 2.0
FAMILY = "holding"
OTHERS = ("ready", "attachments")
MOST_BYTES = 1_200_000
"""etcd takes requests of 1.5 MiB. Labels are what makes it more."""


class HoldingReport:
    """Says what is held. One thread at a time."""

    def __init__(
        self,
        node: str,
        boot_id: str,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._boot_id = boot_id
        self._publisher = publisher
        self._clock = clock
        self._seen: tuple[Mapping[str, Plugged] | None, str, str] = (None, "", "")
        self._said_at = float("-inf")
        self._made: dict[str, tuple[Plugged, HeldEndpoint | None]] = {}
        """What was said of each endpoint, and of which object."""

    def say(self, plugged: Mapping[str, Plugged], *, waits_for: str, believes: str) -> float | None:
        """Say what is plugged in. Returns the seconds after which to come back, when it is too early to say.

        Args:
            waits_for: the nonce of the restored store that is not believed yet, if it is so.
            believes: the nonce of the store that is believed, once what can be delivered was said.
        """
        seen = (dict(plugged), waits_for, believes)
        if seen == self._seen:
            return None
        _, waited_for, believed = self._seen
        early_s = self._said_at + PAUSE_S - self._clock()
        if early_s > 0 and (waits_for, believes) == (waited_for, believed):
            return early_s
        now = self._render(plugged, waits_for, believes)
        self._seen, self._said_at = seen, self._clock()
        self._publisher.say(FAMILY, {keys.HOLDING.key(self._node): now})
        if waits_for != waited_for:
            for family in (FAMILY, *OTHERS):
                self._publisher.recheck(family)
        return None

    def _render(self, plugged: Mapping[str, Plugged], waits_for: str, believes: str) -> Holding:
        before, self._made = self._made, {}
        for name in sorted(plugged):
            kept, there = before.get(name), plugged[name]
            self._made[name] = kept if kept is not None and kept[0] is there else (there, _held(there))
        held = [one for _, one in self._made.values() if one is not None]
        made = Holding(
            node=self._node,
            waits_for=waits_for,
            believes=believes,
            boot_id=self._boot_id,
            endpoints=tuple(held if waits_for else map(_without_labels, held)),
        )
        if not waits_for or len(encode(made)) <= MOST_BYTES:
            return made
        log.error("event=labels-left-out endpoints=%d: all of it is more than etcd takes", len(held))
        return made.model_copy(update={"endpoints": tuple(map(_without_labels, held))})


def _held(plugged: Plugged) -> HeldEndpoint | None:
    endpoint, want = plugged.endpoint, plugged.want
    if endpoint is None or endpoint.id != want.endpoint:
        log.debug("event=not-ours port=%s", plugged.port)
        return None
    return HeldEndpoint(
        endpoint=endpoint.id,
        uid=endpoint.uid,
        tenant=endpoint.tenant,
        mac=endpoint.mac,
        addresses=endpoint.addresses,
        netns=want.netns or None,
        ifname=want.ifname or None,
        mtu_bytes=mtu_of(endpoint),
        kind=endpoint.kind,
        labels=endpoint.labels,
        qos=endpoint.qos,
    )


def _without_labels(one: HeldEndpoint) -> HeldEndpoint:
    return one.model_copy(update={"labels": {}, "qos": None}) if one.labels or one.qos else one
