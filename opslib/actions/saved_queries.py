"""Saved queries of Logs Insights: what differs is made or changed by its id, what is as wanted stays, nothing else is touched."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opslib import aws, console
from opslib import plan as plans
from opslib.actions import stack_state
from opslib.errors import ParameterError, Refused
from opslib.journal import digest
from opslib.plan import SOMETHING, Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register
from opslib.sources.logs import GROUPS_A_QUERY, USD_PER_GB

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

NAME, BACK = "save-queries", "restore-queries"
LONGEST = 255  # characters of a name, its folder included
_FOLDER = re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII)
_TOLD_ANEW = "the id that the answer to its PutQueryDefinition names"
Definition = Mapping[str, Any]  # as DescribeQueryDefinitions tells it, and as PutQueryDefinition takes it


def save(run: Run, queries: Mapping[str, str], *, folder: str, groups: Sequence[str]) -> Plan:
    """Plan to save queries by their names in a folder, each over these log groups (logs:PutQueryDefinition).

    Raises ParameterError for what is no folder, SourceError.
    """
    environment, longest = run.environment, max(map(len, queries), default=0)
    if not _FOLDER.fullmatch(folder) or len(folder) + 1 + longest > LONGEST:
        raise ParameterError(f"{folder!r} is no folder of queries", fix="such as ops/prod: letters, digits and . _ - between slashes")  # fmt: skip
    shared: Definition = {"queryLanguage": "CWLI", "logGroupNames": sorted(groups)}
    wanted: list[Definition] = [
        {"name": f"{folder}/{name}", **shared, "queryString": text} for name, text in queries.items()
    ]
    found = _standing(environment, folder)
    differing = [one for one in wanted if [_content(told) for told in found.get(one["name"], ())] != [_content(one)]]
    olds = {one["name"]: found[one["name"]][0] for one in differing if one["name"] in found}
    kept = {name: stack_state.keep(environment, told["queryString"]) for name, told in olds.items()}
    return plans.propose(
        run, action=NAME, title=f"Save {len(differing)} queries in {folder}", target=folder, parameters={"old": kept},
        before=_states(found, [one["name"] for one in wanted]), changes=tuple(_changes(folder, differing, olds)),
        conditions=_conditions(found, wanted, differing), steps=tuple(_put(environment, one, olds.get(one["name"])) for one in differing),
        limits=tuple(_limits(found, wanted, differing)),
        verification=Verification("After each step the definitions are read again, until it stands there as it was sent.", _look(environment, folder), 2.0, 60.0),
        undo_draft=Undo("what is new is deleted, what was changed gets its old text and log groups again; what somebody else changes in between stays", BACK,
                        tuple(_back(environment, one["name"], olds.get(one["name"]), _TOLD_ANEW) for one in differing)),
    )  # fmt: skip


def _standing(environment: Environment, folder: str) -> dict[str, list[Definition]]:
    """Return the definitions of a folder by name (logs:DescribeQueryDefinitions): AWS does not say that a name is there once."""
    found: dict[str, list[Definition]] = {}
    for one in aws.pages(environment, "logs", "describe_query_definitions", "queryDefinitions", queryDefinitionNamePrefix=f"{folder}/"):  # fmt: skip
        found.setdefault(one["name"], []).append(one)
    return found


def _content(one: Definition) -> list[Any]:
    """Return what two definitions must have in common to be the same, beside their name."""
    return [one.get("queryLanguage") or "CWLI", one["queryString"], sorted(one.get("logGroupNames") or []), one.get("parameters") or []]  # fmt: skip


def _states(found: Mapping[str, list[Definition]], names: Sequence[str]) -> dict[str, Any]:
    return {name: [[one["queryDefinitionId"], digest(_content(one))] for one in found.get(name, [])] for name in names}


def _put(environment: Environment, one: Definition, old: Definition | None) -> Step:
    """Return the step that makes a definition, or changes the one that stands; a change keeps nothing of what it had."""
    known = {"queryDefinitionId": old["queryDefinitionId"]} if old else {}
    says = f"{'change' if old else 'save'} {one['name']}"
    return Step("logs", "PutQueryDefinition", {**known, **one}, says, console.logs_insights(environment.region))


def _back(environment: Environment, name: str, old: Definition | None, made: str) -> Step:
    if old is None:
        return Step("logs", "DeleteQueryDefinition", {"queryDefinitionId": made}, f"delete {name}", console.logs_insights(environment.region))  # fmt: skip
    return _put(environment, {key: value for key, value in old.items() if key != "lastModified"}, old)


def _changes(folder: str, differing: Sequence[Definition], olds: Mapping[str, Definition]) -> Iterator[Change]:
    """Yield one row for all that is new, and one for each that is changed; what each asks stands in its step."""
    groups = ", ".join(differing[0]["logGroupNames"]) if differing else ""
    if new := [one["name"].removeprefix(f"{folder}/") for one in differing if one["name"] not in olds]:
        yield Change(f"{folder} over {groups}", f"{len(new)} are not there", f"{', '.join(new)}", "they are deleted", "none to what stands")  # fmt: skip
    for one in (one for one in differing if one["name"] in olds):
        parts = zip(("language", "text", "log groups", "parameters"), _content(olds[one["name"]]), _content(one), strict=True)  # fmt: skip
        other = " and ".join(what for what, was, wanted in parts if was != wanted)
        yield Change(one["name"], f"there, with another {other}", f"as in its step, over {groups}", "it gets what it has now", "who opens it sees the new one")  # fmt: skip


def _conditions(found: Mapping[str, list[Definition]], wanted: Sequence[Definition], differing: Sequence[Definition]) -> tuple[Condition, ...]:  # fmt: skip
    twice = [one["name"] for one in wanted if len(found.get(one["name"], ())) > 1]
    groups = max((len(one["logGroupNames"]) for one in wanted), default=0)
    return (
        Condition("each name is there once at most", ", ".join(twice) or "it is", not twice),
        Condition(f"a query reads at most {GROUPS_A_QUERY} log groups", f"{groups} by each", 0 < groups <= GROUPS_A_QUERY),
        Condition(SOMETHING, f"{len(differing)} of {len(wanted)} queries" if differing else f"all {len(wanted)} are as wanted", bool(differing)),
    )  # fmt: skip


def _limits(found: Mapping[str, list[Definition]], wanted: Sequence[Definition], differing: Sequence[Definition]) -> Iterator[str]:  # fmt: skip
    yield f"saving costs nothing; who runs one in the console pays the scan of the time chosen there: US${USD_PER_GB} a GB"
    if same := len(wanted) - len(differing):
        yield f"{same} are as wanted already, and are left alone"
    if others := found.keys() - {one["name"] for one in wanted}:
        yield f"{len(others)} more lie in the folder, and are left alone: {', '.join(sorted(others)[:5])}"


def _look(environment: Environment, folder: str) -> str:
    return f"aws logs describe-query-definitions --query-definition-name-prefix {folder}/ --region {environment.region}"


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    return _states(_standing(environment, plan.target), list(plan.before))


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """Look at what was sent so far: each id must hold what its step said, or be gone when it was deleted."""
    told, ids = _by_id(_standing(environment, plan.target)), kept["ids"] or plan.parameters["ids"][: kept["steps"]]
    late = [step.says for step, made in zip(plan.steps, ids, strict=False) if not _done(step, told.get(made))]
    said = f"{len(ids) - len(late)} of {len(plan.steps)} definitions are as planned"
    return Progress("going" if late else "done", said + (f", not yet: {', '.join(late[:3])}" if late else ""), {"definitions": len(ids)})  # fmt: skip


def _by_id(found: Mapping[str, list[Definition]]) -> dict[str, Definition]:
    return {one["queryDefinitionId"]: one for some in found.values() for one in some}


def _keep(answers: list[Any]) -> Kept:
    return {"ids": [one["queryDefinitionId"] for one in answers], "steps": len(answers)}


def _done(step: Step, told: Definition | None) -> bool:
    if step.operation == "DeleteQueryDefinition":
        return told is None
    return told is not None and told["name"] == step.arguments["name"] and _content(told) == _content(step.arguments)


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    """Plan the way back of what is still as it was saved; a text that a record may not hold is the one kept on this machine."""
    environment, found = run.environment, _standing(run.environment, plan.target)
    told = _by_id(found)
    done = list(zip(plan.steps, plan.undo_draft.steps, kept["ids"], strict=False))
    mine = [(back, made) for step, back, made in done if _done(step, told.get(made))]
    if not mine:
        raise Refused("there is nothing to go back from", why="none of what was saved is still as it was saved", fix=plan.verification.look)  # fmt: skip
    steps = tuple(_completed(environment, plan, back, made) for back, made in mine)
    names = [told[made]["name"] for _, made in mine]
    gone = [told[made]["name"] for back, made in mine if back.operation == "DeleteQueryDefinition"]
    lost = len(done) - len(mine)
    kinds = (("they are deleted", gone), ("they are as before", [name for name in names if name not in gone]))
    return plans.propose(
        run, action=BACK, title=f"Undo the saving of {len(mine)} queries in {plan.target}", target=plan.target, parameters={"ids": [made for _, made in mine]},
        before=_states(found, names), changes=tuple(Change(", ".join(some), f"{len(some)} as they were saved", said, "save them again", "who opens one in the console") for said, some in kinds if some),
        conditions=(Condition("they are still as they were saved", f"{len(mine)} of {len(done)} are", True),), steps=steps, limits=(f"{lost} were changed or deleted since, and stay as they are",) * bool(lost),
        verification=plan.verification, undo_draft=Undo("plan the saving again: it is the way forth"),
    )  # fmt: skip


def _completed(environment: Environment, plan: Plan, back: Step, made: str) -> Step:
    if back.operation == "DeleteQueryDefinition":
        return _back(environment, back.says.removeprefix("delete "), None, made)
    known, text = plan.parameters["old"][back.arguments["name"]], back.arguments["queryString"]
    if hashlib.sha256(text.encode()).hexdigest() != known:
        text = stack_state.kept(environment, known)
    return _put(environment, {**back.arguments, "queryString": text}, back.arguments)


register(Action(NAME, observe=_observe, follow=_follow, between=_follow, undo=_undo, keep=_keep))
register(Action(BACK, observe=_observe, follow=_follow, between=_follow, keep=lambda answers: {"ids": [], "steps": len(answers)}))  # fmt: skip
