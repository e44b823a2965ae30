"""The controller program: `python -m controller --listen 127.0.0.1:8080 --etcd http://127.0.0.1:2379`."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from controller import credentials, waiting
from controller.app import Application, create_app
from controller.audit import AuditFile, AuditFileError
from controller.auth import Doors, TokenFileError, read_tokens
from controller.duties import election
from controller.listening import is_loopback, where
from controller.log import start as start_log
from controller.metrics import Metrics
from controller.monitoring import program as bmp
from controller.parts import Parts
from controller.rate import STRANGERS_PER_S
from controller.serve import ListenError, Server, listen
from controller.tls import TlsError
from pki.certificate import PkiError
from pki.directory import CONTROLLER
from pki.ends import Ends
from store import etcd_version
from store.client import Store
from store.errors import PermissionDenied
from store.options import OptionError, add_arguments, config, open_store

log = logging.getLogger("controller")

FAILED, USAGE = 1, 2
GARBAGE_AFTER = 50_000
"""Objects that are made before those of them that refer to each other in rings are looked for."""

TURN_S = 0.001
"""For so long a thread that computes keeps Python's lock while others wait: a request asks for it several
times, and duties and long lists compute for seconds where there is much."""


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    made = argparse.ArgumentParser(
        prog="polder controller",
        description="Polder's controller: REST API and IPAM.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  polder controller --etcd http://127.0.0.1:2379\n"
        "  polder controller --listen 0.0.0.0:8443 --pki /etc/polder/pki --require-token",
    )
    made.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="where to listen (default: %(default)s)",
    )
    made.add_argument("--tls-cert", metavar="FILE", type=Path, help="serve TLS with this certificate, PEM")
    made.add_argument("--tls-key", metavar="FILE", type=Path, help="its key, PEM")
    made.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="tokens of role admin, one a line, beside those stored",
    )
    made.add_argument(
        "--require-token",
        action="store_true",
        help="demand a token on loopback too; elsewhere it is so anyway",
    )
    made.add_argument(
        "--insecure",
        action="store_true",
        help="listen beyond loopback without TLS, and without tokens unless asked for: for a closed lab",
    )
    made.add_argument(
        "--rate-limit",
        metavar="N",
        type=int,
        default=1000,
        help="writes per second for each token; 0 is no limit (default: %(default)s)",
    )
    made.add_argument("--audit-file", metavar="FILE", type=Path, help="append a line of JSON for each write")
    made.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    credentials.add_argument(made)
    credentials.add_node_etcd(made)
    bmp.add_arguments(made)
    add_arguments(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status: 0 ended, 1 failed, 2 wrong options."""
    options = parser().parse_args(arguments)
    start_log(options.log_level)
    try:
        credentials.complete(options, CONTROLLER)
        host, port = where(options.listen)
        _refuse_open_door(host, options)
        doors = _doors(host, options)
        audit_file = AuditFile(options.audit_file) if options.audit_file else None
        routers = bmp.opened(options)
        for secret in credentials.exposed(options):
            log.warning(
                "event=insecure file=%s others on this host can read or change it; chmod go-rwx", secret
            )
        store = open_store(options, call=waiting.rpc, pause=waiting.pause)
        with listen(host, port) as bound:
            server = Server(bound, cert=options.tls_cert, key=options.tls_key)
            log.info("event=listening address=%s:%d tls=%s", *bound.getsockname()[:2], bool(options.tls_cert))
            parts = Parts.build(store, issuer=credentials.issuer(options, store))
            if options.etcd_cert is not None:
                etcd_version.watch(config(options))
            follow_certificates(Ends(credentials.certificates(options)), parts.metrics)
            app = create_app(store, doors=doors, parts=parts, audit_file=audit_file)
            _serve(server, store, app, parts, routers)
    except ListenError as fault:
        return _say(fault, FAILED)
    except (OptionError, PkiError, TokenFileError, AuditFileError, TlsError) as fault:
        return _say(fault, USAGE)
    log.info("event=stopped")
    return 0


def follow_certificates(ends: Ends, metrics: Metrics) -> None:
    """Have metrics and log say when certificates end."""
    for path in ends.paths:
        metrics.certificate(str(path), partial(ends.end_s, path))
    if ends.paths:
        ends.start()


def _serve(server: Server, store: Store, app: Application, parts: Parts, routers: bmp.Door | None) -> None:
    monitoring = bmp.Monitoring(store, parts, routers) if routers else None
    duties = election(store, parts)
    duties.start()
    parts.pulse.start()
    if monitoring:
        monitoring.start()
    # A batch makes many objects that are all in use: to look through them for garbage is a third of its cost.
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)
    sys.setswitchinterval(TURN_S)

    def end() -> None:
        duties.stop()
        if monitoring:
            monitoring.stop()
        parts.close()

    server.run(app, parts.runner, whose=app.whose, stopping=parts.hubs.close, ended=end)
    store.close()


def _say(fault: object, status: int) -> int:
    print(f"polder controller: {fault}", file=sys.stderr)  # noqa: T201
    return status


def _refuse_open_door(host: str, options: argparse.Namespace) -> None:
    if (options.tls_cert is None) != (options.tls_key is None):
        raise OptionError("--tls-cert and --tls-key go together; give both")
    if is_loopback(host) or options.insecure or options.tls_cert:
        return
    raise OptionError(
        f"--listen: {host} can be reached from other hosts; give --tls-cert and --tls-key (a token is then "
        "needed, see --token-file), listen on 127.0.0.1, or say --insecure"
    )


def _doors(host: str, options: argparse.Namespace) -> Doors:
    """Who is let in. Raises `OptionError`, `TokenFileError`."""
    if options.rate_limit < 0:
        raise OptionError(
            f"--rate-limit: expected writes per second, or 0 for no limit, not {options.rate_limit}"
        )
    lines = read_tokens(options.token_file) if options.token_file else ()
    doors = Doors(
        token_lines=lines,
        token_demanded=options.require_token or not (is_loopback(host) or options.insecure),
        any_host=options.insecure,
        writes_per_s=options.rate_limit,
        strangers_per_s=STRANGERS_PER_S,
    )
    if not is_loopback(host):
        _warn_of_open_door(host, options.tls_cert is not None, doors.closed)
    return doors


def _warn_of_open_door(host: str, tls: bool, closed: bool) -> None:
    if not closed:
        log.warning(
            "event=insecure address=%s WHOEVER REACHES THIS ADDRESS MAY DO EVERYTHING: no token is needed",
            host,
        )
    if not tls:
        log.warning(
            "event=insecure address=%s tokens and answers can be read and changed on the way: no TLS", host
        )


def _die(crash: threading.ExceptHookArgs) -> None:
    """A thread that ends by an unknown exception takes the program with it: the supervisor starts it anew.

    Without a committer every write would wait for good, without the thread of a duty nobody would do it.
    """
    name = crash.thread.name if crash.thread else "-"
    why = crash.exc_value or crash.exc_type()
    if isinstance(why, PermissionDenied):
        cure = "make its user: polder etcd secure --user, with the common name of --etcd-cert"
        log.critical("event=failed thread=%s why=%r next=%r: the program ends", name, str(why), cure)
    else:
        log.critical("event=failed thread=%s: the program ends", name, exc_info=why)
    logging.shutdown()
    os._exit(FAILED)


def run() -> None:
    """Run as a program. A request that outlives its grace must not keep the process."""
    threading.excepthook = _die
    try:
        status = main()
    except KeyboardInterrupt:
        status = 130
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
