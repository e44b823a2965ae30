"""A client: asks one controller after the other until one answers, and records what came of it.

That is what a caller of the API should do: the same request again, with the same id, at another address.
Sometimes it hangs up before the answer, and sometimes it sends a request to two controllers at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.rest import Answer
from tests.history.op import Kind, Op, Outcome, Seen
from tests.history.recorder import History
from tests.history.wire import Lost, NotSent, Wire

PATIENCE_S = 20.0
PAUSE_S = 0.1
GONE_POLL_S = 0.05
NOT_NOW = frozenset({429, 503})


@dataclass(slots=True)
class _Said:
    """The last answer (None: there was none in all the time), and how it came."""

    answer: Answer | None = None
    loose: bool = False
    attempts: int = 0
    twin: Answer | None = None


class Client:
    """One client with a connection to each controller. For one thread."""

    def __init__(self, number: int, wires: Sequence[Wire], history: History) -> None:
        self.number = number
        self._wires = tuple(wires)
        self._next = number
        self._history = history
        self._idle = threading.Event()

    def assign(
        self,
        name: str,
        asked: Mapping[str, Any],
        labels: Mapping[str, str],
        *,
        hang_up: bool = False,
        twice: bool = False,
    ) -> Op:
        """Ask for an endpoint: `asked` is what the body says of node, pools, addresses and tenant."""
        begun = time.monotonic()
        body = {"id": name, **asked, "labels": dict(labels)}
        said = self._twice(body) if twice else _Said()
        if said.answer is None:
            said = self._ask("POST", "/v1/endpoints", body, said, hang_up=hang_up)
        return self._record(Kind.ASSIGN, name, begun, said, dict(asked))

    def read(self, name: str) -> Op:
        """Read an endpoint."""
        begun = time.monotonic()
        said = self._ask("GET", f"/v1/endpoints/{name}", None, _Said())
        said.loose = False
        return self._record(Kind.READ, name, begun, said)

    def move(self, name: str, node: str, *, hang_up: bool = False) -> Op:
        """Move an endpoint."""
        begun = time.monotonic()
        said = self._ask("PATCH", f"/v1/endpoints/{name}", {"node": node}, _Said(), hang_up=hang_up)
        return self._record(Kind.MOVE, name, begun, said, {"node": node})

    def release(self, name: str, uid: str | None, *, hang_up: bool = False) -> Op:
        """Delete an endpoint, if it is the one that has this uid, and wait until it is gone."""
        begun = time.monotonic()
        path = f"/v1/endpoints/{name}"
        said = self._ask("DELETE", f"{path}?uid={uid}" if uid else path, None, _Said(), hang_up=hang_up)
        until = begun + PATIENCE_S
        while said.answer is not None and said.answer.status in {200, 202}:
            if time.monotonic() > until:
                said.answer = None
                break
            self._idle.wait(GONE_POLL_S)
            look = self._ask("GET", path, None, _Said())
            # Only the answer to the DELETE says whether it was there at the beginning.
            said.answer = Answer(204, None, {}) if look.answer and look.answer.status == 404 else look.answer
        return self._record(Kind.RELEASE, name, begun, said)

    def close(self) -> None:
        """Hang up."""
        for wire in self._wires:
            wire.close()

    def _ask(self, method: str, path: str, body: object, said: _Said, *, hang_up: bool = False) -> _Said:
        """Ask until somebody answers; "not now" is no answer."""
        until = time.monotonic() + PATIENCE_S
        while said.attempts == 0 or time.monotonic() < until:
            said.attempts += 1
            try:
                answer = self._wire().request(method, path, body, hang_up=hang_up and said.attempts == 1)
            except NotSent:
                pass
            except Lost:
                said.loose = True
            else:
                if answer.status not in NOT_NOW:
                    said.answer = answer
                    return said
                said.loose = True
            self._next += 1
            if not (hang_up and said.attempts == 1):
                self._idle.wait(PAUSE_S)
        return said

    def _twice(self, body: object) -> _Said:
        """Send one request to two controllers, then read both answers."""
        said = _Said(attempts=2)
        pending = []
        for number in (self._next, self._next + 1):
            wire = self._wires[number % len(self._wires)]
            try:
                pending.append((wire, wire.send("POST", "/v1/endpoints", body)))
            except NotSent:
                continue
            except Lost:
                said.loose = True
        answers = []
        for wire, connection in pending:
            try:
                answers.append(wire.read(connection))
            except Lost:
                said.loose = True
        said.loose |= any(answer.status == 503 for answer in answers)
        made = [answer for answer in answers if answer.ok]
        # Refused here and done there: refused for what the other one was just doing.
        refused = [answer for answer in answers if 400 <= answer.status < 500]
        if made:
            said.answer, said.twin = made[0], made[-1]
        elif refused and len(refused) == len(pending):
            said.answer = refused[0]
        return said

    def _wire(self) -> Wire:
        return self._wires[self._next % len(self._wires)]

    def _record(
        self, kind: Kind, name: str, begun: float, said: _Said, asked: Mapping[str, Any] | None = None
    ) -> Op:
        answer = said.answer
        why = _why(answer)
        outcome = Outcome.UNKNOWN if answer is None or answer.status >= 500 else Outcome.REFUSED
        if answer is not None and (answer.ok or (why == "not-found" and kind in {Kind.READ, Kind.RELEASE})):
            outcome = Outcome.OK
        shown = [each.body for each in (answer, said.twin) if each is not None and each.ok and each.body]
        return self._history.record(
            Op(
                self.number,
                kind,
                name,
                begun,
                time.monotonic(),
                outcome,
                said.loose,
                said.attempts,
                dict(asked or {}),
                tuple(map(Seen.of, shown)),
                why,
            )
        )


def _why(answer: Answer | None) -> str:
    """The type of the problem that an answer is."""
    if answer is None or answer.ok or not isinstance(answer.body, dict):
        return ""
    return str(answer.body.get("type", "")).rpartition("/")[2]
