"""What a program believes of a store that may have been restored from a backup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agents.belief import Belief, Believed, agent_believes, was_heard
from intent.snapshot import Snapshot
from store.codec import decode
from store.model import Cluster, Holding
from tests.support.cluster import BOOT, NODE

OLD, NEW, LATER = "a" * 16, "b" * 16, "c" * 16
Make = Callable[[], Belief]


def says(nonce: str, cluster: str = "1", *heard: str, **more: Holding) -> Snapshot:
    """What is read of a store that was completed last under this nonce, with these nodes."""
    return Snapshot(NODE, cluster=Cluster(id=cluster, nonce=nonce, heard=heard), **more)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes an agent's belief; the next one is that of the agent after a restart."""
    return lambda: Belief(tmp_path / "belief.json", was_heard, clock=lambda: 0.0)


def test_a_store_that_is_what_it_says_is_believed(make: Make) -> None:
    belief = make()
    assert belief.nonce == ""
    assert belief.look(says(OLD), "1", 7, whole=True)
    assert (belief.nonce, belief.waits_for) == (OLD, "")


@pytest.mark.parametrize("restarts", [False, True])
def test_one_of_another_cluster_is_not_until_this_node_was_heard(make: Make, restarts: bool) -> None:
    belief = make()
    assert belief.look(says(OLD), "1", 7, whole=True)
    belief = make() if restarts else belief
    assert not belief.look(says(OLD), "2", 3, whole=True)
    assert (belief.waits_for, belief.nonce) == (OLD, "")
    belief = make() if restarts else belief
    assert not belief.look(says(NEW, "2", "another-node"), "2", 4, whole=True), "completed without this node"
    assert belief.waits_for == NEW
    belief = make() if restarts else belief
    assert belief.look(says(LATER, "2", NODE), "2", 5, whole=True)
    assert (belief.waits_for, belief.nonce) == ("", LATER)


def test_one_that_was_completed_is_believed_when_it_is_read_whole_only(make: Make) -> None:
    belief = make()
    assert belief.look(says(OLD), "1", 7, whole=True)
    assert not belief.look(says(OLD), "2", 3, whole=True)
    assert not belief.look(says(NEW, "2", "another-node"), "2", 4, whole=False)
    assert not belief.wants_whole, "this node was not heard"
    assert not belief.look(says(NEW, "2", NODE), "2", 5, whole=False), "what was adopted may come yet"
    assert (belief.waits_for, belief.nonce, belief.wants_whole) == (NEW, "", True)
    assert belief.look(says(NEW, "2", NODE), "2", 5, whole=True)
    assert (belief.waits_for, belief.nonce, belief.wants_whole) == ("", NEW, False)
    assert belief.look(says(NEW, "2", NODE), "2", 6, whole=False), "from there on each change counts"


def test_a_revision_that_goes_back_is_a_restore_too(make: Make) -> None:
    belief = make()
    assert belief.look(says(OLD), "1", 7, whole=True)
    assert not belief.look(says(OLD), "1.1", 3, whole=True), "as the store tells it while it runs"
    belief = make()
    assert not belief.look(says(OLD), "1", 3, whole=True), "as the file tells it after a restart"
    assert not belief.look(says(OLD), "1", 9, whole=True), "it goes on from there"
    assert belief.look(says(NEW, "1", NODE), "1", 10, whole=True)
    assert make().look(says(NEW, "1", NODE), "1", 10, whole=True)


def test_revisions_of_several_prefixes_may_come_out_of_order(make: Make) -> None:
    belief = make()
    assert all(belief.look(says(OLD), "1", revision, whole=True) for revision in (7, 9, 8))


def test_how_far_the_store_was_is_kept_once_a_second_and_a_new_nonce_at_once(tmp_path: Path) -> None:
    file, now = tmp_path / "belief.json", [0.0]
    belief = Belief(file, was_heard, clock=lambda: now[0])
    for now[0], revision, kept in ((0.0, 7, 7), (0.5, 9, 7), (1.5, 8, 9), (9.0, 8, 9)):
        assert belief.look(says(OLD), "1", revision, whole=True)
        assert decode(Believed, file.read_bytes()) == Believed(nonce=OLD, revision=kept)
    assert not belief.look(says(NEW, "2"), "2", 3, whole=True)
    assert belief.look(says(LATER, "2", NODE), "2", 5, whole=True)
    assert decode(Believed, file.read_bytes()) == Believed(nonce=LATER, revision=5)


def test_doubt_and_its_end_are_logged_once(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    belief = make()
    for nonce, cluster in ((OLD, "1"), (OLD, "1"), (NEW, "2"), (NEW, "2"), (LATER, "2"), (LATER, "2")):
        belief.look(says(nonce, cluster, NODE), cluster, 7, whole=True)
    assert [record.getMessage().split(";")[0].split()[0] for record in caplog.records] == [
        "event=store-doubted",
        "event=store-believed",
    ]


def test_away_all_the_time_it_was_not_heard(make: Make) -> None:
    assert make().look(says(OLD), "1", 7, whole=True)
    assert not make().look(says(NEW, "2", "another-node"), "2", 3, whole=True)


def test_heard_and_restarted_before_it_saw_the_end_it_believes(make: Make) -> None:
    assert make().look(says(OLD), "1", 7, whole=True)
    assert not make().look(says(OLD), "2", 3, whole=True)
    assert make().look(says(NEW, "2", NODE), "2", 9, whole=True)


def test_a_store_that_was_lost_whole_is_not_believed(make: Make) -> None:
    assert make().look(Snapshot(NODE), "1", 1, whole=True), "nobody has used it yet"
    assert make().look(says(OLD), "1", 7, whole=True)
    assert not make().look(Snapshot(NODE), "2", 1, whole=True)
    assert not make().look(says(NEW, "2"), "2", 2, whole=True)


def test_the_speaker_waits_for_the_word_of_its_agent(tmp_path: Path) -> None:
    belief = Belief(tmp_path / "belief.json", agent_believes)
    before = Holding(node=NODE, boot_id=BOOT, believes=OLD)
    assert belief.look(says(OLD, holding=before), "1", 7, whole=True)
    assert not belief.look(says(OLD, holding=before), "2", 3, whole=True)
    assert not belief.look(says(NEW, "2", NODE, holding=before), "2", 4, whole=True)
    assert belief.look(says(NEW, "2", NODE, holding=replace_believes(before, NEW)), "2", 5, whole=True)
    assert belief.look(replace(says(LATER, "2"), holding=None), "2", 6, whole=True), (
        "no agent ever spoke here"
    )


def replace_believes(holding: Holding, nonce: str) -> Holding:
    return holding.model_copy(update={"believes": nonce})


@pytest.mark.parametrize("text", [b"", b"{}", b'{"v":1,"nonce":7}', b"\xff"])
def test_a_file_that_cannot_be_read_counts_as_none(make: Make, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "belief.json").write_bytes(text)
    assert make().look(says(OLD), "1", 7, whole=True)
    assert not make().look(says(NEW), "1", 7, whole=True)


def test_a_file_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path) -> None:
    belief = Belief(tmp_path / "none" / "belief.json", was_heard)
    assert belief.look(says(OLD), "1", 7, whole=True)
