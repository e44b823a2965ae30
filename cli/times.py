"""Times for people."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import click


def lasted(since: object, now: datetime) -> str:
    """The time from `since` (RFC 3339) until now in its two largest units; empty without a `since`."""
    try:
        then = datetime.fromisoformat(str(since))
    except ValueError:
        return ""
    if then.tzinfo is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, name, lower, lower_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= unit:
            return f"{seconds // unit}{name}{seconds % unit // lower:02}{lower_name}"
    return f"{seconds}s"


class Duration(click.ParamType[int]):
    """A time such as 90s, 30m, 2h or 1d, in seconds; a number alone is in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds. Ends the command with a usage error when it is not a time."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd]?)", str(value))
        if found is None:
            return self.fail(f"{value!r} is not a time; expected one such as 90s, 30m, 2h or 1d", param, ctx)
        return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
