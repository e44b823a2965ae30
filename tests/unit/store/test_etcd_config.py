"""Where etcd is, and the options that say so: mistakes are found at start, in one line."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pki.directory import Directory
from store.etcd_config import EtcdConfig, target
from store.etcd_wire import span
from store.options import OptionError, add_arguments, config

CERT = Path("cert.pem")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:2379", "127.0.0.1:2379"),
        ("https://etcd.example", "etcd.example:2379"),
        ("http://[2001:db8::1]:12379/", "[2001:db8::1]:12379"),
    ],
)
def test_the_target_of_a_url(url: str, expected: str) -> None:
    assert target(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:2379",
        "ftp://127.0.0.1",
        "http://",
        "http://h:port",
        "http://h:99999",
        "http://h/path",
        "http://user:secret@h",
        "http://[::1",
        "",
    ],
)
def test_what_is_no_endpoint(url: str) -> None:
    with pytest.raises(ValueError, match="not an etcd endpoint"):
        target(url)


@pytest.mark.parametrize(
    ("urls", "files", "why"),
    [
        ((), {}, "no etcd endpoint"),
        (("http://127.0.0.1", "https://127.0.0.1"), {}, "mix"),
        (("https://127.0.0.1",), {"cert": CERT}, "give both"),
        (("https://127.0.0.1",), {"key": CERT}, "give both"),
        (("http://127.0.0.1",), {"ca": CERT}, "use https"),
        (("http://127.0.0.1",), {"cert": CERT, "key": CERT}, "use https"),
    ],
)
def test_parts_that_do_not_fit(urls: tuple[str, ...], files: dict[str, Path], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        EtcdConfig(urls, **files)


def parse(*argv: str) -> EtcdConfig:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return config(parser.parse_args(argv))


def test_the_default_is_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLDER_ETCD", raising=False)
    assert parse() == EtcdConfig(("http://127.0.0.1:2379",))


def test_the_environment_is_the_default_and_the_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLDER_ETCD", "http://127.0.0.1:1, http://localhost:2/")
    assert parse().endpoints == ("http://127.0.0.1:1", "http://localhost:2")
    assert parse("--etcd", "http://[::1]:3").endpoints == ("http://[::1]:3",)


def test_certificates(tmp_path: Path) -> None:
    directory = Directory.create(tmp_path)
    pair = directory.issue("node")
    files = [f"--etcd-ca={directory.ca}", f"--etcd-cert={pair.cert}", f"--etcd-key={pair.key}"]
    read = parse("--etcd=https://etcd.example", *files).read_tls()
    assert read == (directory.ca.read_bytes(), pair.key.read_bytes(), pair.cert.read_bytes())


def test_files_that_are_no_certificates_are_named(tmp_path: Path) -> None:
    directory = Directory.create(tmp_path)
    one, two = directory.issue("one"), directory.issue("two")
    mixed = [f"--etcd-cert={one.cert}", f"--etcd-key={two.key}"]
    with pytest.raises(OptionError, match=r"one\.pem and .*two\.key are not a certificate and its key"):
        parse("--etcd=https://etcd.example", *mixed)
    with pytest.raises(OptionError, match=r"--etcd-ca: .*one\.key holds no certificate"):
        parse("--etcd=https://etcd.example", f"--etcd-ca={one.key}")


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["--etcd=nonsense"], "not an etcd endpoint"),
        (["--etcd=,"], "no etcd endpoint"),
        (["--etcd=http://192.0.2.1:2379"], "--etcd-insecure"),
        (["--etcd=http://127.0.0.1:1,http://etcd.example:1"], r"etcd\.example"),
        (["--etcd=https://h", "--etcd-ca=/does/not/exist"], "cannot read /does/not/exist: No such file"),
    ],
)
def test_wrong_options_are_one_clear_line(argv: list[str], why: str) -> None:
    with pytest.raises(OptionError, match=why) as caught:
        parse(*argv)
    assert "\n" not in str(caught.value)


def test_plain_http_to_another_host_on_demand() -> None:
    url = "http://192.0.2.1:2379"
    assert parse("--etcd", url, "--etcd-insecure").endpoints == (url,)


@pytest.mark.parametrize(
    ("prefix", "start", "end"),
    [
        ("a/", b"a/", b"a0"),
        ("", b"\0", b"\0"),
        ("\u00ff", b"\xc3\xbf", b"\xc3\xc0"),
        ("a\U0010ffff", b"a\xf4\x8f\xbf\xbf", b"a\xf4\x8f\xbf\xc0"),
    ],
)
def test_the_span_of_a_prefix(prefix: str, start: bytes, end: bytes) -> None:
    assert span(prefix) == {"key": start, "range_end": end}
