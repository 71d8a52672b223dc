"""Who is blamed first: ours, three sigma and chance, for every scenario, quiet days and drawn systems; and how long it takes.

Every call takes 150 ms. The peers get the same frame: three sigma names the component with the largest deviation from
the mean of the baseline in standard deviations; chance is one of the components.
"""

import json
import os
import random
import secrets
import time

import numpy as np
import pandas as pd

from opslib.checks import incident_series
from opslib.checks.ranking import rank_components
from opslib.result import Result
from opslib.run import Fact, Run, start
from opslib.runbooks.first_look import look
from opslib.sandbox.control import Sandbox
from opslib.sandbox.life.scenarios import SCENARIOS
from tests.checks.synthetic_systems import FAULTS, draw

QUIET = "quiet-day"
LATENCY_MS, NOISY_DAYS, DRAWN = 150, 5, 60
HEAD = f"{'scenario':22} {'planted':18} {'ours':18} {'3 sigma':18} {'chance':18} {'sends to':32} seconds"


class Kept(Run):
    """A run that remembers what it was answered, so that the peers see the same frame."""

    seen: dict[str, Fact]

    def facts(self, **asked: object) -> dict[str, Fact]:  # type: ignore[override]
        """Ask, and remember."""
        self.seen = super().facts(**asked)  # type: ignore[arg-type]
        return self.seen


def looked(sandbox: Sandbox) -> tuple[Result, Kept, float]:
    """Return the first look at a running sandbox, its run, and the seconds that it took."""
    os.environ["OPSLIB_SANDBOX"] = str(sandbox.directory)
    sandbox.settings(latency_ms=LATENCY_MS)
    began = time.monotonic()
    plain = start(window="1h")
    run = Kept(plain.environment, plain.identity, plain.now, plain.window)
    return look(run), run, time.monotonic() - began


def sigma_first(series: pd.DataFrame, incident: slice, baseline: slice) -> str:
    """Return what three sigma blames."""
    base, during = series.loc[baseline], series.loc[incident]
    far = ((during - base.mean()) / base.std().replace(0.0, np.nan)).abs().max()
    return str(far.groupby(level=0).max().idxmax())


def one(name: str, scenario: str, dice: random.Random) -> dict[str, object]:
    """Look at one scenario; print its line and return what it says."""
    with Sandbox(clock="frozen", scenario=scenario) as sandbox:
        planted = dict(sandbox.info["planted"])
        result, run, seconds = looked(sandbox)
    window = run.window_or("1h")
    series = incident_series.assembled(run, run.seen, window)
    base = incident_series.baseline(window)
    sigma = sigma_first(series, slice(window.start, window.end), slice(base.start, base.end))
    ours = result.facts["likeliest cause"]
    sent = result.next[0].runbook if result.next else "–"
    chance = dice.choice(sorted(set(series.columns.get_level_values(0))))
    wanted = planted.get("component", "–")
    right = ours == wanted and sent == planted.get("runbook", "–")
    mark = "" if right else f"  <- wanted {wanted}, {planted.get('runbook', '–')}; {result.sight}: {result.reason}"
    print(f"{name:22} {wanted:18} {ours:18} {sigma:18} {chance:18} {sent:32} {seconds:5.1f}{mark}", flush=True)
    return {"first": ours == wanted, "sent": right, "sigma": sigma == wanted, "chance": chance == wanted,
            "alarm": str(result.verdict) in ("warn", "critical"), "seconds": seconds}  # fmt: skip


def drawn() -> None:
    """Print how often the cause is first in systems drawn at random."""
    print(f"\n{'drawn systems':22} {'with calls':>12} {'without':>12} {'3 sigma':>12}")
    for fault in FAULTS:
        systems = [draw(seed, fault=fault) for seed in range(5000, 5000 + DRAWN)]
        hits = [0, 0, 0]
        for system in systems:
            asked = {"incident": system.incident, "baseline": system.baseline}
            hits[0] += rank_components(system.series, **asked, calls=system.calls)["component"][0] == system.cause
            hits[1] += rank_components(system.series, **asked)["component"][0] == system.cause
            start_, end = system.incident
            last = end - pd.Timedelta(seconds=1)
            before = slice(system.baseline[0], start_ - pd.Timedelta(seconds=1))
            hits[2] += sigma_first(system.series, slice(start_, last), before) == system.cause
        print(f"{fault:22} " + " ".join(f"{hit / len(systems):12.0%}" for hit in hits), flush=True)


def main() -> None:
    """Measure, print the tables, then one line of JSON."""
    dice = random.Random(secrets.randbits(32))
    print(HEAD)
    told = [one(name, name, dice) for name in SCENARIOS if name != QUIET]
    seeds = [secrets.randbelow(1_000_000) + 1 for _ in range(NOISY_DAYS)]
    days = [one(scenario, scenario, dice) for scenario in [QUIET, *(f"{QUIET}:{seed}" for seed in seeds)]]
    drawn()
    sent, lucky = (sum(bool(each[name]) for each in told) for name in ("sent", "chance"))
    print(f"\nright notebook: {sent} of {len(told)}; chance first: {lucky} of {len(told)}")
    figures = {
        "scenarios": len(told), "first": sum(bool(each["first"]) for each in told), "sigma_first": sum(bool(each["sigma"]) for each in told),
        "quiet_days": len(days), "false_alarms": sum(bool(each["alarm"]) for each in days),
        "slowest_s": round(max(float(str(each["seconds"])) for each in [*told, *days]), 1),
    }  # fmt: skip
    print(json.dumps(figures))
