"""A change that is planned first: what stands, what would be done, the way to see that it worked, the way back.

A plan is data with a hash over all of it. `plan.apply` (opslib.applying) carries out that very data or nothing.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import aws, open_incidents
from opslib.errors import RecordError
from opslib.journal import digest
from opslib.result import Result, Verdict

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

VERSION, FILE, SQL = 1, "plan.json", "postgresql"
VALID = timedelta(minutes=15)
SHOWN = 8  # digits of the hash in the phrase
_COMMANDS = {"s3": "s3api"}  # where the AWS CLI has another word than botocore
SOMETHING = "something is to be changed"  # the condition that does not hold when all is as wanted already
Kept = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One AWS call that changes something; `says` is what it does."""

    service: str
    operation: str
    arguments: dict[str, Any]
    says: str
    console: str = ""
    region: str = ""

    def command(self, environment: Environment) -> str:
        """Return the same call as a command of the AWS CLI."""
        from botocore import xform_name

        if self.service == SQL:
            return f"psql --set ON_ERROR_STOP=1 --command {shlex.quote(self.arguments['statement'])}"
        words = ["aws", _COMMANDS.get(self.service, self.service), xform_name(self.operation, "-")]
        for name, value in self.arguments.items():
            words += _option(xform_name(name, "-"), value)
        return " ".join([*words, "--region", self.region or environment.region])


@dataclass(frozen=True)
class Change:
    """One row for people: what stands now, what is proposed, the way back, whom it touches."""

    target: str
    now: str
    proposed: str
    undo: str
    impact: str


@dataclass(frozen=True)
class Condition:
    """What must hold before anything is done, and what was found."""

    what: str
    found: str
    holds: bool


@dataclass(frozen=True)
class Verification:
    """How it is seen that the change worked: asked every so many seconds, given up as unknown after the timeout."""

    says: str
    look: str  # a read-only command, for after a crash
    every_s: float = 10.0
    timeout_s: float = 900.0


@dataclass(frozen=True)
class Undo:
    """The way back, as a draft of the plan that `plan.undo()` makes; without an action there is none, and `says` why."""

    says: str
    action: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Progress:
    """What one look at the world says of a change: going, done, failed, or unknown when no further look will tell."""

    state: str
    says: str
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """How a kind of change looks at the world; found by its name, also from a plan that comes out of a file.

    `observe` returns the state that must not change between plan and apply; `keep` what of the answers the journal
    keeps; `follow` whether it worked, from that; `undo` the plan of the way back; `between` what must be seen after a step
    before the next one is made; `perform` makes a step that is no call of AWS;
    `complete` returns the arguments of a call of which the plan can only say what they will be made from.
    """

    name: str
    observe: Callable[[Environment, Plan], dict[str, Any]]
    follow: Callable[[Environment, Plan, Kept], Progress]
    keep: Callable[[list[Any]], Kept] = lambda answers: {}
    undo: Callable[[Run, Plan, Kept], Plan] | None = None
    between: Callable[[Environment, Plan, Kept], Progress] | None = None
    perform: Callable[[Environment, Plan, Step], Any] | None = None
    complete: Callable[[Environment, Plan, Step, Kept], dict[str, Any]] | None = None


ACTIONS: dict[str, Action] = {}


def register(action: Action) -> Action:
    """Make a kind of change known by its name."""
    ACTIONS[action.name] = action
    return action


@dataclass(frozen=True)
class Plan:
    """A planned change; renders as target, now, proposed, undo, impact. `sealed` is the hash over all the rest."""

    action: str
    title: str
    target: str
    parameters: dict[str, Any]
    before: dict[str, Any]
    changes: tuple[Change, ...]
    conditions: tuple[Condition, ...]
    steps: tuple[Step, ...]
    limits: tuple[str, ...]
    verification: Verification
    undo_draft: Undo
    environment: str = ""
    account: str = ""
    region: str = ""
    incident: str = ""
    incident_note: str = ""
    change_role: str = ""
    made_by: str = ""
    made_at: str = ""
    expires: str = ""
    nonce: str = ""
    version: int = VERSION
    sealed: str = ""
    run: Run | None = field(default=None, repr=False, compare=False)

    def content(self) -> dict[str, Any]:
        """Return everything that the hash covers, as JSON has it."""
        bare = asdict(replace(self, run=None))
        return {name: value for name, value in bare.items() if name not in {"run", "sealed"}}

    @property
    def hash(self) -> str:
        """Return the hash of what the plan says now; another one than `sealed` when somebody edited it."""
        return digest(self.content())

    @property
    def phrase(self) -> str:
        """Return what must be typed: action, target and the first digits of the hash."""
        return f"{self.action} {self.target} {self.sealed[:SHOWN]}"

    @property
    def blocked(self) -> tuple[Condition, ...]:
        """Return the conditions that do not hold: then there is nothing to apply."""
        return tuple(condition for condition in self.conditions if not condition.holds)

    def apply(self, phrase: str = "") -> Result:
        """Carry the plan out when the phrase is the one that its card shows; else answer with it and change nothing."""
        from opslib.applying import typed

        return typed(self, phrase)

    def undo(self) -> Plan:
        """Return the plan of the way back, bound to the state as it is now; raises Refused when there is none."""
        from opslib.applying import way_back

        return way_back(self)

    def text(self) -> str:
        """Return the content of plan.json."""
        return json.dumps({**self.content(), "sealed": self.sealed}, ensure_ascii=False, indent=1) + "\n"

    def slack(self) -> str:
        """Return the text to paste into Slack before it is applied: who wants to change what, and the way back."""
        from opslib.plan_card import slack_text

        return slack_text(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        from opslib.plan_card import plan_html, plan_text

        return {"text/html": plan_html(self), "text/plain": plan_text(self)}


def propose(run: Run, **content: Any) -> Plan:
    """Return a sealed plan of this run, keep it as plan.json of the record and note it in the ledger.

    `content` are the fields of Plan from `action` to `undo_draft`. A plan with a condition that does not hold is
    shown, and not kept: there is nothing to apply.
    """
    environment, known = run.environment, aws.asked_anew(run.environment)
    now = aws.now(environment)
    incident, note = open_incidents.in_force(environment.name)
    made = Plan(
        **content, environment=environment.name, account=known.account, region=environment.region, incident=incident,
        incident_note=note, change_role=environment.change_role, made_by=known.arn, made_at=_stamp(now),
        expires=_stamp(now + VALID), nonce=_nonce(environment, now, content["target"]), run=run,
    )  # fmt: skip
    made = replace(made, sealed=made.hash)
    _keep(made, run)
    return made


def shown(plan: Plan, run: Run) -> Plan:
    """Return a plan that came out of a file as one of this run, so that it can be drawn."""
    return replace(plan, run=run)


def remembered(run: Run) -> Plan:
    """Return the plan that lies in the run's record, or in the one that is replayed; raises RecordError when none does."""
    return shown(load((run.replayed or run.folder or Path()) / FILE), run)


def load(file: Path) -> Plan:
    """Return the plan of a file as it stands there, edited or not; raises RecordError."""
    try:
        return from_content(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{file} is no plan", why=str(error), fix="make one: opslib plan NOTEBOOK") from None


def from_content(found: Mapping[str, Any]) -> Plan:
    """Return the plan of what `content` returned; raises KeyError or TypeError when it is none."""
    kinds: Mapping[str, type] = {"changes": Change, "conditions": Condition, "steps": Step}
    lists = {name: tuple(kind(**row) for row in found[name]) for name, kind in kinds.items()}
    draft = found["undo_draft"]
    undo = Undo(draft["says"], draft["action"], tuple(Step(**step) for step in draft["steps"]))
    rest = {"limits": tuple(found["limits"]), "verification": Verification(**found["verification"]), "undo_draft": undo}
    return Plan(**{**found, **lists, **rest})


def _keep(made: Plan, run: Run) -> None:
    idle = [one.what for one in made.blocked] == [SOMETHING]
    if idle:
        said = f"Nothing is to be changed: {made.blocked[0].found}."
    elif made.blocked:
        said = f"No plan can be made: {'; '.join(f'{one.what}: {one.found}' for one in made.blocked)}."
    else:
        said = f"Planned, and nothing is changed: {made.title}."
        if run.folder:
            file = run.folder / FILE
            file.write_text(made.text(), encoding="utf-8")
            file.chmod(0o600)
    verdict = Verdict.WARN if made.blocked and not idle else Verdict.OK
    run.record(Result(made.action, made.title, verdict, said, facts={"phrase": made.phrase, "expires": made.expires}))


def _nonce(environment: Environment, now: datetime, target: str) -> str:
    """A number used once; where time stands still the outputs of committed runbooks must stand still too."""
    return digest([now.isoformat(), target])[:16] if environment.clock == "frozen" else secrets.token_hex(8)


def _option(name: str, value: Any) -> list[str]:
    if name == "cli-input-json":  # made by a command: not to be quoted away
        return [f'--{name} "{value}"']
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, str) for one in value):
        return [f"--{name}", *map(shlex.quote, value)]
    plain = value if isinstance(value, str | int | float) else json.dumps(value, ensure_ascii=False)
    return [f"--{name}", shlex.quote(str(plain))]


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
