"""Documents are read strictly, and errors say where."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.document import MAX_BYTES, parse, read_documents
from cli.failure import Exit, Failure
from cli.output import to_yaml

KEYS = st.text().filter(lambda key: key != "<<")  # a merge key, which is refused
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, PLAIN, min_size=1, max_size=4))
def test_what_is_printed_is_read_again(value: dict[str, object]) -> None:
    for text in (to_yaml(value), json.dumps(value)):
        (document,) = parse(text, "x")
        assert document.fields == value


def test_yaml_of_version_1_2() -> None:
    text = """
a: yes
b: 64500:10
c: 2024-01-01
d: 0o17
e: 1_000
f: 1.5
g: true
h: ~
i:
j: 07
"""
    assert parse(text, "x")[0].fields == {
        "a": "yes",
        "b": "64500:10",
        "c": "2024-01-01",
        "d": "0o17",
        "e": "1_000",
        "f": 1.5,
        "g": True,
        "h": None,
        "i": None,
        "j": "07",
    }


def test_several_documents_know_their_places() -> None:
    text = "# nothing\n---\nkind: pool\nlabels:\n  rack: '7'\n---\n---\nkind: node\n"
    first, second = parse(text, "site.yaml")
    assert first.place("labels", "rack") == "site.yaml, document 1, line 5"
    assert first.place("labels", "absent") == "site.yaml, document 1, line 4"
    assert second.place("kind") == "site.yaml, document 3, line 8"


def test_json_documents_one_after_another_or_in_a_list() -> None:
    for text in ('{"a": 1}\n{"a": 2}\n', '[{"a": 1},\t{"a": 2}]', '{"a": 1}{"a": 2}'):
        assert [each.fields["a"] for each in parse(text, "x")] == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "x, document 1, line 3: the key 'a' stands twice"),
        ("a: 1\n---\nb:\n  c: 1\n  c: 2\n", "x, document 2, line 5: the key 'c' stands twice"),
        ('{"a": 1, "a": 2}', "line 1: the key 'a' stands twice"),
        ('{"a": 1}\n{"b": }', "x, document 2, line 2: "),
        ('{"a": NaN}', "NaN is no JSON"),
        ("7: 1\n", "the key 7 is no text; write it in quotes"),
        ("true: 1\n", "the key True is no text"),
        ("a: !!python/object/apply:os.system [id]\n", "could not determine a constructor"),
        ("base: &b {x: 1}\nmore:\n  <<: *b\n", "line 3: merge keys are not read"),
        ("a: [1\n", "x, document 1, line 2: "),
        ("just text\n", "expected fields such as `kind: pool`"),
        ("- 1\n", "expected fields such as"),
        ("a: *nowhere\n", "found undefined alias"),
        ("a: \x07\n", "line 1: character"),
        ("a: &a [*a]\n", "found unconstructable recursive node"),
        ("[" * 100_000, "is nested too deep"),
        ("a: " + "[" * 100_000, "is nested too deep"),
        ("a: " + "[" * 100 + "]" * 100, "is deeper than"),
        ("{" * 100_000, "x, document 1, line 1: "),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(text, "x")
    assert words in caught.value.message
    assert caught.value.code == Exit.USAGE


def test_a_small_file_does_not_become_a_large_one() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    with pytest.raises(Failure, match="holds more than"):
        parse("\n".join(lines), "x")


def test_files_directories_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.yml").write_text("a: 2\n")
    (tmp_path / "a.yaml").write_text("\ufeffa: 1\n")
    (tmp_path / "notes.txt").write_text("not this: [")
    (tmp_path / "deeper.yaml").mkdir()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 3\n")))
    read = read_documents([str(tmp_path), "-"])
    assert [(each.source, each.fields["a"]) for each in read] == [
        (f"{tmp_path}/a.yaml", 1),
        (f"{tmp_path}/b.yml", 2),
        ("standard input", 3),
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4\n")
    with (tmp_path / "large.yaml").open("wb") as large:
        large.truncate(MAX_BYTES + 1)
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("latin.yaml", "byte 3 is not UTF-8"),
        ("large.yaml", "is larger than 16 MiB"),
        ("empty", "holds no file that ends in .yaml, .yml, .json"),
        ("absent", "No such file"),
    ):
        with pytest.raises(Failure, match=words):
            read_documents([str(tmp_path / name)])
