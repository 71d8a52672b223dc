"""first-look on the sandbox: each scenario's planted component first and the right notebook, quiet days quiet, gaps said."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opslib.checks import changes
from opslib.errors import ParameterError, WindowError
from opslib.result import Result, Sight, Verdict
from opslib.run import Run, start
from opslib.runbooks.first_look import look
from opslib.sandbox.control import Sandbox
from opslib.sandbox.life.scenarios import SCENARIOS
from opslib.sources import alarms


@pytest.fixture(scope="module")
def run(sandbox: Sandbox) -> Run:
    return start(window="1h")


@pytest.fixture(scope="module")
def locked(run: Run) -> Result:
    """One look at the shared sandbox, with its locks."""
    return look(run)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in ("quiet-day", "checkout-locks")])
def test_the_planted_component_is_first_and_its_notebook_next(
    scenario: str, planted: Callable[[str], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = planted(scenario)
    monkeypatch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
    truth = sandbox.info["planted"]
    result = look(start(window="1h"))
    assert result.facts["likeliest cause"] == truth["component"], f"{result.sentence} {result.reason}"
    assert result.next[0].runbook == truth["runbook"]
    assert truth["component"] not in result.facts["only symptoms"].split(", ")
    assert result.verdict in (Verdict.CRITICAL, Verdict.WARN)


@pytest.mark.parametrize("seed", ["", ":290726"])  # the benchmark draws its days at random
def test_a_quiet_day_is_ok_whatever_its_noise(
    seed: str, planted: Callable[[str], Sandbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(planted(f"quiet-day{seed}").directory))
    quiet = start(window="1h")
    now, yesterday = look(quiet), look(quiet, report="昨日の11時ごろ注文できない")
    for result in (now, yesterday):
        assert result.verdict is Verdict.OK, f"quiet-day{seed}: {result.sentence}"
        assert result.next == ()
        assert [part.verdict for part in result.parts[:2]] == [Verdict.OK, Verdict.OK]


def test_locks_are_the_database_and_all_else_follows_from_them(locked: Result) -> None:
    assert locked.verdict is Verdict.CRITICAL
    assert locked.facts["likeliest cause"] == "database"
    assert locked.facts["off since"] == "11:02 JST"
    assert set(locked.facts["only symptoms"].split(", ")) >= {"load-balancer", "web", "cdn", "jobs"}
    assert locked.facts["changed before"].startswith("deploy of api")
    assert locked.next[0].runbook == "2-investigate/slow-database"
    trace = next(step for step in locked.next if step.runbook == "2-investigate/trace-request")
    assert trace.parameters["request_id"].startswith("req-")


def test_the_parts_show_the_evidence(locked: Result) -> None:
    components = locked.part("components").table
    assert components is not None
    assert components["component"].iloc[0] == "database"
    assert components.loc[components["component"] == "web", "what"].iloc[0] == "symptom of database"
    kinds = locked.part("errors").table
    assert kinds is not None
    assert "errors LockTimeout" in set(kinds["kind"])
    assert locked.part("evidence").chart is not None
    changed = locked.part("changes").table
    assert changed is not None
    assert changed["component"].iloc[0] == "api"
    assert "sandbox-shop-db-db-load" in locked.part("alarms").sentence


PAGE = """[#4711] ALARM: "sandbox-shop-db-db-load" in Asia Pacific (Tokyo)
Service: shop  Urgency: high
Triggered at Nov 5, 2026 at 11:12 AM (JST)
https://shop.pagerduty.com/incidents/Q0R3XAMPLE"""
SLACK = """:rotating_light: [SANDBOX] *ACT NOW · 要対応* sandbox-shop-db-db-load
Threshold Crossed: 5 out of the last 5 datapoints were greater than the threshold (8.0).
since 2026-11-05 11:12 JST
<https://console.aws.example/cloudwatch/home#alarmsV2:alarm/sandbox-shop-db-db-load|open>"""

MAIL = """ALARM: "sandbox-shop-db-db-load" in Asia Pacific (Tokyo)
Threshold Crossed: 1 out of the last 1 datapoints [11.2 (05/11/26 02:12:00)] was greater than the threshold (8.0)."""


@pytest.mark.parametrize(
    ("report", "begins", "read_as"),
    [
        (
            MAIL,
            "10:47",
            "alarm sandbox-shop-db-db-load: the text says 11-05 11:12 JST",
        ),  # CloudWatch writes days first, in UTC
        ("sandbox-shop-db-db-load", "10:5", "alarm sandbox-shop-db-db-load: it has been ALARM since 11-05 11:"),
        (PAGE, "10:52", "alarm sandbox-shop-db-db-load, around 11-05 11:12 JST"),
        (SLACK, "10:47", "alarm sandbox-shop-db-db-load: the text says 11-05 11:12 JST"),
        ("今日の11時10分ごろから注文できない", "11:00", "words: since 11-05 11:10 JST"),
        ("checkout is slow since 11:20 JST", "11:10", "words: since 11-05 11:20 JST"),
        ("since 20 minutes nothing can be ordered", "11:10", "words: since 20 minutes ago"),
        ("2026-11-05 02:05/02:40 UTC", "11:05", "the window that was given"),
    ],
)
def test_whatever_starts_it_leads_to_the_same_cause(run: Run, report: str, begins: str, read_as: str) -> None:
    result = look(run, report=report)
    assert result.facts["read as"].startswith(read_as)
    assert f"2026-11-05 {begins}" in result.title
    assert result.facts["likeliest cause"] == "database"
    assert result.facts["off since"] == "11:02 JST"


def test_a_request_that_the_report_names_is_the_one_to_follow(run: Run) -> None:
    result = look(run, report="req-5f0c2e9ab714 failed at 11:31")
    assert {"request_id": "req-5f0c2e9ab714"} in [step.parameters for step in result.next]


@pytest.mark.parametrize("report", ["it is slow", "注文できない", "no-such-alarm", "3 items"])
def test_a_text_without_a_time_is_one_error_with_examples(run: Run, report: str) -> None:
    with pytest.raises(ParameterError, match="no time can be read") as raised:
        look(run, report=report)
    assert "昨日の11時ごろ注文できない" in raised.value.fix


@pytest.mark.parametrize("report", ["2026-11-06 10:00 JST から遅い", "at 25:70", "2026-11-05 10:00/11:00"])
def test_a_time_that_cannot_be_is_an_error(run: Run, report: str) -> None:
    with pytest.raises(WindowError):
        look(run, report=report)


def test_a_window_of_days_is_refused(run: Run) -> None:
    with pytest.raises(ParameterError, match="too long"):
        look(run, report="7d")


@pytest.mark.parametrize("kind", ["access-denied", "expired-token"])
@pytest.mark.parametrize(
    ("service", "operation", "said"),
    [
        ("logs", "StartQuery", "errors"),
        ("ecs", "*", "deployments"),
        ("cloudwatch", "DescribeAlarmHistory", "alarm history"),
    ],
)
def test_what_is_denied_is_said_and_the_rest_stands(
    sandbox: Sandbox, run: Run, service: str, operation: str, said: str, kind: str
) -> None:
    sandbox.fault(service=service, operation=operation, kind=kind)
    try:
        result = look(run)
    finally:
        sandbox.clear_faults()
    assert result.sight is Sight.PARTIAL
    assert said in result.reason
    assert result.facts["likeliest cause"] == "database"
    assert result.facts["off since"] in ("11:02 JST", "11:03 JST", "11:04 JST")


def test_without_metrics_and_logs_nothing_is_said(sandbox: Sandbox, run: Run) -> None:
    sandbox.fault(service="cloudwatch", operation="GetMetricData", kind="access-denied")
    sandbox.fault(service="logs", operation="*", kind="access-denied")
    try:
        result = look(run, report="47m")  # readings of windows that were asked for lately are remembered
    finally:
        sandbox.clear_faults()
    assert (result.verdict, result.sight) == (Verdict.UNKNOWN, Sight.DENIED)


def test_one_api_that_hangs_costs_no_more_than_25_seconds(sandbox: Sandbox, run: Run, deadlines: list[float]) -> None:
    sandbox.settings(latency_ms=150)
    sandbox.fault(service="logs", operation="StartQuery", kind="hang")
    try:
        result = look(run)
    finally:
        sandbox.clear_faults()
        sandbox.settings(latency_ms=0)
    assert 0 < sum(deadlines) < 25
    assert "errors: no answer in 10 s" in result.reason
    assert result.facts["likeliest cause"] == "database"


@pytest.fixture
def recorded(run: Run, tmp_path: Path) -> Iterator[tuple[Result, Run]]:
    kept = replace(run, folder=tmp_path, usd=0.0)
    yield look(kept), kept


def test_the_record_counts_the_calls_and_replays_to_the_same_answer(recorded: tuple[Result, Run]) -> None:
    result, kept = recorded
    assert kept.folder is not None
    entries = [json.loads(line) for line in (kept.folder / "ledger.jsonl").read_text().splitlines()]
    calls = next(entry for entry in reversed(entries) if entry["event"] == "calls")
    assert calls["calls"]["cloudwatch:GetMetricData"] >= 3
    assert calls["usd"] > 0
    again = look(replace(kept, folder=None, replayed=kept.folder))
    assert again.as_json() | {"data": []} == result.as_json() | {"data": []}


def test_changes_are_ordered_by_time_and_by_the_call_graph(run: Run) -> None:
    window = run.window_or("1h")
    facts = run.facts(**changes.fetches(run, window))
    table = changes.as_table(run.environment, facts, window)
    assert list(table.columns) == ["at", "began", "component", "kind", "what", "by", "ref"]
    assert table["at"].is_monotonic_decreasing
    onset = table.loc[table["component"] == "api", "at"].iloc[0]
    near = changes.suspects(table, component="database", onset=onset, calls=run.environment.services.calls)
    assert near["component"].iloc[0] == "api"
    far = changes.suspects(table, component="database", onset=window.start, calls={})
    assert "api" not in set(far["component"])


def test_alarms_know_the_components_of_the_ranking(run: Run) -> None:
    known = alarms.alarms(run.environment)
    assert set(known["component"]) <= {
        "",
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
