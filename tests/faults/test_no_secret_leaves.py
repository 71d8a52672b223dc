"""Sixty secrets and personal data, wherever a system lets one slip: none in any record, picture, summary or log of opslib."""

import base64
import json
import random
import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opslib.runner import batch
from opslib.sandbox.control import Sandbox
from opslib.sandbox.state_files import WRITER

REQUEST = "req-5ec2e7ab0714"
RUNS: dict[str, dict[str, Any]] = {
    "trace-request": {"request_id": REQUEST}, "search-errors": {}, "failed-jobs": {}, "who-did-what": {"actor": "a-leaky"},
    "suspicious-operations": {},
}  # fmt: skip
OF_AWS: dict[str, dict[str, Any]] = {
    "first-look": {"window": "1h"}, "daily-health": {}, "slow-frontend": {"window": "3h"}, "failing-service": {"service": "api"},
}  # fmt: skip
_SVG = re.compile(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)")


def made() -> list[tuple[str, str]]:
    """Return sixty (text as it slips out, what must not be seen): twelve kinds, five of each."""
    dice = random.Random(61)

    def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        return "".join(dice.choices(alphabet, k=count))

    def one(kind: int) -> tuple[str, str]:
        upper, digits, bare = string.ascii_uppercase + string.digits, string.digits, some(20)
        mobile = f"0{dice.choice('789')}0-{some(4, digits)}-{some(4, digits)}"
        jwt, hook = (
            f"eyJ{some(12)}.eyJ{some(12)}.{some(20)}",
            f"https://hooks.slack.com/services/T{some(8)}/B{some(8)}/{some(24)}",
        )
        key, mail, hub, card = (
            f"AKIA{some(16, upper)}",
            f"{some(9).lower()}@example.co.jp",
            f"ghp_{some(36)}",
            _card(dice),
        )
        return [
            (key, key), (mail, mail), (f"password={bare}", bare), (f"token: {bare}", bare), (f"Authorization: Bearer {bare}", bare), (jwt, jwt),
            (mobile, mobile), (hook, hook), (hub, hub), (f"postgresql://app:{bare}@db.example.com/shop", bare), (card, card), (f'client_secret="{bare}"', bare),
        ][kind]  # fmt: skip

    return [one(number % 12) for number in range(60)]


def _card(dice: random.Random) -> str:
    digits = [4, *(dice.randrange(10) for _ in range(14))]
    doubled = [digit * 2 - 9 * (digit * 2 > 9) if place % 2 == 0 else digit for place, digit in enumerate(digits)]
    return "".join(map(str, [*digits, -sum(doubled) % 10]))


SECRETS = made()


@pytest.fixture(scope="module")
def leaky() -> Iterator[Sandbox]:
    """A sandbox in whose logs, jobs, audit rows and alarm all sixty slip out, each in a field of another length."""
    with Sandbox(clock="frozen") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        now = datetime.fromisoformat(sandbox.status()["now"])
        _log(sandbox, now)
        _rows(sandbox, now)
        yield sandbox


def _filled(number: int) -> str:
    """Some words of another length before each secret, so that wherever a text is cut, it is cut in one of them."""
    return f"{'left over ' * (number * 7 % 31)}{SECRETS[number % 60][0]} end"


def _log(sandbox: Sandbox, now: datetime) -> None:
    logs, events = sandbox.client("logs"), []
    for number in range(60):
        at, text = now - timedelta(minutes=9, seconds=-number), _filled(number)
        error = {
            "kind": f"Leak{number % 5}Exception",
            "message": text,
            "stack": f"Leak: {text}\n\tat jp.hinata.Leak(Leak.java:{number}) {text}",
        }
        line = {
            "time": at.astimezone(UTC).isoformat(), "level": "error", "service": "api", "request_id": REQUEST if number % 2 else f"req-{number:012x}", "user_id": text,
            "route": f"/pay/{SECRETS[number][0]}", "status": 500, "duration_ms": 900, "message": text, "user_agent": text, "error": error, "note": {"deep": [text]},
        }  # fmt: skip
        events.append(
            {
                "timestamp": int(at.timestamp() * 1000),
                "message": json.dumps(line) if number % 3 else f"{REQUEST} ERROR {text}",
            }
        )
    logs.create_log_stream(logGroupName="/shop/api", logStreamName="leak")
    logs.put_log_events(logGroupName="/shop/api", logStreamName="leak", logEvents=events)


def _rows(sandbox: Sandbox, now: datetime) -> None:
    with psycopg.connect(**sandbox.postgres_dsn(WRITER)) as connection:
        for number in range(60):
            at, text = now - timedelta(minutes=30, seconds=-number), _filled(number)
            detail = json.dumps({"note": text, "password": SECRETS[number][1]})
            connection.execute(
                "insert into job_runs (job_name, status, queued_at, started_at, finished_at, request_id, error, detail) values (%s, 'failed', %s, %s, %s, %s, %s, %s)",
                (f"leak-{number % 4}", at, at, at, REQUEST, text, detail),
            )
            connection.execute(
                "insert into audit_logs (at, actor, actor_type, action, target_type, target_id, ip, user_agent, outcome, request_id, detail)"
                " values (%s, 'a-leaky', 'admin', %s, 'user', %s, '203.0.113.9', %s, 'ok', %s, %s)",
                (at, f"user.export {SECRETS[number][0]}", SECRETS[number][0], text, REQUEST, detail),
            )


@pytest.fixture(scope="module")
def leaky_aws() -> Iterator[Sandbox]:
    """A sandbox in which what AWS keeps for people carries them: alarms, commits, build logs, stopped tasks, definitions."""
    with Sandbox(clock="running", scenario="quiet-day") as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(sandbox.directory))
        alarms, ecs, amplify = sandbox.client("cloudwatch"), sandbox.client("ecs"), sandbox.client("amplify")
        rule = {"Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}
        for number in range(60):
            name, text = f"leak-{number}", _filled(number)
            alarms.put_metric_alarm(
                AlarmName=name, AlarmDescription=text, Namespace="Leak", MetricName=name, Statistic="Sum", **rule
            )
            alarms.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason=text)
        every = "\n".join(_filled(number) for number in range(60))
        sandbox.outcome(branch="main", build="BUILD")
        sandbox.outcome(branch="main", build_log=every)
        app = amplify.list_apps()["apps"][0]["appId"]
        amplify.start_job(
            appId=app, branchName="main", jobType="RELEASE", commitMessage=_filled(1), jobReason=_filled(2)
        )
        for number, task in enumerate(ecs.list_tasks(cluster="shop", serviceName="api")["taskArns"], 1):
            ecs.stop_task(cluster="shop", task=task, reason=_filled(number))
        sandbox.advance("6m")
        yield sandbox


@pytest.mark.parametrize("name", OF_AWS)
def test_no_secret_leaves_that_aws_keeps(
    name: str, leaky_aws: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    _run_and_search(name, OF_AWS[name], tmp_path, capfd)


@pytest.mark.parametrize("name", RUNS)
def test_no_secret_leaves(
    name: str, leaky: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPSLIB_REPORTS", str(tmp_path))
    _run_and_search(name, RUNS[name], tmp_path, capfd)


def _run_and_search(name: str, given: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Run headless; whatever it leaves or prints has seen what was planted, and shows no secret."""
    [outcome] = batch.run([(name, given)])  # in a forked kernel: a started one only takes longer
    assert outcome.record and outcome.summary["status"] == "finished", outcome
    seen = {file.relative_to(tmp_path).as_posix(): _read(file) for file in tmp_path.rglob("*") if file.is_file()}
    seen["what the run printed"] = "".join(capfd.readouterr())
    together = "".join(seen.values())
    assert "left over" in together or "a-leaky" in together, "the run never saw what was planted"
    assert not {
        file: [bare for _, bare in SECRETS if _shown(bare, text)]
        for file, text in seen.items()
        if any(_shown(bare, text) for _, bare in SECRETS)
    }
    assert outcome.record.is_relative_to(tmp_path)


def _read(file: Path) -> str:
    """Return a file's text with the texts of its pictures: matplotlib leaves each, as a comment, beside its glyphs."""
    text = file.read_bytes().decode("utf-8", errors="replace")
    return text + "".join(base64.b64decode(found).decode() for found in set(_SVG.findall(text)))


def _shown(bare: str, text: str) -> bool:
    """Say whether a secret, or so much of its beginning that it was cut rather than hidden, stands in a text."""
    return bare in text or bare[: max(10, len(bare) // 2)] in text


def test_the_search_finds_what_it_looks_for() -> None:
    picture = base64.b64encode(b"<svg><!-- " + SECRETS[0][1].encode() + b" --></svg>").decode()
    found = "".join(
        base64.b64decode(one).decode() for one in _SVG.findall(f'<img src="data:image/svg+xml;base64,{picture}">')
    )
    assert _shown(SECRETS[0][1], found) and len({bare for _, bare in SECRETS}) == 60
