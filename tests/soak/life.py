"""What happens in the lab: one thing after the other, each followed by a look at whom it concerns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from lab.host import Host
from lab.lab import Lab
from lab.rest import Unanswered
from tests.soak.expected import Attached, Denial, reaches

SETTLED_S = 10.0
"""How long the network may be otherwise than it should be after any change, deaths included."""
CONTAINERS = 12
TENANTS = ("red", "blue")
APPS = ("web", "db")
ATTEMPTS, PAUSE_S = 40, 0.25
LOOKS = 3


class Wrong(Exception):
    """The network is not as it should be. Says what, and what the nodes tell."""


class Life:
    """Does random things to a lab.

    Args:
        lab: with Polder in it.
        seed: of all dice.
    """

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._dice = random.Random(seed)
        self._free = [lab.container(f"s{number}") for number in range(CONTAINERS)]
        self._here: dict[str, Attached] = {}
        self._denials: dict[str, Denial] = {}
        self._born = 0
        self._dead: set[int] = set()
        """Controllers that do not run."""
        for tenant in TENANTS:
            self._ask("POST", "/v1/tenants", {"name": tenant})

    def step(self) -> str:
        """Do one thing, and see that the network comes to what it should be; returns what was done.

        Raises:
            Wrong: it does not.
        """
        weights = {
            self.attach: 7,
            self.detach: 3,
            self.move: 3,
            self.relabel: 2,
            self.deny: 3,
            self.undeny: 3,
            self.kill_agent: 1,
            self.kill_controller: 1,
            self.kill_member: 1,
            self.restart_switch: 1,
            self.set_link_down: 1,
        }
        does: Callable[[], str] = self._dice.choices(list(weights), list(weights.values()))[0]
        return does()

    def attach(self) -> str:
        """An endpoint is made and attached."""
        if not self._free:
            return ""
        container, self._born = self._free.pop(), self._born + 1
        tenant, app = self._dice.choice((*TENANTS, None)), self._dice.choice(APPS)
        name, node = f"e{self._born}", self._dice.choice(self._lab.nodes)
        asked = {"id": name, "node": node, "labels": {"app": app}} | ({"tenant": tenant} if tenant else {})
        made = self._ask("POST", "/v1/endpoints", asked)
        self._lab.attach(name, container, node)
        self._here[name] = Attached(name, container, node, made["addresses"][0], tenant, app)
        self._look(self._here[name])
        return f"attach {name} on {node}"

    def detach(self) -> str:
        """An endpoint is deleted, and its container has nothing of it any more."""
        if (one := self._any()) is None:
            return ""
        del self._here[one.name]
        self._ask("DELETE", f"/v1/endpoints/{one.name}")
        self._come_to(lambda: not self._pings(None, one), f"{one.address} of {one.name} to be gone")
        self._come_to(lambda: "eth0" not in one.container.run("ip", "-br", "link").stdout, "eth0 to be gone")
        self._free.append(one.container)
        return f"delete {one.name}"

    def move(self) -> str:
        """An endpoint goes to another node, and so does its container."""
        if (one := self._any()) is None:
            return ""
        target = self._dice.choice([node for node in self._lab.nodes if node != one.node])
        self._lab.detach(one.name, one.node)
        self._ask("PATCH", f"/v1/endpoints/{one.name}", {"node": target})
        self._lab.attach(one.name, one.container, target)
        one.node = target
        self._look(one)
        return f"move {one.name} to {target}"

    def relabel(self) -> str:
        """Other policies select an endpoint."""
        if (one := self._any()) is None:
            return ""
        one.app = next(app for app in APPS if app != one.app)
        self._ask("PATCH", f"/v1/endpoints/{one.name}", {"labels": {"app": one.app}})
        self._look(one)
        return f"label {one.name} {one.app}"

    def deny(self) -> str:
        """A policy comes."""
        tenant, app = self._dice.choice(TENANTS), self._dice.choice(APPS)
        outside_only = self._dice.random() < 0.5
        name = f"{tenant}-{app}-{'outside' if outside_only else 'all'}"
        if name in self._denials:
            return ""
        self._denials[name] = made = Denial(name, tenant, app, outside_only)
        self._ask("POST", "/v1/policies", made.document)
        self._look(*filter(made.selects, self._here.values()))
        return f"policy {name} comes"

    def undeny(self) -> str:
        """A policy goes."""
        if not self._denials:
            return ""
        gone = self._denials.pop(self._dice.choice(list(self._denials)))
        self._ask("DELETE", f"/v1/policies/{gone.name}")
        self._look(*filter(gone.selects, self._here.values()))
        return f"policy {gone.name} goes"

    def kill_agent(self) -> str:
        """An agent is killed, and started again."""
        node = self._dice.choice(self._lab.nodes)
        agent = self._lab.polder.agents[node]
        agent.kill()
        self._look(*self._on(node))
        agent.start()
        self._look(*self._on(node))
        return f"kill the agent of {node}"

    def kill_controller(self) -> str:
        """A controller is killed, and started again."""
        number = self._dice.randrange(len(self._lab.polder.controllers))
        controller = self._lab.polder.controllers[number]
        self._dead.add(number)
        controller.kill()
        self._look(*self._here.values())
        controller.start()
        self._dead.discard(number)
        return f"kill controller {number}"

    def kill_member(self) -> str:
        """A member of etcd is killed, and started again."""
        member = self._dice.choice(self._lab.polder.etcd.members)
        member.kill()
        self._look(*self._here.values())
        member.start()
        return f"kill {member.name} of etcd"

    def restart_switch(self) -> str:
        """An ovs-vswitchd is stopped and started."""
        node = self._dice.choice(self._lab.nodes)
        switch = self._lab.fabric.switches[node].vswitchd
        switch.stop()
        switch.start()
        self._look(*self._on(node))
        return f"restart ovs-vswitchd of {node}"

    def set_link_down(self) -> str:
        """Somebody sets a link of ours down."""
        host = self._lab.hosts[self._dice.choice(self._lab.nodes)]
        links = [line.split("@")[0] for line in host.run("ip", "-br", "link").stdout.splitlines()]
        ours = [name for name in links if name.startswith("pl")]
        if not ours:
            return ""
        down = self._dice.choice(ours)
        host.run("ip", "link", "set", down, "down")
        self._look(*self._on(host.name))
        return f"set {down} of {host.name} down"

    def rest(self) -> None:
        """Every endpoint is looked at, and the nodes hold just what they should. Raises `Wrong`."""
        for one in self._here.values():
            self._look(one)
        for node in self._lab.nodes:
            self._come_to(
                lambda node=node: "0 differences" in self._lab.cli("node", "diff", node, check=False).stdout,
                f"{node} to hold what it should",
            )
        found = self._lab.cli("address", "check", check=False)
        if found.returncode:
            raise Wrong(f"polder address check: {found.stdout}{found.stderr}")

    def _look(self, *those: Attached) -> None:
        """Ping some of these, from outside and from some others."""
        for target in self._dice.sample(those, min(LOOKS, len(those))):
            others = [one for one in self._here.values() if one is not target]
            for source in (None, *self._dice.sample(others, min(LOOKS, len(others)))):
                wanted = reaches(source, target, self._denials.values())
                said = f"{target.name} ({target.address}, {target.node}, {target.tenant}, {target.app})"
                said += (
                    f" to be {'' if wanted else 'un'}reachable from {source.name if source else 'outside'}"
                )
                self._come_to(lambda s=source, t=target, w=wanted: self._pings(s, t) is w, said)

    def _pings(self, source: Attached | None, target: Attached) -> bool:
        host: Host = source.container if source is not None else self._lab.hosts["tor-a"]
        return host.run("ping", "-n", "-c", "1", "-W", "0.25", target.address, check=False).returncode == 0

    def _come_to(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + SETTLED_S
        while not holds():
            if time.monotonic() > until:
                told = [self._lab.cli("node", "diff", node, check=False).stdout for node in self._lab.nodes]
                why = f"waited {SETTLED_S:g} s in vain for {what}; policies {sorted(self._denials)}"
                raise Wrong("\n".join([why, *told]))

    def _any(self) -> Attached | None:
        return self._dice.choice(list(self._here.values())) if self._here else None

    def _on(self, node: str) -> list[Attached]:
        return [one for one in self._here.values() if one.node == node]

    def _ask(self, method: str, path: str, body: Mapping[str, object] = MappingProxyType({})) -> Any:
        """Ask a controller that runs, again while etcd has no leader: the answer may have got lost."""
        running = [api for number, api in enumerate(self._lab.polder.apis) if number not in self._dead]
        for _ in range(ATTEMPTS):
            with suppress(Unanswered):
                answer = self._dice.choice(running).request(method, path, dict(body) or None)
                if answer.ok or (method == "DELETE" and answer.status == 404):
                    return answer.body
                if method == "POST" and answer.status == 409:
                    path, method = f"{path}/{body.get('id') or body['name']}", "GET"
            time.sleep(PAUSE_S)
        raise Wrong(f"{method} {path}: no controller does it in {ATTEMPTS * PAUSE_S:g} s")
