"""Suspicious operations on the sandbox: attacks laid into table and log are found, quiet days are quiet, blindness is said."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import opslib
from opslib.alerting import detection_queries
from opslib.checks import audit_events, suspicious
from opslib.checks.detections import DETECTIONS
from opslib.errors import ConfigError, ParameterError
from opslib.result import Result, Sight, Verdict
from opslib.sandbox.control import Sandbox
from opslib.sources import audit, logs
from opslib.window import parse
from tests.checks.laying import lay
from tests.checks.planted_attacks import ATTACKS, Attack

LATENCY_MS = 150


@pytest.fixture(scope="module")
def quiet(no_aws_variables: None) -> Iterator[Sandbox]:
    with Sandbox(clock="frozen", scenario="quiet-day") as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(running.directory))
        yield running


LAID = (
    "a password that is found",
    "a helper for an hour",
    "from a hotel",
    "the whole customer list at once",
    "a key is passed around",
    "nobody's account",
)
# What the saved query of a detection must show of an attack: the attack, a column, the value there.
QUERIED = {
    "failed-login burst": ("a list of passwords on one account", "actor", "u-20480"),
    "burst then success": ("a password that is found", "actor", "u-20481"),
    "password spray": ("one address tries many accounts", "network", "198.18"),
    "privilege grant": ("an administrator makes herself more", "own", "TO ONESELF"),
    "permission probing": ("doors are tried", "actor", "suzuki.misaki"),
    "bulk delete": ("accounts are deleted", "actor", "suzuki.misaki"),
    "bulk export": ("the whole customer list at once", "total", 184211),
    "mass access": ("a curious colleague", "actor", "suzuki.misaki"),
    "sequential enumeration": ("orders one after the other", "actor", "u-20482"),
    "scripted cadence": ("a script looks at orders", "browser", "a script looks at orders"),
    "many addresses for one key": ("a key is passed around", "who", "key-7f21"),
    "audit gap": ("the trail is switched off", "turned_off", 1),
    "grant-use-revoke": ("a helper for an hour", "account", "ito.daisuke"),
    "new origin": ("from a hotel", "network", "198.18.44"),
    "first-time action": ("a warehouse hand prints reports", "action", "report.export"),
    "off-hours": ("at night", "actor", "tanaka.yui"),
    "dormant account": ("nobody's account", "actor", "tmp-admin"),
}
LISTS = {"audit gap", "new origin", "first-time action", "dormant account"}  # what a query shows, and a person judges


@pytest.fixture(scope="module")
def attacked(no_aws_variables: None) -> Iterator[Sandbox]:
    """A quiet day into whose table and log several attacks by different people were written."""
    with Sandbox(clock="frozen", scenario="quiet-day") as running:
        lay(running, [named(name) for name in LAID])
        yield running


def named(name: str) -> Attack:
    return next(attack for attack in ATTACKS if attack.name == name)


def test_a_quiet_day_needs_nobody(quiet: Sandbox) -> None:
    quiet.settings(latency_ms=LATENCY_MS)
    quiet.clear_calls()
    try:
        result = suspicious.watch(opslib.start(env="sandbox"))
        calls = len(quiet.calls())
        cheap = suspicious.watch(opslib.start(env="sandbox"), detections="cheap")
    finally:
        quiet.settings(latency_ms=0)
    assert (result.verdict, result.sight, result.findings) == (Verdict.OK, Sight.COMPLETE, ()), result.sentence
    assert result.sentence.startswith("Nothing needs a person: 17 detections found nothing in ")
    assert result.part("sources").sentence == "Both have the same operations, and no number is missing."
    assert (cheap.verdict, cheap.facts["detections"]) == (Verdict.OK, "12 of 17") and calls < 20


@pytest.fixture(scope="module")
def told(attacked: Sandbox) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(attacked.directory))
        return suspicious.watch(opslib.start(env="sandbox", window="6h"))


@pytest.mark.parametrize("name", LAID)
def test_an_attack_is_found_through_table_and_log(told: Result, name: str) -> None:
    attack = named(name)
    kind, actors = attack.wanted.replace(" ", "-"), {row["actor"] for row in attack.rows} | {"key-7f21"}
    mine = [one for one in told.findings if one.key.split(":")[1] == kind and one.key.split(":")[2] in actors]
    assert len(mine) == 1 and told.verdict is Verdict.CRITICAL and told.sight is Sight.COMPLETE
    step = mine[0].step
    assert step is not None and step.runbook == "2-investigate/who-did-what" and "window" in step.parameters
    shown = told.part("rows").table
    assert shown is not None and set(shown["who"]) & {row["actor"] for row in attack.rows}


def test_both_sources_agree_about_attacks_that_both_have(told: Result) -> None:
    assert told.part("sources").sentence == "Both have the same operations, and no number is missing."
    assert told.verdict is Verdict.CRITICAL and told.sentence.startswith(f"{len(told.findings)} findings, ")
    found = told.part("findings").table
    assert found is not None and list(dict.fromkeys(found["severity"])) == ["critical", "warn", "info"]


def test_what_a_detection_counts_comes_from_lines_as_from_rows(
    attacked: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(attacked.directory))
    run = opslib.start(env="sandbox")
    window = parse("2h", now=run.now, zone=run.environment.zone)
    line = audit.lines(run.environment, groups=["/shop/audit"], window=window, action="user.export")
    row = audit.rows(run.environment, window=window, action="user.export")
    both = [audit_events.events(frame).drop(columns="detail").to_dict("records") for frame in (line, row)]
    assert both[0] == both[1] and both[0][0]["exported"] == 184211


def test_rows_that_leave_the_table_are_told(running_sandbox: Callable[..., Sandbox]) -> None:
    lay(running_sandbox(clock="frozen", scenario="quiet-day"), [named("rows are deleted from the table")])
    result = suspicious.watch(opslib.start(env="sandbox", window="6h"))
    gap = next(one for one in result.findings if ":lacks-table:" in one.key)
    assert gap.severity == "critical" and "9 lines of the log have no row in audit_logs any more" in gap.text
    sources = result.part("sources")
    assert sources.verdict is Verdict.WARN and sources.sentence == "9 operations are in the log and not in the table."


def test_a_spray_is_told_once_and_soon(planted: Callable[[str], Sandbox], monkeypatch: pytest.MonkeyPatch) -> None:
    stuffed = planted("credential-stuffing")
    monkeypatch.setenv("OPSLIB_SANDBOX", str(stuffed.directory))
    first, full = (suspicious.watch(opslib.start(env="sandbox"), detections=mode) for mode in ("cheap", "all"))
    assert (
        [finding.key for finding in first.findings]
        == [finding.key for finding in full.findings]
        == ["audit:password-spray:198.18.0.0/16:2026-11-05"]
    )
    assert (
        first.findings[0].severity == "critical"
        and f"{stuffed.info['planted']['entered']} accounts opened" in first.findings[0].text
    )


@pytest.fixture
def without_database(quiet: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    state = json.loads((quiet.directory / "sandbox.json").read_text())
    state["environment"]["database"]["port"] = 1
    (tmp_path / "sandbox.json").write_text(json.dumps(state))
    monkeypatch.setenv("OPSLIB_SANDBOX", str(tmp_path))
    return quiet


def test_without_the_table_the_log_answers_and_what_is_missing_is_said(without_database: Sandbox) -> None:
    result = suspicious.watch(opslib.start(env="sandbox", window="3h"))
    assert (result.verdict, result.sight) == (Verdict.UNKNOWN, Sight.PARTIAL) and result.blind
    assert "audit_logs could not be read" in result.reason and "dormant account" in result.reason
    assert set(result.part("detections").table["found"]) == {"0", "no history"}
    assert result.part("sources").sight is Sight.PARTIAL and len(result.facts["operations"]) > 3


def test_without_the_log_the_table_answers(quiet: Sandbox) -> None:
    quiet.fault(service="logs", operation="StartQuery", kind="access-denied")
    try:
        result = suspicious.watch(opslib.start(env="sandbox", window="3h"))
    finally:
        quiet.clear_faults()
    assert (result.verdict, result.sight) == (
        Verdict.UNKNOWN,
        Sight.PARTIAL,
    ) and "StartQuery was denied" in result.reason
    assert result.facts["detections"] == "17 of 17" and "could not be compared" in result.reason


def test_without_either_nothing_is_said_to_be_well(without_database: Sandbox) -> None:
    without_database.fault(service="logs", operation="StartQuery", kind="access-denied")
    try:
        result = suspicious.watch(opslib.start(env="sandbox", window="3h"))
    finally:
        without_database.clear_faults()
    assert (result.verdict, result.sight) == (Verdict.UNKNOWN, Sight.DENIED) and {
        part.verdict for part in result.parts
    } == {Verdict.UNKNOWN}


def test_another_mode_is_refused_before_anything_is_asked(quiet: Sandbox) -> None:
    run = opslib.start(env="sandbox")
    quiet.clear_calls()
    with pytest.raises(ParameterError, match="'fast'"):
        suspicious.watch(run, detections="fast")
    assert not quiet.calls()


@pytest.fixture(scope="module")
def crowded(attacked: Sandbox, told: Result) -> Sandbox:
    """The attacked day with an attack for each detection, laid when the detections have looked."""
    others = [named(name) for name, *_ in QUERIED.values() if name not in LAID]
    lay(attacked, [replace(one, rows=[{**row, "user_agent": one.name} for row in one.rows]) for one in others])
    return attacked


def queried(sandbox: Sandbox, name: str, window: str) -> list[dict[Any, Any]]:
    """Return what a detection's saved query shows, as Logs Insights answers it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        run = opslib.start(env="sandbox")
    text = detection_queries.texts(run.environment, now=run.now)[name.replace(" ", "-")]
    assert text.startswith("# ") and not re.search(r"\{[a-z{]", text) and len(text) <= 10_000
    span = parse(window, now=run.now, zone=run.environment.zone)
    answer = logs.query(run.environment, text, groups=["/shop/audit"], window=span)
    assert answer.complete and answer.scanned > 0
    return list(answer.frame.to_dict("records"))


@pytest.mark.parametrize("name", list(DETECTIONS))
def test_the_saved_query_of_each_detection_shows_its_attack(crowded: Sandbox, name: str) -> None:
    _, column, value = QUERIED[name]
    rows = queried(crowded, name, "10h")
    assert value in [row[column] for row in rows], rows[:5]


@pytest.mark.parametrize("name", [name for name in DETECTIONS if name not in LISTS])
def test_a_saved_query_with_a_threshold_shows_nothing_of_a_quiet_morning(quiet: Sandbox, name: str) -> None:
    assert queried(quiet, name, "4h") == []


def test_what_begins_late_stands_above_in_the_queries_of_habits(crowded: Sandbox) -> None:
    assert queried(crowded, "new origin", "10h")[0]["network"] != "203.0.113"
    assert {row["actor"] for row in queried(crowded, "dormant account", "2d")[:2]} == {"tmp-admin", "partner-api"}


def test_thresholds_and_hours_are_those_of_the_environment(attacked: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(attacked.directory))
    run = opslib.start(env="sandbox")
    limits = run.environment.detections.model_copy(
        update={"burst_failures": 12, "burst_minutes": 7.5, "gap_minutes": 90.0, "export_rows": 1_500_000}
    )
    other = run.environment.model_copy(update={"detections": limits, "timezone": "America/New_York"})
    texts = detection_queries.texts(other, now=run.now)
    assert list(texts) == [name.replace(" ", "-") for name in DETECTIONS]
    assert "failures >= 12" in texts["failed-login-burst"] and "bin(8m)" in texts["failed-login-burst"]
    assert "total >= 1500000" in texts["bulk-export"]
    assert "bin(60m)" in texts["audit-gap"] and "/ 3600000 - 5)" in texts["off-hours"]
    unknown = other.model_copy(update={"detections": limits.model_copy(update={"expected": {"bulk exports": ("x",)}})})
    with pytest.raises(ConfigError, match="'bulk exports'"):
        detection_queries.texts(unknown, now=run.now)
