"""`--pki DIR`: a directory that `polder pki init` made, in place of options that name each file."""

from __future__ import annotations

import argparse
import stat
from pathlib import Path

from controller.joining import Issuer
from pki.directory import CA, MAKE, Directory, pair, read_identity
from store.etcd_users import AuthService, EtcdUsers
from store.options import config

ABSENT = object()
"""What a program says of an option that it does not take."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--pki`."""
    parser.add_argument(
        "--pki",
        metavar="DIR",
        type=Path,
        help="take certificates from here, where polder pki init made them, unless options name others",
    )


def add_node_etcd(parser: argparse.ArgumentParser) -> None:
    """Add `--node-etcd`."""
    parser.add_argument(
        "--node-etcd",
        metavar="URL[,URL...]",
        help="client URLs of etcd as nodes reach it, told to those that join (default: those of --etcd)",
    )


def complete(options: argparse.Namespace, name: str) -> None:
    """Fill in the options that were not given from the certificate of that name in the `--pki` directory.

    Those of etcd only where etcd speaks TLS.

    Raises:
        PkiError: a file is not there, or no certificate or key.
    """
    if options.pki is None:
        return
    own = pair(options.pki, name)
    read_identity(own, MAKE.format(options.pki))
    _fill(options, tls_cert=own.cert, tls_key=own.key)
    if "https://" in options.etcd:
        _fill(options, etcd_ca=pair(options.pki, CA).cert)
        _fill(options, etcd_cert=own.cert, etcd_key=own.key)


def exposed(options: argparse.Namespace) -> list[Path]:
    """The secrets of a controller that others on its host can read or change, or put another in the place of.

    A group may read them: it is for that.
    """
    ca = pair(options.pki, CA).key if options.pki else None
    secrets = (options.token_file, options.tls_key, options.etcd_key, ca)
    found = dict.fromkeys(each for each in secrets if each and _mode(each) & (stat.S_IRWXO | stat.S_IWGRP))
    if options.pki and _mode(options.pki) & (stat.S_IWOTH | stat.S_IWGRP):
        found[options.pki] = None
    return list(found)


def certificates(options: argparse.Namespace) -> list[Path]:
    """The files of the certificates that a controller shows or trusts, or signs with."""
    ca = pair(options.pki, CA).cert if options.pki else None
    used = (options.tls_cert, options.etcd_cert, options.etcd_ca, ca if ca and ca.exists() else None)
    return [each for each in dict.fromkeys(used) if each]


def issuer(options: argparse.Namespace, etcd: AuthService) -> Issuer | None:
    """What it takes to let nodes in and out; None where etcd does not know this controller by a certificate.

    Without the authority's key in the `--pki` directory no node joins here.

    Raises:
        OptionError: `--node-etcd` is not the URL of an etcd.
        PkiError: the key is there and cannot be used.
    """
    if options.etcd_cert is None or options.etcd_ca is None:
        return None
    users = EtcdUsers(etcd)
    if options.pki is None or not pair(options.pki, CA).key.exists():
        return Issuer(users)
    urls = options.node_etcd or options.etcd
    settings = config(argparse.Namespace(**{**vars(options), "etcd": urls}))
    authority = Directory.open(options.pki).authority
    return Issuer(users, authority, settings.endpoints, options.etcd_ca.read_text())


def _fill(options: argparse.Namespace, **paths: Path) -> None:
    """Set options that belong together, where the program has them and none of them was given."""
    present = [getattr(options, option, ABSENT) for option in paths]
    if not any(present):
        vars(options).update(paths)


def _mode(path: Path) -> int:
    """Of a file; 0 where there is none, which is told of where it is read."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
