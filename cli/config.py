"""The config file: contexts, each a Polder with its servers, and which of them is the current one.

    current: site
    contexts:
      site:
        servers: [https://c1.example.net:8443, https://c2.example.net:8443]
        ca: /etc/polder/ca.pem
        token: ...

It may hold tokens, so it is written for its owner alone, and refused when others may read a token in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cli.document import Document, Fields, parse
from cli.failure import Exit, Failure
from cli.output import to_yaml
from cli.server import parse_servers
from pki import parents

FIELDS = ("servers", "ca", "token")


@dataclass(frozen=True, slots=True)
class Context:
    """One Polder: where it is, whom to trust, and the token to show."""

    servers: tuple[str, ...]
    ca: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """What the file holds."""

    current: str = ""
    contexts: Mapping[str, Context] = field(default_factory=dict)

    def context(self, name: str) -> Context:
        """The context of that name. Raises `Failure` (not found) that names those there are."""
        if name not in self.contexts:
            there = f"; there are {', '.join(self.contexts)}" if self.contexts else ""
            raise Failure(
                f"there is no context {name!r}{there}",
                code=Exit.NOT_FOUND,
                advice="see them: polder context list; make one: polder context set --help",
            )
        return self.contexts[name]

    def without(self, name: str) -> Config:
        """The same without that context."""
        kept = {key: value for key, value in self.contexts.items() if key != name}
        return Config("" if self.current == name else self.current, kept)

    def with_context(self, name: str, context: Context) -> Config:
        """The same with that context, which is the current one when it is the first."""
        return replace(self, current=self.current or name, contexts={**self.contexts, name: context})


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the file is: `POLDER_CONFIG`, or `polder/config.yaml` where the user's configuration is."""
    if given := environ.get("POLDER_CONFIG"):
        return Path(given)
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "polder" / "config.yaml"


def load(path: Path) -> Config:
    """Read the file; an absent one holds nothing.

    Raises:
        Failure: usage; it cannot be read, is not as it should be, or others may read a token in it.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            documents = parse(file.read(), str(path), "contexts:")
    except FileNotFoundError:
        return Config()
    except OSError as fault:
        raise Failure(f"{path}: {fault.strerror}", code=Exit.USAGE, advice="make it readable") from None
    except UnicodeDecodeError:
        raise Failure(f"{path} is not UTF-8", code=Exit.USAGE, advice="correct the file") from None
    if not documents:
        return Config()
    config = _config(documents[0])
    if mode & 0o077 and any(each.token for each in config.contexts.values()):
        raise Failure(
            f"{path} holds a token, and others than its owner may use the file",
            code=Exit.USAGE,
            advice=f"chmod 600 {path}",
        )
    return config


def save(path: Path, config: Config) -> None:
    """Write the file, whole or not at all, for its owner alone. Raises `Failure`."""
    contexts = {
        name: {
            key: value
            for key, value in (("servers", list(each.servers)), ("ca", each.ca), ("token", each.token))
            if value
        }
        for name, each in config.contexts.items()
    }
    text = to_yaml({"current": config.current, "contexts": contexts})
    try:
        # Where a link leads to, so that the link stays.
        _replace(path.resolve(), text)
    except OSError as fault:
        raise Failure(f"{path} cannot be written: {fault.strerror}", advice="see its directory") from None


def _replace(path: Path, text: str) -> None:
    parents.make(path.parent, 0o700)
    # NamedTemporaryFile makes it 0600
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".config-", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()  # there may be a token in it
            raise


def _config(document: Document) -> Config:
    given = document.fields
    _known(document, given, ("current", "contexts"))
    current, contexts = given.get("current"), given.get("contexts")
    current, contexts = "" if current is None else current, Fields() if contexts is None else contexts
    if not isinstance(current, str):
        raise document.failure("is no text", "current", advice="correct the file")
    if not isinstance(contexts, Fields):
        raise document.failure("expected the contexts by name", "contexts", advice="correct the file")
    return Config(current, {name: _context(document, name, each) for name, each in contexts.items()})


def _context(document: Document, name: str, given: object) -> Context:
    at = ("contexts", name)
    if not isinstance(given, Fields):
        raise document.failure("expected `servers`", *at, advice="correct the file")
    _known(document, given, FIELDS, *at)
    servers = given.get("servers")
    if not isinstance(servers, list) or not servers or not all(isinstance(each, str) for each in servers):
        raise document.failure("expected a list of URLs", *at, "servers", advice="correct the file")
    parse_servers(",".join(servers), document.place(*at, "servers"))
    texts = {key: given.get(key) or "" for key in ("ca", "token")}
    wrong = next((key for key, value in texts.items() if not isinstance(value, str)), None)
    if wrong:
        raise document.failure("is no text", *at, wrong, advice="correct the file")
    return Context(tuple(servers), texts["ca"], texts["token"])


def _known(document: Document, given: Fields, fields: tuple[str, ...], *at: str) -> None:
    unknown = next((key for key in given if key not in fields), None)
    if unknown is not None:
        raise document.failure(f"is not one of {', '.join(fields)}", *at, unknown, advice="correct the file")
