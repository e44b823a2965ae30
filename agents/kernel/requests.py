"""Changes as requests: each says what it is for, and which refusals mean that it is already so."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agents.driver import Outcome
from agents.kernel.interface import find_interface
from agents.kernel.netlink import TRANSIENT, KernelError, Netlink

log = logging.getLogger(__name__)

NO_INDEX = 2**31 - 1
"""An index that no interface has: the kernel answers ENODEV for it, as for one that vanished just now."""


@dataclass(frozen=True, slots=True)
class Request:
    """One change to ask the kernel for."""

    what: object
    """What it does; as text it is for the log."""
    message: bytes
    tolerate: frozenset[int] = frozenset()
    """Refusals (errno) that mean it is already so."""


def send(netlink: Netlink, requests: Sequence[Request]) -> list[KernelError | None]:
    """Have all of them done, whichever fail; returns each one's refusal, None when it is so now."""
    answers = netlink.batch([request.message for request in requests])
    return [
        None if fault is None or fault.errno in request.tolerate else fault
        for request, fault in zip(requests, answers, strict=True)
    ]


def outcome(requests: Sequence[Request], answers: Sequence[KernelError | None]) -> Outcome:
    """What the refusals together mean for the caller. Each is logged."""
    refused = [(one, fault) for one, fault in zip(requests, answers, strict=True) if fault is not None]
    for request, fault in refused:
        log.warning("refused %s why=%s", request.what, fault)
    return worst(
        Outcome.RETRY if fault.errno in TRANSIENT else Outcome.REJECTED for _request, fault in refused
    )


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of several changes: a retry heals more than a resync later does, so it comes first."""
    found = set(outcomes)
    return next((one for one in (Outcome.RETRY, Outcome.REJECTED) if one in found), Outcome.DONE)


def lost(fault: KernelError) -> Outcome:
    """The outcome when the answers themselves were lost: what was done is not known."""
    log.warning("netlink gave no answer why=%s", fault)
    return Outcome.RETRY


class Names:
    """Interface names and indexes, each asked for once. For one pass only: an interface may be made anew."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._index: dict[str, int] = {}
        self._name: dict[int, str] = {}

    @property
    def named(self) -> Mapping[int, str]:
        """The names that were asked for, by index."""
        return self._name

    def index(self, name: str) -> int:
        """The index of an interface; `NO_INDEX` when there is none."""
        if name not in self._index:
            found = find_interface(self._netlink, name)
            self._index[name] = NO_INDEX if found is None else found.index
        return self._index[name]

    def name(self, index: int) -> str:
        """The name of an interface; empty when it is gone."""
        if index not in self._name:
            found = find_interface(self._netlink, index)
            self._name[index] = "" if found is None else found.name
        return self._name[index]
