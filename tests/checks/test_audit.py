"""Who did what: each rule finds its case and leaves the ordinary alone; without the table the log group answers."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import opslib
from opslib.checks import audit, audit_story
from opslib.errors import ParameterError
from opslib.result import Sight, Verdict
from opslib.sandbox.control import Sandbox

NOW = datetime(2026, 11, 5, 2, 40, tzinfo=UTC)


def rows(found: list[dict[str, Any]]) -> pd.DataFrame:
    plain = {"actor": "sato", "actor_type": "staff", "action": "order.view", "target_type": "order", "target_id": "1", "ip": "203.0.113.9",
             "user_agent": "x", "outcome": "success", "request_id": "req-000000000001", "detail": "{}", "ago": 10.0}  # fmt: skip
    frame = pd.DataFrame([plain | row for row in found])
    frame["at"] = pd.to_datetime([NOW - timedelta(minutes=ago) for ago in frame["ago"]], utc=True)
    return frame.assign(id=range(len(frame))).sort_values("at", ignore_index=True)


def habits(
    action: str = "order.view", network: str = "203.0.113.0/24", hours: str = "9 10 11 12", a_day: int = 2
) -> pd.DataFrame:
    return pd.DataFrame(
        [{"actor": "sato", "action": action, "network": network, "rows": 20 * a_day, "days": 20, "hours": hours}]
    )


def login(user: int, ip: str, good: bool = False, ago: float = 5.0) -> dict[str, Any]:
    return {
        "actor": f"u-{user}",
        "actor_type": "user",
        "action": "session.login",
        "ip": ip,
        "outcome": "success" if good else "failure",
        "ago": ago,
    }


def rules(frame: pd.DataFrame, known: pd.DataFrame | None = None) -> list[tuple[str, str]]:
    found = audit_story.findings(frame, known, zone="Asia/Tokyo")
    return list(zip(found["rule"], found["severity"], strict=True))


def test_a_spray_is_told_at_its_widest_network_with_who_got_in() -> None:
    tried = [login(n, f"198.18.{n % 8}.{n}") for n in range(60)] + [login(99, "198.18.3.9", good=True)]
    found = audit_story.findings(rows(tried), None, zone="UTC")
    assert list(found["actor"]) == ["198.18.0.0/16"] and found["severity"].iloc[0] == "critical"
    assert (
        "60 failed logins on 60 accounts" in found["what"].iloc[0] and "1 account opened: u-99" in found["what"].iloc[0]
    )


def test_one_address_and_few_accounts_suffice_but_not_a_busy_network() -> None:
    assert rules(rows([login(n, "192.0.2.7") for n in range(5)])) == [("password spray", "warn")]
    busy = [login(n, f"126.12.{n % 200}.1", good=n % 10 > 0) for n in range(400)]
    assert rules(rows(busy)) == []


def test_a_burst_counts_wherever_it_begins_and_what_follows() -> None:
    edge = [login(1, "192.0.2.7", ago=20 - n * 0.9) for n in range(10)]
    assert rules(rows(edge)) == [("failed-login burst", "warn")]
    assert rules(rows([*edge, login(1, "192.0.2.7", good=True, ago=2)])) == [("failed-login burst", "critical")]
    assert rules(rows([login(1, "192.0.2.7", ago=100 - n * 9) for n in range(10)])) == []


def test_privileges_and_deletions() -> None:
    assert rules(rows([{"action": "role.grant", "target_id": "suzuki"}])) == [("privilege change", "warn")]
    assert rules(rows([{"action": "role.grant", "target_id": "sato"}])) == [("privilege change", "critical")]
    assert rules(rows([{"action": "user.delete"}])) == [("deletion", "warn")]
    assert rules(rows([{"action": "review.delete", "actor_type": "user", "actor": "u-1"}])) == []


def test_what_is_new_for_an_administrator() -> None:
    assert rules(rows([{"action": "order.view"}]), habits()) == []
    assert rules(rows([{"action": "report.print"}]), habits()) == [("first-time action", "warn")]
    assert rules(rows([{"ip": "192.0.2.44"}]), habits()) == [("new origin", "warn")]
    assert rules(rows([{"ago": 8 * 60}]), habits()) == [("unusual hour", "warn")]  # 03:30 in Japan
    newcomer = habits().assign(rows=3)
    assert rules(rows([{"action": "report.print"}]), newcomer) == []


def test_far_more_than_usual() -> None:
    assert rules(rows([{} for _ in range(30)]), habits()) == [("far more than usual", "warn")]
    assert rules(rows([{} for _ in range(30)]), habits(a_day=25)) == []
    exports = [{"action": "report.export"} for _ in range(5)]
    assert rules(rows(exports), habits(action="report.export", a_day=1)) == [("far more than usual", "warn")]


def test_an_address_that_is_none_breaks_nothing() -> None:
    assert rules(rows([{"ip": None}, {"ip": "unknown"}, login(1, "2001:db8::7")]), habits()) == []
    assert audit_story.network_of("2001:db8:1:2::7", 24) == "2001:db8:1::/48"


def test_an_ordinary_morning(sandbox: Sandbox) -> None:
    result = audit.who(opslib.start(env="sandbox"))
    assert result.verdict is Verdict.OK and result.sight is Sight.COMPLETE and result.facts["administrators"] == "7"
    assert "nothing unusual; 7 administrators did" in result.sentence


def test_one_customer_by_and_on(sandbox: Sandbox) -> None:
    result = audit.who(opslib.start(env="sandbox", window="3h"), user_id="u-10482")
    shown = result.part("operations").table
    assert shown is not None and shown["from"].iloc[0].endswith(".*") and "req-5f0c2e9ab714" in set(shown["request"])


@pytest.mark.parametrize("hostile", ["a\nb", "x" * 600, "\x00"])
def test_hostile_names_are_refused(sandbox: Sandbox, hostile: str) -> None:
    with pytest.raises(ParameterError):
        audit.who(opslib.start(env="sandbox", window="1h"), actor=hostile)


def test_quotes_are_only_text(sandbox: Sandbox) -> None:
    result = audit.who(opslib.start(env="sandbox", window="1h"), actor="' or true --", target='" | limit 1')
    assert result.verdict is Verdict.UNKNOWN and result.sight is Sight.NO_DATA


@pytest.fixture
def without_database(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    state = json.loads((sandbox.directory / "sandbox.json").read_text())
    state["environment"]["database"]["port"] = 1
    (tmp_path / "sandbox.json").write_text(json.dumps(state))
    monkeypatch.setenv("OPSLIB_SANDBOX", str(tmp_path))
    yield


def test_without_the_database_the_log_group_answers_and_says_so(sandbox: Sandbox, without_database: None) -> None:
    result = audit.who(opslib.start(env="sandbox", window="3h"), actor="yamamoto.jun")
    assert (
        result.sight is Sight.PARTIAL
        and "audit_logs could not be read" in result.reason
        and "127.0.0.1:1" in result.reason
    )
    assert result.part("timeline").sources[0].api == "CloudWatch Logs Insights" and int(result.facts["operations"]) > 0
    assert result.verdict in (Verdict.UNKNOWN, Verdict.WARN)


def test_without_either_nothing_is_said_to_be_well(sandbox: Sandbox, without_database: None) -> None:
    sandbox.fault(service="logs", operation="StartQuery", kind="access-denied")
    try:
        result = audit.who(opslib.start(env="sandbox", window="3h"))
    finally:
        sandbox.clear_faults()
    assert (result.verdict, result.sight) == (
        Verdict.UNKNOWN,
        Sight.DENIED,
    ) and "StartQuery was denied" in result.reason


@pytest.fixture(scope="module")
def stuffed(planted: Callable[[str], Sandbox]) -> Sandbox:
    return planted("credential-stuffing")


def test_the_planted_attack_is_told_with_the_accounts_it_opened(
    stuffed: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_SANDBOX", str(stuffed.directory))
    result = audit.who(opslib.start(env="sandbox", window="2h"))
    planted = stuffed.info["planted"]
    assert (
        result.verdict is Verdict.CRITICAL
        and planted["network"] in result.sentence
        and "since 11:12 JST" in result.sentence
    )
    assert f"{planted['entered']} accounts opened: {planted['user_id']}" in result.sentence
    assert result.next[0].parameters == {"user_id": planted["user_id"]}
    assert len(result.part("findings").table) == 1  # nobody else is accused
