"""docs/pki.md is true: its table of rights is what a node's role is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller import rights
from store import keys

DOCS = Path(__file__).parents[3] / "docs" / "pki.md"
ROW = re.compile(r"^\| (`.*`) \| (read and write|read|read, of an edge only) \|", re.MULTILINE)


@pytest.mark.parametrize("edge", [False, True])
def test_the_table_of_rights_is_what_a_role_is_given(edge: bool) -> None:
    section = DOCS.read_text().partition("\n## Rights in etcd\n")[2].partition("\n## ")[0]
    told = {
        (prefix, how == "read and write")
        for prefixes, how in ROW.findall(section)
        for prefix in re.findall(r"`([^`]+)`", prefixes)
        if edge or how != "read, of an edge only"
    }
    given = {
        (each.prefix.removeprefix(keys.ROOT), each.write) for each in rights.permissions("NAME", edge=edge)
    }
    assert told == given
