"""Lines of rules as one policy: `allow ingress tcp/443 from 10.0.0.0/8`, one rule a line, `#` for remarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.document import ADVICE
from cli.failure import Exit, Failure
from cli.policy_rule import ACTIONS, TOWARDS, parse_rule
from cli.rest import Json


def is_lines(text: str) -> bool:
    """Whether a text is lines of rules: its first word is an action."""
    first = next(iter(_lines(text)), (0, [""]))
    return first[1][0] in ACTIONS


def policy_of_lines(
    text: str, source: str, name: str, tenant: str | None, selector: Mapping[str, str]
) -> Json:
    """The policy that lines make, in their order. Raises `Failure` (usage) that lists every wrong line."""
    rules: dict[str, list[Json]] = {}
    faults = []
    for number, words in _lines(text):
        try:
            direction, rule = _rule(words)
            rules.setdefault(direction, []).append(rule)
        except ValueError as fault:
            faults.append((f"{source}, line {number}", str(fault)))
    if faults:
        raise Failure("not all of it can be translated", code=Exit.USAGE, fields=faults, advice=ADVICE)
    fixed = {"tenant": tenant} if tenant else {}
    chosen = {"selector": dict(selector)} if selector else {}
    return {"name": name, **fixed, **chosen, **rules}


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the words of each line that has some."""
    for number, line in enumerate(text.splitlines(), 1):
        if words := line.partition("#")[0].split():
            yield number, words


def _rule(words: list[str]) -> tuple[str, Json]:
    if len(words) < 2 or words[0] not in ACTIONS or words[1] not in TOWARDS:
        said = " ".join(words[:2])
        raise ValueError(
            f"{said!r} is no beginning of a rule; expected allow or deny, then ingress or egress"
        )
    return words[1], parse_rule([words[0], *words[2:]], words[1])
