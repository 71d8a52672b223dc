"""The stand-ins of Slack and PagerDuty: what they take and refuse, and what PagerDuty makes of it. test_delivery serves them."""

from __future__ import annotations

from typing import Any

import pytest

from opslib.sandbox.sinks import pagerduty, slack

KEY = "k" * 32
TEXT = {"type": "mrkdwn", "text": "x"}


def section(text: Any = TEXT) -> dict[str, Any]:
    return {"type": "section", "text": text}


def blocks(*given: Any) -> dict[str, Any]:
    return {"text": "t", "attachments": [{"color": "#b3261e", "blocks": list(given)}]}


@pytest.mark.parametrize(("body", "word"), [
    ({"text": "x"}, None), (blocks(section(), {"type": "divider"}), None), (blocks(*[section()] * 50), None),
    (blocks({"type": "section", "fields": [TEXT] * 10}), None),
    (blocks({"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://a"}]}), None),
    ([], "invalid_payload"), ("x", "invalid_payload"), (None, "invalid_payload"), ({}, "no_text"), ({"text": ""}, "no_text"), ({"text": 5}, "invalid_payload"),
    ({"attachments": [{}] * 101}, "too_many_attachments"), ({"attachments": "x"}, "invalid_attachments"), (blocks(*[section()] * 51), "invalid_blocks"),
    (blocks(section({"type": "mrkdwn", "text": ""})), "invalid_blocks"), (blocks(section({"type": "mrkdwn", "text": "x" * 3001})), "invalid_blocks"),
    (blocks(section({"type": "plain_text", "text": "x", "verbatim": True})), "invalid_blocks"), (blocks(section({"type": "html", "text": "x"})), "invalid_blocks"),
    (blocks({"type": "section"}), "invalid_blocks"), (blocks({"type": "section", "fields": [TEXT] * 11}), "invalid_blocks"),
    (blocks({"type": "header", "text": TEXT}), "invalid_blocks"), (blocks({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}), "invalid_blocks"),
    (blocks({"type": "nothing"}), "invalid_blocks"), (blocks(*[section({"type": "mrkdwn", "text": "x" * 2900})] * 5), "msg_blocks_too_long"),
    (blocks({"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "x"}, "url": "javascript:alert(1)"}]}), "invalid_blocks"),
])  # fmt: skip
def test_what_slack_takes(body: Any, word: str | None) -> None:
    assert slack.refusal(body) == (word and (400, word))


def event(action: str = "trigger", **more: Any) -> dict[str, Any]:
    payload = {"summary": "s", "source": "prod", "severity": "error"}
    return {"routing_key": KEY, "event_action": action, "dedup_key": "d", "payload": payload, **more}


@pytest.mark.parametrize(("body", "named"), [
    (event(), ""), (event("resolve", payload=None), ""), (event(dedup_key=None), ""), ([], "unrecognized"), (event(routing_key="short"), "32 characters"),
    (event(routing_key="o" * 32), "'routing_key' is invalid"), (event("open"), "event_action"), (event(dedup_key="x" * 256), "dedup_key"),
    (event("resolve", dedup_key=None), "dedup_key"), (event(payload=None), "payload"), (event(links=[{"href": "javascript:x"}]), "links"),
    (event(payload={"summary": "x" * 1025, "source": "s", "severity": "error"}), "too long"), (event(payload={"summary": "", "source": "s", "severity": "error"}), "summary"),
    (event(payload={"summary": "x", "severity": "error"}), "source"), (event(payload={"summary": "x", "source": "s", "severity": "page"}), "severity"),
])  # fmt: skip
def test_what_pagerduty_takes(body: Any, named: str) -> None:
    found = pagerduty.mistakes(pagerduty.EVENTS, body, KEY)
    assert bool(found) == bool(named) and all(named in one for one in found)


def test_an_incident_opens_once_and_again_only_after_its_end() -> None:
    service = pagerduty.Service()
    for action in ("resolve", "acknowledge", "trigger", "trigger", "acknowledge", "trigger", "resolve", "resolve", "trigger"):  # fmt: skip
        service.take(pagerduty.EVENTS, event(action), "at", "made")
    assert [(one.status, one.triggers) for one in service.incidents] == [("resolved", 3), ("triggered", 1)]
    service.take(pagerduty.CHANGES, event(), "at", "made")
    assert len(service.incidents) == 2 and service.changes[0]["summary"] == "s"
