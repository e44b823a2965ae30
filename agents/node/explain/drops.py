"""The drop log: which flows dropped something since the last look, each with its reason, and how much.

The switch counts, and the agent looks at the counters at intervals; of single packets it gets a few samples.
So what it costs and how much is written does not depend on how much is dropped: an attacker cannot fill the
log.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from agents.node.explain.devices import Passed
from agents.node.explain.diff import IN_PASS
from agents.node.explain.samples import Samples, sampled
from agents.node.plug import Busy, Plugged
from openflow.cookie import Purpose, decode
from openflow.counting import counts
from openflow.decoding import Counted, Decoder
from openflow.errors import SwitchError
from openflow.flow import FlowKey
from openflow.management import Management
from openflow.words import match_words, purpose_words, reason_words
from store.model import HeldKind
from store.model.drops import MOST_DROPS, MOST_SAMPLES, Drop, DropsAsked, DropsSaid, Sampled
from store.model.value import TEXT_CHARACTERS

log = logging.getLogger("polder.drops")

INTERVAL_S = 10
AWAY_S = 1
"""Between looks as long as the switch was never there."""
LINES = 20
"""In one interval at most so many lines are written, those of most packets."""
FLOWS = IN_PASS.index(HeldKind.FLOWS)
CHATTER = frozenset({Purpose.MULTICAST})
"""What hosts send all the time and nobody misses."""
BY_RULE = frozenset({Purpose.POLICY_EGRESS, Purpose.POLICY_INGRESS, Purpose.DEFAULT_DENY, Purpose.ISOLATED})
"""What people have asked for: written where the rule says `log`, kept in any case."""

UNASKED = frozenset(purpose.name for purpose in BY_RULE)


class DropLog:
    """Looks at intervals, in a thread of its own. `start` and `stop` once each; `answer` from any thread.

    Args:
        management: the switch.
        samples: where single packets come from.
        plugged: what is plugged in, by endpoint.
        wanted: what the last pass wanted: it has the reasons.
        clock: the time of day.
    """

    def __init__(
        self,
        management: Management,
        samples: Samples,
        plugged: Callable[[], Mapping[str, Plugged]],
        wanted: Passed,
        clock: Callable[[], datetime],
    ) -> None:
        self._management = management
        self._samples = samples
        self._plugged = plugged
        self._wanted = wanted
        self._clock = clock
        self._decoder = Decoder()
        self._since = clock()
        self._before: Mapping[FlowKey, Counted] | None = None
        self._drops: deque[Drop] = deque(maxlen=MOST_DROPS)
        self._packets: deque[Sampled] = deque(maxlen=MOST_SAMPLES)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drops", daemon=True)

    def start(self) -> None:
        """Begin: what was dropped before is not told."""
        self._samples.start()
        self._thread.start()

    def stop(self) -> None:
        """End. Idempotent."""
        self._ended.set()
        self._samples.stop()

    def answer(self, asked: DropsAsked) -> DropsSaid:
        """What was dropped lately, the last moments included. Blocking, briefly."""
        self.look()
        with self._lock:
            drops, packets = tuple(self._drops), tuple(self._packets)
        if (name := asked.endpoint) is not None:
            drops = tuple(one for one in drops if one.endpoint == name)
            packets = tuple(one for one in packets if one.endpoint == name)
        return DropsSaid(since=self._since, interval_s=INTERVAL_S, drops=drops, packets=packets)

    def look(self) -> None:
        """Look at the counters once."""
        with self._lock:
            try:
                now = {one.flow.key: one for one in self._management.drops(self._decoder)}
                names = {one.ofport: name for name, one in self._plugged().items() if one.ofport is not None}
            except (SwitchError, Busy) as fault:
                log.debug("not looked why=%s", fault)
                return
            passed = self._wanted()
            wanted = passed[FLOWS] if passed is not None else {}
            if self._before is not None:
                found = list(dropped(self._before, now, names, wanted, self._clock()))
                self._drops.extendleft(reversed(found))
                _write(found, now)
            self._before = now
            heard = list(sampled(self._samples.take(), names, wanted))
            self._packets.extendleft(packet for packet, _ in heard)
            _write_packets(heard)

    def _run(self) -> None:
        while True:
            self.look()
            if self._ended.wait(INTERVAL_S if self._before is not None else AWAY_S):
                return


def dropped(
    before: Mapping[FlowKey, Counted],
    now: Mapping[FlowKey, Counted],
    names: Mapping[int, str],
    wanted: Mapping[FlowKey, object],
    at: datetime,
) -> Iterator[Drop]:
    """What was dropped between two looks, the most first. Pure.

    Args:
        before: every flow that drops, as it was.
        now: as it is. One that counts less was made anew.
        names: the endpoints by port.
        wanted: the flows that have reasons.
        at: when it is.
    """
    grown = []
    for key, one in now.items():
        then = before.get(key)
        past = (0, 0) if then is None or then.packets > one.packets else (then.packets, then.bytes)
        if one.packets > past[0] and _purpose(one) not in CHATTER:
            grown.append((one.packets - past[0], max(0, one.bytes - past[1]), one))
    for packets, octets, one in sorted(grown, key=lambda each: -each[0]):
        mine = counts(one.flow)
        yield Drop(
            at=at,
            endpoint=names.get(mine.ofport) if mine is not None else None,
            purpose=purpose_words(one.flow.cookie),
            reason=reason_words(wanted.get(one.flow.key)),
            match=match_words(one.flow.match)[:TEXT_CHARACTERS],
            packets=packets,
            bytes=octets,
        )


def _purpose(one: Counted) -> int:
    cookie = decode(one.flow.cookie)
    return cookie.purpose if cookie is not None else 0


def _write(found: Sequence[Drop], now: Mapping[FlowKey, Counted]) -> None:
    if not found:
        return
    quiet = {match_words(key.match) for key, one in now.items() if _quiet(one)}
    written = [drop for drop in found if drop.match not in quiet]
    for drop in written[:LINES]:
        log.warning(
            "event=dropped endpoint=%s purpose=%s packets=%d bytes=%d match=%s reason=%r",
            drop.endpoint or "-",
            drop.purpose,
            drop.packets,
            drop.bytes,
            drop.match or "-",
            drop.reason,
        )
    if len(written) > LINES:
        log.warning("event=dropped-more flows=%d: polder node drops", len(written) - LINES)


def _write_packets(heard: Iterable[tuple[Sampled, bool]]) -> None:
    ours = [packet for packet, logged in heard if logged or packet.purpose not in UNASKED]
    for packet in ours[:LINES]:
        log.warning(
            "event=packet endpoint=%s way=%s purpose=%s source=%s destination=%s protocol=%s ports=%s,%s"
            " reason=%r",
            packet.endpoint or "-",
            packet.way or "-",
            packet.purpose or "-",
            packet.source or "-",
            packet.destination or "-",
            packet.protocol,
            "-" if packet.source_port is None else packet.source_port,
            "-" if packet.destination_port is None else packet.destination_port,
            packet.reason,
        )


def _quiet(one: Counted) -> bool:
    cookie = decode(one.flow.cookie)
    return cookie is not None and cookie.purpose in BY_RULE and not cookie.logged
