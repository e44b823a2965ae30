"""One agent for one network namespace."""

from __future__ import annotations

import uuid

import pytest

from agents.node import only
from agents.node.only import AlreadyRunning


def test_a_second_agent_is_refused_until_the_first_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(only, "NAME", f"\0polder-test-{uuid.uuid4()}")
    with only.claim(), pytest.raises(AlreadyRunning, match="stop it first"):
        only.claim()
    only.claim().close()
