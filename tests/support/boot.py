"""A host of the lab that a real systemd boots and shuts down, with Polder's units as they are shipped.

systemd is PID 1 of namespaces of its own: pids, mounts, cgroups, /run. The network is that of the host, and
so is what the lab runs there. Nothing else of this machine is started: units are looked up in one directory.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.host import Host
from lab.wait import wait_until

SYSTEMD = Path("/lib/systemd/systemd")
SHIPPED = Path(__file__).parents[2] / "deploy" / "systemd"
DISTRIBUTION = Path("/lib/systemd/system")
TARGETS = ("sysinit", "basic", "multi-user", "shutdown", "umount", "final")
EMPTY = ("network-online", "local-fs", "sockets", "timers", "paths", "slices", "swap", "cryptsetup")
POWEROFF = """[Unit]
DefaultDependencies=no
Requires=systemd-poweroff.service
After=systemd-poweroff.service
"""
IN_A_CGROUP = """set -e
mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1"
echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
umount -n /sys/fs/cgroup
shift
exec "$@"
"""
"""Takes a cgroup of its own, $1, then becomes the rest. A host has /sys without what is mounted in it."""
PID_1 = """set -e
mount -n -t proc proc /proc
mount -n -t tmpfs -o mode=755 tmpfs "$2"
mkdir "$2/netns" "$2/polder-lab" "$2/openvswitch" "$2/systemd"
mount -n --rbind /run/netns "$2/netns"
mount -n --rbind /run/polder-lab "$2/polder-lab"
mount -n --bind "$4" "$2/openvswitch"
mount -n --move "$2" /run
mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
export SYSTEMD_UNIT_PATH="$1" container=polder-lab
exec "$3" --system --log-target=null --show-status=no
"""
"""What becomes systemd: $1 the units, $2 where to make /run, $3 the program, $4 Open vSwitch's directory."""
GONE_S = 60.0


class Booted:
    """A host while systemd runs there."""

    def __init__(self, host: Host, child: subprocess.Popen[bytes], logs: Path) -> None:
        self._host = host
        self._child = child
        self._logs = logs

    @property
    def pid(self) -> int:
        """Of systemd, as this machine counts. It is the child of the program that made the namespaces."""
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children")
        return int(wait_until(children.read_text, 5.0, "systemd to start").split()[0])

    def log(self, unit: str) -> str:
        """What a unit has written."""
        path = self._logs / f"{unit}.log"
        return path.read_text() if path.exists() else ""

    def poweroff(self) -> None:
        """Begin a shutdown, as `systemctl poweroff` does (systemd(1): SIGRTMIN+4)."""
        os.kill(self.pid, signal.SIGRTMIN + 4)

    @property
    def off(self) -> bool:
        """Whether it is down."""
        return self._child.poll() is not None


@contextlib.contextmanager
def booted(
    host: Host, config: Path, ovs: Path, place: Path, *units: str, graceful_s: int
) -> Iterator[Booted]:
    """Boot a host into units of Polder, and have it down at the end.

    Args:
        host: has nothing of Polder running.
        config: the options file of the node, in the place of /etc/polder/node.conf.
        ovs: where its Open vSwitch has its sockets, in the place of /run/openvswitch.
        place: an empty directory.
        units: their names, without `.service`.
        graceful_s: in place of the 20 s that `polder-shutdown` waits.
    """
    there, logs = place / "units", place / "logs"
    for directory in (there, logs, place / "run"):
        directory.mkdir()
    _targets(there)
    for unit in units:
        text = (SHIPPED / f"{unit}.service").read_text()
        text = re.sub(r"/opt/polder/\.venv/bin/polder\b", str(Path(sys.executable).with_name("polder")), text)
        text = text.replace("/etc/polder/node.conf", str(config))
        text = text.replace("--graceful-s=20", f"--graceful-s={graceful_s}")
        output = f"StandardOutput=append:{logs / unit}.log\nStandardError=inherit\n"
        (there / f"{unit}.service").write_text(text.replace("[Service]\n", f"[Service]\n{output}"))
        (there / "multi-user.target.wants" / f"{unit}.service").symlink_to(f"../{unit}.service")
    group = f"polder-lab-{os.getpid()}"
    alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--cgroup")
    pid_1 = ("sh", "-c", PID_1, "sh", str(there), str(place / "run"), str(SYSTEMD), str(ovs))
    child = host.popen("sh", "-c", IN_A_CGROUP, "sh", group, *alone, *pid_1, out=logs / "systemd.log")
    made = Booted(host, child, logs)
    try:
        yield made
    finally:
        if not made.off:
            os.kill(made.pid, signal.SIGKILL)
        child.wait(GONE_S)
        wait_until(lambda: _removed(_unified() / group), 10.0, "the cgroup to be empty")


def _targets(there: Path) -> None:
    for name in TARGETS:
        shutil.copy(DISTRIBUTION / f"{name}.target", there)
    shutil.copy(DISTRIBUTION / "systemd-poweroff.service", there)
    for name in EMPTY:
        (there / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n")
    (there / "poweroff.target").write_text(POWEROFF)
    (there / "default.target").symlink_to("multi-user.target")
    (there / "multi-user.target.wants").mkdir()
    # What is shared with the lab stays there until the end, as /etc and /run do on a machine.
    (there / "run-.mount.d").mkdir()
    (there / "run-.mount.d" / "stays.conf").write_text("[Unit]\nDefaultDependencies=no\n")


def _unified() -> Path:
    """Where this machine has the cgroups of version 2."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return next(Path(words[1]) for words in mounts if words[2] == "cgroup2")


def _removed(group: Path) -> bool:
    """Whether the cgroup and those below it are gone: the kernel keeps one that has processes."""
    try:
        for directory, _, _ in os.walk(group, topdown=False):
            Path(directory).rmdir()
    except OSError:
        return False
    return not group.exists()
