"""The systemd units start what exists, with arguments that it takes."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from agents import options_file
from cli.join import renew
from cli.program import MODULES

PLACE = Path(__file__).parents[3] / "deploy" / "systemd"
UNITS = [PLACE / f"polder-{name}.service" for name in sorted(MODULES)]
TOOLS = {"polder-renew", "polder-shutdown"}
COMMAND = "/opt/polder/.venv/bin/polder"


def settings(*, offered: bool) -> dict[str, str]:
    """The variables of polder.env; with `offered` those in comments too, of which the last wins."""
    text = (PLACE / "polder.env").read_text()
    pattern = r"^#?(POLDER_\w+)=(.*)$" if offered else r"^(POLDER_\w+)=(.*)$"
    return dict(re.findall(pattern, text, re.MULTILINE))


def node_options(place: Path, *, offered: bool) -> Path:
    """The options file of a node; with `offered` with the lines that are comments too."""
    text = (PLACE / "node.conf").read_text()
    path = place / "node.conf"
    path.write_text(re.sub(r"^#(?=[a-z-]+ =)", "", text, flags=re.MULTILINE) if offered else text)
    return path


def expanded(line: str, given: dict[str, str]) -> list[str]:
    """As systemd does it (systemd.service(5)): `$NAME` is any number of words, `${NAME}` part of one."""
    words: list[str] = []
    for word in shlex.split(line):
        if match := re.fullmatch(r"\$(\w+)", word):
            words += given.get(match[1], "").split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: given[found[1]], word))
    return words


def test_every_program_has_a_unit() -> None:
    assert {unit.stem for unit in PLACE.glob("*.service")} == {unit.stem for unit in UNITS} | TOOLS


@pytest.mark.parametrize("offered", [False, True])
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_its_arguments_are_taken(unit: Path, offered: bool, tmp_path: Path) -> None:
    lines = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert len(lines) == 1
    command, program, *arguments = expanded(lines[0], settings(offered=offered))
    assert command == COMMAND
    parser = importlib.import_module(f"{MODULES[program]}.__main__").parser()
    assert isinstance(parser, argparse.ArgumentParser)
    config = node_options(tmp_path, offered=offered)
    parsed = options_file.parse(
        parser, [each.replace("/etc/polder/node.conf", str(config)) for each in arguments]
    )
    assert parsed.etcd.startswith("https://" if offered else "http://127.0.0.1")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_always_started_again(unit: Path) -> None:
    text = unit.read_text()
    assert "\nRestart=always\n" in text
    assert "\nStartLimitIntervalSec=0\n" in text


def test_exabgp_outlives_the_speakers_restart() -> None:
    text = (PLACE / "polder-speaker.service").read_text()
    assert "\nKillMode=process\n" in text
    assert "\nRuntimeDirectoryPreserve=yes\n" in text


def test_a_host_that_goes_down_leads_traffic_away(tmp_path: Path) -> None:
    text = (PLACE / "polder-shutdown.service").read_text()
    assert "\nBefore=polder-speaker.service\n" in text, "the speaker has to have let go of the sessions"
    command, program, *arguments = shlex.split(re.findall(r"^ExecStop=(.*)$", text, re.MULTILINE)[0])
    assert (command, program) == (COMMAND, "speaker")
    config = node_options(tmp_path, offered=False)
    parser = importlib.import_module(f"{MODULES[program]}.__main__").parser()
    given = options_file.parse(
        parser, [each.replace("/etc/polder/node.conf", str(config)) for each in arguments]
    )
    assert (given.retire, given.graceful_s) == (True, 20)
    limit_s = int(re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[0])
    assert limit_s > given.graceful_s + 45, "a busy ExaBGP takes that long to withdraw"


def test_a_certificate_is_renewed_in_time() -> None:
    line = re.findall(r"^ExecStart=(.*)$", (PLACE / "polder-renew.service").read_text(), re.MULTILINE)[0]
    command, *arguments = shlex.split(line)
    assert (command, arguments[:2]) == (COMMAND, ["agent", "renew"])
    context = renew.make_context("renew", arguments[2:])
    assert "OnCalendar=weekly" in (PLACE / "polder-renew.timer").read_text()
    assert context.params["within_days"] > 14, "missed once, it is not too late"
