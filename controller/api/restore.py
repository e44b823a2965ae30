"""/v1/restore: whether a backup was restored, how far it is completed, and how the last one was."""

from __future__ import annotations

from itertools import islice

from pydantic import BaseModel

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.parts import parts
from controller.reading import read
from controller.restoring import TOLD, finish, lacks_pools, progress
from store import keys
from store.errors import Restored
from store.model import Restore

restore = Noun()


class RestoreView(BaseModel):
    """Whether the store can be believed."""

    restoring: bool
    """A backup was restored: nothing is assigned, freed or deleted until what nodes hold is adopted."""
    cluster: str
    """The id of the etcd cluster."""
    heard: list[str] = []
    """While restoring: the nodes that have said what they hold."""
    waiting_for: list[str] = []
    """While restoring: the nodes whose agents live and have not."""
    no_pool: list[str] = []
    """While restoring: what nodes hold that no pool has the address of."""
    waits_for_finish: bool = False
    """While restoring: there is something that no pool has the address of, or was when nodes had been waited
    for. It waits for `:finish` then, also when pools are there again: who creates them has more to create."""
    report: Restore | None = None
    """How the last restored backup was completed."""


@restore.operation(
    Operation("GET", "/v1/restore", "Is a restored backup being completed?", {200: RestoreView})
)
def get_restore() -> Answer:
    """And how the last one was."""
    return Answer(_view())


@restore.operation(
    Operation(
        "POST",
        "/v1/restore:finish",
        "Complete a restored backup now, without waiting for more nodes",
        {200: RestoreView},
        refuses=(409,),
    )
)
def finish_restore() -> Answer:
    """What nodes hold that were not heard of is then known only as far as the backup does. Idempotent.

    What no pool has the address of (`no_pool`) is taken down by its node: create the pool first.

    Refused before nodes are asked what they hold (event `store-restored`), some seconds after the restore.
    """
    view = _view()
    if view.restoring:
        finish(parts().store)
    return Answer(view)


def _view() -> RestoreView:
    shared = parts()
    done = read(shared.store, keys.RESTORE)
    report = done.value if done else None
    try:
        shared.epoch.check()
    except Restored:
        now = progress(shared.store)
        no_pool = list(islice(now.homeless(shared.store), TOLD))
        return RestoreView(
            restoring=True,
            cluster=now.cluster,
            heard=list(now.heard),
            waiting_for=list(now.silent),
            no_pool=no_pool,
            waits_for_finish=bool(no_pool) or lacks_pools(shared.store),
            report=report,
        )
    return RestoreView(restoring=False, cluster=shared.store.cluster_id(), report=report)
