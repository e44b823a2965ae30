"""How much a state machine of the property tests tries: little by default, more with a longer profile."""

from __future__ import annotations

from hypothesis import settings

USUAL = 100
"""Examples of a property test by default; `--hypothesis-profile` names another number."""


def tries(examples: int, steps: int) -> settings:
    """So many examples of so many steps by default, and in proportion with another profile."""
    scaled = max(1, examples * settings().max_examples // USUAL)
    return settings(max_examples=scaled, stateful_step_count=steps, deadline=None, report_multiple_bugs=False)
