"""Fields that are set for a tenant, not by it: they take from others, or steer routers."""

from __future__ import annotations

from controller.principal import principal
from controller.problem import Fault, Problem


def refuse_change(field: str, before: object, wanted: object, whom: str) -> None:
    """Refuse a tenant's token that would change a field. Raises `Problem`.

    Args:
        field: its name in the body.
        before: what it is; its default where nothing is there yet.
        wanted: what it would be.
        whom: who may be asked for it instead.
    """
    if wanted != before and principal().tenant is not None:
        detail = f"a tenant's token cannot set {field}; ask {whom}"
        raise Problem("forbidden", detail, errors=[Fault("cannot be set by a tenant's token", f"/{field}")])
