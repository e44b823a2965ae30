"""`polder pki`: what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Polder


def test_init_tells_the_next_commands(polder: Polder, tmp_path: Path) -> None:
    where = tmp_path / "pki"
    made = polder("pki", "init", "--dir", str(where), "--san", "192.0.2.1")
    assert (made.code, made.err) == (0, "")
    for words in (
        f"--trusted-ca-file={where}/ca.pem",
        "--peer-cert-allowed-cn=etcd",
        f"polder etcd secure --pki={where} --etcd=https://192.0.2.1:2379",
        f"polder controller --pki={where}",
        "openssl rand -hex 32 > /etc/polder/tokens",
        f"POLDER_CA={where}/ca.pem",
        "node join-token node-1",
    ):
        assert words in made.out
    again = polder("pki", "init", "--dir", str(where))
    assert (again.code, "not written over" in again.err) == (1, True)


def test_show_tells_names_and_ends(polder: Polder, tmp_path: Path) -> None:
    where = str(tmp_path / "pki")
    polder("pki", "init", "--dir", where, "--san", "etcd-1.example.net")
    items = json.loads(polder("pki", "show", "--dir", where, "-o", "json").out)["items"]
    assert [item["name"] for item in items] == ["Polder CA", "controller", "etcd", "root"]
    assert "etcd-1.example.net" in items[1]["sans"]
    assert [item["days_left"] for item in items] == [3649, 364, 364, 364]
    assert "PRIVATE" not in polder("pki", "show", "--dir", where).out
    named = polder("pki", "show", "--dir", where, "-o", "name").out.splitlines()
    assert named == [f"certificate/{name}" for name in ("Polder CA", "controller", "etcd", "root")]
    assert "file: etcd.pem\nname: etcd\n" in polder("pki", "show", "--dir", where, "-o", "yaml").out


def test_issue_renews_and_adds(polder: Polder, tmp_path: Path) -> None:
    where = str(tmp_path / "pki")
    polder("pki", "init", "--dir", where)
    for name in ("controller", "backup"):
        ran = polder("pki", "issue", name, "--dir", where)
        assert (ran.code, f"wrote {where}/{name}.pem, good until" in ran.out) == (0, True)
    assert polder("pki", "issue", "etcd", "--dir", where, "--san", "etcd-9.example.net").code == 0
    items = json.loads(polder("pki", "show", "--dir", where, "-o", "json").out)["items"]
    (etcd,) = (item for item in items if item["name"] == "etcd")
    assert etcd["sans"] == ["localhost", "etcd-9.example.net", "127.0.0.1", "::1"]
    names = [
        item["name"] for item in json.loads(polder("pki", "show", "--dir", where, "-o", "json").out)["items"]
    ]
    assert names == ["Polder CA", "backup", "controller", "etcd", "root"]


def test_without_an_authority_it_says_how_to_make_one(polder: Polder, tmp_path: Path) -> None:
    ran = polder("pki", "show", "--dir", str(tmp_path))
    assert (ran.code, f"polder pki init --dir {tmp_path}" in ran.err) == (1, True)
