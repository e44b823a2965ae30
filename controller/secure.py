"""`polder etcd secure`: from now on etcd asks each client for its rights.

The bearer of a certificate is the user that its common name says. `root` and `controller` may do everything;
each node that joins gets a user of its own, which may write what is the node's and read what it needs.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from controller import credentials, rights
from controller.reading import scan
from pki.certificate import PkiError
from pki.directory import CONTROLLER, ROOT
from store import keys
from store.errors import PermissionDenied, StoreError, WrongState
from store.etcd import EtcdStore
from store.etcd_users import EtcdUsers, secure
from store.etcd_version import weak
from store.options import OptionError, add_arguments, config

FAILED, USAGE = 1, 2


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    made = argparse.ArgumentParser(
        prog="polder etcd secure",
        description="Make etcd ask for rights: root and the controllers may do everything, nodes their part.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  polder etcd secure --pki /etc/polder/pki --etcd https://etcd-1.example.net:2379",
    )
    made.add_argument(
        "--user",
        metavar="NAME",
        action="append",
        help=f"common name of a controller's certificate; repeatable (default: {CONTROLLER})",
    )
    credentials.add_argument(made)
    add_arguments(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Secure etcd. Idempotent. Returns the exit status: 0 done, 1 failed, 2 wrong options."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)
    try:
        credentials.complete(options, ROOT)
        settings = config(options)
        if settings.cert is None:
            raise OptionError(
                "--etcd: rights need certificates; give --pki, or --etcd-cert, and https:// URLs"
            )
    except (OptionError, PkiError) as fault:
        return _say(fault, USAGE)
    store = EtcdStore(settings)
    try:
        users = EtcdUsers(store)
        secure(users, options.user or [CONTROLLER])
        # A newer version may read or write other keys than that with which a node joined.
        for node in scan(store, keys.NODES).values:
            users.ensure_role(rights.role(node.name), rights.permissions(node.name, edge=node.edge))
    except (PermissionDenied, WrongState) as fault:
        return _say(f"{fault}; show the certificate of etcd's user {ROOT}: --pki, or --etcd-cert", FAILED)
    except StoreError as fault:
        return _say(fault, FAILED)
    finally:
        store.close()
    may = " and ".join([ROOT, *(options.user or [CONTROLLER])])
    print(f"polder: etcd asks for rights; {may} may do everything")  # noqa: T201
    for warning in weak(settings):
        _say(f"warning: {warning}", 0)
    return 0


def _say(fault: object, status: int) -> int:
    print(f"polder etcd secure: {fault}", file=sys.stderr)  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main())
