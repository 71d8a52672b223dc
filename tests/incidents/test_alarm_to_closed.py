"""One incident as an operator meets it: an alarm, the first look, the restart, the notes, the closed and proven record."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib import aws, config
from opslib.incidents import store
from opslib.sandbox.control import Sandbox
from tests.warm_commands import OPSLIB

NOTES = (
    ("mitigated", "restart of api completed", ("--source", "opslib journal", "--ja", "apiの再起動が完了")),
    ("resolved", "checkouts as fast as usual", ("--source", "first-look", "--ja", "通常の速度に復帰")),
    ("summary", "Checkouts waited for a row lock.", ("--ja", "決済が行ロックを待った。")),
    ("impact", "312 of 4,120 checkouts failed in 27 minutes", ("--ja", "27分間で4,120件中312件の決済が失敗")),
    ("factor", "A transaction held a row of stock.", ("--ja", "在庫の行ロックが保持された。")),
    ("temporary-fix", "api was restarted.", ("--ja", "apiを再起動した。")),
    ("permanent-fix", "Short transactions, a lock_timeout.", ("--ja", "トランザクションを短くする。")),
    ("action-item", "lock_timeout for api", ("--ja", "apiにlock_timeoutを設定", "--owner", "Sato", "--due", "2026-11-20")),
)  # fmt: skip


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock="running", scenario="checkout-locks") as running:
        yield running


@pytest.fixture
def reports(live: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(live.directory))
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    monkeypatch.delenv("OPSLIB_INCIDENT", raising=False)
    aws.forget()
    return tmp_path


def opslib(*words: str, ok: tuple[int, ...] = (0,)) -> str:
    ran = subprocess.run([*OPSLIB, *words], capture_output=True, text=True, check=False)
    assert ran.returncode in ok, ran.stdout + ran.stderr
    return ran.stdout


def applied(live: Sandbox, record: str, sealed: str) -> str:
    """Run `opslib apply`; the sandbox's clock is stepped meanwhile, so that it need not wait for the tasks."""
    environ = {**os.environ, "OPSLIB_APPLY": sealed}
    with subprocess.Popen([*OPSLIB, "apply", record], env=environ, stdout=subprocess.PIPE, text=True) as work:
        while True:
            try:
                said, _ = work.communicate(timeout=2)
                break
            except subprocess.TimeoutExpired:
                live.advance("20s")
    assert work.returncode == 0, said
    return said


def test_from_an_alarm_to_a_closed_record(live: Sandbox, reports: Path) -> None:
    ringing = live.client("cloudwatch").describe_alarms(StateValue="ALARM")["MetricAlarms"]
    alarm = next(one for one in ringing if one["AlarmName"] == "sandbox-shop-db-db-load")
    planned = opslib("plan", "restart-service", "-p", "service=api")  # somebody was faster than the record
    name = opslib("incident", "open", "Checkout is slow", "--severity", "SEV2").split()[0]
    rang = f"{alarm['StateUpdatedTimestamp']:%Y-%m-%d %H:%M} UTC"
    opslib("incident", "note", "checkout was slow", "--as", "started", "--at", "11:05 JST", "--source", "slow-database")
    opslib(
        "incident",
        "note",
        "the alarm rang",
        "--as",
        "detected",
        "--at",
        rang,
        "--source",
        f"alarm {alarm['AlarmName']}",
    )
    looked = opslib("run", "first-look", "-p", f"report={alarm['AlarmName']}", ok=(0, 1, 2))
    assert "database" in looked, looked
    sealed = re.search(r"OPSLIB_APPLY=([0-9a-f]{64}) opslib apply (\S+)", planned)
    assert sealed
    assert "completed" in applied(live, sealed[2], sealed[1])
    for kind, text, more in NOTES:
        opslib("incident", "note", text, "--as", kind, *more)
    status = opslib("incident", "status")
    assert "2 runs, 1 change," in status and "not yet said" not in status
    opslib("incident", "close")
    assert "untouched" in opslib("incident", "verify", name)
    found = store.load(config.load(), name)
    changes = [entry["event"] for entry in found.entries if entry["event"] in {"apply", "intent", "result", "verified"}]
    assert changes == ["apply", "intent", "result", "verified"]
    page, japanese = ((found.folder / one).read_text() for one in ("record.html", "record.ja.html"))
    order = [
        "started: checkout was slow",
        "detected: the alarm rang",
        "incident opened",
        "first-look (",
        "begun by",
        "done:",
        "mitigated:",
        "incident closed",
    ]
    timeline = page[page.index("Timeline") :]
    places = [timeline.index(said) for said in order]
    assert places == sorted(places), list(zip(order, places, strict=True))
    assert "apply/restart-service" not in timeline[: timeline.index("incident closed")]  # told by the change, once
    assert re.search(r'completed: 6 of 6 tasks run[^<]*</td><td><a href="runs/[^"]*_restart-service_', timeline)
    for said in (
        "障害報告書",
        "変更を開始 restart-service api",
        "変更の確認: 完了",
        "27分間で4,120件中312件",
        "apiにlock_timeout",
    ):
        assert said in japanese, said
    ours = re.sub(r"原文「[^」]*」|<[^>]*>", " ", japanese[japanese.index("時系列") : japanese.index("証跡一覧")])
    assert "判定: " in ours and not re.search(r"[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+", ours), ours
    assert opslib("incident", "list").split()[1] == "closed"
    with (found.folder / "record.ja.md").open("a") as file:
        file.write("more")
    assert "record.ja.md was changed" in opslib("incident", "verify", name, ok=(1,))
