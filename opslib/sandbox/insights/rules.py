"""Which command may stand where."""

from opslib.sandbox.insights.commands import (
    Accum,
    Autoregress,
    Dedup,
    Display,
    Expand,
    Fields,
    FillDown,
    Filter,
    Join,
    Limit,
    Parse,
    Sort,
    Stats,
    Unnest,
)
from opslib.sandbox.insights.refusals import Malformed
from opslib.sandbox.insights.syntax import Command

MAX_STATS = 10
SEQUENCES = (Accum, Autoregress, FillDown)


def check(commands: tuple[Command, ...]) -> None:
    """Raise Malformed for an order of commands that AWS refuses or does not document."""
    stats = [place for place, command in enumerate(commands) if isinstance(command, Stats)]
    if len(stats) > MAX_STATS:
        raise _refused(f"at most {MAX_STATS} stats", commands[stats[MAX_STATS]])
    for place, command in enumerate(commands):
        later, before = commands[place + 1 :], commands[place - 1] if place else None
        if isinstance(command, Limit):
            _check_limit(later)
        if isinstance(command, Dedup) and any(not isinstance(other, Limit) for other in later):
            raise _refused("only limit may follow dedup", command)
        if isinstance(command, Sort) and len(stats) > 1 and place < stats[-1]:
            raise _refused("sort before the last of several stats", command)
        if isinstance(command, Join) and any(isinstance(other, Join) for other in later):
            raise _refused("one join a query", command)
        if isinstance(command, SEQUENCES) and not isinstance(before, (Sort, *SEQUENCES)):
            raise _refused("this needs an order: it is modelled only right after `sort`", command)
    _check_samples(commands)


def _check_limit(later: tuple[Command, ...]) -> None:
    for command in later:
        if isinstance(command, Limit):
            raise _refused("which of several limits counts is not documented", command)
        if not isinstance(command, Fields | Display):
            raise _refused("what a command after limit sees is not documented", command)


def _check_samples(commands: tuple[Command, ...]) -> None:
    for place, command in enumerate(commands):
        ordered = any(isinstance(other, Sort | Dedup) for other in commands[:place])
        if isinstance(command, Limit) and command.anything and ordered:
            raise _refused("limit any after sort contradicts itself", command)


def is_idle_sort(commands: tuple[Command, ...], place: int) -> bool:
    """Tell whether a command is a sort whose order a later stats forgets."""
    later = commands[place + 1 :]
    read = bool(later) and isinstance(later[0], SEQUENCES)
    return isinstance(commands[place], Sort) and not read and any(isinstance(other, Stats) for other in later)


def matching_end(commands: tuple[Command, ...]) -> int:
    """Return how many commands, up to the last filter, still see one row an event."""
    end = 0
    for place, command in enumerate(commands):
        multiplies = isinstance(command, Stats | Dedup | Limit | Unnest | Expand | Join)
        if multiplies or (isinstance(command, Parse) and command.multi):
            break
        end = place + 1 if isinstance(command, Filter) else end
    return end


def _refused(message: str, command: Command) -> Malformed:
    return Malformed(message, command.start, command.end)
