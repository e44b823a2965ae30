from __future__ import annotations

from lab.ping import PingReport, parse


def output(answered: list[int], sent: int) -> list[str]:
    head = ["PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data."]
    body = [f"64 bytes from 10.0.0.1: icmp_seq={number} ttl=64 time=0.05 ms" for number in answered]
    tail = ["", "--- 10.0.0.1 ping statistics ---", f"{sent} packets transmitted, {len(answered)} received"]
    return head + body + tail


def test_all_answered() -> None:
    report = parse(output([1, 2, 3], 3), 0.02, 3)
    assert report.ok
    assert (report.sent, report.received, report.longest_gap_s, report.lost) == (3, 3, 0.0, ())


def test_the_longest_gap_is_the_longest_run_of_lost_numbers() -> None:
    report = parse(output([1, 4, 5, 9], 10), 0.02, 10)
    assert report.lost == (2, 3, 6, 7, 8, 10)
    assert report.longest_gap_s == 0.06
    assert (report.sent, report.received) == (10, 4)
    assert not report.ok


def test_nothing_answered() -> None:
    report = parse(output([], 5), 0.02, 5)
    assert (report.sent, report.received, report.longest_gap_s) == (5, 0, 0.1)


def test_an_answer_that_comes_twice_counts_once() -> None:
    assert parse(output([1, 2, 2, 3], 3), 0.02, 3).received == 3


def test_what_is_sent_beyond_those_that_count_does_not_count() -> None:
    late = ["no answer yet for icmp_seq=3", *output([1, 2, 4, 3], 5)]
    assert parse(late, 0.02, 3) == PingReport(3, 3, 0.0)
    assert parse(output([1, 2, 4], 5), 0.02, 3).lost == (3,)


def test_one_that_ends_early_has_sent_what_it_says_and_without_a_word_what_it_told_of() -> None:
    assert parse(output([1, 2], 2), 0.02, 20).sent == 2
    cut_short = [*output([1, 2], 4)[:3], "no answer yet for icmp_seq=3"]
    assert parse(cut_short, 0.02, 20).lost == (3,)


def test_unreachable_is_no_answer_and_an_empty_run_is_not_ok() -> None:
    lines = ["From 10.0.0.9 icmp_seq=1 Destination Host Unreachable", *output([], 1)]
    assert parse(lines, 0.02, 1).received == 0
    assert not parse([], 0.02, 1).ok


def test_ipv6_says_hlim_in_old_and_ttl_in_new_versions() -> None:
    assert parse(["64 bytes from fe80::1: icmp_seq=1 hlim=64 time=0.1 ms"], 1.0, 1).received == 1
