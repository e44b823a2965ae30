"""What the agent reads from its switch, said in one value: for checks, and to complete a restored backup.

The ports' `external_ids` tell which endpoints are plugged in, whatever the store says. The value is written
again when that changes, some seconds apart, and when the store has become another: a restored backup.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from agents.node.plug import Plugged
from agents.publisher import Publisher
from store import keys
from store.model import HeldEndpoint, Holding

log = logging.getLogger(__name__)

PAUSE_S = 2.0
FAMILY = "holding"
OTHERS = ("ready", "attachments")


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
        self._said: Holding | None = None
        self._said_at = float("-inf")

    def say(self, plugged: Mapping[str, Plugged], waits_for: str) -> float | None:
        """Say what is plugged in. Returns the seconds after which to come back, when it is too early to say.

        Args:
            waits_for: the nonce of the restored store that is not believed yet, if it is so.
        """
        held = tuple(one for name in sorted(plugged) if (one := _held(plugged[name])) is not None)
        now = Holding(node=self._node, waits_for=waits_for, boot_id=self._boot_id, endpoints=held)
        if now == self._said:
            return None
        moved = waits_for != ("" if self._said is None else self._said.waits_for)
        early_s = self._said_at + PAUSE_S - self._clock()
        if early_s > 0 and not moved:
            return early_s
        self._said, self._said_at = now, self._clock()
        self._publisher.say(FAMILY, {keys.HOLDING.key(self._node): now})
        if moved:
            log.warning("event=store-restored waits_for=%s", waits_for or "nothing")
            for family in (FAMILY, *OTHERS):
                self._publisher.recheck(family)
        return None


def _held(plugged: Plugged) -> HeldEndpoint | None:
    mac, *addresses = plugged.identity.split(" ")
    want = plugged.want
    try:
        return HeldEndpoint(
            endpoint=want.endpoint,
            mac=mac,
            addresses=tuple(addresses),
            netns=want.netns,
            ifname=want.ifname,
            mtu_bytes=int(plugged.mtu_bytes),
        )
    except (ValidationError, ValueError) as fault:
        log.debug("event=not-ours port=%s why=%r", plugged.port, str(fault))
        return None
