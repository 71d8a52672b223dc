"""Each detection finds the attacks that it is there for, with the rows behind them, and leaves near misses alone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from opslib import config
from opslib.checks import audit_events, detections
from opslib.checks.audit_events import Trail
from opslib.config_detections import Detections
from opslib.errors import ConfigError
from opslib.sources.audit import COLUMNS
from opslib.window import Window
from tests.checks.planted_attacks import (
    ATTACKS,
    FIRST,
    MORNING,
    NEAR_MISSES,
    PLANTED,
    YESTERDAY,
    Attack,
    acts,
    by_hour,
    login,
    over,
    work,
)

ZONE = ZoneInfo("Asia/Tokyo")
DAYS = Window(YESTERDAY - timedelta(hours=12), MORNING + timedelta(hours=5), ZONE)
STAFF = {"suzuki.misaki": "203.0.113.187", "tanaka.yui": "203.0.113.33", "watanabe.aoi": "203.0.113.214", "sato.kenichi": "203.0.113.36", "ito.daisuke": "198.51.100.140"}  # fmt: skip


def trail(attack: Attack) -> Trail:
    """Return the attack over customers who log in every few minutes, and a staff that works in the morning."""
    minutes = DAYS.seconds / 60
    calm = Attack(
        "",
        "",
        acts(900, minutes, lambda place: login(40_000 + place, 0, f"100.{64 + place % 60}.{place % 250}.1", good=True)),
        DAYS.start,
    )
    calm = replace(calm, rows=[row | {"after": minutes * place / 900} for place, row in enumerate(calm.rows)])
    rows = pd.DataFrame(calm.records(FIRST))[list(COLUMNS)]
    habits = by_hour([row for actor, ip in STAFF.items() for row in Attack("", "", work(actor, 80, ip=ip)).records(1)])
    table, lines, history = over(attack, rows, rows, habits)
    found, lacking = audit_events.compared(table, lines, since=DAYS.start, before=DAYS.end)
    return Trail(audit_events.events(found), DAYS, history, missing=lacking)


def judged(attack: Attack, limits: Detections | None = None, **more: bool) -> tuple[pd.DataFrame, Trail]:
    looked = trail(attack)
    return detections.judge(looked, limits or Detections(), **more), looked


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.wanted}: {attack.name}")
def test_an_attack_is_found_with_its_rows(attack: Attack) -> None:
    found, looked = judged(attack)
    mine = found[found["detection"] == attack.wanted]
    assert len(mine) == 1, found[["detection", "who", "explanation"]].to_string()
    assert mine["severity"].iloc[0] in ("warn", "critical")
    behind = looked.events.loc[mine["rows"].iloc[0]]
    if attack.rows and attack.lacks in ("", "table", "log"):
        planted = {row["request_id"] for row in attack.records(PLANTED)}
        assert set(behind["request_id"]) & planted and mine["count"].iloc[0] == len(behind)
        assert behind["request_id"].isin(planted).mean() > 0.8
    assert attack.start - timedelta(minutes=40) <= mine["reached"].iloc[0]


@pytest.mark.parametrize("attack", NEAR_MISSES, ids=lambda attack: f"{attack.wanted}: {attack.name}")
def test_a_near_miss_is_none(attack: Attack) -> None:
    found, _ = judged(attack)
    assert attack.wanted not in set(found["detection"]), found[["detection", "explanation"]].to_string()


def test_every_detection_has_its_attack_and_its_near_miss() -> None:
    assert (
        {attack.wanted for attack in ATTACKS} == {attack.wanted for attack in NEAR_MISSES} == set(detections.DETECTIONS)
    )
    assert len(detections.DETECTIONS) >= 16


def test_a_calm_trail_has_nothing() -> None:
    found, _ = judged(Attack("", ""))
    assert not len(found), found[["detection", "explanation"]].to_string()


def test_the_cheap_ones_need_no_history() -> None:
    cheap = {name for name, about in detections.DETECTIONS.items() if about.cheap}
    for attack in ATTACKS:
        found = detections.judge(replace(trail(attack), history=None), Detections(), cheap=True)
        assert (attack.wanted in set(found["detection"])) == (attack.wanted in cheap), attack.name


def test_a_silence_is_told_while_it_goes_on() -> None:
    silent = next(attack for attack in ATTACKS if attack.silent)
    looked, now = trail(silent), silent.start + timedelta(minutes=45)
    quarter = Window(now - timedelta(minutes=15), now, ZONE)
    so_far = replace(looked.only(looked.events["at"] < now), window=quarter, history=None, missing=None)
    found = detections.judge(so_far, Detections(), cheap=True)
    assert list(found["key"].str.split(":").str[1]) == ["audit-gap"] and found["until"].iloc[0] == now


def test_a_key_stays_the_same_while_the_attack_goes_on() -> None:
    early = Attack("", "", ATTACKS[0].rows[:12])
    keys = [judged(attack)[0].set_index("detection")["key"]["failed-login burst"] for attack in (early, ATTACKS[0])]
    assert keys[0] == keys[1] == "audit:failed-login-burst:u-20480:2026-11-05"


def test_thresholds_are_the_configuration_s() -> None:
    assert not len(judged(ATTACKS[0], Detections(burst_failures=17))[0])
    assert len(judged(NEAR_MISSES[0], Detections(burst_failures=7))[0]) == 1


def test_a_threshold_that_there_is_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSLIB_ROOT", str(tmp_path))
    text = '[env.shop]\naccount = "012345678901"\nregion = "ap-northeast-1"\n[env.shop.detections]\n'
    (tmp_path / "opslib.toml").write_text(text + "burst_failures = 12\n")
    assert config.load("shop").detections == Detections(burst_failures=12)
    (tmp_path / "opslib.toml").write_text(text + "burst_failure = 12\n")
    with pytest.raises(ConfigError, match=r"'detections\.burst_failure' is wrong") as told:
        config.load("shop")
    assert told.value.fix == "did you mean 'burst_failures'?"
    (tmp_path / "opslib.toml").write_text(text + "burst_failures = 0\n")
    with pytest.raises(ConfigError, match="burst_failures"):
        config.load("shop")


def test_who_is_expected_is_not_told_of() -> None:
    curious = next(attack for attack in ATTACKS if attack.wanted == "mass access")
    limits = Detections(expected={"mass access": ("suzuki.*",)})
    assert "mass access" not in set(judged(curious, limits)[0]["detection"])
    with pytest.raises(ConfigError, match="no detection"):
        judged(curious, Detections(expected={"mass acess": ("suzuki.*",)}))
