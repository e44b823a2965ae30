"""Cuts in the network: a host drops packets without a word, as a broken path does.

Each cut is a table of nftables in the host's namespace; packets that the host only bridges for others
are not touched. Connections stay open on both sides and learn nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lab.etcd import CLIENT_PORT, PEER_PORT
from lab.host import Host


@dataclass(frozen=True, slots=True)
class Cut:
    """What a host drops: rules of nftables for packets that come in and for packets that go out."""

    name: str
    coming: Sequence[str] = ()
    going: Sequence[str] = ()


MEMBER = Cut(
    "member",
    (f"tcp dport {PEER_PORT}", f"tcp sport {PEER_PORT}"),
    (f"tcp dport {PEER_PORT}", f"tcp sport {PEER_PORT}"),
)
"""The member of etcd on the host loses the other members; its clients still reach it."""

REQUESTS = Cut("requests", going=(f"tcp dport {CLIENT_PORT}",))
"""Nothing that programs on the host say reaches any member of etcd."""

ANSWERS = Cut("answers", coming=(f"tcp sport {CLIENT_PORT}",))
"""What programs on the host ask of etcd arrives there, and no answer comes back."""

HOST = Cut("host", ('iifname != "lo"',), ('oifname != "lo"',))
"""The host is cut off from all others."""


@contextmanager
def cut(host: Host, what: Cut) -> Iterator[None]:
    """Drop these packets at the host while the block runs. Raises CommandFailed."""
    _nft(host, *_table(what))
    try:
        yield
    finally:
        heal(host, what)


def heal(host: Host, what: Cut) -> None:
    """End a cut. Idempotent. Raises CommandFailed."""
    _nft(host, f"table inet {what.name} {{ }}", f"delete table inet {what.name}")


def _table(what: Cut) -> list[str]:
    chains = [("input", what.coming), ("output", what.going)]
    return [f"table inet {what.name} {{", *(_chain(hook, rules) for hook, rules in chains), "}"]


def _chain(hook: str, rules: Sequence[str]) -> str:
    drops = "".join(f"{rule} drop; " for rule in rules)
    return f"chain {hook} {{ type filter hook {hook} priority 0; {drops}}}"


def _nft(host: Host, *lines: str) -> None:
    host.run("nft", "-f", "-", stdin="\n".join(lines) + "\n")
