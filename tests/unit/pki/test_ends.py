"""The ends of certificates: told when they are near, and where Prometheus reads them."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path

import pytest

from pki.certificate import LIFETIME
from pki.directory import Directory, read_cert
from pki.ends import Ends


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory.create(tmp_path)


@pytest.mark.parametrize(
    ("left", "event"),
    [
        (timedelta(days=31), None),
        (timedelta(days=29, hours=1), "event=certificate-ends "),
        (timedelta(seconds=1), "event=certificate-ends "),
        (timedelta(), "event=certificate-ended "),
        (timedelta(days=-400), "event=certificate-ended "),
    ],
)
def test_an_end_that_is_near_is_told(
    directory: Directory, left: timedelta, event: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = directory.issue("node").cert
    end = read_cert(path, "").not_valid_after_utc
    Ends([path, path, directory.ca], lambda: end - left).look()
    assert [each.getMessage().startswith(event or "") for each in caplog.records] == ([True] if event else [])
    if event:
        assert f"file={path} " in caplog.text
    if left.days == 29:
        assert "days=29" in caplog.text


def test_a_renewed_certificate_is_read(directory: Directory, caplog: pytest.LogCaptureFixture) -> None:
    path = directory.issue("node").cert
    first = read_cert(path, "").not_valid_after_utc
    ends = Ends([path], lambda: first)
    assert ends.end_s(path) == first.timestamp()
    ends.look()
    assert "certificate-ended" in caplog.text
    caplog.clear()
    directory.issue("node")
    later = read_cert(path, "").not_valid_after_utc
    Ends([path], lambda: later - LIFETIME).look()
    assert ends.end_s(path) == later.timestamp()
    assert not caplog.records


def test_a_file_that_cannot_be_read_is_told_and_has_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone.pem"
    ends = Ends([gone])
    assert math.isnan(ends.end_s(gone))
    ends.look()
    assert "event=certificate-unreadable" in caplog.text
