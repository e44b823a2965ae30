"""Ends a peer's process so that nothing of it stays behind at the peer.

A process that just dies leaves its routes at the peer for the restart time, as graceful restart wants it.
One that is no longer wanted withdraws first, waits until that has left, and ends then.
"""

from __future__ import annotations

import logging
import time
from contextlib import closing

from bgp.adj_rib_out import shut_down
from bgp.exabgp import commands
from bgp.exabgp.channel import Channel, ChannelLost
from bgp.exabgp.events import Neighbor, Routes
from bgp.exabgp.process import Process
from bgp.exabgp.rundir import RunDir
from bgp.exabgp.watchdog import Patience

log = logging.getLogger(__name__)

WITHDRAW_S = 5.0
BUSY_S = 30.0
"""For ExaBGP to take the withdrawal: with 20,000 routes it computes for more than five seconds."""
SETTLE_S = 0.05


def retire(where: RunDir, *, graceful_s: float = 0.0) -> None:
    """Withdraw everything, end the process of this directory and remove its files. Idempotent.

    Before that, for `graceful_s`, its routes carry GRACEFUL_SHUTDOWN (RFC 8326). Needs nothing but the
    directory, so that what an earlier configuration left is ended too.
    Blocking: some tenths of a second, at most about 15 s with a process that does nothing, and 45 s with one
    that computes.
    """
    if (found := Process.running(where)) is not None:
        with closing(found[0]) as process:
            _withdraw(where, process, graceful_s)
            process.terminate()
            log.info("retired pid=%d dir=%s", process.pid, where.path)
    where.remove()


def _withdraw(where: RunDir, process: Process, graceful_s: float) -> None:
    try:
        with closing(Channel(where.socket, Patience(WITHDRAW_S, BUSY_S, process.cpu_s))) as channel:
            if graceful_s:
                _lead_away(channel)
                time.sleep(graceful_s)
            channel.ask([commands.CLEAR_ADJ_RIB_OUT])
            _settle(channel)
    except ChannelLost as fault:
        log.warning("ends without withdrawing dir=%s why=%s", where.path, fault)


def _lead_away(channel: Channel) -> None:
    [reply] = channel.ask([commands.SHOW_ROUTES])
    groups = [shown for shown in reply.shown if isinstance(shown, Routes)]
    changes = [change for group in groups for change in shut_down(group.attributes, group.prefixes)]
    channel.ask([commands.announce(change) for change in changes])


def _settle(channel: Channel) -> None:
    """Wait until the session sends no more updates. An answer says only that they are queued."""
    until = time.monotonic() + WITHDRAW_S
    before, now = -1, _updates_sent(channel)
    while before != now and time.monotonic() < until:
        time.sleep(SETTLE_S)
        before, now = now, _updates_sent(channel)


def _updates_sent(channel: Channel) -> int:
    [reply] = channel.ask([commands.SHOW_NEIGHBOR])
    return sum(shown.updates_sent for shown in reply.shown if isinstance(shown, Neighbor))
