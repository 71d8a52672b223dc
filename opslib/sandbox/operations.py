"""The operations we answer ourselves, each with what it promises; FIDELITY.md is made from these declarations."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Params = dict[str, Any]
Handler = Callable[[Params], Any]


@dataclass(frozen=True)
class Declaration:
    """What one operation models, how that is known, and where it differs from AWS."""

    service: str
    operation: str
    modelled: str
    source: str
    tested: tuple[str, ...] = ()
    difference: str = ""
    plain: bool = True  # parameters and result are JSON as they stand; see protocol.parse
    also_behind: bool = False  # ministack is told too: its filters and stacks need to know


@dataclass(frozen=True)
class Operation:
    """A declaration and the function that holds it."""

    declaration: Declaration
    handler: Handler


def operation(service: str, name: str, **declared: Any) -> Callable[[Handler], Handler]:
    """Mark a method as the answer to an AWS operation."""

    def mark(method: Handler) -> Handler:
        method.__dict__["declaration"] = Declaration(service, name, **declared)
        return method

    return mark


def declarations(owner: type) -> Iterator[Declaration]:
    """Yield what a class declares."""
    for base in reversed(owner.__mro__):
        for member in vars(base).values():
            if isinstance(declared := getattr(member, "declaration", None), Declaration):
                yield declared


@dataclass
class Registry:
    """Operations by service and name."""

    operations: dict[tuple[str, str], Operation] = field(default_factory=dict)

    @classmethod
    def of(cls, owners: Iterable[object]) -> "Registry":
        """Collect the marked methods of some objects."""
        registry = cls()
        for owner in owners:
            for name in dir(type(owner)):
                declared = getattr(getattr(type(owner), name), "declaration", None)
                if isinstance(declared, Declaration):
                    registry.add(Operation(declared, getattr(owner, name)))
        return registry

    def add(self, added: Operation) -> None:
        """Add one; two answers to one operation are a mistake."""
        key = (added.declaration.service, added.declaration.operation)
        if key in self.operations:
            raise ValueError(f"{key[0]}:{key[1]} is declared twice")
        self.operations[key] = added

    def get(self, service: str, name: str) -> Operation | None:
        """Return the operation, or None when it is not ours."""
        return self.operations.get((service, name))
