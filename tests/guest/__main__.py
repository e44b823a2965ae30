"""`python -m tests.guest`: the kernel's own datapath, which this host may lack, in a machine of its own.

QEMU emulates it, so it takes some three minutes; of the host it has the files, below an overlay in its own
memory. The kernel is Debian's for clouds, downloaded and not installed. What is done there is
`tests.guest.inside`. As root, with the packages `NEEDS`.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.wait import wait_until
from tests.guest.inside import DONE

NEEDS = "qemu-system-x86 busybox-static cpio kmod"
TOOLS = ("qemu-system-x86_64", "busybox", "cpio", "depmod")
FILES = Path("/usr/lib/qemu/virtiofsd")
KERNEL = "linux-image-cloud-amd64"
MODULES = (
    *("kernel/net", "kernel/drivers/virtio", "kernel/fs/fuse", "kernel/fs/overlayfs", "kernel/lib"),
    *("kernel/crypto", "kernel/drivers/net/veth.ko", "kernel/drivers/net/tun.ko"),
    *("modules.order", "modules.builtin", "modules.builtin.modinfo"),
)
MEMORY = "6144M"
LONGEST_S = 900


def main() -> int:
    """Boot, and tell what the guest tells. Returns the exit status: 0 when nothing was lost there."""
    if any(shutil.which(tool) is None for tool in TOOLS) or not FILES.exists():
        print(f"it needs: apt-get install --no-install-recommends {NEEDS}")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        there = Path(directory)
        kernel = _kernel(there)
        _initrd(there, kernel)
        with _files(there / "files.sock"):
            return 0 if _boot(there, kernel) else 1


def _kernel(there: Path) -> Path:
    """The kernel, unpacked; where its modules are."""
    told = _run("apt-cache", "depends", KERNEL, cwd=there)
    package = next(line.split()[-1] for line in told.splitlines() if "Depends:" in line)
    _run("apt-get", "download", package, cwd=there)
    _run("dpkg", "-x", str(next(there.glob("*.deb"))), "kernel", cwd=there)
    return next((there / "kernel/lib/modules").iterdir())


def _initrd(there: Path, modules: Path) -> None:
    root = there / "initrd"
    for name in ("bin", "proc", "sys", "dev", "host", "rw", "new"):
        (root / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), root / "bin/busybox")
    shutil.copy(Path(__file__).with_name("init"), root / "init")
    (root / "init").chmod(0o755)
    for name in MODULES:
        to = root / "lib/modules" / modules.name / name
        to.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (modules / name).is_dir() else shutil.copy
        copy(modules / name, to)
    _run("depmod", "-b", str(root), modules.name, cwd=there)
    names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
    packed = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"],
        input=names.encode(),
        stdout=subprocess.PIPE,
        cwd=root,
        check=True,
    )
    (there / "initrd.gz").write_bytes(gzip.compress(packed.stdout, 1))


@contextmanager
def _files(path: Path) -> Iterator[None]:
    """Let the guest read this host's files while the block runs."""
    argv = [
        str(FILES),
        f"--socket-path={path}",
        "-o",
        "source=/",
        "-o",
        "cache=always",
        "-o",
        "sandbox=chroot",
    ]
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(path.exists, 10.0, "virtiofsd to listen")
        yield
    finally:
        server.kill()
        server.wait()


def _boot(there: Path, modules: Path) -> bool:
    """Whether the guest says that all is well; what it says is printed as it comes."""
    memory = f"memory-backend-memfd,id=memory,size={MEMORY},share=on"
    where = f"polder={Path(__file__).parents[2]} python={sys.executable}"
    argv = [
        *("timeout", str(LONGEST_S), "qemu-system-x86_64"),
        *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY),
        *("-object", memory, "-numa", "node,memdev=memory"),
        *("-chardev", f"socket,id=files,path={there}/files.sock"),
        *("-device", "vhost-user-fs-pci,chardev=files,tag=host"),
        *("-nographic", "-no-reboot", "-net", "none"),
        *(
            "-kernel",
            str(there / "kernel/boot" / f"vmlinuz-{modules.name}"),
            "-initrd",
            str(there / "initrd.gz"),
        ),
        *("-append", f"{where} console=ttyS0 quiet panic=-1"),
    ]
    well = False
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as machine:
        for line in machine.stdout or ():
            print(line.rstrip(), flush=True)
            well |= line.strip() == DONE
    return well


def _run(*argv: str, cwd: Path) -> str:
    return subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
