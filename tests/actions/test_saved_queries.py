"""Saved queries: made and seen, left alone when equal, changed by their id, and the way back of what nobody changed since."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import pytest

from opslib.actions import saved_queries, undoing
from opslib.alerting import detection_queries
from opslib.applying import carry_out
from opslib.checks.detections import DETECTIONS
from opslib.errors import ParameterError, Refused, SourceError
from opslib.plan import ACTIONS, SOMETHING, Plan
from opslib.result import Result
from opslib.run import Run
from opslib.sandbox.control import Sandbox
from opslib.stepping import Work

Applied = Callable[..., Result]
THREE = {"one": "# One?\nlimit 1", "two": "# Two?\nlimit 2", "three": "# Three?\nlimit 3"}


@pytest.fixture
def folder() -> str:
    return f"tests/{uuid.uuid4().hex[:12]}"


def saved(live: Sandbox, prefix: str) -> dict[str, dict[str, Any]]:
    pages = live.client("logs").describe_query_definitions(queryDefinitionNamePrefix=prefix, maxResults=1000)
    return {one["name"].removeprefix(f"{prefix}/"): one for one in pages["queryDefinitions"]}


def planned(run: Run, folder: str, **other: str) -> Plan:
    return saved_queries.save(run, {**THREE, **other}, folder=folder, groups=["/shop/web", "/shop/audit"])


def test_the_detections_are_saved_and_seen_once_and_taken_back(run: Run, live: Sandbox, applied: Applied) -> None:
    place = "ops/sandbox/suspicious-operations"
    logs = live.client("logs")
    own = logs.put_query_definition(name=f"{place}/by-hand", queryString="limit 9")["queryDefinitionId"]
    plan = detection_queries.save(run)
    assert plan.target == place and "1 more lie in the folder" in plan.limits[1] and not plan.blocked
    assert plan.steps[0].command(run.environment).startswith(f"aws logs put-query-definition --name {place}/failed-login-burst --query-language CWLI --log-group-names /shop/audit --query-string '# On which")  # fmt: skip
    assert (
        plan._repr_mimebundle_()["text/html"].count(">its command</summary>") == 17
    )  # of so many steps the long ones are folded
    answer = applied(plan)
    assert answer.verdict == "ok" and answer.facts["definitions"] == "17", answer.sentence
    found = saved(live, place)
    texts = detection_queries.texts(run.environment, now=run.now)
    assert set(found) == {"by-hand", *(name.replace(" ", "-") for name in DETECTIONS)}
    assert all(found[name]["queryString"] == text and found[name]["logGroupNames"] == ["/shop/audit"] for name, text in texts.items())  # fmt: skip
    again = detection_queries.save(run)
    assert (
        [one.what for one in again.blocked] == [SOMETHING] and not again.steps and "17 are as wanted" in again.limits[1]
    )
    assert applied(plan.undo()).verdict == "ok" and {one["queryDefinitionId"] for one in saved(live, place).values()} == {own}  # fmt: skip


def test_what_differs_is_changed_by_its_id_and_gets_its_old_text_again(run: Run, live: Sandbox, applied: Applied, folder: str) -> None:  # fmt: skip
    logs = live.client("logs")
    old = 'filter actor = "mori.aya@example.com" or ip = "198.51.100.7" | limit 5'  # no record keeps this
    changed = logs.put_query_definition(name=f"{folder}/two", queryString=old, logGroupNames=["/shop/api"])["queryDefinitionId"]  # fmt: skip
    logs.put_query_definition(name=f"{folder}/one", queryString=THREE["one"], logGroupNames=["/shop/audit", "/shop/web"])  # fmt: skip
    before = saved(live, folder)
    plan = planned(run, folder)
    assert [step.says.split()[0] for step in plan.steps] == ["change", "save"] and plan.steps[0].arguments["queryDefinitionId"] == changed  # fmt: skip
    assert [one.now for one in plan.changes] == ["1 are not there", "there, with another text and log groups"]
    assert applied(plan).verdict == "ok"
    after = saved(live, folder)
    assert after["one"] == before["one"] and after["two"]["queryString"] == THREE["two"] and after["two"]["queryDefinitionId"] == changed  # fmt: skip
    assert after["two"]["logGroupNames"] == ["/shop/audit", "/shop/web"]
    back = undoing.undo(run, change=plan.sealed)  # as it stands in the journal, which is redacted
    assert applied(back).verdict == "ok"
    restored = saved(live, folder)
    assert set(restored) == {"one", "two"} and restored["one"] == before["one"]
    assert {**restored["two"], "lastModified": 0} == {**before["two"], "lastModified": 0}


def test_what_somebody_changes_before_it_is_applied_is_no_longer_the_plan(run: Run, live: Sandbox, applied: Applied, folder: str) -> None:  # fmt: skip
    plan = planned(run, folder)
    live.client("logs").put_query_definition(name=f"{folder}/three", queryString="limit 7")
    answer = applied(plan)
    assert answer.verdict == "warn" and "the state has changed since the plan was made" in answer.sentence
    assert list(saved(live, folder)) == ["three"]


def test_what_somebody_changes_afterwards_stays(run: Run, live: Sandbox, applied: Applied, folder: str) -> None:
    logs, plan = live.client("logs"), planned(run, folder)
    applied(plan)
    known = saved(live, folder)
    logs.put_query_definition(**{"name": f"{folder}/two", "queryString": "limit 8", "queryDefinitionId": known["two"]["queryDefinitionId"]})  # fmt: skip
    ids = [known[name]["queryDefinitionId"] for name in THREE]
    looked = ACTIONS[plan.action].follow(run.environment, plan, {"ids": ids, "steps": 3})
    assert looked.state == "going" and looked.says == f"2 of 3 definitions are as planned, not yet: save {folder}/two"
    back = plan.undo()
    assert len(back.steps) == 2 and back.limits == ("1 were changed or deleted since, and stay as they are",)
    logs.delete_query_definition(queryDefinitionId=known["one"]["queryDefinitionId"])
    assert "the state has changed" in applied(back).sentence
    assert applied(plan.undo()).verdict == "ok" and list(saved(live, folder)) == ["two"]
    with pytest.raises(Refused, match="nothing to go back from"):
        plan.undo()


@pytest.mark.parametrize(("kind", "said"), [("throttling", "was throttled"), ("access-denied", "was denied")])
def test_a_refused_step_ends_it_and_the_next_plan_does_the_rest(run: Run, live: Sandbox, applied: Applied, folder: str, kind: str, said: str) -> None:  # fmt: skip
    def strike(text: str) -> None:
        if text.startswith("  step 2 of 3"):
            live.fault(service="logs", operation="PutQueryDefinition", kind=kind)

    plan = planned(run, folder)
    with redirect_stdout(io.StringIO()):
        answer = carry_out(Work(plan, run.environment, "a test", pause=live.advance, say=strike))
    live.clear_faults()
    assert answer.verdict == "critical" and "1 of 3 steps were done; step 2" in answer.sentence and said in answer.sentence  # fmt: skip
    rest = planned(run, folder)
    assert [step.says for step in rest.steps] == [f"save {folder}/two", f"save {folder}/three"]
    assert "1 are as wanted already" in rest.limits[1]
    assert [step.operation for step in plan.undo().steps] == ["DeleteQueryDefinition"]


def test_what_is_there_is_seen_whole_or_nothing_is_planned(run: Run, live: Sandbox, folder: str) -> None:
    logs = live.client("logs")
    for number in range(52):
        logs.put_query_definition(name=f"{folder}/a{number:02}", queryString="limit 1")
    for name, text in THREE.items():
        logs.put_query_definition(name=f"{folder}/{name}", queryString=text, logGroupNames=["/shop/audit", "/shop/web"])
    plan = planned(run, folder)
    assert [one.what for one in plan.blocked] == [SOMETHING] and "52 more lie in the folder" in plan.limits[2]
    logs.put_query_definition(name=f"{folder}/two", queryString=THREE["two"], logGroupNames=["/shop/audit", "/shop/web"])  # fmt: skip
    twice = planned(run, folder)
    assert [(one.what, one.found) for one in twice.blocked] == [("each name is there once at most", f"{folder}/two")]
    live.fault(service="logs", operation="DescribeQueryDefinitions", kind="access-denied")
    with pytest.raises(SourceError, match="DescribeQueryDefinitions was denied"):
        planned(run, folder)
    for wrong in ("", "/ops", "ops/", "ops//x", "ops x", "日本", "a" * 250, "ops/<script>"):
        with pytest.raises(ParameterError, match="is no folder of queries"):
            planned(run, wrong)
