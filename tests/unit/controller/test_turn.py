"""Nobody waits for ever behind somebody who waits for the store."""

from __future__ import annotations

import pytest

from controller.turn import Turn
from store.errors import Unavailable


def test_one_at_a_time_and_no_longer_than_the_patience() -> None:
    turn = Turn(patience_s=0.01)
    with turn, pytest.raises(Unavailable, match="others wait"), turn:
        pass
    with turn:
        pass
