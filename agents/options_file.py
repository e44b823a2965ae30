"""`--config FILE`: the options of a node's programs from a file, as if they stood first on the command line.

    # a comment
    node = node-1
    etcd = https://192.0.2.1:2379

The names are those of the options, without the dashes. What stands on the command line as well wins there.
Agent and speaker share the file: each passes over what only the other one knows.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

AGENT_ONLY = frozenset({"ovsdb", "metrics-listen"})
SPEAKER_ONLY = frozenset({"secrets-dir"})

_LINE = re.compile(r"([a-z][a-z-]*)\s*=\s*(\S.*)")


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--config`, for the help; `parse` takes it out."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="more options, a line 'name = value' each; join writes one",
    )


def parse(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, *, of_others: Collection[str] = ()
) -> argparse.Namespace:
    """The arguments with those of the file. Exits with 2 and one line when something is wrong.

    Args:
        parser: of this program.
        argv: the command line.
        of_others: names in the file that mean nothing here.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", type=Path)
    given = list(sys.argv[1:] if argv is None else argv)
    known, rest = first.parse_known_args(given)
    if known.config is None:
        return parser.parse_args(given)
    try:
        options = read(known.config, of_others)
    except (OSError, ValueError) as fault:
        parser.error(f"--config: {fault}")
    there = set(re.findall("--[a-z-]+", parser.format_usage()))
    if wrong := [each[2:] for each in (option.partition("=")[0] for option in options) if each not in there]:
        parser.error(f"--config: {known.config}: there is no option {', '.join(wrong)}; --help lists them")
    return parser.parse_args([*options, *rest])


def read(path: Path, of_others: Collection[str] = ()) -> list[str]:
    """The options in a file, as arguments, without those of these names.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or a line is not of the form.
    """
    arguments = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        found = _LINE.fullmatch(text)
        if found is None:
            raise ValueError(f"{path}, line {number}: expected 'name = value', such as 'node = node-1'")
        if found[1] not in of_others:
            arguments.append(f"--{found[1]}={found[2]}")
    return arguments
