from __future__ import annotations

from lab.ping import parse


def output(answered: list[int], sent: int) -> list[str]:
    head = ["PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data."]
    body = [f"64 bytes from 10.0.0.1: icmp_seq={number} ttl=64 time=0.05 ms" for number in answered]
    tail = ["", "--- 10.0.0.1 ping statistics ---", f"{sent} packets transmitted, {len(answered)} received"]
    return head + body + tail


def test_all_answered() -> None:
    report = parse(output([1, 2, 3], 3), 0.02)
    assert report.ok
    assert (report.sent, report.received, report.longest_gap_s, report.lost) == (3, 3, 0.0, ())


def test_the_longest_gap_is_the_longest_run_of_lost_numbers() -> None:
    report = parse(output([1, 4, 5, 9], 10), 0.02)
    assert report.lost == (2, 3, 6, 7, 8, 10)
    assert report.longest_gap_s == 0.06
    assert (report.sent, report.received) == (10, 4)
    assert not report.ok


def test_nothing_answered() -> None:
    report = parse(output([], 5), 0.02)
    assert (report.sent, report.received, report.longest_gap_s) == (5, 0, 0.1)


def test_an_answer_that_comes_twice_counts_once() -> None:
    assert parse(output([1, 2, 2, 3], 3), 0.02).received == 3


def test_an_interrupted_run_does_not_count_the_request_on_its_way() -> None:
    assert parse(output([1, 2], 3), 0.02, interrupted=True).ok
    assert parse(output([1, 2], 4), 0.02, interrupted=True).lost == (3,)
    assert parse(output([1, 2, 3], 3), 0.02, interrupted=True).sent == 3


def test_unreachable_is_no_answer_and_an_empty_run_is_not_ok() -> None:
    lines = ["From 10.0.0.9 icmp_seq=1 Destination Host Unreachable", *output([], 1)]
    assert parse(lines, 0.02).received == 0
    assert not parse([], 0.02).ok


def test_ipv6_says_hlim_in_old_and_ttl_in_new_versions() -> None:
    assert parse(["64 bytes from fe80::1: icmp_seq=1 hlim=64 time=0.1 ms"], 1.0).received == 1
