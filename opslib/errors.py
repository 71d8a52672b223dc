"""Errors for people: what happened, why, and what to do.

OpsError
├── ConfigError      opslib.toml, or an environment that is not there
├── IdentityError    no credentials, expired ones, or another account than the configured one
├── ParameterError   a runbook parameter: unknown, misspelt, wrong type, hostile
├── WindowError      a time window that cannot be meant
├── SandboxDown      environment `sandbox` without a running sandbox
├── SourceError      AWS answered no, or not at all
├── DatabaseError    no way to the database, or a statement that failed
├── Unanswered       a change that was sent and got no answer: it may have been carried out
├── RecordError      a record that cannot be written, read, opened or closed
└── Refused          a change that is not made: what stands against it
"""

from __future__ import annotations


class OpsError(Exception):
    """An expected failure that the operator can act on: shown without a traceback, in Jupyter and in the terminal."""

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        super().__init__(self.text())

    def text(self) -> str:
        """Return the error as up to three lines: what, why, what to do."""
        lines = [self.what]
        if self.why:
            lines.append(f"why:  {self.why}")
        if self.fix:
            lines.append(f"do:   {self.fix}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """Let IPython show these lines in place of a traceback."""
        bold, plain = "\x1b[1;31m", "\x1b[0m"
        first, *rest = self.text().splitlines()
        return [f"{bold}{first}{plain}", *rest]


class ConfigError(OpsError):
    """The configuration is missing, unreadable or wrong."""


class ParameterError(OpsError):
    """A parameter of a runbook is unknown, misspelt, of the wrong type or not acceptable."""


class WindowError(OpsError):
    """A time window that cannot be meant: no zone, ends before it starts, lies in the future."""


class SandboxDown(OpsError):
    """Environment `sandbox` was asked for and no sandbox runs."""


class SourceError(OpsError):
    """A source did not answer: `sight` says whether it was denied or in error."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", sight: str = "error") -> None:
        self.sight = sight
        super().__init__(what, why=why, fix=fix)


class IdentityError(SourceError):
    """AWS does not know us, or knows us in another account than the configured one."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", sight: str = "denied") -> None:
        super().__init__(what, why=why, fix=fix, sight=sight)


class DatabaseError(SourceError):
    """The database cannot be reached, or refused a statement; never repeats a password."""


class Unanswered(SourceError):
    """A change was sent and no answer came: it may have been carried out."""


class RecordError(OpsError):
    """A record cannot be written, read, opened or closed."""


class Refused(OpsError):
    """A change that is not made, and nothing was done: the plan, the state or somebody else stands against it."""
