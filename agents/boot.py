"""Which boot of the kernel this is: what was ready under another one is not ready now."""

from __future__ import annotations

from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The kernel's boot id: a UUID made anew at each boot."""
    return BOOT_ID.read_text().strip()
