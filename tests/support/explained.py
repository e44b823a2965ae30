"""Hypothesis strategies for questions to nodes, and their answers."""

from __future__ import annotations

from hypothesis import strategies as st

from store.model import (
    Answered,
    DiffAsked,
    DiffSaid,
    HeldCount,
    HeldKind,
    Question,
    Unanswered,
    Unlike,
    UnlikeKind,
)

nodes = st.sampled_from(["node-1", "rack7.example"])
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
texts = st.text(max_size=40)
counts = st.integers(0, 2**31)

unlikes = st.builds(
    Unlike,
    held=st.sampled_from(HeldKind),
    kind=st.sampled_from(UnlikeKind),
    key=texts,
    wanted=texts,
    found=texts,
    reason=texts,
)
diffs = st.builds(
    DiffSaid,
    counts=st.lists(
        st.builds(HeldCount, held=st.sampled_from(HeldKind), wanted=counts, found=counts), max_size=5
    ).map(tuple),
    unlike=st.lists(unlikes, max_size=3).map(tuple),
    more=counts,
)
questions = st.builds(Question, id=ids, node=nodes, asked=st.builds(DiffAsked))
answers = st.builds(
    Answered, question=ids, node=nodes, said=st.one_of(diffs, st.builds(Unanswered, why=texts))
)
