"""An alert as Slack shows it, on a desk and on a phone: what is wrong, how bad, and what to do stand there and fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opslib.alerting import notifier
from opslib.alerting.messages import parse
from tests.alerting import slack_drawing
from tests.alerting.test_notifier import HOSTILE, alarm, sns

SHOTS = Path(__file__).parents[2] / ".ci" / "screenshots"


@pytest.mark.parametrize("width", [760, 390])
def test_an_alert_fits_and_says_what_to_do(width: int, page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ENVIRONMENT": "prod", "LOG_GROUPS": "/shop/api,/shop/worker"}.items():
        monkeypatch.setenv(name, value)
    reason = "Threshold Crossed: 3 out of the last 5 datapoints [97.25 (02/11/26 01:52:00), 96.0 (02/11/26 01:51:00)] were greater than the threshold (90.0)."
    watched = {**alarm()["Trigger"], "Period": 60, "EvaluationPeriods": 5, "DatapointsToAlarm": 3}
    on = alarm(NewStateReason=reason, Trigger=watched)
    bodies = [
        on,
        {**on, "NewStateValue": "OK", "OldStateValue": "ALARM"},
        alarm(AlarmName=HOSTILE, AlarmDescription=HOSTILE * 9),
    ]
    page.set_viewport_size({"width": width, "height": 900})
    page.set_content(slack_drawing.page([notifier.slack(parse(sns(one))) for one in bodies]))
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"slack-{width}.png"), full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    first, over, hostile = page.locator(".m").all()
    lines = first.inner_text().splitlines()
    assert "ACT NOW · 要対応: prod-database-cpu" in lines and "Short of CPU." in lines
    assert "97.25" in lines and "> 90 in 3 of 5 × 1 min" in lines and "CPUUtilization shop-db" in lines
    assert "opslib open 2-investigate/slow-database" in first.locator("pre").inner_text()
    assert [one.inner_text() for one in first.locator("a").all()] == ["Alarm", "Metric", "Logs 01:23–02:03 UTC"]
    assert first.bounding_box()["height"] < 560 and "Over: Short of CPU." in over.inner_text()
    assert over.locator("pre").count() == 0 and page.locator("mark, script").count() == 0
    assert "<!channel>" in hostile.inner_text()
