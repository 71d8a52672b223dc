"""The overlays before the application: lines, metrics, rows and events tell one story."""

import json
from collections import Counter
from pathlib import Path

import pytest

from opslib.sandbox import life

NAMES = ("build-failure", "cdn-misses", "payment-timeouts", "health-check-failure")
ALB = (("LoadBalancer", "app/shop-web/50dc6c495c0c9188"),)
CDN = (("DistributionId", "E2SHOPEXAMPLE1"), ("Region", "Global"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("life")
    life.build(directory, scale=0.1)
    return directory


@pytest.fixture(scope="module")
def base(built: Path) -> life.Life:
    return life.load(built)


@pytest.fixture(scope="module", params=NAMES)
def told(request: pytest.FixtureRequest, built: Path, base: life.Life) -> tuple[str, life.Overlay, life.Life]:
    overlay = life.overlay(request.param, built)
    return request.param, overlay, life.apply(base, overlay)


def mean(given: life.Life, metric: tuple[str, str, tuple[tuple[str, str], ...]], minutes: int = 15) -> float:
    series = given.metrics[metric]
    last = series.timestamps >= life.NOW_MS // 1000 - minutes * 60
    return float(series.sum[last].sum() / max(series.count[last].sum(), 1))


def test_completed_requests_are_the_load_balancers(told: tuple[str, life.Overlay, life.Life]) -> None:
    _, _, after = told
    group = after.logs["/shop/web"]
    ended = Counter(
        at // 60_000 * 60
        for at, text in zip(group.timestamps, group.messages, strict=True)
        if text.startswith("{") and '"status":' in text
    )
    series = after.metrics["AWS/ApplicationELB", "RequestCount", ALB]
    recent = series.period == 60
    assert dict(zip(series.timestamps[recent].tolist(), series.sum[recent].tolist(), strict=True)) == ended


def test_the_truth_is_planted(told: tuple[str, life.Overlay, life.Life]) -> None:
    name, overlay, _ = told
    component = {
        "build-failure": "frontend",
        "cdn-misses": "cdn",
        "payment-timeouts": "payment-provider",
        "health-check-failure": "dns",
    }
    assert overlay.planted["component"] == component[name] and overlay.planted["runbook"].startswith("2-investigate/")


def test_an_overlay_is_the_same_each_time(told: tuple[str, life.Overlay, life.Life], built: Path) -> None:
    name, overlay, _ = told
    again = life.overlay(name, built)
    assert (again.lines, again.sql, again.planted, again.events) == (
        overlay.lines,
        overlay.sql,
        overlay.planted,
        overlay.events,
    )


def test_a_lost_request_leaves_nothing(built: Path, base: life.Life) -> None:
    overlay = life.overlay("health-check-failure", built)
    after = life.apply(base, overlay)
    assert len(overlay.dropped) > 60
    for group in after.logs.values():
        assert not [
            text for text in group.messages[-20_000:] if any(name in text for name in list(overlay.dropped)[:5])
        ]
    assert all(name in overlay.sql[0] for name in overlay.dropped) and overlay.sql[2].startswith("delete from orders")
    requests = ("AWS/ApplicationELB", "RequestCount", ALB)
    assert after.metrics[requests].sum[-10:].sum() < 0.4 * base.metrics[requests].sum[-10:].sum()
    status = after.metrics[
        "AWS/Route53", "HealthCheckStatus", (("HealthCheckId", "7a1c6c1e-5b1f-4f0e-9a54-shopexample1"),)
    ]
    assert set(status.sum[-20:]) == {0.0}


def test_misses_reach_the_origin_and_not_the_edges_count(built: Path, base: life.Life) -> None:
    after = life.apply(base, life.overlay("cdn-misses", built))
    assert mean(after, ("AWS/CloudFront", "CacheHitRate", CDN)) < 0.6 * mean(
        base, ("AWS/CloudFront", "CacheHitRate", CDN)
    )
    for metric, least, most in (
        (("AWS/ApplicationELB", "RequestCount", ALB), 1.5, 3.0),
        (("AWS/CloudFront", "Requests", CDN), 0.85, 1.25),
    ):
        grown = after.metrics[metric].sum[-20:].sum() / base.metrics[metric].sum[-20:].sum()
        assert least < grown < most, metric


def test_timeouts_name_the_upstream(built: Path, base: life.Life) -> None:
    after = life.apply(base, life.overlay("payment-timeouts", built))
    lines = [json.loads(text) for text in after.logs["/shop/api"].messages[-8000:] if "payment-provider" in text]
    assert len(lines) == 10 and {line["upstream"]["host"] for line in lines} == {"api.pay-bridge.example"}
    planted = [text for text in after.logs["/shop/web"].messages[-8000:] if "req-9b41d7c03e58" in text]
    assert '"status":502' in planted[-1]


def test_the_failed_build_is_the_newest(built: Path, base: life.Life) -> None:
    builds = life.apply(base, life.overlay("build-failure", built)).events["amplify_builds"]
    assert (builds[-1]["branch"], builds[-1]["status"], builds[-1]["id"]) == ("main", "FAILED", 365)
    assert max(build["id"] for build in builds[:-1]) == 364
