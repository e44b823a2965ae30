"""The log: every line, in order, and the last ones too."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from controller.log import Formatter, Lines
from lab.wait import wait_until

SOON_S = 10


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("polder", level, "", 0, text, None, None)


def test_a_line_is_written_though_nothing_follows_it(pipe: tuple[int, int]) -> None:
    handler = Lines(pipe[1])
    handler.handle(record("one"))
    wait_until(lambda: _there(pipe[0]) == b"one\n", SOON_S, "the line")


def test_an_error_is_written_before_its_caller_goes_on_and_behind_what_came_before(
    pipe: tuple[int, int],
) -> None:
    handler = Lines(pipe[1])
    handler.handle(record("one"))
    handler.handle(record("two \udcff", logging.ERROR))
    assert os.read(pipe[0], 100) == b"one\ntwo \\udcff\n"


def test_many_lines_of_many_threads_are_all_there_when_the_program_ends() -> None:
    body = (
        "import logging, threading\n"
        "from controller import log\n"
        "log.start('info')\n"
        "def say(who):\n"
        "    for number in range(500):\n"
        "        logging.getLogger('t').info('%s %d', who, number)\n"
        "threads = [threading.Thread(target=say, args=(who,)) for who in 'abc']\n"
        "[each.start() for each in threads]; [each.join() for each in threads]\n"
        "logging.getLogger('t').debug('unseen')\n"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    for who in "abc":
        mine = [int(line.split()[-1]) for line in lines if line.split()[-2] == who]
        assert mine == list(range(500))
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} INFO t [abc] \d+", line) for line in lines
    )


def test_nobody_who_reads_is_no_fault(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    handler = Lines(writing)
    handler.setFormatter(Formatter())
    handler.handle(record("one", logging.ERROR))
    os.close(writing)


def _there(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 100)
    except BlockingIOError:
        return b""
