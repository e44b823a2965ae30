"""Prefix lists, as FRR, EOS and NX-OS all read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bgp.tor.router import Accepted, Router

STEP = 10


def prefix_lists(router: Router, version: int) -> Mapping[str, list[str]]:
    """The entries of each list of one family, by its name: what is taken, and what each group is told."""
    lists = {f"POLDER-IPV{version}": entries(router.accepts(version), version)}
    for group in router.groups:
        if version in group.terms.families:
            told = [each for each in group.terms.exports if each.version == version]
            only = [Accepted(prefix, prefix.prefixlen, prefix.prefixlen) for prefix in told]
            lists[f"{group.name}-OUT-IPV{version}"] = entries(only, version)
    return lists


def entries(accepted: Iterable[Accepted], version: int) -> list[str]:
    """`seq 10 permit 10.64.0.0/16 ge 26 le 32` and so on, and the refusal of all others.

    That is said although it is the rule: a list without an entry lets everything pass on some routers.
    """
    words = [f"permit {each.cidr}{_lengths(each)}" for each in accepted]
    words.append("deny 0.0.0.0/0 le 32" if version == 4 else "deny ::/0 le 128")
    return [f"seq {number * STEP} {each}" for number, each in enumerate(words, 1)]


def keyword(version: int) -> str:
    """What such commands begin with."""
    return "ip" if version == 4 else "ipv6"


def _lengths(accepted: Accepted) -> str:
    # A `ge` has to be longer than the prefix itself.
    words = f" ge {accepted.shortest}" if accepted.shortest > accepted.cidr.prefixlen else ""
    if accepted.exact or (words and accepted.shortest == accepted.cidr.max_prefixlen):
        return words
    return f"{words} le {accepted.longest}"
