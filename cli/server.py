"""Where a server is and how it may be spoken to: the URL checked, and the token kept off the open network."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from cli.failure import Exit, Failure

EXAMPLE = "give a URL such as http://127.0.0.1:8080 or https://polder.example.net"


@dataclass(frozen=True, slots=True)
class Server:
    """A controller, or whatever answers for several of them."""

    scheme: str
    host: str
    port: int
    path: str = ""
    """What comes before `/v1`, without a slash at the end."""

    @property
    def url(self) -> str:
        """The URL again, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def loopback(self) -> bool:
        """Whether what is sent stays on this host."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_servers(urls: str, source: str = "--server") -> tuple[Server, ...]:
    """Parse `URL[,URL...]`: controllers of the same Polder, each asked when those before it do not answer.

    Raises:
        Failure: usage; it names `source`, which is where the URLs come from.
    """
    return tuple(parse_server(each.strip(), source) for each in urls.split(","))


def parse_server(url: str, source: str = "--server") -> Server:
    """Parse one URL. Raises `Failure` (usage) that names what is wrong and shows a right one."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as fault:
        raise Failure(f"{source} {url}: {fault}", code=Exit.USAGE, advice=EXAMPLE) from None
    if parts.scheme not in {"http", "https"} or not _sendable(host, parts.path):
        raise Failure(f"{source} {url} is not an http or https URL", code=Exit.USAGE, advice=EXAMPLE)
    if parts.username is not None or parts.query or parts.fragment:
        what = "a user name or password" if parts.username is not None else "a query"
        raise Failure(
            f"{source} may not carry {what}",
            code=Exit.USAGE,
            advice=f"{EXAMPLE}; a token goes into POLDER_TOKEN or into a context",
        )
    return Server(parts.scheme, host, port, parts.path.rstrip("/"))


def _sendable(host: str, path: str) -> bool:
    """Whether a name can be asked for, in DNS too, and a path can stand in a request."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    text = host + path
    return bool(host) and path.isascii() and text.isprintable() and " " not in text


def check_token(server: Server, token: str, source: str = "POLDER_TOKEN") -> None:
    """Refuse to send a token where others on the network can read it. Raises `Failure` (usage)."""
    if not token.isprintable() or not token.isascii() or " " in token:
        raise Failure(
            f"{source} holds a space, a line end or another character that a token cannot have",
            code=Exit.USAGE,
            advice="set it again, without quotes or a line end inside",
        )
    if server.scheme == "http" and not server.loopback:
        raise Failure(
            f"{server.url} would carry {source} unencrypted", code=Exit.USAGE, advice="use an https server"
        )
