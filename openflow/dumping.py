"""A dump of our flows that is read in parts while flows go on being changed.

It shows the flows as they were at one moment after it was begun: Open vSwitch answers it in one go. Its bytes
come in a thread of their own, which costs next to nothing; what they mean is found out part by part, by
whoever takes the parts, so that a dump of tens of thousands of flows holds nobody up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from openflow.decoding import Decoder
from openflow.errors import SwitchError
from openflow.flow import Flow


class Dumping:
    """One dump, from the moment that it is made. One thread takes its parts.

    Args:
        ask: asks the switch, and returns its answers.
        decoder: reads them. A dump that it reads meanwhile does no harm.
        on_answer: called in a thread of ours when there are parts to take, or it has failed. It must return
            at once: mark something dirty.
    """

    def __init__(
        self, ask: Callable[[], list[bytes]], decoder: Decoder, on_answer: Callable[[], None]
    ) -> None:
        self._answer = Future[list[bytes]]()
        self._decoder = decoder
        self._on_answer = on_answer
        self._parts: Iterator[list[Flow]] | None = None
        threading.Thread(target=self._run, args=(ask,), name="openflow-dump", daemon=True).start()

    def part(self) -> list[Flow] | None:
        """The next part, of some hundred flows. Empty when the switch has not answered yet, None at the end.

        Raises:
            Disconnected: the switch is away.
            SwitchError: its answer makes no sense.
        """
        if not self._answer.done():
            return []
        if self._parts is None:
            self._parts = self._decoded(self._answer.result())
        return next(self._parts, None)

    def _decoded(self, replies: list[bytes]) -> Iterator[list[Flow]]:
        for part in self._decoder.parts(replies):
            if part:
                yield [counted.flow for counted in part]

    def _run(self, ask: Callable[[], list[bytes]]) -> None:
        try:
            self._answer.set_result(ask())
        except SwitchError as fault:
            self._answer.set_exception(fault)
        self._on_answer()
