"""Each message of a stream is read once, in whatever pieces it comes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openflow.json_stream import MessageParser

texts = st.text(st.characters(codec="utf-8") | st.sampled_from('{}[]",:\\ \n'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
messages = st.dictionaries(texts, values, max_size=4)


def read(pieces: list[str]) -> list[Any]:
    """What a connection of the library makes of a stream."""
    found, parser = [], MessageParser()
    for piece in pieces:
        left = piece
        while left:
            left = left[parser.feed(left) :]
            if parser.is_done():
                found.append(parser.finish())
                parser = MessageParser()
    return found


@given(
    st.lists(messages, max_size=4),
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from(["", " ", "\n"]),
)
def test_whatever_the_pieces_each_message_is_read_once(
    sent: list[dict[str, Any]], cuts: list[int], between: str
) -> None:
    stream = between.join(json.dumps(each, ensure_ascii=False) for each in sent)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[begin:end] for begin, end in pairwise(edges)]
    assert read(pieces) == sent


@pytest.mark.parametrize("stream", ["[1]", '"text"', "HTTP/1.1 400", "}"])
def test_what_is_no_message_is_an_error_in_words(stream: str) -> None:
    parser = MessageParser()
    parser.feed(stream)
    assert parser.is_done()
    assert isinstance(parser.finish(), str)
