"""A fingerprint tells sets of prefixes apart, and nothing else."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from bgp.fingerprint import fingerprint, nlri

lengths = st.integers(0, 32)
prefixes = st.builds(
    lambda length, bits: IPv4Network((bits >> (32 - length) << (32 - length), length)),
    lengths,
    st.integers(0, 2**32 - 1) | st.integers(0, 3).map(lambda low: 0x0A000000 + low),
)
sets = st.sets(prefixes, max_size=6)


@given(one=sets, other=sets)
def test_it_is_equal_where_the_sets_are(one: set[IPv4Network], other: set[IPv4Network]) -> None:
    prints = [fingerprint(map(nlri, prefixes)) for prefixes in (one, other)]
    assert (prints[0] == prints[1]) == (one == other)


@given(one=sets)
def test_the_order_does_not_matter(one: set[IPv4Network]) -> None:
    forth, back = sorted(one), sorted(one, reverse=True)
    assert fingerprint(map(nlri, forth)) == fingerprint(map(nlri, back))
