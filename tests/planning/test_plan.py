"""Each refusal of a plan, against a real AWS of the sandbox on the running clock: in none does the world change unrecorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opslib import aws, locks, open_incidents
from opslib import run as runs
from opslib.applying import results_of, settle, unsettled
from opslib.errors import ParameterError, Refused
from opslib.journal import Journal
from opslib.plan import load
from opslib.run import Run
from opslib.sandbox.control import Sandbox

from .switching import NAME, carried_out, step, switch, value

BUCKET = "shop-ops-locks"


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock="running", scenario="quiet-day") as running:
        yield running


@pytest.fixture
def run(live: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run of its own: the switch says primary, no fault, a new journal, no lock bucket."""
    monkeypatch.setenv("OPSLIB_SANDBOX", str(live.directory))
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    monkeypatch.setenv("OPSLIB_PERSON", "yamada")
    live.client("ssm").put_parameter(Name=NAME, Value="primary", Type="String", Overwrite=True)
    live.clear_calls()
    aws.identity.cache_clear()  # its clock stands where it was asked
    started = runs.start()
    alone = {"lock_bucket": "", "change_role": ""}
    yield replace(started, environment=started.environment.model_copy(update=alone))
    live.clear_faults()


def with_bucket(run: Run) -> Run:
    return replace(run, environment=run.environment.model_copy(update={"lock_bucket": BUCKET}))


def journal(run: Run) -> list[str]:
    return [entry["event"] for entry in Journal.of(run.environment).entries()]


def writes(live: Sandbox) -> int:
    return sum(call["operation"] == "PutParameter" for call in live.calls())


def refused(answer: Any, why: str, run: Run, live: Sandbox) -> None:
    """Nothing was called, nothing has changed, and the journal says that somebody tried."""
    assert "Nothing was changed" in answer.sentence and why in answer.sentence, answer.sentence
    assert value(run.environment) == "primary" and writes(live) == 0
    assert journal(run)[-1] == "refused" and "intent" not in journal(run)


def test_a_plan_is_applied_seen_and_undone(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica")
    answer, said = carried_out(plan)
    assert answer.verdict == "ok" and value(run.environment) == "replica", answer.sentence
    assert journal(run) == ["apply", "intent", "result", "verified"]
    assert "guards this machine only" in said and "step 1 of 1" in said
    assert "guards this machine only" in plan._repr_mimebundle_()["text/plain"]
    back = plan.undo()
    assert back.steps == plan.undo_draft.steps and back.before == {"value": "replica"}
    assert carried_out(back)[0].verdict == "ok" and value(run.environment) == "primary"
    assert Journal.of(run.environment).problems() == [] and unsettled(Journal.of(run.environment).entries()) == []


def test_an_edited_plan_is_refused(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica")
    answer, _ = carried_out(replace(plan, steps=(step("broken"),)))
    refused(answer, "edited", run, live)
    plan.steps[0].arguments["Value"] = "broken"  # frozen in name only
    refused(carried_out(plan)[0], "edited", run, live)


def test_an_edited_file_is_refused(run: Run, live: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(switch(run, "replica").text().replace("replica", "broken"))
    refused(carried_out(replace(load(file), run=run))[0], "edited", run, live)


def test_another_account_is_refused(run: Run, live: Sandbox) -> None:
    elsewhere = replace(run, environment=run.environment.model_copy(update={"account": "111111111111"}))
    plan = switch(run, "replica")
    refused(carried_out(replace(plan, run=elsewhere))[0], "account 000000000000 is not 111111111111", run, live)
    moved = replace(plan, account="111111111111")
    refused(carried_out(replace(moved, sealed=moved.hash))[0], "another place", run, live)


def test_an_expired_plan_is_refused_by_the_clock_of_the_environment(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica")
    live.advance("16m")
    refused(carried_out(plan)[0], "expired", run, live)


def test_a_changed_state_is_refused_and_named(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica")
    live.client("ssm").put_parameter(Name=NAME, Value="maintenance", Overwrite=True)
    answer, _ = carried_out(plan)
    assert "value was 'primary', is 'maintenance'" in answer.sentence
    assert value(run.environment) == "maintenance" and journal(run) == ["refused"]


def test_a_condition_that_does_not_hold_leaves_nothing_to_apply(run: Run, live: Sandbox, tmp_path: Path) -> None:
    plan = switch(replace(run, folder=tmp_path), "replica", holds=False)
    assert "condition" in plan.apply(plan.phrase).sentence and not (tmp_path / "plan.json").exists()
    assert writes(live) == 0 and "NO PLAN" in plan._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("phrase", ["", "yes", "set-switch reads", "y", "00000000"])
def test_a_wrong_phrase_answers_with_the_right_one(run: Run, live: Sandbox, phrase: str) -> None:
    plan = switch(run, "replica")
    answer = plan.apply(phrase)
    assert f"type {plan.phrase!r}" in answer.sentence and "run only this cell" in answer.sentence
    assert writes(live) == 0 and journal(run) == []


def test_the_right_phrase_is_refused_where_no_person_types(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica")
    assert "no person" in plan.apply(plan.phrase).sentence
    assert writes(live) == 0 and value(run.environment) == "primary"


def test_an_applied_plan_never_applies_again(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica")
    carried_out(plan)
    live.client("ssm").put_parameter(Name=NAME, Value="primary", Overwrite=True)  # the state before is back
    live.clear_calls()
    answer, _ = carried_out(plan)
    assert "applied before" in answer.sentence and writes(live) == 0 and value(run.environment) == "primary"


def test_an_applied_plan_is_known_on_another_machine(
    run: Run, live: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = with_bucket(run)
    plan = switch(shared, "replica")
    assert "for all machines" in carried_out(plan)[1]
    live.client("ssm").put_parameter(Name=NAME, Value="primary", Overwrite=True)
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path / "another-machine"))
    live.clear_calls()
    refused(carried_out(plan)[0], "from another machine", run, live)


@pytest.mark.parametrize("bucket", ["", BUCKET])
def test_a_held_lock_is_refused_with_its_holder(run: Run, live: Sandbox, bucket: str) -> None:
    mine = with_bucket(run) if bucket else run
    plan, now = switch(mine, "replica"), aws.now(mine.environment)
    code = (
        "import sys; from datetime import *; from opslib import config, locks\n"
        f"env = config.load().model_copy(update={{'lock_bucket': {bucket!r}}})\n"
        f"with locks.held(env, 'reads', holder='suzuki', now=datetime.fromisoformat({now.isoformat()!r}), lasts=timedelta(minutes=9)):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        refused(carried_out(plan)[0], "suzuki", run, live)
        other.communicate()
    assert carried_out(plan)[0].verdict == "ok"  # given back


def test_an_outlived_lock_is_taken_over(run: Run, live: Sandbox) -> None:
    shared = with_bucket(run)
    now = aws.now(shared.environment)
    held = locks.held(shared.environment, "reads", holder="a machine that died", now=now, lasts=runs_for(1))
    held.__enter__()
    plan = switch(shared, "replica")
    assert "a machine that died" in carried_out(plan)[0].sentence
    live.advance("2m")
    assert carried_out(plan)[0].verdict == "ok"


def runs_for(minutes: int) -> Any:
    from datetime import timedelta

    return timedelta(minutes=minutes)


def test_killed_between_intent_and_result_it_says_unknown_and_how_to_check(
    run: Run, live: Sandbox, tmp_path: Path
) -> None:
    live.fault(service="ssm", operation="PutParameter", kind="hang")
    code = (
        "from opslib import run; from planning.switching import *; print(carried_out(switch(run.start(), 'replica')))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1]) as work:
        while "intent" not in journal(run):
            assert work.poll() is None
            time.sleep(0.02)
        os.kill(work.pid, signal.SIGKILL)
    left = unsettled(Journal.of(run.environment).entries())
    assert [entry["call"] for entry in left] == ["ssm:PutParameter"]
    assert left[0]["command"].startswith(f"aws ssm put-parameter --name {NAME} --value replica")
    with pytest.raises(ParameterError, match="0 changes of unknown end"):
        settle(run.environment, "ffff", "nothing")
    with pytest.raises(ParameterError):
        settle(run.environment, left[0]["plan"], " ")
    settle(run.environment, left[0]["plan"][:8], "the switch still says primary")
    assert unsettled(Journal.of(run.environment).entries()) == []
    assert Journal.of(run.environment).problems() == []


def test_denied_half_way_it_stops_and_says_how_far_it_came(run: Run, live: Sandbox) -> None:
    tag = {"ResourceType": "Parameter", "ResourceId": NAME, "Tags": [{"Key": "a", "Value": "b"}]}
    from opslib.plan import Step

    steps = (step("half"), Step("ssm", "AddTagsToResource", tag, "tag the switch"), step("replica"))
    live.fault(service="ssm", operation="AddTagsToResource", kind="access-denied")
    answer, _ = carried_out(switch(run, "replica", steps=steps))
    assert (
        answer.verdict == "critical"
        and "1 of 3 steps were done; step 2" in answer.sentence
        and "denied" in answer.sentence
    )
    assert value(run.environment) == "half" and writes(live) == 1
    assert journal(run) == ["apply", "intent", "result", "intent", "result"]


def test_a_call_without_an_answer_is_unknown_and_never_sent_twice(run: Run, live: Sandbox) -> None:
    live.fault(service="ssm", operation="PutParameter", kind="drop")
    answer, _ = carried_out(switch(run, "replica"))
    assert (
        answer.verdict == "unknown"
        and "may have been carried out" in answer.sentence
        and "aws ssm get-parameter" in answer.sentence
    )
    assert writes(live) == 1
    assert Journal.of(run.environment).entries()[-1]["outcome"] == "unknown"


def test_a_verification_that_runs_out_of_time_is_unknown_not_success(run: Run, live: Sandbox) -> None:
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        live.advance(seconds * 6)

    answer, said = carried_out(switch(run, "replica", wait_for="never"), pause=pause)
    assert answer.verdict == "unknown" and "Not seen to its end within 5 minutes" in answer.sentence
    assert [entry["event"] for entry in unsettled(Journal.of(run.environment).entries())] == ["intent"]
    assert 4 <= len(waits) <= 6 and "the switch says replica" in said
    assert Journal.of(run.environment).entries()[-1]["outcome"] == "unknown"


def test_a_failure_that_is_seen_is_said(run: Run) -> None:
    answer, _ = carried_out(switch(run, "broken", wait_for="never"))
    assert answer.verdict == "critical" and results_of(switch(run, "x")) is None


def test_a_full_disk_stops_it_before_the_call(run: Run, live: Sandbox, tmp_path: Path) -> None:
    plan = switch(run, "replica")
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "journal.jsonl").mkdir()  # no line can be written
    answer, _ = carried_out(plan)
    assert "Nothing was changed" in answer.sentence and writes(live) == 0


def test_the_change_role_bears_the_incident_and_the_person(run: Run, live: Sandbox) -> None:
    role = "arn:aws:iam::000000000000:role/shop-change"
    mine = replace(run, environment=run.environment.model_copy(update={"change_role": role}))
    assert carried_out(switch(mine, "replica"))[0].verdict == "ok"
    assert any(call["operation"] == "AssumeRole" for call in live.calls())
    live.fault(service="sts", operation="AssumeRole", kind="access-denied")
    live.client("ssm").put_parameter(Name=NAME, Value="primary", Overwrite=True)
    live.clear_calls()
    answer, _ = carried_out(switch(mine, "replica"))
    refused_after = answer.sentence
    assert "AssumeRole was denied" in refused_after and writes(live) == 0


def test_the_way_back_needs_an_applied_plan(run: Run) -> None:
    with pytest.raises(Refused, match="was not applied"):
        switch(run, "replica").undo()


def test_a_plan_reads_the_same_from_its_file(run: Run, tmp_path: Path) -> None:
    plan = switch(replace(run, folder=tmp_path), "replica")
    kept = load(tmp_path / "plan.json")
    assert kept.hash == kept.sealed == plan.sealed and kept.steps == plan.steps and kept.phrase == plan.phrase
    assert (tmp_path / "plan.json").stat().st_mode & 0o077 == 0
    ledger = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert ledger[0]["sentence"] == "Planned, and nothing is changed: Set the switch to replica."


def test_two_plans_of_one_thing_are_two(run: Run) -> None:
    assert switch(run, "replica").sealed != switch(run, "replica").sealed


def test_a_plan_joins_the_open_incident(run: Run, tmp_path: Path) -> None:
    home = open_incidents.home("sandbox") / "INC-20261105-024000-slow"
    home.mkdir(parents=True)
    (home / "record.json").write_text('{"state": "open"}')
    plan = switch(run, "replica")
    carried_out(plan)
    assert plan.incident == home.name
    late = switch(run, "primary")
    (home / "record.json").write_text('{"state": "closed"}')
    assert "incident is closed" in carried_out(late)[0].sentence and value(run.environment) == "replica"
    assert [entry["event"] for entry in Journal(home / "journal.jsonl").entries()] == [
        "apply",
        "intent",
        "result",
        "verified",
    ]


def test_a_plan_made_before_the_incident_was_opened_joins_it_when_it_is_applied(run: Run) -> None:
    plan, home = switch(run, "replica"), open_incidents.home("sandbox")
    assert plan.incident == "" and plan.incident_note == "no incident is open"
    for name in ("INC-20261105-024000-slow", "INC-20261105-024100-other"):
        (home / name).mkdir(parents=True)
        (home / name / "record.json").write_text('{"state": "open"}')
    (home / ".use").write_text("INC-20261105-024000-slow")
    assert "incident: INC-20261105-024000-slow" in carried_out(plan)[1]
    events = [
        [entry["event"] for entry in Journal(file / "journal.jsonl").entries()] for file in sorted(home.glob("INC-*"))
    ]
    assert events == [["apply", "intent", "result", "verified"], []]


def test_of_several_open_incidents_none_is_guessed(run: Run) -> None:
    plan, home = switch(run, "replica"), open_incidents.home("sandbox")
    for name in ("INC-20261105-024000-slow", "INC-20261105-024100-other"):
        (home / name).mkdir(parents=True)
        (home / name / "record.json").write_text('{"state": "open"}')
    assert "incident: 2 incidents are open: opslib incident use ID" in carried_out(plan)[1]
    assert list(home.rglob("journal.jsonl")) == []


def test_interrupted_while_it_is_followed_it_says_unknown_and_gives_the_lock_back(run: Run, live: Sandbox) -> None:
    plan = switch(run, "replica", wait_for="never")

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carried_out(plan, pause=interrupt)
    last = Journal.of(run.environment).entries()[-1]
    assert last["event"] == "verified" and last["outcome"] == "unknown" and "KeyboardInterrupt" in last["says"]
    assert value(run.environment) == "replica" and carried_out(plan.undo())[0].verdict == "ok"
