"""Times for people."""

from __future__ import annotations

from datetime import datetime


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
