"""A small kind of change for the tests of planning: a parameter in SSM, real calls against the sandbox."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from opslib import aws, config
from opslib.applying import carry_out
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, propose, register
from opslib.result import Result
from opslib.run import Run
from opslib.stepping import Work

NAME = "/shop/reads"


def value(environment: config.Environment) -> str:
    return str(aws.client(environment, "ssm").get_parameter(Name=NAME)["Parameter"]["Value"])


def _observe(environment: config.Environment, plan: Plan) -> dict[str, Any]:
    return {"value": value(environment)}


def _follow(environment: config.Environment, plan: Plan, kept: Kept) -> Progress:
    found = value(environment)
    if found == plan.parameters["wait_for"]:
        return Progress("done", f"the switch says {found}", {"value": found})
    return Progress("failed" if found == "broken" else "going", f"the switch says {found}")


def _keep(answers: list[Any]) -> Kept:
    return {"version": answers[0]["Version"]}


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    return switch(run, plan.before["value"])


def step(to: str) -> Step:
    return Step("ssm", "PutParameter", {"Name": NAME, "Value": to, "Overwrite": True}, f"set the switch to {to}")


def switch(run: Run, to: str, *, wait_for: str = "", steps: tuple[Step, ...] = (), holds: bool = True) -> Plan:
    """Plan to set the switch."""
    now = value(run.environment)
    return propose(
        run, action="set-switch", title=f"Set the switch to {to}", target="reads", parameters={"wait_for": wait_for or to},
        before={"value": now}, changes=(Change("reads", now, to, now, "nobody"),), conditions=(Condition("it exists", now, holds),),
        steps=steps or (step(to),), limits=("one parameter",),
        verification=Verification("The switch is read.", f"aws ssm get-parameter --name {NAME}", 10, 300),
        undo_draft=Undo(f"set it to {now} again", "set-switch", (step(now),)),
    )  # fmt: skip


register(Action("set-switch", observe=_observe, follow=_follow, keep=_keep, undo=_undo))


def carried_out(plan: Plan, *, pause: Callable[[float], None] = lambda seconds: None) -> tuple[Result, str]:
    """Carry out a plan as a confirmed one; return the answer and what was said on the way."""
    assert plan.run is not None
    with redirect_stdout(io.StringIO()) as said:
        answer = carry_out(Work(plan, plan.run.environment, "a test", pause=pause, say=print))
    return answer, said.getvalue()


def folder(base: Path) -> Path:
    """Return a record folder in which a run would work."""
    base.mkdir(parents=True, exist_ok=True)
    (base / "run.json").write_text('{"mode": "interactive"}')
    return base
