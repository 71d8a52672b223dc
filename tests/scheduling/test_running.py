"""`opslib run --due` through the real command line: what is due, its window, its tries, its lock."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest

from opslib import config
from opslib.alerting.report_alarms import report_alarms
from opslib.runner import records
from opslib.scheduling import delivery, running
from opslib.scheduling.due import SETTLED
from opslib.scheduling.memory import Memory, remember
from tests.scheduling.conftest import Scheduled, window_of

LOOKS = 'name = "looks"\nnotebook = "2-try/looks"\ncron = "*/30 * * * *"\nwindow = "2h"\n'
JOBS = 'name = "jobs"\nnotebook = "2-investigate/failed-jobs"\ncron = "5 * * * *"\nwindow = "3h"\n'
FIRST = datetime(2026, 11, 1, tzinfo=UTC)  # 09:00 in Japan: the last time before the sandbox's of what comes monthly


@pytest.fixture(scope="module", autouse=True)
def topics(scheduled: Scheduled) -> None:
    """The topics of alerts, with nobody behind them: what people read of it is test_delivery's."""
    for name in ("ops-alerts", "ops-critical"):
        scheduled.sandbox.client("sns").create_topic(Name=name)


def test_what_was_not_run_is_covered_once_it_is(scheduled: Scheduled) -> None:
    scheduled.write(LOOKS)
    code, said, (first,) = scheduled.due()
    assert code == 0 and "OK" in said, said
    start, end = window_of(first)
    assert end - start == timedelta(hours=2) and first["parameters"]["env"] == "sandbox"
    assert scheduled.due() == (0, "nothing is due\n", [])
    scheduled.sandbox.advance("3h")
    _, said, (after,) = scheduled.due()
    assert window_of(after) == (end - SETTLED, end + timedelta(hours=3)), said
    assert (
        "begins 5 min before the last window ended" in after["scheduled"]
        and "covers 5 missed runs" in after["scheduled"]
    )
    assert scheduled.due()[2] == []


def test_the_notebook_for_investigations_runs_on_schedule(scheduled: Scheduled) -> None:
    scheduled.write(JOBS, LOOKS)
    code, said, left = scheduled.due("jobs")
    assert [one["runbook"] for one in left] == ["2-investigate/failed-jobs"] and code == left[0]["exit_code"] != 3, said
    start, end = window_of(left[0])
    assert end - start == timedelta(hours=3) and left[0]["results"][0]["sight"] == "complete"
    assert [one["runbook"] for one in scheduled.due()[2]] == ["2-try/looks"]  # of all, only what is due


def test_a_run_without_a_report_is_tried_again(scheduled: Scheduled) -> None:
    mark = scheduled.root / "mark"
    scheduled.write(LOOKS + f'parameters = {{ act = "once", mark = "{mark}" }}\nretries = 2\npause_s = 1\n')
    code, said, left = scheduled.due()
    assert [one["status"] for one in left] == ["failed", "finished"] and code == 0, said
    assert window_of(left[0]) == window_of(left[1]) and scheduled.memory("looks")["tries"] == 2
    assert "looks left no report: tried again in 1 s" in said


def test_after_its_last_try_the_next_time_covers_it(scheduled: Scheduled) -> None:
    scheduled.write(LOOKS + 'parameters = { act = "raise" }\npause_s = 0\n')
    code, said, left = scheduled.due()
    assert code == 3 and [one["exit_code"] for one in left] == [3, 3], said
    assert scheduled.due()[2] == [] and scheduled.memory("looks")["covered"] is None
    (scheduled.root / "opslib.toml").write_text((scheduled.root / "opslib.toml").read_text().replace('"raise"', '"none"'))  # fmt: skip
    assert scheduled.due()[2] == []  # not before its next time
    scheduled.sandbox.advance("30m")
    code, _, (good,) = scheduled.due()
    assert code == 0 and window_of(good)[1] - window_of(good)[0] == timedelta(hours=2)


def test_a_signal_before_its_notebook_runs_begins_nothing(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.write(LOOKS)
    before = set(records.folders())
    monkeypatch.setattr(delivery, "bring", lambda *_: signal.raise_signal(signal.SIGTERM))
    (outcome,) = running.run_due(config.load("sandbox"), ("looks",))
    assert outcome.exit_code == 3 and outcome.error.startswith("ended by SIGTERM") and set(records.folders()) == before
    assert scheduled.memory("looks")["tries"] == 1  # the other one is left


def test_what_befalls_one_stops_no_other(scheduled: Scheduled) -> None:
    scheduled.write(LOOKS.replace('"looks"', '"broken"') + 'parameters = { act = "raise" }\nretries = 0\n', LOOKS)
    code, _, left = scheduled.due()
    assert code == 3 and sorted(one["exit_code"] for one in left) == [0, 3]


def test_a_mistake_in_one_is_told_before_anything_runs(scheduled: Scheduled) -> None:
    scheduled.write(LOOKS, JOBS.replace("failed-jobs", "failed-job"))
    code, said, left = scheduled.due()
    assert code == 3 and left == [] and "[[schedule]] jobs: key 'notebook' is wrong" in said
    assert "did you mean 'failed-jobs'?" in said
    assert scheduled.due("morning")[0] == 3


def test_the_list_and_the_crontab_line(scheduled: Scheduled) -> None:
    scheduled.write(
        JOBS,
        LOOKS.replace('"looks"', '"looks-with-a-name-longer-than-any-column"').replace(
            "2-try/looks", "2-try/looks-at-what-has-a-very-long-name"
        ),
    )
    scheduled.due("jobs")
    out, _ = scheduled.start("schedule", "list").communicate(timeout=60)
    assert len({line.index("  next 2026-") for line in out.splitlines()}) == 1, out
    assert out.startswith("jobs") and "next 2026-" in out and "covered until 2026-" in out and "JST" in out
    line, _ = scheduled.start("schedule", "cron").communicate(timeout=60)
    assert line.startswith(f"*/5 * * * * cd {scheduled.root} && ") and "run --due --env sandbox" in line
    refused = scheduled.start("run", "--due", "-p", "window=1h")
    assert "leave out -p" in refused.communicate(timeout=60)[1] and refused.returncode == 3
    scheduled.write()
    assert scheduled.due() == (0, "nothing is scheduled in sandbox: add a [[schedule]] to opslib.toml\n", [])


def test_a_report_that_comes_too_seldom_for_an_alarm_to_miss_it(scheduled: Scheduled) -> None:
    """Whoever asks what is due says whether it is overdue; that nobody asks is told, too."""
    scheduled.write(LOOKS.replace('"looks"', '"monthly"').replace("*/30 * * * *", "0 9 1 * *"))
    environment, alarms = config.load("sandbox"), scheduled.sandbox.client("cloudwatch")
    (alarm,) = report_alarms(environment, config.schedules(environment))
    alarms.put_metric_alarm(**{**alarm.properties, "AlarmActions": [], "OKActions": []})

    def state(after: str) -> str:
        scheduled.sandbox.advance(after)
        return str(alarms.describe_alarms(AlarmNames=[alarm.name])["MetricAlarms"][0]["StateValue"])

    assert state("5m") == "ALARM"  # nobody has ever asked
    for covered, value, told in (("2026-09-20", 1.0, "ALARM"), ("2026-11-04", 0.0, "OK")):
        every_try_failed = Memory(datetime.fromisoformat(f"{covered}T00:00:00+00:00"), FIRST, tries=9, told=True)
        remember(environment, "monthly", every_try_failed)
        now = datetime.fromisoformat(scheduled.sandbox.advance(0))
        assert scheduled.due()[1] == "nothing is due\n"
        asked = {
            "Namespace": "Ops/Reports",
            "MetricName": "Overdue",
            "Dimensions": alarm.properties["Dimensions"],
            "Period": 60,
        }
        found = alarms.get_metric_statistics(**asked, StartTime=now - timedelta(minutes=1), EndTime=now + timedelta(minutes=2), Statistics=["Maximum"])  # fmt: skip
        assert [one["Maximum"] for one in found["Datapoints"]] == [value] and state("70m") == told
