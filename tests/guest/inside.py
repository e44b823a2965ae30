"""Inside the guest: ovs-vswitchd ends, and is killed, under pings and TCP between two containers.

With the kernel's datapath nothing may be lost meanwhile: its flows go on while nobody is there, and the
program that comes back waits for the agent's flows.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab.errors import LabError
from lab.ping import ANSWER_S, parse
from lab.rest import Rest, Unanswered
from lab.wait import wait_until

DONE = "guest: nothing was lost"
RUN = Path("/run/openvswitch")
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
LISTEN = "127.0.0.1:8080"
SOON_S = 240.0
"""Everything is slow here."""
PINGS, INTERVAL_S = 1000, 0.02
AWAY_S = 3
"""How long nobody runs the switch."""
RATE = "20M"


class Switch:
    """Open vSwitch with the kernel's datapath."""

    def __init__(self) -> None:
        RUN.mkdir()
        _run("ovsdb-tool", "create", str(RUN / "conf.db"), SCHEMA)
        _serve(
            "ovsdb-server", str(RUN / "conf.db"), f"--remote=punix:{RUN}/db.sock", f"--unixctl={RUN}/db.ctl"
        )
        wait_until((RUN / "db.sock").exists, SOON_S, "ovsdb-server to listen")
        _run("ovs-vsctl", "--no-wait", "init")
        self._program = self._started()

    def end(self, how: signal.Signals) -> None:
        """Go away, stay away for a while, and come back."""
        self._program.send_signal(how)
        self._program.wait()
        time.sleep(AWAY_S)
        self._program = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return _serve("ovs-vswitchd", f"unix:{RUN}/db.sock", f"--unixctl={RUN}/ovs-vswitchd.ctl")


def main() -> int:
    """Look. Returns the exit status: 0 when nothing was lost."""
    try:
        switch = Switch()
        address = _two_containers()
        if "system@" not in _run("ovs-appctl", "-t", f"{RUN}/ovs-vswitchd.ctl", "dpif/show"):
            raise LabError("the bridge has not the kernel's datapath")
        lost = sum(_lost(switch, how, address) for how in (signal.SIGTERM, signal.SIGKILL))
    except LabError as fault:
        print(f"guest: {fault}")
        return 1
    print(f"guest: {lost} of {2 * PINGS} pings lost" if lost else DONE)
    return bool(lost)


def _two_containers() -> str:
    """Polder on one host, and two containers that it has attached; the address of the second."""
    polder = str(Path(sys.executable).with_name("polder"))
    _serve(polder, "up", "--data-dir", "/root/guest", "--listen", LISTEN, "--node", "guest")
    agent = Rest.unix(Path("/run/polder/agent.sock"))
    wait_until(lambda: _ready(agent), SOON_S, "the agent to be ready", poll_s=1.0)
    _ask(polder, "pool", "create", "default", "--cidr", "10.64.0.0/16")
    for name in ("a", "b"):
        _run("ip", "netns", "add", name)
        made = json.loads(_ask(polder, "endpoint", "create", name, "--node", "guest", "-o", "json"))
        attachment = {"endpoint": name, "netns": f"/run/netns/{name}", "ifname": "eth0"}
        agent.do("POST", "/v1/attachments", attachment)
    return str(made["addresses"][0])


def _ready(agent: Rest) -> bool:
    try:
        return agent.get("/readyz").ok
    except Unanswered:
        return False


def _lost(switch: Switch, how: signal.Signals, address: str) -> int:
    """Pings that were not answered while the switch went away in this way; TCP has to go on as well."""
    server = _serve(*_in("b"), "iperf3", "-s", "-1")
    wait_until(lambda: ":5201" in _run(*_in("b"), "ss", "-ltn"), SOON_S, "iperf3 to listen", poll_s=0.5)
    seconds = str(int(PINGS * INTERVAL_S))
    client = _begin(*_in("a"), "iperf3", "-J", "-c", address, "-b", RATE, "-t", seconds)
    wait_until(lambda: "ESTAB" in _run(*_in("a"), "ss", "-tn"), SOON_S, "TCP", poll_s=0.5)
    _run(*_in("a"), "ping", "-q", "-c", "3", address)
    # The last requests are there so that ping waits for late answers to those that count.
    requests = PINGS + int(ANSWER_S / INTERVAL_S)
    pings = _begin(*_in("a"), "ping", "-i", str(INTERVAL_S), "-c", str(requests), address)
    switch.end(how)
    told, sent = pings.communicate()[0].decode(), json.loads(client.communicate()[0])
    server.wait()
    slowest = min(each["sum"]["bits_per_second"] for each in sent["intervals"][:-1]) / 1e6
    seen = parse(told.splitlines(), INTERVAL_S, PINGS)
    if seen.sent != PINGS:
        raise LabError(f"ping said: {told}")
    lost = len(seen.lost)
    print(
        f"guest: {how.name}: {lost} of {PINGS} pings lost, TCP never below {slowest:.1f} Mbit/s", flush=True
    )
    if slowest < 1:
        raise LabError("TCP stood still for a second")
    return lost


def _in(netns: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", netns)


def _serve(*argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _begin(*argv: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _ask(polder: str, *words: str) -> str:
    return _run(polder, *words, "--server", f"http://{LISTEN}")


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
