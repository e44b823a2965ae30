"""The kernel routes of what the node takes from its peers, kept by the speaker itself.

They do not wait for the store: a router that fails while etcd is away, or because etcd is reached through
it, is left at once. They are told from the agent's by a protocol number of their own, and stay when the
program ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from agents.driver import Driver
from agents.kernel.monitor import Changed, Monitor
from agents.kernel.routes import RouteDriver
from agents.reconciler import Reconciler
from intent.names import IMPORT_PROTOCOL
from intent.routes import Route, RouteKey

RETRY_S = 0.5


class ImportedRoutes:
    """Makes the kernel's imported routes those that are wanted. One thread at a time.

    Args:
        on_change: called from a thread when the kernel may have lost one of them.
        driver: in place of the kernel's, which then is not watched.
    """

    def __init__(self, on_change: Callable[[], None], driver: Driver[RouteKey, Route] | None = None) -> None:
        self._on_change = on_change
        self._routes = Reconciler[RouteKey, Route]("imported routes", driver or RouteDriver(IMPORT_PROTOCOL))
        self._monitor = Monitor(self._heard, protocol=IMPORT_PROTOCOL) if driver is None else None
        self._done: Mapping[RouteKey, Route] | None = None

    def start(self) -> None:
        """Watch the kernel."""
        if self._monitor is not None:
            self._monitor.start()

    def stop(self) -> None:
        """Watch no longer; the routes stay. Idempotent."""
        if self._monitor is not None:
            self._monitor.close()

    def forget(self) -> None:
        """Read the kernel again before the next change, and try again what it has refused."""
        self._routes.forget()
        self._done = None

    def bring(self, wanted: Iterable[Route]) -> float | None:
        """Make these all of them. Returns the seconds until it wants to be called again, or None."""
        desired = {route.key: route for route in wanted}
        if self._done == desired:
            return None
        self._done = desired
        self._routes.wants_retry = False
        self._routes.put(desired)
        self._routes.delete(desired)
        if not self._routes.wants_retry:
            return None
        self._done = None
        return RETRY_S

    @property
    def actual(self) -> Mapping[RouteKey, Route] | None:
        """What the kernel has; None while that is not known."""
        return self._routes.actual if self._routes.known else None

    def _heard(self, changed: Changed) -> None:
        # An interface that came or went matters to routes by way of it.
        if changed is not Changed.LINK or self._done:
            self._on_change()
