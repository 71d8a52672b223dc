"""What was seen of the way from an alarm to a person, and one thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opslib.alerting import wanted

if TYPE_CHECKING:
    from opslib.run import Fact, Run
    from opslib.window import Window

KINDS = {
    "topics": "AWS::SNS::Topic", "subscriptions": "AWS::SNS::Topic", "functions": "AWS::Lambda::Function", "rules": "AWS::Events::Rule", "queues": "AWS::SQS::Queue",
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong; `link` is the part of the way that it belongs to."""

    link: str
    name: str
    region: str
    severity: str  # critical, error or warning
    what: str
    do: str

    @property
    def key(self) -> str:
        """Return what stays the same in every run."""
        return f"pipeline:{self.link}:{self.name}:{self.region}"[:255]


@dataclass(frozen=True)
class Path:
    """What was seen of the way."""

    run: Run
    window: Window
    facts: Mapping[str, Fact]

    def rows(self, name: str) -> Iterable[Any]:
        """Return the rows of a fact; none where it could not be seen."""
        fact = self.facts.get(name)
        return () if fact is None or fact.frame is None else fact.frame.itertuples()

    def saw(self, name: str, what: str, region: str) -> bool:
        """Tell whether one thing could be looked at, so that it is not there when it has no row."""
        fact = self.facts.get(name)
        if fact is None or fact.frame is None:
            return False
        return not any(each.startswith(f"{what} in {region}:") for each in fact.frame.attrs.get("problems", []))

    def made(self, kind: str) -> Iterator[Any]:
        """Yield the resources of a kind that stacks were to make."""
        yield from (one for one in self.rows("resources") if one.kind == KINDS[kind])

    @cached_property
    def absent(self) -> set[wanted.Place]:
        """Return the stacks that there are not."""
        return {wanted.Place(one.stack, one.region) for one in self.rows("stacks") if not one.status}

    @cached_property
    def bodies(self) -> dict[wanted.Place, dict[str, Any]]:
        """Return the template of every stack that should stand."""
        return wanted.bodies(self.run.environment)

    @cached_property
    def _differs(self) -> dict[tuple[str, str], list[str]]:
        return {(one.stack, one.region): one.differs.split() for one in self.rows("stacks")}

    def pending(self, stack: str, region: str, resource: str) -> bool:
        """Tell whether the template has a resource otherwise than its stack: that is told of the stack, once."""
        return resource in self._differs.get((stack, region), ())

    def of(self, name: str, key: str) -> dict[tuple[str, str], Any]:
        """Return the rows of a fact by name and region."""
        return {(getattr(one, key), one.region): one for one in self.rows(name)}
