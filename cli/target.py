"""Which server a command speaks to, and with which token.

What is said on the command line comes first, then the environment, then the current context of the config
file, then this host. A context's token and certificates go to that context's servers and to no other: with a
server named some other way they stay at home.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cli.config import Context, config_path, load
from cli.link import TIMEOUT_S, AnyLink, Link, ServerLink
from cli.options import DEFAULT_URL
from cli.server import Server, parse_servers


@dataclass(frozen=True, slots=True)
class Given:
    """What the command line says; empty where it says nothing."""

    server: str = ""
    ca: str = ""
    context: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send requests, and what to show there."""

    servers: tuple[Server, ...]
    token: str
    token_source: str
    ca: str

    def link(self, timeout_s: float | None = None) -> Link:
        """The way there. Raises `Failure` (usage) when a server would get the token unencrypted."""
        wait_s = TIMEOUT_S if timeout_s is None else timeout_s
        links = [
            ServerLink(server, self.token, self.ca, token_source=self.token_source, timeout_s=wait_s)
            for server in self.servers
        ]
        return links[0] if len(links) == 1 else AnyLink(links)


def target(given: Given, environ: Mapping[str, str]) -> Target:
    """Find the target. Raises `Failure`: a URL, the config file, or the name of a context is wrong."""
    context, name = _context(given, environ)
    servers = _servers(given, environ, context)
    if context is not None and not set(servers) <= set(parse_servers(",".join(context.servers))):
        context = None
    token, source = _token(given, environ, context, name)
    ca = given.ca or environ.get("POLDER_CA") or (context.ca if context else "")
    return Target(servers, token, source, ca)


def _context(given: Given, environ: Mapping[str, str]) -> tuple[Context | None, str]:
    name = given.context or environ.get("POLDER_CONTEXT", "")
    if not name and (given.server or environ.get("POLDER_SERVER")):
        return None, ""
    config = load(config_path(environ))
    name = name or config.current
    return (config.context(name), name) if name else (None, "")


def _servers(given: Given, environ: Mapping[str, str], context: Context | None) -> tuple[Server, ...]:
    if given.server:
        return parse_servers(given.server)
    if context is not None and (given.context or not environ.get("POLDER_SERVER")):
        return parse_servers(",".join(context.servers))
    if found := environ.get("POLDER_SERVER"):
        return parse_servers(found, "POLDER_SERVER")
    return parse_servers(DEFAULT_URL)


def _token(given: Given, environ: Mapping[str, str], context: Context | None, name: str) -> tuple[str, str]:
    """The token and where it comes from. A context that was asked for by name goes before the environment."""
    of_context = (context.token, f"the token of context {name}") if context and context.token else None
    of_environment = (environ["POLDER_TOKEN"], "POLDER_TOKEN") if environ.get("POLDER_TOKEN") else None
    first, second = (of_context, of_environment) if given.context else (of_environment, of_context)
    return first or second or ("", "POLDER_TOKEN")
