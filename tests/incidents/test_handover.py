"""shift-handover on the sandbox: alarms, an incident, changes, records and what is due, each in its part; gaps are said."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import aws, config
from opslib.errors import SourceError
from opslib.incidents import closing, handover, shift_facts, store
from opslib.journal import Journal
from opslib.result import Result, Sight, Verdict
from opslib.run import start
from opslib.sandbox.control import Sandbox
from opslib.window import Window
from tests.warm_commands import OPSLIB


@pytest.fixture(scope="module")
def environment(sandbox: Sandbox) -> config.Environment:
    return config.load("sandbox")


@pytest.fixture(scope="module")
def shift(environment: config.Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """Return what is said after a shift with a plan, two changes, two incidents, one of them closed, and a broken record."""
    with pytest.MonkeyPatch.context() as patch:
        reports = tmp_path_factory.mktemp("reports")
        patch.setenv("OPSLIB_REPORTS", str(reports))
        subprocess.run([*OPSLIB, "plan", "restart-service", "-p", "service=api"], check=True, capture_output=True)
        now = aws.now(environment)
        book, about = Journal.of(environment), {"action": "restart-service", "target": "api", "plan": "a" * 64}
        book.append("apply", at=now - timedelta(hours=9), **about)  # before the shift
        book.append("apply", at=now - timedelta(hours=2), **about)
        book.append("verified", at=now - timedelta(hours=1), outcome="done", says="6 new tasks run", **about)
        book.append("intent", at=now - timedelta(days=2), action="scale-out", target="web", plan="b" * 64, step=1, call="ecs:UpdateService", command="aws ecs update-service")  # fmt: skip
        over = store.begin(environment, "over")
        closing.close(environment, over, incomplete=True)
        found = store.begin(environment, "Checkout is slow", severity="SEV2")
        store.note(found, environment, "lock_timeout for api", kind="action-item", owner="Sato", due="2026-11-20")
        lost = next(reports.glob("sandbox/*/*/*/*restart-service*")).parent / "20261105T000000Z_daily-health_dead"
        lost.mkdir()
        yield handover.report(start(env="sandbox"))


def test_what_is_open_comes_first(shift: Result) -> None:
    assert shift.verdict is Verdict.CRITICAL
    said = shift.sentence
    assert said.startswith("To hand over: 1 open incident: INC-") and "-checkout-is-slow (lacks started" in said
    assert "6 alarms still on" in said and "The end of 1 change is not known: scale-out web" in said
    assert "Due next: " in said and "maintenance of shop-db" in said
    assert [shift.facts[name] for name in ("open incidents · 対応中", "alarms on · 発報中")] == ["1", "6"]
    assert {step.runbook for step in shift.next} == {"2-investigate/first-look", "3-remediate/write-incident-record"}


def test_the_journal_tells_the_shift_and_open_ends_of_any_time(shift: Result) -> None:
    table = shift.part("actions").table
    assert table is not None
    assert list(table["says"]) == ["done: 6 new tasks run", f"begun by {table['by'].iloc[1]}, plan aaaaaaaa", "end not known, step 1: aws ecs update-service"]  # fmt: skip
    assert list(table["flagged"]) == [False, False, True]


def test_incidents_records_and_what_is_due(shift: Result) -> None:
    incidents, records, due = (shift.part(name).table for name in ("incidents", "records", "due"))
    assert incidents is not None and records is not None and due is not None
    assert sorted(incidents["state"]) == ["closed", "open"] and "detected" in incidents.loc[incidents["state"] == "open", "lacks"].iloc[0]  # fmt: skip
    assert list(records["plan"]) == ["restart-service api"] and list(records["status"]) == ["finished"]
    assert "action item: lock_timeout for api (Sato, 2026-11-20)" in set(due["what"])
    assert due["what"].str.startswith("maintenance of shop-db").any()


def test_a_record_that_cannot_be_read_is_said(shift: Result) -> None:
    assert shift.sight is Sight.PARTIAL and "20261105T000000Z_daily-health_dead cannot be read" in shift.reason


def test_only_what_was_deployed_in_the_shift_is_in_it(shift: Result) -> None:
    assert shift.part("changes").table is not None and shift.part("changes").sentence == "1 x deploy."


def test_a_shift_that_ends_now_holds_this_second_and_another_does_not(environment: config.Environment) -> None:
    now = aws.now(environment)
    ends = [(now, True), (now - timedelta(seconds=5), False)]
    for end, inside in ends:
        window = Window(now - timedelta(hours=8), end, environment.zone)
        assert shift_facts._within(now, window, environment) is inside


def test_without_alarms_a_calm_shift_is_not_called_calm(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise SourceError("DescribeAlarms was denied", sight="denied")

    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    monkeypatch.setattr("opslib.sources.alarms.alarms", denied)
    result = handover.report(start(env="sandbox"))
    assert result.verdict is Verdict.UNKNOWN and "alarms: DescribeAlarms was denied" in result.reason
    assert result.facts["alarms on · 発報中"] == "–"
