"""The notifier over real sockets: no alert lost, none doubled in PagerDuty, and nothing of a message is obeyed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opslib import display
from opslib.alerting import links, notifier, template
from opslib.alerting.messages import parse
from opslib.alerting.notifier import Undelivered, handler
from opslib.sources.alarms import _NAMED
from tests.alerting import slack_drawing
from tests.alerting.stub import ARN, Stub, serving

ALARM_ARN = "arn:aws:cloudwatch:ap-northeast-1:000000000000:alarm:prod-database-cpu"
KEY = "R0UT1NGKEYR0UT1NGKEYR0UT1NGKEY32"
HOSTILE = (
    "<!channel> <https://evil.example|click> `x` *b* \x1b[31m \u202e\ud800 &lt; </script><script>alert(1)</script>"
)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with serving() as found:
        for name, value in {
            "AWS_ENDPOINT_URL": found.url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "ap-northeast-1",
            "AWS_MAX_ATTEMPTS": "1", "SECRET": ARN, "PAGERDUTY": found.url, "ENVIRONMENT": "prod", "LOG_GROUPS": "/shop/api,/shop/web",
            "FAILED": f"{found.url}/000000000000/failed",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        notifier._secret.cache_clear()
        notifier._told.clear()
        notifier._over.clear()
        yield found


@pytest.fixture
def sink(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Any:
    def choose(name: str) -> Stub:
        monkeypatch.setenv("SINK", name)
        stub.secrets = [f"{stub.url}/hook" if name == "slack" else KEY]
        notifier._secret.cache_clear()
        return stub

    return choose


def alarm(state: str = "ALARM", **more: Any) -> dict[str, Any]:
    return {
        "AlarmName": "prod-database-cpu", "AlarmDescription": "Short of CPU. severity=critical runbook=2-investigate/slow-database env=prod",
        "AWSAccountId": "000000000000", "NewStateValue": state, "OldStateValue": "OK", "StateChangeTime": "2026-11-02T01:53:12.345+0000",
        "NewStateReason": "Threshold Crossed: 5 datapoints were greater than the threshold (90.0).", "Region": "Asia Pacific (Tokyo)",
        "AlarmArn": ALARM_ARN, "Trigger": {
            "MetricName": "CPUUtilization", "Namespace": "AWS/RDS", "Dimensions": [{"name": "DBInstanceIdentifier", "value": "shop-db"}],
            "ComparisonOperator": "GreaterThanThreshold", "Threshold": 90.0},
        **more,
    }  # fmt: skip


def sns(body: Any, number: int = 1) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    about = {"MessageId": f"m-{number}", "TopicArn": "arn:aws:sns:ap-northeast-1:000000000000:ops-critical", "Timestamp": "2026-11-02T01:53:13Z"}  # fmt: skip
    return {"EventSource": "aws:sns", "Sns": {**about, "Subject": "a subject", "Message": text}}


def told(body: Any, number: int = 1) -> dict[str, int]:
    return handler({"Records": [sns(body, number)]})


def event(kind: str, source: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "0", "id": f"e-{kind}", "detail-type": kind, "source": source, "account": "000000000000", "region": "ap-northeast-1",
        "time": "2026-11-02T01:50:00Z", "resources": ["arn:aws:ecs:ap-northeast-1:000000000000:service/shop/api"], "detail": detail,
    }  # fmt: skip


def test_the_zip_runs_by_itself_on_the_standard_library(tmp_path: Path) -> None:
    file = tmp_path / "notifier.zip"
    file.write_bytes(template.archive())
    code = f"import sys; sys.path[:0] = [{str(file)!r}]; from opslib.alerting import notifier; print(notifier.__file__, *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    where, *loaded = done.stdout.split()
    assert where.startswith(str(file)) and {name.partition(".")[0] for name in loaded} <= {*sys.stdlib_module_names, "opslib", "__main__"}  # fmt: skip
    assert template.archive() == template.archive()


def test_an_alarm_in_slack_says_verdict_numbers_links_and_command(sink: Any) -> None:
    stub = sink("slack")
    assert told(alarm()) == {"told": 1, "kept": 0}
    ((path, message),) = stub.got
    shown = json.dumps(message, ensure_ascii=False)
    assert path == "/hook" and message["attachments"][0]["color"] == display.STATUS["critical"][2]
    assert "ACT NOW · 要対応: prod-database-cpu" in shown and "greater than the threshold (90.0)" in shown
    assert "opslib open 2-investigate/slow-database -p window=2026-11-02T01:23:12Z/2026-11-02T02:03:12Z -p instance=shop-db -p env=prod" in shown  # fmt: skip
    assert [words for words, _ in parse(sns(alarm())).links] == ["Alarm", "Metric", "Logs 01:23–02:03 UTC"]


@pytest.mark.parametrize(("before", "made", "told_in_slack"), [
    ("INSUFFICIENT_DATA", "2026-11-02T01:50:00.000+0000", False), ("INSUFFICIENT_DATA", "2026-10-02T01:50:00.000+0000", True),
    ("ALARM", "2026-11-02T01:50:00.000+0000", True), ("INSUFFICIENT_DATA", "nonsense", True),
])  # fmt: skip
def test_the_first_ok_of_a_new_alarm_is_no_news(before: str, made: str, told_in_slack: bool, sink: Any) -> None:
    """A new stack would say it a hundred times; PagerDuty may have it, for it opens nothing."""
    first = alarm("OK", OldStateValue=before, AlarmConfigurationUpdatedTimestamp=made)
    for number, (name, count) in enumerate((("slack", int(told_in_slack)), ("pagerduty", 1))):
        stub = sink(name)
        stub.got.clear()
        assert told(first, number) == {"told": 1, "kept": 0} and len(stub.got) == count


def test_the_words_are_those_of_opslib() -> None:
    for state, verdict in {
        "critical": "critical",
        "warning": "warn",
        "OK": "ok",
        "INSUFFICIENT_DATA": "unknown",
    }.items():
        assert notifier.STATES[state][0] == display.status_text(verdict)
    assert dict(_NAMED.findall(alarm()["AlarmDescription"])) == {"severity": "critical", "runbook": "2-investigate/slow-database"}  # fmt: skip


def test_the_link_to_the_logs_is_what_the_console_reads() -> None:
    def decoded(text: str) -> Any:  # a reader of its own
        if text[pos[0]] == "~":
            pos[0] += 1
        if text[pos[0]] == "'":
            found = re.compile(r"[^~()]*").match(text, pos[0] + 1)
            assert found
            pos[0] = found.end()
            return urllib.parse.unquote(found[0].replace("*", "%"))
        if plain := re.compile(r"\d+|true|false").match(text, pos[0]):
            pos[0] = plain.end()
            return json.loads(plain[0])
        assert text[pos[0]] == "("
        pos[0] += 1
        if text[pos[0]] == "~":
            items = []
            while text[pos[0]] != ")":
                items.append(decoded(text))
            pos[0] += 1
            return items
        pairs = {}
        while True:
            name = re.compile(r"\w+").match(text, pos[0])
            assert name
            pos[0] = name.end()
            pairs[name[0]] = decoded(text)
            pos[0] += 1
            if text[pos[0] - 1] == ")":
                return pairs

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOG_GROUPS", "/shop/api,/a b")
        patch.setenv("ENVIRONMENT", "prod")
        found = dict(parse(sns(alarm())).links)
        patch.setenv("LOG_REGION", "ap-northeast-1")
        away = dict(parse(sns(alarm(AlarmArn=ALARM_ARN.replace("ap-northeast-1", "us-east-1")))).links)
    assert away["Logs 01:23–02:03 UTC"] == found["Logs 01:23–02:03 UTC"] and "us-east-1" in away["Metric"]
    logs = found["Logs 01:23–02:03 UTC"]
    assert "*2Fshop*2Fapi" in logs and "$252A" not in logs  # escaped once, as the console writes it
    text = urllib.parse.unquote(urllib.parse.unquote(logs.split("#logsV2:logs-insights")[1].replace("$", "%")))
    pos = [len("?queryDetail=")]
    asked = decoded(text)
    assert asked["source"] == ["/shop/api", "/a b"] and asked["editorString"] == links.QUERY
    assert (asked["start"], asked["end"], asked["timeType"]) == ("2026-11-02T01:23:12.000Z", "2026-11-02T02:03:12.000Z", "ABSOLUTE")  # fmt: skip
    pos = [0]
    trigger = {**alarm()["Trigger"], "ExtendedStatistic": "p90", "Period": 300}
    graph = decoded(dict(parse(sns(alarm(Trigger=trigger))).links)["Metric"].split("metricsV2:graph=")[1])
    shown = {"id": "m1", "visible": True, "stat": "p90", "period": 300}
    assert graph["metrics"] == [["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", "shop-db", shown]]
    # known from public sources, byte by byte
    assert links._quoted(
        "?queryDetail="
        + links._quoted(links.jsurl({"source": ["/application/sample1"]}).replace("*", "\0")).replace("%00", "*")
    ).replace("%2A", "*").replace("%", "$") == (
        "$3FqueryDetail$3D$257E$2528source$257E$2528$257E$2527*2Fapplication*2Fsample1$2529$2529"
    )


def test_pagerduty_opens_and_closes_by_one_key(sink: Any) -> None:
    stub = sink("pagerduty")
    told(alarm(), 1)
    told(alarm(), 1)  # SNS brings it twice
    told(alarm("INSUFFICIENT_DATA"), 2)
    told(alarm("OK"), 3)
    bodies = [body for _, body in stub.got]
    assert [body["event_action"] for body in bodies] == ["trigger", "resolve"]
    assert {body["dedup_key"] for body in bodies} == {f"cw:{ALARM_ARN}"} and {
        body["routing_key"] for body in bodies
    } == {KEY}
    payload = bodies[0]["payload"]
    assert payload["severity"] == "critical" and payload["source"] == "prod" and len(payload["summary"]) <= 1024
    assert "slow-database" in payload["custom_details"]["open"] and len(bodies[0]["links"]) == 3


@pytest.mark.parametrize("severity", notifier.SEVERITIES)
def test_severities(severity: str) -> None:
    found = notifier.pagerduty(
        parse(sns(alarm(AlarmDescription=f"x severity={severity} runbook=2-investigate/first-look"))), KEY
    )
    assert found and found[1]["payload"]["severity"] == severity


def test_a_description_without_the_strict_line_is_an_error_for_first_look() -> None:
    for text in (
        None,
        "",
        "severity=page runbook=x",
        "severity=info runbook=../../etc",
        "severity=info runbook=a b=c",
        5,
    ):
        found = parse(sns(alarm(AlarmDescription=text)))
        assert found.severity == "error" and found.command.startswith("opslib open 2-investigate/first-look -p report=prod-database-cpu")  # fmt: skip


def test_a_time_that_cannot_be_is_the_time_of_the_message() -> None:
    found = parse(sns(alarm(StateChangeTime="0001-01-01T00:00:00+14:00")))
    assert found.kind == "alarm" and found.at.isoformat() == "2026-11-02T01:53:13+00:00"


def test_long_keys_are_hashed_alike_for_both_ends() -> None:
    keys = {parse(sns(alarm(state, AlarmArn=ALARM_ARN + "x" * 300))).key for state in ("ALARM", "OK")}
    assert len(keys) == 1 and len(keys.pop()) <= 255


def test_an_end_that_comes_before_its_beginning_leaves_nothing_open(sink: Any) -> None:
    stub = sink("pagerduty")
    told(alarm("OK", StateChangeTime="2026-11-02T01:55:00.000+0000"), 1)
    told(alarm("ALARM"), 2)
    assert [body["event_action"] for _, body in stub.got] == ["resolve", "trigger", "resolve"]
    told(alarm("ALARM", StateChangeTime="2026-11-02T03:00:00.000+0000"), 3)
    assert stub.got[-1][1]["event_action"] == "trigger"


@pytest.mark.parametrize("name", ["slack", "pagerduty"])
@pytest.mark.parametrize(
    ("plans", "tries", "delivered"),
    [
        ([200], 1, True), ([202], 1, True), ([(429, {"Retry-After": "1"}), 200], 2, True), ([(429, {"Retry-After": "600"}), 200], 1, False),
        ([500, 503, 200], 3, True), (["drop", 200], 2, True), (["hang", 200], 2, True), (["noise", 200], 2, True),
        ([(429, {"Retry-After": "nonsense"}), 200], 2, True), ([400], 1, False), ([(302, {"Location": "/hook"})], 1, False),
        ([404], 2, False), ([410], 2, False), ([403], 2, False),
    ],
)  # fmt: skip
def test_what_a_sink_does(name: str, plans: list[Any], tries: int, delivered: bool, sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(notifier, "TRY_S", 0.5)
    stub = sink(name)
    stub.plans[name] = list(plans)
    if delivered:
        assert told(alarm())["told"] == 1
    else:
        with pytest.raises(Undelivered) as raised:
            told(alarm())
        assert stub.url not in str(raised.value) and KEY not in str(raised.value)
    assert len(stub.tries) == tries and len(stub.got) == delivered
    assert stub.reads == (2 if plans[0] in (403, 404, 410) else 1)


def test_a_sink_that_hangs_or_fails_costs_the_budget_and_then_is_loud(
    sink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "BUDGET_S", 1.5)
    for plan in (500, "hang"):
        stub = sink("slack")
        stub.plans["slack"] = [plan]
        with pytest.raises(Undelivered, match="no answer within"):
            told(alarm())
    stub.plans["slack"] = [200]
    assert told(alarm())["told"] == 1  # Lambda brings it again


def test_a_secret_made_anew_is_read_once_more(sink: Any) -> None:
    stub = sink("slack")
    stub.plans["slack"] = [410, 200]
    stub.secrets = [f"{stub.url}/hook/old", json.dumps({"slack": f"{stub.url}/hook/new"})]
    assert told(alarm())["told"] == 1 and stub.got[0][0] == "/hook/new" and stub.reads == 2
    told(alarm("OK"), 2)
    assert stub.reads == 2  # kept by the container


def test_a_parameter_of_systems_manager_may_hold_it(sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "arn:aws:ssm:ap-northeast-1:000000000000:parameter/ops/pagerduty")
    stub = sink("pagerduty")
    told(alarm())
    assert stub.got[0][1]["routing_key"] == KEY


def test_an_address_that_is_not_https_is_refused(sink: Any) -> None:
    sink("slack").secrets = ["file:///etc/passwd"]
    with pytest.raises(Undelivered, match="no https address"):
        told(alarm())


def test_the_other_sink_is_not_harmed(sink: Any) -> None:
    stub = sink("slack")
    stub.plans["slack"] = [404]
    with pytest.raises(Undelivered):
        told(alarm())
    sink("pagerduty")
    assert told(alarm())["told"] == 1 and stub.got[-1][0] == "/v2/enqueue"


def test_a_record_that_is_not_taken_loses_no_other_and_repeats_none(sink: Any) -> None:
    stub = sink("pagerduty")
    stub.plans["pagerduty"] = [202, 400, 202]
    assert handler({"Records": [sns(alarm(), 1), sns("{", 2), sns(alarm("OK"), 3)]}) == {"told": 2, "kept": 1}
    assert [body["event_action"] for _, body in stub.got] == ["trigger", "resolve"]
    assert [kept["record"]["Sns"]["MessageId"] for kept in stub.queued] == ["m-2"]


BROKEN = [
    "", "[]", "null", "{", "{}", '{"detail":null}', '{"text":"<!channel> spoofed","channel":"#exec","username":"CEO"}', "[" * 100_000, "x" * 262_144,
    '{"AlarmName":{"a":[]},"NewStateValue":[1]}', '{"AlarmName":"a","NewStateValue":"ALARM","Trigger":{"Dimensions":"x"}}',
    '{"AlarmName":"a","NewStateValue":"NEVER HEARD OF"}', '{"detail-type":"x","resources":5,"detail":[1]}', '{"detail-type":["x"],"source":{}}',
    '{"AlarmName":"\\ud800","NewStateValue":"ALARM","AlarmArn":"arn:aws:cloudwatch:ap-northeast-1:1:alarm:\\ud800"}',
    '{"AlarmName":"a","NewStateValue":"ALARM","AlarmArn":":::::::::"}', HOSTILE,
    '{"AlarmName":"a","NewStateValue":"ALARM","StateChangeTime":"0001-01-01T00:00:00+14:00"}',
    '{"AlarmName":"a","NewStateValue":"ALARM","AlarmArn":"' + "\\ud800" * 300 + '"}',
]  # fmt: skip


@pytest.mark.parametrize("name", ["slack", "pagerduty"])
def test_every_broken_message_is_told(name: str, sink: Any) -> None:
    stub = sink(name)
    for number, text in enumerate(BROKEN):
        told(text, number)
    assert len(stub.got) == len(BROKEN)
    for record in (
        {},
        None,
        5,
        "x",
        [],
        {"Sns": None},
        {"Sns": {"Message": None}},
        {"Sns": {"Message": 5, "Timestamp": []}},
    ):
        handler({"Records": [record]})
        assert parse(record).state == "ALARM"
    for broken in (None, [], {"Records": None}, {"Records": []}, "x"):
        handler(broken)
    for _, body in stub.got:
        assert len(json.dumps(body)) < 512_000
        within_limits(body) if name == "slack" else None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=30), lambda one: st.lists(one, max_size=3) | st.dictionaries(
        st.sampled_from(["Sns", "Message", "MessageId", "Timestamp", "AlarmName", "NewStateValue", "AlarmArn", "Trigger", "Dimensions", "detail-type", "detail", "source", "resources", "name"]), one, max_size=5),
    max_leaves=12)  # fmt: skip


@given(ANYTHING, ANYTHING)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_read_and_can_be_told(record: Any, message: Any) -> None:
    for one in (record, {"Sns": {"Message": json.dumps(message), "MessageId": record}}):
        alert = parse(one)
        within_limits(notifier.slack(alert))
        notifier.pagerduty(alert, KEY)
        json.dumps({"Message": alert.key}).encode()
        assert len(alert.key) <= 255


def within_limits(body: dict[str, Any]) -> None:
    """The limits of Slack, and that nothing but text came from the message."""
    assert set(body) == {"text", "attachments"}
    blocks = body["attachments"][0]["blocks"]
    assert len(blocks) <= 50 and len(json.dumps(blocks, ensure_ascii=False)) < 13_000
    for block in blocks:
        for text in [block.get("text"), *block.get("fields", [])]:
            if text:
                most = 150 if block["type"] == "header" else 2000 if text in block.get("fields", []) else 3000
                assert 0 < len(text["text"]) <= most
                if text["type"] == "mrkdwn":
                    bare = re.sub(r"`[^`]*`", "", text["text"].replace("```", "`"))
                    assert not re.search(
                        r"<(?!https://ap-northeast-1\.console\.aws\.amazon\.com/|!date\^\d+\^)", bare
                    ), bare
                    assert not re.search(r"<(?!https://ap-northeast-1|!date)", text["text"]), text["text"]


def test_hostile_text_is_only_text(sink: Any) -> None:
    stub = sink("slack")
    told(alarm(AlarmName=HOSTILE, NewStateReason=HOSTILE * 200, AlarmDescription=HOSTILE + " severity=info runbook=2-investigate/first-look"), 1)  # fmt: skip
    told(alarm(AlarmName="'; rm -rf ~ #`$(id)`", NewStateReason="&" * 5000), 2)
    told(event(HOSTILE, HOSTILE, {"Message": HOSTILE}), 3)
    for _, body in stub.got:
        within_limits(body)
    for _, body in stub.got:
        assert "<mark>" not in slack_drawing.page([body])  # nobody is called
        says, *rest = [block for block in body["attachments"][0]["blocks"] if block["type"] == "section"]
        texts = [text for block in rest for text in [block.get("text"), *block.get("fields", [])] if text]
        assert says["text"]["type"] == "plain_text" and {text["type"] for text in texts} == {
            "mrkdwn"
        }  # cut within its span
        spans = [text["text"].count("`") for text in texts if "|Alarm>" not in text["text"]]
        assert set(spans) <= {0, 2, 6}  # one span, closed by us alone
    assert "\x1b" not in json.dumps(stub.got, ensure_ascii=False) and "\u202e" not in json.dumps(
        stub.got, ensure_ascii=False
    )
    assert "report='\\''" not in parse(sns(alarm(AlarmName="'; rm -rf ~ #"))).command
    words = shlex.split(parse(sns(alarm(AlarmName="'; rm -rf ~ #", AlarmDescription=""))).command)
    assert (
        words
        == ["opslib", "open", "2-investigate/first-look", "-p", "report='; rm -rf ~ #", "-p", "env="][:5] + words[5:]
    )


EVENTS = [  # kind, source, detail, state and what is told to PagerDuty
    ("Amplify Deployment Status Change", "aws.amplify", {"appId": "d2", "branchName": "main", "jobId": "7", "jobStatus": "FAILED"}, "ALARM", "change"),
    ("Amplify Deployment Status Change", "aws.amplify", {"appId": "d2", "branchName": "main", "jobId": "7", "jobStatus": "SUCCEED"}, "INFO", "change"),
    ("ECS Deployment State Change", "aws.ecs", {"eventName": "SERVICE_DEPLOYMENT_FAILED", "reason": "circuit breaker"}, "ALARM", "change"),
    ("ECS Deployment State Change", "aws.ecs", {"eventName": "SERVICE_DEPLOYMENT_COMPLETED"}, "INFO", "change"),
    ("RDS DB Instance Event", "aws.rds", {"EventID": "RDS-EVENT-0049", "Message": "Multi-AZ failover completed", "SourceIdentifier": "shop-db"}, "ALARM", "trigger"),
    ("AWS Health Event", "aws.health", {"eventArn": "arn:aws:health:1", "eventTypeCode": "AWS_RDS_ISSUE", "statusCode": "open"}, "ALARM", "trigger"),
    ("AWS Health Event", "aws.health", {"eventArn": "arn:aws:health:1", "eventTypeCode": "AWS_RDS_ISSUE", "statusCode": "closed"}, "OK", "resolve"),
    ("A kind nobody knows", "ops.own", {"a": 1}, "ALARM", "trigger"),
    ("A kind nobody knows", "ops.drill", {"a": 1}, "INFO", ""),
    ("AWS Health Event", "ops.drill", {"eventArn": "arn:aws:health:1", "statusCode": "open"}, "INFO", ""),
    ("ECS Deployment State Change", "ops.drill", {"eventName": "SERVICE_DEPLOYMENT_FAILED"}, "INFO", "change"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "source", "detail", "state", "action"), EVENTS)
def test_events_of_eventbridge_by_topic_or_themselves(
    kind: str, source: str, detail: dict[str, Any], state: str, action: str
) -> None:
    body = event(kind, source, detail)
    for record in (sns(body), body):
        found = parse(record)
        assert found.state == state and ("DRILL" in found.title) == (source == "ops.drill"), found
        path, sent = notifier.pagerduty(found, KEY) or ("", {})
        assert action == ("change" if path == "/v2/change/enqueue" else sent.get("event_action", ""))
        within_limits(notifier.slack(found))
    if "Message" in detail or "reason" in detail:
        assert (detail.get("Message") or detail["reason"]) in found.detail


def test_a_heartbeat_reads_the_secret_and_disturbs_nobody(sink: Any, capsys: pytest.CaptureFixture[str]) -> None:
    beat = {"source": "ops.drill", "detail-type": "heartbeat"}
    stub = sink("slack")
    told(beat, 1)
    assert stub.reads == 1 and not stub.got
    sink("pagerduty")
    told(beat, 2)
    assert stub.got[0][1] == {"routing_key": KEY, "event_action": "resolve", "dedup_key": "ops.heartbeat"}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["Sink"], line["Kind"], line["Told"]) for line in lines] == [
        ("slack", "heartbeat ops-critical", 1),
        ("pagerduty", "heartbeat ops-critical", 1),
    ]


@pytest.mark.parametrize("answers", [True, False])
def test_the_time_of_a_build_becomes_a_metric_and_never_a_failure(answers: bool, sink: Any, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    stub = sink("pagerduty")
    stub.build = {"startTime": 1_793_000_000, "endTime": 1_793_000_912} if answers else {}
    handler(event("Amplify Deployment Status Change", "aws.amplify", EVENTS[1][2]))
    assert stub.got[0][0] == "/v2/change/enqueue"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["App"], line["Branch"], line["BuildSeconds"]) for line in lines if "BuildSeconds" in line] == [("d2", "main", 912)] * answers  # fmt: skip


@pytest.mark.parametrize(("trigger", "limit", "reason", "value"), [
    ({"Period": 60, "EvaluationPeriods": 5, "DatapointsToAlarm": 3}, "> 90 in 3 of 5 × 1 min", "datapoints [97.251 (02/11/26 01:52:00), 1.0 (…)]", "97.25"),
    ({"Period": 900, "EvaluationPeriods": 1}, "> 90 in 15 min", "1 datapoint [4.0 (05/11/26 02:45:00)] was", "4"), ({"Threshold": "high"}, "GreaterThanThreshold high", "no word", None),
    ({"Period": "often", "EvaluationPeriods": 2}, "> 90 in 2 of 2", "datapoints [1.5E-5 (…)]", "1.5e-05"), ({"ComparisonOperator": "Odd"}, "Odd 90.0", "datapoints []", None),
])  # fmt: skip
def test_numbers_are_for_people(trigger: dict[str, Any], limit: str, reason: str, value: str | None) -> None:
    facts = dict(parse(sns(alarm(Trigger={**alarm()["Trigger"], **trigger}, NewStateReason=reason))).facts)
    assert (facts["limit"], facts.get("value")) == (limit, value)


def test_metric_math_is_drawn_as_the_alarm_reckons_it() -> None:
    """With its dimensions in the facts, and the statistic as SNS (SUM) and DescribeAlarms (Sum) write it."""
    place = {"Dimensions": [{"name": "LoadBalancer", "value": "app/shop/1"}], "MetricName": "RequestCount", "Namespace": "AWS/ApplicationELB"}  # fmt: skip
    queries = [
        {"Id": "result", "Expression": "100 * bad / all", "Label": "error-ratio", "ReturnData": True},
        {"Id": "all", "MetricStat": {"Metric": place, "Period": 300, "Stat": "Sum"}, "ReturnData": False},
    ]
    found = parse(
        sns(alarm(Trigger={"Metrics": queries, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0}))
    )
    assert dict(found.facts)["metric"] == "error-ratio app/shop/1"
    assert links.drawn({"Metrics": queries}) == [
        [{"expression": "100 * bad / all", "label": "error-ratio", "id": "result", "visible": True}],
        ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", "app/shop/1", {"id": "all", "visible": False, "stat": "Sum", "period": 300}],
    ]  # fmt: skip
    assert [words for words, _ in found.links] == ["Alarm", "Metric"]
    simple = {"Namespace": "A", "MetricName": "B", "Statistic": "SUM", "Period": 60, "Dimensions": [{"Name": "C", "Value": "D"}]}  # fmt: skip
    assert links.drawn(simple) == [["A", "B", "C", "D", {"id": "m1", "visible": True, "stat": "Sum", "period": 60}]]


@pytest.mark.parametrize(("kind", "detail", "command"), [
    ("ECS Service Action", {"eventName": "SERVICE_TASK_START_IMPAIRED"}, "2-investigate/failing-service -p window=2026-11-02T01:20:00Z/2026-11-02T02:00:00Z -p service=api"),
    ("RDS DB Instance Event", {"EventID": "RDS-EVENT-0049", "SourceIdentifier": "shop-db"}, "2-investigate/slow-database -p window=2026-11-02T01:20:00Z/2026-11-02T02:00:00Z -p instance=shop-db"),
    ("Amplify Deployment Status Change", {"appId": "d2", "jobStatus": "FAILED"}, "2-investigate/slow-frontend -p window=2026-11-02T01:20:00Z/2026-11-02T02:00:00Z"),
    ("AWS Health Event", {"eventTypeCode": "AWS_RDS_ISSUE"}, "2-investigate/first-look -p 'report=AWS Health Event: api AWS_RDS_ISSUE 2026-11-02T01:50:00Z'"),
])  # fmt: skip
def test_an_event_opens_its_notebook_and_links_to_the_logs_of_its_time(kind: str, detail: dict[str, Any], command: str, sink: Any) -> None:  # fmt: skip
    sink("slack")
    found = parse(event(kind, "aws.any", detail))
    assert found.command == f"opslib open {command} -p env=prod"
    ((words, link),) = found.links
    assert words == "Logs 01:20–02:00 UTC" and "2026-11-02T01*3A20*3A00.000Z" in link.replace("$252A", "*")


def test_a_composite_alarm_names_those_that_are_on() -> None:
    children = [{"Arn": ALARM_ARN, "State": {"Value": "ALARM"}}, {"Arn": f"{ALARM_ARN}-2", "State": {"Value": "OK"}}]
    found = parse(sns(alarm(Trigger=None, TriggeringChildren=[*children, "nonsense"])))
    assert dict(found.facts)["alarms"] == "prod-database-cpu" and found.kind == "alarm"


def test_the_sandbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "sandbox")
    assert notifier.slack(parse(sns(alarm())))["text"].startswith("*[SANDBOX] ACT NOW")
