"""Suspicious logins: one account tried often, many accounts tried from one network, and who got in after that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opslib.checks.audit_events import Suspicion, Trail
from opslib.checks.audit_story import CRITICAL, WARN, network_of
from opslib.checks.sliding import episodes
from opslib.checks.wording import counted, listed, took

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config_detections import Detections

BURST, BROKEN, SPRAY = "failed-login burst", "burst then success", "password spray"
WIDER = {16: 4, 24: 2, 32: 1}  # so many times the accounts that suffice from one address, the widest network first
SPRAYED = 0.5  # of the logins of such a network fail; where more succeed it is a busy one


def bursts(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find accounts on which logins fail often within minutes, or patiently over hours, and nobody got in."""
    for one, failed, entered in _tried(trail, limits):
        if not len(entered):
            said = f"{counted(len(failed), 'failed login')} in {_span(failed)}, none succeeded; {_limits(limits)}"
            yield Suspicion(BURST, WARN, str(one.group), said, failed, one.reached)


def broken(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find accounts into which somebody got soon after such a burst."""
    for one, failed, entered in _tried(trail, limits):
        if len(entered):
            import pandas as pd

            first = entered.iloc[0]
            after = took((first["at"] - failed["at"][failed["at"] < first["at"]].max()).total_seconds())
            said = f"{counted(len(failed), 'failed login')} in {_span(failed)}, then one succeeded {after} later from {first['network'] or 'an unknown address'}"
            yield Suspicion(
                BROKEN, CRITICAL, str(one.group), said, pd.concat([failed, entered]).sort_index(), first["at"]
            )


def sprays(trail: Trail, limits: Detections) -> Iterator[Suspicion]:
    """Find networks from which logins fail on many accounts: quickly, or patiently from one address."""
    tried = trail.events[trail.events["login"]]
    taken: list[tuple[str, pd.Timestamp, pd.Timestamp]] = []
    for bits, times in WIDER.items():
        where = _networks(tried["ip"], bits)
        for span, accounts in _spans(limits, bits, times):
            bad = tried[~tried["good"]]
            for one in episodes(
                bad["at"], where[bad.index], span=span, least=accounts, value=bad["actor"]
            ).itertuples():
                here = tried[(where == one.group) & tried["at"].between(one.since, one.until)]
                told = any(_covers(*wider, str(one.group), one.since, one.until) for wider in taken)
                if not told and (~here["good"]).mean() >= SPRAYED:
                    taken.append((str(one.group), one.since, one.until))
                    yield _spray(one, here)


def _spray(one: Any, here: pd.DataFrame) -> Suspicion:
    failed, entered = here[~here["good"]], list(dict.fromkeys(here["actor"][here["good"]]))
    ips = failed["ip"].unique()
    who = str(
        ips[0] if len(ips) == 1 else one.group
    )  # one address keeps its name, and key, however many accounts it tries
    place = who if len(ips) == 1 else f"{len(ips):,} addresses of {who}"
    said = f"{counted(len(failed), 'failed login')} on {counted(failed['actor'].nunique(), 'account')} from {place} in {_span(failed)}; "
    said += f"{counted(len(entered), 'account')} opened: {listed(entered, 6)}" if entered else "none opened"
    return Suspicion(SPRAY, CRITICAL if entered else WARN, who, said, here, one.reached)


def _tried(trail: Trail, limits: Detections) -> Iterator[tuple[Any, pd.DataFrame, pd.DataFrame]]:
    """Yield each burst with its failures, and the logins that succeeded during it or soon after."""
    import pandas as pd

    tried = trail.events[trail.events["login"]]
    bad, after = tried[~tried["good"]], pd.Timedelta(minutes=limits.success_minutes)
    quick = episodes(
        bad["at"], bad["actor"], span=pd.Timedelta(minutes=limits.burst_minutes), least=limits.burst_failures
    )
    slow = episodes(bad["at"], bad["actor"], span=pd.Timedelta(hours=limits.slow_hours), least=limits.slow_failures)
    slow = slow[~slow["group"].isin(quick["group"])]
    for one in pd.concat([quick, slow]).itertuples():
        mine = tried[tried["actor"] == one.group]
        good = mine["good"] & (mine["at"] >= one.reached) & (mine["at"] <= one.until + after)
        yield one, mine[~mine["good"] & mine["at"].between(one.since, one.until)], mine[good]


def _spans(limits: Detections, bits: int, times: int) -> list[tuple[pd.Timedelta, int]]:
    import pandas as pd

    quick = (pd.Timedelta(minutes=limits.spray_minutes), limits.spray_accounts * times)
    slow = (pd.Timedelta(hours=limits.spray_slow_hours), limits.spray_slow_accounts)
    return [quick, slow] if bits == 32 else [quick]


def _networks(ips: pd.Series, bits: int) -> pd.Series:
    import pandas as pd

    return pd.Series([network_of(ip, bits) or None for ip in ips], index=ips.index, dtype="object")


def _covers(wider: str, since: pd.Timestamp, until: pd.Timestamp, inner: str, start: pd.Timestamp, end: pd.Timestamp) -> bool:  # fmt: skip
    from opslib.checks.audit_story import within

    return within(inner, wider) and start <= until and end >= since


def _span(failed: pd.DataFrame) -> str:
    return took((failed["at"].max() - failed["at"].min()).total_seconds())


def _limits(limits: Detections) -> str:
    return f"told from {limits.burst_failures} in {limits.burst_minutes:g} min or {limits.slow_failures} in {limits.slow_hours:g} h"
