"""A scheduled report reaches people through the stacks as they are deployed: its words, its page, its metric, and their absence."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.credentials import RefreshableCredentials
from policy_sentry.querying.actions import get_action_data

from opslib import aws, config, policies
from opslib.alerting import notifier
from opslib.alerting.messages import parse
from opslib.errors import SourceError
from opslib.runner import records
from opslib.scheduling import delivery
from tests.alerting import slack_drawing
from tests.alerting.alert_path import AlertPath
from tests.aws_calls import called
from tests.checks.laying import lay
from tests.checks.planted_attacks import ATTACKS, Attack, login
from tests.scheduling.conftest import Scheduled, window_of

LOOKS = 'name = "looks"\nnotebook = "2-try/looks"\ncron = "*/30 * * * *"\nwindow = "2h"\nretries = 0\n'
DAILY = 'name = "morning"\nnotebook = "1-monitor/daily-health"\ncron = "*/30 * * * *"\ndeliver = ["slack", "s3"]\n'
SUSPICIOUS = 'name = "suspicious"\nnotebook = "1-monitor/suspicious-operations"\ncron = "*/15 * * * *"\nwindow = "15m"\nparameters = { detections = "cheap" }\nquiet = true\n'
SHOTS = Path(__file__).parents[2] / ".ci" / "screenshots"


@pytest.fixture(scope="module")
def path(scheduled: Scheduled) -> AlertPath:
    """The alerts' stacks, made while opslib.toml has the schedule `looks`: its dead man's alarm is among them."""
    scheduled.write(LOOKS)
    return AlertPath(scheduled.sandbox)


@pytest.fixture(autouse=True)
def calm(scheduled: Scheduled, path: AlertPath) -> Iterator[None]:
    scheduled.sandbox.clear_messages()
    yield
    scheduled.sandbox.clear_faults()


def finds(*found: str, more: str = "") -> str:
    return f'{LOOKS}parameters = {{ found = "{";".join(found)}" }}\n{more}'


def again(scheduled: Scheduled, schedule: str) -> tuple[int, str, list[dict[str, Any]]]:
    """Let half an hour pass and run what is due by another opslib.toml, with what is remembered kept."""
    file = scheduled.root / "opslib.toml"
    file.write_text(file.read_text().partition("[[schedule]]")[0] + f"[[schedule]]\n{schedule}")
    scheduled.sandbox.advance("30m")
    return scheduled.due()


def slack(path: AlertPath, words: str = "looks") -> list[str]:
    """Return the text of each message that Slack took, as people read it."""
    path.sandbox.advance(0)  # what a message leads to at once has happened
    texts = [notifier_text(body) for body in path.taken("slack", words)]
    return [one for one in texts if words != "looks" or ": looks" in one]  # other alarms' words have it, too


def notifier_text(body: dict[str, Any]) -> str:
    texts = [block.get("text", {}).get("text", "") for block in body["attachments"][0]["blocks"]]
    return "\n".join([body["text"], *texts])


def test_slack_says_whether_anybody_must_act_and_what_changed(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(finds("a=worker: the queue grows", "b=backup: 2 days old <!channel>"))
    assert scheduled.due()[0] == 0
    (said,) = slack(path)
    assert "[SANDBOX] CHECK · 要確認: looks (looks)" in said and "2 things need a person." in said
    assert "New · 新規 (2)\n• worker: the queue grows\n• backup: 2 days old" in said and "<!channel>" not in json.dumps(path.taken("slack", "looks")[0]["text"])  # fmt: skip
    again(scheduled, finds("b=backup: 3 days old", "c=cache: misses"))
    said = slack(path)[-1]
    assert "New · 新規 (1)\n• cache: misses\nStill there · 継続 (1)\n• backup: 3 days old\nGone · 解消 (1)\n• worker: the queue grows" in said  # fmt: skip
    again(scheduled, finds())
    said = slack(path)[-1]
    assert "OK · 正常: looks" in said and "Gone · 解消 (2)" in said and "New" not in said
    assert scheduled.sandbox.incidents() == []  # a finding is not a failure, and a report pages nobody


def test_what_a_blind_run_did_not_see_is_neither_gone_nor_new_again(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(finds("a=the queue grows"))
    scheduled.due()
    code, _, (blind,) = again(scheduled, finds("unseen"))
    assert code == 2 and "Gone" not in slack(path)[-1] and "Not all was seen" in slack(path)[-1]
    _, _, (sees,) = again(scheduled, finds("a=the queue grows"))
    assert "Still there · 継続 (1)" in slack(path)[-1] and "New" not in slack(path)[-1]
    assert window_of(sees)[0] == window_of(blind)[0] and "looks again at " in slack(path)[-1]  # there is no hole


def test_of_a_quiet_one_slack_hears_only_what_changed(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(finds(more="quiet = true\n"))
    scheduled.due()
    assert slack(path) == []
    again(scheduled, finds("a=one", more="quiet = true\n"))
    again(scheduled, finds("a=one", more="quiet = true\n"))
    assert len(slack(path)) == 1


def test_what_cannot_wait_pages_once_by_its_key(scheduled: Scheduled, path: AlertPath) -> None:
    attack = "audit:burst:user-17=ATTACK: 400 exports in 5 minutes"
    scheduled.write(finds(attack))
    scheduled.due()
    again(scheduled, finds(attack))
    scheduled.sandbox.advance(0)
    (incident,) = path.incidents("audit:burst:user-17")
    assert (incident["severity"], incident["status"], incident["triggers"]) == ("critical", "triggered", 1)
    (said,) = slack(path, "Found by looks (2-try/looks)")
    assert (
        "ACT NOW · 要対応: ATTACK: 400 exports" in said and "opslib open 2-investigate/first-look -p report=x" in said
    )
    again(scheduled, finds())
    assert path.incidents("audit:burst:user-17")[0]["status"] == "triggered"  # a person closes it


def test_an_attack_pages_within_a_quarter_of_an_hour_and_once(scheduled: Scheduled, path: AlertPath) -> None:
    """The cheap detections as README schedules them; around the attack people work, or their silence would be told, too."""
    scheduled.write(SUSPICIOUS)
    now, key = datetime.fromisoformat(scheduled.sandbox.advance(0)), "audit:burst-then-success:u-20481"
    found = next(attack for attack in ATTACKS if attack.name == "a password that is found")
    work = [{"after": minute, "actor": f"u-{31_000 + minute}", "actor_type": "user"} for minute in range(-180, 40, 2)]
    tries = [login(20_481, minute) for minute in range(20)]  # it goes on after the first run
    lay(scheduled.sandbox, [replace(found, start=now - timedelta(minutes=12), rows=[*found.rows, *tries]), Attack("work", "", work, now)])  # fmt: skip
    assert scheduled.due()[0] == 1
    scheduled.sandbox.advance(0)
    (incident,) = [one for one in scheduled.sandbox.incidents() if one["key"].startswith(key)]
    assert (incident["severity"], incident["triggers"]) == ("critical", 1)
    assert "opslib open 2-investigate/who-did-what -p" in slack(path, "Found by suspicious")[0]
    told = slack(path, "suspicious (suspicious-operations)")
    assert "New · 新規" in told[0] and len(told) == 1
    for code, words in ((1, told), (0, [*told, "Gone · 解消"])):
        scheduled.sandbox.advance("15m")
        assert scheduled.due()[0] == code
        said = slack(path, "suspicious (suspicious-operations)")
        assert len(said) == len(words) and words[-1] in said[-1]
    assert path.incidents(incident["key"])[0]["triggers"] == 1


def test_the_page_lies_in_s3_and_the_link_opens_it_until_it_says(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(finds(more='deliver = ["slack", "s3"]\n'))
    _, _, (summary,) = scheduled.due()
    link = re.search(r"<([^|>]+)\|Report \(link ends ([^)]+)\)>", slack(path)[0])
    assert link
    address = link[1].replace("&amp;", "&")
    with urllib.request.urlopen(address) as page:
        assert page.headers["Content-Type"] == "text/html; charset=utf-8" and summary["run_id"] in page.read().decode()
    now = datetime.fromisoformat(scheduled.sandbox.advance(0))
    assert parse_qs(urlsplit(address).query).get("X-Amz-Expires", ["604800"]) == ["604800"]
    ends = (now + timedelta(days=7)).astimezone(config.load("sandbox").zone)
    assert link[2] == f"{ends:%Y-%m-%d %H:%M %Z}"
    listed = scheduled.sandbox.client("s3").list_objects_v2(Bucket="shop-ops-reports")["Contents"]
    names = {one["Key"].rpartition("/")[2] for one in listed if summary["run_id"] in one["Key"]}
    assert names == {"report.html", "record.ipynb", "summary.json"}


def test_where_people_read_the_bucket_the_link_does_not_end(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = config.load("sandbox").model_copy(update={"report_base_url": "https://reports.shop.example/ops/"})
    assert delivery._link(found, "opslib/reports/x y/report.html") == ("https://reports.shop.example/ops/opslib/reports/x%20y/report.html", "Report")  # fmt: skip


def test_a_link_signed_by_a_role_ends_with_its_session(scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = config.load("sandbox")
    ends = datetime.now(UTC) + timedelta(hours=6)
    keys = {"access_key": "a", "secret_key": "b", "token": "c", "expiry_time": ends.isoformat()}
    renewing = RefreshableCredentials.create_from_metadata(keys, lambda: keys, "container-role")
    core = aws.session(environment)._session
    monkeypatch.setattr(core, "_credentials", renewing)
    last = (aws.now(environment) + timedelta(hours=6)).astimezone(environment.zone)
    said = delivery._expiry(environment)
    assert said.endswith("with the session that signed it") and abs(datetime.strptime(said[:16], "%Y-%m-%d %H:%M") - last.replace(tzinfo=None)) < timedelta(minutes=2)  # fmt: skip


def test_a_failed_run_is_told_with_the_command_that_makes_the_report(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(f'{LOOKS}parameters = {{ act = "raise" }}\n')
    code, _, (summary,) = scheduled.due()
    (said,) = slack(path)
    assert code == 3 and "looks: NO REPORT · レポートなし" in said and "failed: ValueError: broken" in said
    assert f"opslib run 2-try/looks -p act=raise -p env=sandbox -p window={summary['parameters']['window']}" in said
    assert scheduled.due()[0] == 0 and len(slack(path)) == 1  # told once


def test_a_report_that_reached_nobody_is_none(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(finds("a=one"))
    scheduled.sandbox.fault(service="sns", operation="Publish", kind="access-denied")
    code, said, (summary,) = scheduled.due()
    assert code == 3 and summary["exit_code"] == 0 and "made and not delivered: Publish was denied" in said
    assert "nobody was told: Publish was denied" in said and scheduled.memory("looks")["covered"] is None
    scheduled.sandbox.clear_faults()
    scheduled.due()
    assert (
        "There is no report: it was made and not delivered: Publish was denied" in slack(path)[-1]
        and scheduled.memory("looks")["told"]
    )


def test_without_the_alerts_stacks_the_remedy_is_said(scheduled: Scheduled) -> None:
    elsewhere = config.load("sandbox").model_copy(update={"name": "elsewhere", "region": "eu-west-1"})
    with pytest.raises(SourceError, match="there is no topic ops-alerts") as caught:
        delivery.publish(elsewhere, "ops-alerts", {"verdict": "ok"})
    assert caught.value.fix == "opslib alerts plan --env elsewhere, then apply"


def test_the_dead_mans_alarm(scheduled: Scheduled, path: AlertPath) -> None:
    scheduled.write(finds())
    scheduled.sandbox.advance("5m")
    assert scheduled.due()[0] == 0
    name = "sandbox-report-looks"
    scheduled.sandbox.advance("10m")
    assert not path.taken("slack", name) or not path.is_on("slack", name)
    scheduled.sandbox.advance("2h")
    (said,) = slack(path, "nobody looks")[-1:]
    assert "ACT NOW · 要対応: sandbox-report-looks" in said and "opslib open 2-try/looks" in said
    code, said, _ = scheduled.due()
    assert code == 0
    scheduled.sandbox.advance("10m")
    assert not path.is_on("slack", name)


def test_the_morning_report_as_slack_shows_it_and_the_next_one_of_another_machine(scheduled: Scheduled, path: AlertPath, page: Any) -> None:  # fmt: skip
    scheduled.write(DAILY)
    code, said, (summary,) = scheduled.due()
    assert code == summary["exit_code"] and summary["status"] == "finished", said
    scheduled.sandbox.advance(0)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for width in (760, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.set_content(slack_drawing.page(path.taken("slack", "morning"), app="ops reports"))
        page.screenshot(path=str(SHOTS / f"slack-report-{width}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        first = page.locator(".m").first.inner_text()
        assert summary["results"][0]["sentence"][:60] in first and "morning (daily-health)" in first
    assert summary["results"][0]["facts"]["since the last run · 前回から"] == "first run · 初回"
    shutil.rmtree(records.reports())
    scheduled.sandbox.advance("30m")
    _, said, (brought, after) = scheduled.due()
    assert [name for name in after["results"][0]["facts"] if name.startswith("since the run of ")], said
    assert brought == summary and (records.find(summary["run_id"]) / records.PAGE).is_file()


HOSTILE = {"verdict": "oops", "key": 7, "title": ["x"], "says": {"a": 1}, "facts": [1], "links": {"x": "javascript:alert(1)", "y": "https://ok.example/a|b>", "z": 5}, "command": None}  # fmt: skip


def test_a_message_that_somebody_else_wrote_becomes_text() -> None:
    for detail in (HOSTILE, None, [], "text", {"links": "x"}):
        body = {"source": "ops.report", "detail-type": "report", "detail": detail}
        alert = parse({"Sns": {"Message": json.dumps(body), "MessageId": "1"}})
        assert alert.links == () and alert.kind in {"report", "finding"} and notifier.slack(alert)


RUNNER = policies.policy("runner")["Statement"]


def test_the_runners_policy_is_what_scheduling_writes_and_its_own_places() -> None:
    """s3:GetObject signs links and reads memories, DeleteObject gives locks back; kms is SNS's, on the caller's behalf.

    ListBucket is no call: without it S3 says of a memory that is not there yet that it is denied.
    """
    writes = {call for call, modules in called().items() if any(one.startswith("scheduling/") for one in modules)}
    allowed = {action for statement in RUNNER for action in statement["Action"]}
    assert allowed == {call for call in writes if call.split(":")[0] in {"s3", "sns", "cloudwatch"}} | {"s3:DeleteObject", "s3:ListBucket", "kms:Decrypt", "kms:GenerateDataKey"}  # fmt: skip
    for statement in RUNNER:
        for action in statement["Action"]:
            service, operation = action.split(":")
            rows = get_action_data(service, operation)[service]
            formats = [re.sub(r"\\\$\\\{[^}]+\\\}", ".+", re.escape(row["resource_arn_format"])) for row in rows]
            assert all(any(re.fullmatch(each, text) for each in formats) for text in statement["Resource"]), action
            assert "*" not in statement["Resource"] or statement["Condition"], action


def test_the_runners_policy_for_an_environment(scheduled: Scheduled) -> None:
    filled = policies.filled("runner", config.load("sandbox"))["Statement"]
    assert "{" not in json.dumps([statement["Resource"] for statement in filled])
    bare = config.Environment(name="prod", account="000000000000", region="eu-west-1")
    assert {one["Sid"] for one in policies.filled("runner", bare)["Statement"]} == {"ThatReportsCame", "Words", "TheKeyOfTheTopics"}  # fmt: skip
