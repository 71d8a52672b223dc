"""The cache: the hit rate from sums, an eviction storm with its cause, and what cannot be seen."""

from collections.abc import Callable

import pandas as pd
import pytest

import opslib
from opslib import config_sections
from opslib.checks import cache
from opslib.checks.cache_parts import share
from opslib.result import Sight, Verdict
from opslib.run import Run
from opslib.sandbox.control import Sandbox


@pytest.fixture(scope="module")
def evictions(planted: Callable[[str], Sandbox]) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSLIB_SANDBOX", str(planted("cache-evictions").directory))
        return opslib.start()


def test_an_eviction_storm_is_told_with_what_came_before(evictions: Run) -> None:
    found = cache.hit_rate(evictions)
    assert (found.verdict, found.sight) == (Verdict.CRITICAL, Sight.COMPLETE)
    assert found.sentence.startswith(
        "The cache answers 48 % of what is asked, usually 93 %, since 11:11 JST; it evicted 166,267 keys; memory is at 100 %"
    )
    assert "11:06 JST: Succeeded applying modification to cache node type to cache.r7g.medium" in found.sentence
    assert "the database reads 3.0 times as much" in found.sentence
    assert found.next[0].runbook == "2-investigate/slow-database"
    assert "shop-cache-001 48 %; shop-cache-002 50 %" in found.part("hit_rate").sentence
    assert "cache.r7g.medium" in found.part("nodes").sentence and found.part("database").chart is not None


def test_an_ordinary_cache(sandbox: Sandbox) -> None:
    found = cache.hit_rate(opslib.start())
    assert (found.verdict, found.next) == (Verdict.OK, ())
    assert found.sentence == "The cache answers 93 % of what is asked, usually 93 %."


def test_what_is_denied_is_said_and_the_rest_stands(sandbox: Sandbox) -> None:
    run = opslib.start()
    sandbox.fault(service="elasticache", kind="access-denied")
    try:
        found = cache.hit_rate(run)
    finally:
        sandbox.clear_faults()
    assert (found.verdict, found.sight) == (Verdict.UNKNOWN, Sight.PARTIAL)
    assert found.part("nodes").sight is Sight.DENIED and found.part("hit_rate").verdict is Verdict.OK


def test_without_a_cache_nothing_is_claimed(sandbox: Sandbox) -> None:
    run = opslib.start()
    run.environment = run.environment.model_copy(update={"cache": config_sections.Cache()})
    found = cache.hit_rate(run)
    assert (found.verdict, found.sight) == (Verdict.UNKNOWN, Sight.NO_DATA) and "no cache is configured" in found.reason


def test_the_hit_rate_is_of_sums_not_a_mean_of_ratios() -> None:
    minutes = pd.DataFrame({"CacheHitRate": [99.0, 50.0], "CacheMisses": [100.0, 5.0]})  # 9,900 of 10,000 and 5 of 10
    assert share(minutes) == pytest.approx(100 * 9905 / 10010)
    assert share(pd.DataFrame({"CacheHitRate": [100.0], "CacheMisses": [0.0]})) == 100.0
    assert share(pd.DataFrame({"CacheHitRate": [float("nan")], "CacheMisses": [float("nan")]})) != share(minutes)
