"""Every question that an agent answers, and the part that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.kernel.lookup import Lookup
from agents.node.explain.devices import Passed, Reader
from agents.node.explain.diff import Diff
from agents.node.explain.drops import DropLog
from agents.node.explain.questions import Questions
from agents.node.explain.rules import Rules
from agents.node.explain.stats import Stats
from agents.node.explain.trace import Trace
from agents.node.plug import Plug
from agents.node.wants import Want
from intent.snapshot import Snapshot
from openflow.management import Management
from store.client import Store
from store.model import DiffAsked
from store.model.drops import DropsAsked
from store.model.question import StatsAsked
from store.model.rule_counts import RulesAsked
from store.model.trace import TraceAsked


@dataclass(frozen=True, slots=True)
class Sources:
    """What the agent itself knows, for any thread."""

    plug: Plug
    wanted: Passed
    wants: Callable[[], Mapping[str, Want]]
    snapshot: Callable[[], Snapshot | None]


def make_questions(
    node: str,
    store: Store,
    run_dir: Path,
    management: Management,
    sources: Sources,
    drops: DropLog,
) -> Questions:
    """The agent's ear for questions. To be made in the node's namespace.

    Args:
        node: this one's name.
        store: where questions come from.
        run_dir: that of Open vSwitch, where its sockets are.
        management: the switch.
        sources: what the agent itself knows.
        drops: the drop log.
    """
    plugged = sources.plug.read
    diff = Diff(Reader(sources.plug, management), sources.wanted, sources.wants, sources.snapshot)
    stats = Stats(management, plugged, sources.wanted)
    trace = Trace(node, run_dir, Lookup(), plugged, sources.wanted)
    return Questions(
        store,
        node,
        {
            DiffAsked: diff.answer,
            StatsAsked: stats.answer,
            TraceAsked: trace.answer,
            DropsAsked: drops.answer,
            RulesAsked: Rules(management, sources.wanted).answer,
        },
    )
