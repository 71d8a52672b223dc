"""The sandbox's alarms are those that the templates make for its environment, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opslib import config
from opslib.alerting import alarms
from opslib.sandbox.control import Sandbox
from tests.alerting import shop_alarms


@pytest.fixture(scope="module")
def made(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    return _by_name(shop_alarms.rows(config.load("sandbox")))


def _by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    said = ("AlarmName", "LogGroupName", "Name")
    named = {next(row["properties"][name] for name in said if name in row["properties"]): row for row in rows}
    assert len(named) == len(rows)
    return named


WRITTEN = _by_name(json.loads(shop_alarms.FILE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_row_is_the_templates(name: str, made: dict[str, dict[str, Any]]) -> None:
    assert WRITTEN[name] == made.get(name), "python -m tests.alerting.shop_alarms writes the file anew"


def test_none_is_missing_in_either_region(made: dict[str, dict[str, Any]]) -> None:
    assert list(WRITTEN) == list(made), "python -m tests.alerting.shop_alarms writes the file anew"
    wanted = {alarm.name: alarm.region for alarm in alarms.alarms(config.load("sandbox"))}
    assert {name: row["region"] for name, row in WRITTEN.items() if "AlarmName" in row["properties"]} == wanted
    assert set(wanted.values()) == {"ap-northeast-1", "us-east-1"}
