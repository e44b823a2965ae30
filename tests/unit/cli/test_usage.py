"""`polder pool show`: bars that do not lie."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.usage import STATES, cells
from tests.unit.cli.canned import Reply, serving
from tests.unit.cli.conftest import Polder

NUMBERS = st.integers(0, 1 << 20)
COUNTS = st.fixed_dictionaries({state.field: NUMBERS for state in STATES})

POOL = {"name": "a", "cidr": "10.0.0.0/24", "block_prefixlen": 26, "advertise": "block", "disabled": True}


def block(assigned: int, cooling: int = 0, reserved: int = 0) -> dict[str, Any]:
    free = 64 - assigned - cooling - reserved
    counts = {"assigned": assigned, "cooling": cooling, "reserved": reserved, "free": free}
    return {"cidr": "10.0.0.0/26", **counts}


def usage(*nodes: list[dict[str, Any]], **forecast: object) -> dict[str, Any]:
    total = {state.field: sum(each[state.field] for node in nodes for each in node) for state in STATES}
    return {
        "pool": "a",
        "cidr": "10.0.0.0/24",
        "size": 256,
        "assignable": 254,
        **total,
        "blocks": {"total": 4, "claimed": sum(map(len, nodes))},
        "nodes": [{"node": f"n{number}", "blocks": node} for number, node in enumerate(nodes)],
        "forecast": {"rate_per_hour": None, "exhausted_at": None, "why": "nothing is assigned", **forecast},
    }


@given(COUNTS, st.integers(len(STATES), 200))
def test_what_there_is_has_a_cell_and_what_there_is_not_has_none(counts: dict[str, int], length: int) -> None:
    drawn = cells(counts, length)
    numbers = [counts[state.field] for state in STATES]
    assert [cell > 0 for cell in drawn] == [number > 0 for number in numbers]
    assert sum(drawn) == (length if any(numbers) else 0)


@given(COUNTS, st.integers(len(STATES), 200))
def test_more_addresses_never_have_fewer_cells(counts: dict[str, int], length: int) -> None:
    drawn = dict(zip((counts[state.field] for state in STATES), cells(counts, length), strict=True))
    ordered = [drawn[number] for number in sorted(drawn)]
    assert (
        ordered == sorted(ordered)
        or max(abs(a - b) for a, b in zip(ordered, sorted(ordered), strict=True)) <= 1
    )


def test_a_bar_for_each_block_of_each_node(polder: Polder) -> None:
    of = usage([block(64), block(0, reserved=16)], [block(32, 16)])
    with serving(Reply(200, of), Reply(200, POOL)) as canned:
        ran = polder("pool", "show", "a", "--server", canned.url)
    assert [asked.target for asked in canned.asked] == ["/v1/pools/a/usage", "/v1/pools/a"]
    lines = ran.out.splitlines()
    assert lines[0].endswith("announced by block, disabled")
    assert "96 used, 16 cooling, 16 reserved, 64 free (44 % of" in lines[1]
    assert lines[2] == "4 blocks: 3 claimed, 1 not"
    assert lines[5].split() == ["n0", "64", "0", "16", "48", "█" * 16, "▒" * 4 + "░" * 12]
    assert lines[6].split() == ["n1", "32", "16", "0", "16", "█" * 8 + "▓" * 4 + "░" * 4]
    assert lines[-1] == "exhaustion: not foreseen; nothing is assigned"


def test_many_blocks_share_a_bar_whose_length_says_how_many(polder: Polder) -> None:
    with serving(Reply(200, usage([block(64)] * 100, [block(0)] * 50)), Reply(200, POOL)) as canned:
        ran = polder("pool", "show", "a", "--server", canned.url)
    long, short = (line.split()[-1] for line in ran.out.splitlines()[5:7])
    assert (set(long), set(short)) == ({"█"}, {"░"})
    assert len(short) == len(long) // 2
    assert max(map(len, ran.out.splitlines()[4:7])) <= 100


def test_a_pool_without_blocks(polder: Polder) -> None:
    with serving(Reply(200, usage()), Reply(200, POOL)) as canned:
        ran = polder("pool", "show", "a", "--server", canned.url)
    assert (ran.code, len(ran.out.splitlines())) == (0, 5)


def test_numbers_that_nobody_would_read(polder: Polder) -> None:
    of = usage([block(1)]) | {"size": 2**64, "free": 2**64 - 1, "assignable": 2**64}
    of["blocks"] = {"total": 2**58, "claimed": 1}
    with serving(Reply(200, of), Reply(200, POOL)) as canned:
        ran = polder("pool", "show", "a", "--server", canned.url)
    addresses, blocks = ran.out.splitlines()[1:3]
    assert addresses.startswith(
        "1.8e+19 addresses: 1 used, 0 cooling, 0 reserved, 1.8e+19 free (under 0.01 %"
    )
    assert blocks == "2.9e+17 blocks: 1 claimed, 2.9e+17 not"


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        ({"exhausted_at": "2024-01-03T05:00:00Z", "rate_per_hour": 2.5}, "2024-01-03 05:00 UTC, at 2.5 more"),
        ({"exhausted_at": "2024-01-03T05:00:00Z"}, "exhaustion: now; "),
    ],
)
def test_the_forecast(polder: Polder, forecast: dict[str, object], words: str) -> None:
    with serving(Reply(200, usage([block(1)], **forecast)), Reply(200, POOL)) as canned:
        ran = polder("pool", "show", "a", "--server", canned.url)
    assert words in ran.out.splitlines()[-1]


@pytest.mark.parametrize(("no_color", "encoding"), [(False, "utf-8"), (True, "utf-8"), (True, "ascii")])
def test_on_a_terminal(no_color: bool, encoding: str) -> None:
    """As wide as the terminal; in colour unless NO_COLOR is set; in ASCII where there is nothing else."""
    master, slave = pty.openpty()
    with serving(Reply(200, usage([block(20)] * 40)), Reply(200, POOL)) as canned:
        code = f"from cli.main import main; main(['pool', 'show', 'a', '--server', '{canned.url}'])"
        env = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        env |= {"TERM": "xterm", "COLUMNS": "60", "PYTHONIOENCODING": encoding, "POLDER_CONFIG": os.devnull}
        env |= {"NO_COLOR": "1"} if no_color else {}
        subprocess.run([sys.executable, "-c", code], stdout=slave, env=env, check=True)
    os.close(slave)
    text = os.read(master, 65536).decode()
    os.close(master)
    assert ("\x1b[" in text) is not no_color
    assert text.isascii() is (encoding == "ascii")
    if no_color:
        assert len(next(line for line in text.splitlines() if line.startswith("n0"))) == 60
