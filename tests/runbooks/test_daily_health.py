"""daily-health on the sandbox: whether a person is needed, by what; quiet days need nobody; what cannot be seen is said."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from opslib import aws, display
from opslib.errors import SourceError
from opslib.result import Result, Sight, Verdict
from opslib.run import Fact, Run, start
from opslib.runbooks import daily_due, daily_health, daily_parts, daily_steps
from opslib.runbooks.daily_lines import Look
from opslib.sandbox.control import Sandbox
from opslib.window import parse

SECONDS, CALLS, LATENCY_MS = 20, 60, 150
NOTEBOOK = Path(__file__).parents[2] / "notebooks/1-monitor/daily-health.ipynb"


@pytest.fixture(scope="module")
def run(sandbox: Sandbox) -> Run:
    return start()


@pytest.fixture(scope="module")
def locked(run: Run) -> Result:
    return daily_health.report(run)


@pytest.fixture(scope="module")
def look(run: Run) -> Look:
    window = parse("24h", now=run.now, zone=run.environment.zone)
    return daily_health.looked(run, window, run.facts(**daily_health.fetches(run, window)))


def verdicts(result: Result) -> dict[str, str]:
    table = result.part("components").table
    assert table is not None
    return dict(zip(table["component"], table["verdict"], strict=True))


def test_the_cause_is_to_be_acted_on_and_its_symptoms_are_not(run: Run, locked: Result) -> None:
    assert (locked.verdict, locked.sight, locked.reason) == (Verdict.CRITICAL, Sight.COMPLETE, "")
    assert locked.sentence.startswith("Yes, now · はい、今すぐ: database: off since about 11:00 JST: DBLoad")
    assert "just before: deploy of api, 11:01 JST" in locked.sentence
    assert "Only symptoms: load-balancer, cdn, jobs." in locked.sentence
    assert locked.next[0].runbook == "2-investigate/slow-database"
    assert not {"2-investigate/slow-frontend", "2-investigate/failed-jobs"} & {step.runbook for step in locked.next}
    told = verdicts(locked)
    assert told["database"] == told["jobs"] == display.status_text("critical")
    assert told["web"] == told["dns"] == told["cache"] == display.status_text("ok")
    assert {*told} == {
        *run.environment.services.names,
        "load-balancer",
        "database",
        "replica",
        "cache",
        "cdn",
        "frontend",
        "dns",
        "jobs",
    }


def test_the_slack_text_alone_answers(locked: Result) -> None:
    first, second, third, *rest = locked.slack(sandbox=True).splitlines()
    assert first == "[SANDBOX] *ACT NOW · 要対応* Do I have to do anything? · 要対応か"
    assert second.startswith("Yes, now · はい、今すぐ: database")
    assert "to do · 要対応: 2" in third and "alarms on · 発報中: 6" in third
    assert rest[0].startswith("Next: `opslib open 2-investigate/slow-database")


def test_the_evidence_stands_below(locked: Result) -> None:
    rang = locked.part("alarms").table
    assert rang is not None
    assert set(rang.loc[rang["state"] == "ALARM", "alarm"]) >= {"sandbox-shop-db-db-load", "sandbox-jobs-failed"}
    assert (
        dict(zip(rang["alarm"], rang["fired"], strict=True))["sandbox-load-balancer-response-time"] == 2
    )  # and calm between
    assert "stock-release fails since 11:02 JST" in locked.part("jobs").sentence
    assert locked.part("delivery").sentence.startswith("1 build, 0 failed; a build usually takes 4 min")
    assert locked.part("backups").sentence == "shop-db can be put back to any second until 11:35 JST."
    assert "www.shop.example, in 195 days" in locked.part("expiry").sentence
    assert "1 x maintenance waits" in locked.part("unalerted").sentence


@pytest.mark.parametrize(
    ("scenario", "runbook", "logs"),
    [("credential-stuffing", "who-did-what", "warnings InvalidCredentials"), ("payment-timeouts", "search-errors", "errors PaymentGatewayTimeout")],
)  # fmt: skip
def test_the_logs_of_a_service_that_is_off_tell_where_to_look(
    planted: Callable[[str], Sandbox], monkeypatch: pytest.MonkeyPatch, scenario: str, runbook: str, logs: str
) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(planted(scenario).directory))
    result = daily_health.report(start())
    assert result.next[0].runbook == f"2-investigate/{runbook}", result.next
    assert f"; the logs: {logs}" in result.next[0].why and logs in result.findings[0].text
    assert "window" in result.next[0].parameters and result.sources[-1].api == "CloudWatch Logs Insights"


def test_of_a_quiet_morning_no_log_is_asked_and_a_denied_one_is_said(run: Run, look: Look) -> None:
    calm = [replace(line, verdict=Verdict.OK) for line in look.lines()]
    assert daily_steps.with_logs(look, calm) is look
    off = [replace(line, verdict=Verdict.WARN, symptom_of="") for line in look.lines() if line.component == "api"]
    denied = replace(
        look, run=replace(run, environment=run.environment.model_copy(update={"log_groups": ("/nobody/*",)}))
    )
    heard = daily_steps.with_logs(denied, off)
    step = daily_steps.step(heard, off[0])
    assert step.runbook == "2-investigate/first-look" and step.why.startswith("not seen, ")
    cut = pd.DataFrame()
    cut.attrs["complete"] = False
    assert daily_steps.step(replace(look, logs=Fact("errors", cut)), off[0]).why.startswith("not all were read")


def test_a_quiet_day_needs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(clock="frozen", scenario="quiet-day") as quiet:
        monkeypatch.setenv("OPSLIB_SANDBOX", str(quiet.directory))
        monkeypatch.setattr(aws, "READ_SECONDS", 60)  # a sandbox that has just begun, on a busy machine
        result = daily_health.report(start())
        with psycopg.connect(**quiet.postgres_dsn("postgres"), autocommit=True) as owner:
            owner.execute("alter role ops_writer valid until '2026-11-08 00:00+00'")
        warned = daily_health.report(start())
    assert (result.verdict, result.next) == (Verdict.OK, ()), f"{result.sentence} {result.reason}"
    assert result.sentence == "No · いいえ: nothing needs a person; 14 of 14 components as usual."
    assert set(verdicts(result).values()) == {display.status_text("ok")}
    assert {part.verdict for part in result.parts} == {Verdict.OK}
    assert warned.sentence.startswith("Yes, now · はい、今すぐ: password of ops_writer ends in 3 days. ")


def test_it_takes_no_more_than_20_seconds_and_60_calls(sandbox: Sandbox, run: Run, deadlines: list[float]) -> None:
    sandbox.settings(latency_ms=LATENCY_MS)
    began, before = time.monotonic(), sum(aws.calls().values())
    try:
        daily_health.report(
            replace(run, window=parse("25h", now=run.now, zone=run.environment.zone))
        )  # read by no test before
    finally:
        seconds, calls = time.monotonic() - began, sum(aws.calls().values()) - before
        sandbox.settings(latency_ms=0)
    print(f"daily-health: {seconds:.1f} s, {calls} calls at {LATENCY_MS} ms")
    assert 0 < sum(deadlines) < SECONDS
    assert calls <= CALLS


@pytest.mark.parametrize(
    ("service", "operation", "said", "part"),
    [
        ("cloudwatch", "DescribeAlarms", "alarms", "alarms"),
        ("rds", "DescribeDBInstances", "instances", "backups"),
        ("amplify", "ListJobs", "builds", "delivery"),
        ("acm", "ListCertificates", "certificates", "expiry"),
    ],
)
def test_what_is_denied_is_a_blind_line_and_the_rest_stands(
    sandbox: Sandbox, run: Run, service: str, operation: str, said: str, part: str
) -> None:
    sandbox.fault(service=service, operation=operation, kind="access-denied")
    try:
        result = daily_health.report(run)
    finally:
        sandbox.clear_faults()
    assert result.sight is Sight.PARTIAL
    assert said in result.reason
    assert result.part(part).sight is Sight.DENIED
    assert result.next[0].runbook == "2-investigate/slow-database"


def test_what_hangs_is_a_blind_line_in_20_seconds(sandbox: Sandbox, run: Run, deadlines: list[float]) -> None:
    sandbox.fault(service="route53", operation="GetHealthCheck", kind="hang")
    try:
        result = daily_health.report(run)
    finally:
        sandbox.clear_faults()
    assert 0 < sum(deadlines) < SECONDS
    assert "health: no answer in 12 s" in result.reason
    assert result.verdict is Verdict.CRITICAL


def test_without_metrics_no_component_is_called_well(run: Run, look: Look) -> None:
    denied = SourceError("denied", sight="denied")
    blind = {
        name: Fact(name, error=denied) if name.startswith("metrics") else fact for name, fact in look.facts.items()
    }
    lines = {line.component: line for line in daily_health.looked(run, look.window, blind).lines()}
    assert {lines[name].verdict for name in ("web", "cache", "cdn", "load-balancer")} == {Verdict.UNKNOWN}
    assert lines["web"].sentence == "not seen: denied"
    assert lines["jobs"].verdict is Verdict.CRITICAL  # the table of jobs still tells


def _changed(look: Look, name: str, **columns: object) -> Look:
    frame = look.facts[name].frame
    assert frame is not None
    return replace(look, facts={**look.facts, name: Fact(name, frame.assign(**columns))})


def test_a_backup_that_is_old_or_switched_off_needs_a_person(look: Look) -> None:
    assert daily_due.backup_items(look) == []
    stale = daily_due.backup_items(_changed(look, "instances", restorable=look.run.now - timedelta(hours=3)))
    assert [item.text for item in stale] == ["backups of shop-db: it can be put back only to 3 h ago"]
    off = daily_due.backup_items(_changed(look, "instances", backup_days=0))
    assert (off[0].text, off[0].step.runbook) == (
        "backups of shop-db: automated backups are switched off",
        "3-remediate/change-infrastructure",
    )
    silent = daily_due.backup_items(_changed(look, "database_events", message="nothing"))
    assert [item.text for item in silent] == ["backups of shop-db: no nightly backup was finished in the window"]


def test_a_certificate_that_ends_needs_a_person_in_time(look: Look) -> None:
    assert daily_due.expiry_items(look) == []
    soon = _changed(look, "instances", certificate_until=look.run.now + timedelta(days=3))
    first = daily_due.expiry_items(soon)[0]
    assert (first.verdict, first.text) == (Verdict.CRITICAL, "server certificate of shop-db ends in 3 days")
    later = _changed(look, "certificates", not_after=look.run.now + timedelta(days=20))
    assert [item.verdict for item in daily_due.expiry_items(later)] == [Verdict.WARN]


def test_a_failed_build_is_among_what_raised_no_alert(look: Look) -> None:
    told = daily_parts.unalerted(_changed(look, "builds", status="FAILED"))
    assert told.verdict is Verdict.WARN and "1 x failed build" in told.sentence


def test_an_alarm_that_no_line_speaks_of_needs_a_person(look: Look) -> None:
    lines = look.lines()
    assert daily_parts.alarm_items(look, lines) == []  # the lines say all of it
    odd = daily_parts.alarm_items(_changed(look, "alarms", component="dns"), lines)
    assert odd[0].step.parameters == {"report": odd[0].text.split()[1]}


def test_a_limit_that_was_passed_and_is_kept_again_is_said(look: Look) -> None:
    measured = look.measured.copy()
    measured.loc[measured.index[100:112], ("cdn", "4xxErrorRate")] = 40.0
    lines = {line.component: line for line in replace(look, story=None, measured=measured).lines()}
    assert (lines["cdn"].verdict, lines["cdn"].past) == (Verdict.WARN, True)
    assert lines["cdn"].sentence.startswith(
        "4xxErrorRate was beyond 5.0 % from 2026-11-04 18:00 JST to 2026-11-04 18:55 JST"
    )
    measured.loc[measured.index[-4:], ("cdn", "4xxErrorRate")] = 40.0
    now = {line.component: line for line in replace(look, story=None, measured=measured).lines()}["cdn"]
    assert (now.verdict, now.sentence) == (Verdict.CRITICAL, "4xxErrorRate is 40.0 %, beyond the limit of 15.0 %")


@pytest.fixture
def recorded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Result, Run]]:
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    folder = tmp_path / "sandbox/2026/11/05/20261105T024000Z_daily-health_aaaaaaaa"
    folder.mkdir(parents=True)
    kept = replace(run, folder=folder, usd=0.0)
    yield daily_health.report(kept), kept


def test_the_next_run_says_what_changed_and_a_replay_says_the_same(recorded: tuple[Result, Run], run: Run) -> None:
    first, kept = recorded
    assert kept.folder is not None
    assert first.facts["since the last run · 前回から"] == "first run · 初回"
    bare = run.environment.model_copy(update={"database": None})  # a record does not keep it
    again = daily_health.report(replace(kept, environment=bare, folder=None, replayed=kept.folder))
    assert again.as_json() | {"data": []} == first.as_json() | {"data": []}
    told = kept.folder / "data/components.csv"
    told.write_text(
        told.read_text().replace(f'"web","{display.status_text("ok")}"', f'"web","{display.status_text("warn")}"')
    )
    (kept.folder / "summary.json").write_text(json.dumps({"status": "finished", "start": {"now": run.now.isoformat()}}))
    second = kept.folder.with_name("20261106T024000Z_daily-health_bbbbbbbb")
    second.mkdir()
    later = daily_health.report(replace(kept, folder=second))
    assert later.facts["since the run of 11:40 JST · 前回から"] == "1 change: web"


def test_the_notebook_has_the_headings_of_the_one_table() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    shown = ["".join(cell["source"]).splitlines()[0] for cell in cells if cell["cell_type"] == "markdown"][1:]
    assert {line.removeprefix("## ") for line in shown} < {display.heading(name) for name in display.HEADINGS}
    assert len(shown) == 9
