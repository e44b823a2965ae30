"""The command-line options that say where etcd is, the same for every program."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.etcd_tls import BadFiles, check_files

DEFAULT_URL = "http://127.0.0.1:2379"
ENVIRONMENT = "POLDER_ETCD"


class OptionError(Exception):
    """The options cannot be right. One line for people, which says what to change."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--etcd` and what goes with it. The environment variable POLDER_ETCD is `--etcd`'s default."""
    group = parser.add_argument_group("etcd")
    group.add_argument(
        "--etcd",
        metavar="URL[,URL...]",
        default=os.environ.get(ENVIRONMENT) or DEFAULT_URL,
        help=f"client URLs of the members (default: ${ENVIRONMENT}, else {DEFAULT_URL})",
    )
    group.add_argument("--etcd-ca", metavar="FILE", type=Path, help="CA of the members' certificates, PEM")
    group.add_argument("--etcd-cert", metavar="FILE", type=Path, help="client certificate, PEM")
    group.add_argument("--etcd-key", metavar="FILE", type=Path, help="key of the client certificate, PEM")
    group.add_argument(
        "--etcd-insecure", action="store_true", help="allow http:// to members that are not on this host"
    )


def config(args: argparse.Namespace) -> EtcdConfig:
    """What the options say.

    Raises:
        OptionError: a bad URL, files that do not fit or cannot be read, or plain http to another host.
    """
    urls = tuple(url.strip().rstrip("/") for url in args.etcd.split(",") if url.strip())
    try:
        made = EtcdConfig(urls, ca=args.etcd_ca, cert=args.etcd_cert, key=args.etcd_key)
        made.read_tls()
        check_files(made)
    except ValueError as fault:
        raise OptionError(f"--etcd: {fault}") from fault
    except BadFiles as fault:
        raise OptionError(str(fault)) from fault
    except OSError as fault:
        raise OptionError(f"cannot read {fault.filename}: {fault.strerror}") from fault
    plain = made.plain_and_remote()
    if plain is not None and not args.etcd_insecure:
        raise OptionError(
            f"--etcd: {plain} would carry everything in the clear; use https://, or add --etcd-insecure"
        )
    return made


def open_store(args: argparse.Namespace, **waits: Any) -> EtcdStore:
    """The store that the options name, waiting as `EtcdStore` is told. Connects at the first request.

    Raises OptionError; see `config`.
    """
    return EtcdStore(config(args), **waits)
