"""What is unusual about operations: pure rules over audit rows, each a row of findings with its evidence."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from opslib.checks.wording import counted

if TYPE_CHECKING:
    import pandas as pd

CRITICAL, WARN = "critical", "warn"
LOGIN = re.compile(r"log_?in|sign_?in|authenticat", re.I)
PRIVILEGE = re.compile(r"grant|revoke|\brole|permission|privilege|admin\.create|mfa|api_?key", re.I)
REMOVAL = re.compile(r"delete|destroy|purge|remove|anonymi[sz]e", re.I)
EXPORT = re.compile(r"export|download|dump", re.I)
BURST, BURST_MINUTES, AFTER_MINUTES = 10, 10, 15  # failures of one actor, and how soon a success is suspicious
SPRAYED = {16: 20, 24: 10, 32: 5}  # failing accounts from one /16, /24, address: the widest first
MASS, TIMES, KNOWN = 20, 4.0, 5  # operations a day and times the usual; rows that make a history
COLUMNS = ["severity", "rule", "actor", "first", "last", "rows", "what", "request_id"]
Finding = dict[str, Any]


def findings(rows: pd.DataFrame, habits: pd.DataFrame | None, *, zone: str) -> pd.DataFrame:
    """Return everything unusual, worst first: severity, rule, actor, first, last, rows, what, request_id.

    `habits` are those of the staff (and of the actor asked about) before the window; None leaves those rules out.
    """
    import pandas as pd

    found = [*sprays(rows), *bursts(rows), *grants(rows), *removals(rows)]
    if habits is not None:
        found += [*firsts(rows, habits), *volumes(rows, habits), *hours(rows, habits, zone=zone)]
    table = pd.DataFrame(found, columns=COLUMNS)
    order = table.assign(rank=(table["severity"] != CRITICAL).astype(int))
    return (
        order.sort_values(["rank", "first", "rule", "actor"], kind="stable").drop(columns="rank").reset_index(drop=True)
    )


def logins(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are logins."""
    return rows[rows["action"].fillna("").str.contains(LOGIN)]


def sprays(rows: pd.DataFrame) -> Iterator[Finding]:
    """Find networks from which most logins fail on many accounts: the widest network that is so counts, and who got in."""
    tried = logins(rows)
    bad, taken = tried["outcome"] != "success", set[str]()
    for prefix, accounts in SPRAYED.items():
        networks = tried["ip"].map(lambda ip, bits=prefix: network_of(str(ip), bits))
        many = tried["actor"][bad].groupby(networks[bad]).nunique()
        for network in many.index[many >= accounts]:
            here = networks == network
            failed = tried[here & bad]
            known = any(within(str(network), wider) for wider in taken) if network else True
            if not known and len(failed) >= 0.5 * here.sum():
                taken.add(str(network))
                yield _spray(str(network), tried[here], failed)


def _spray(network: str, frame: pd.DataFrame, failed: pd.DataFrame) -> Finding:
    entered = frame[frame["outcome"] == "success"]
    accounts = list(dict.fromkeys(entered["actor"]))
    said = f"{counted(len(failed), 'failed login')} on {counted(failed['actor'].nunique(), 'account')} from "
    said += (
        f"{failed['ip'].nunique():,} addresses of {network}" if "/32" not in network else network.removesuffix("/32")
    )
    shown = ", ".join(accounts[:6]) + (" …" if len(accounts) > 6 else "")
    said += f"; {counted(len(accounts), 'account')} opened: {shown}" if accounts else "; none opened"
    sample = entered if len(entered) else failed
    return _finding(CRITICAL if accounts else WARN, "password spray", network, failed, said, sample["request_id"])


def bursts(rows: pd.DataFrame) -> Iterator[Finding]:
    """Find accounts with ten failed logins in ten minutes, anywhere they begin, and whether one succeeded soon after."""
    import pandas as pd

    span, after = pd.Timedelta(minutes=BURST_MINUTES), pd.Timedelta(minutes=AFTER_MINUTES)
    tried = logins(rows)
    failed = tried[tried["outcome"] != "success"]
    for actor, frame in failed.groupby("actor"):
        if len(frame) < BURST:
            continue
        at = frame["at"].sort_values().reset_index(drop=True)
        dense = (at.shift(-(BURST - 1)) - at) <= span
        if not dense.any():
            continue
        last = at[dense[dense].index[-1] + BURST - 1]
        good = tried[
            (tried["actor"] == actor)
            & (tried["outcome"] == "success")
            & (tried["at"] > last)
            & (tried["at"] <= last + after)
        ]
        said = f"{len(frame)} failed logins, {BURST} of them within {BURST_MINUTES} minutes; {'then one succeeded' if len(good) else 'none succeeded soon after'}"
        yield _finding(
            CRITICAL if len(good) else WARN,
            "failed-login burst",
            str(actor),
            frame,
            said,
            good["request_id"] if len(good) else frame["request_id"],
        )


def grants(rows: pd.DataFrame) -> Iterator[Finding]:
    """Find changes of privileges; one that an actor gives himself is critical."""
    for (actor, action), frame in _matching(rows, PRIVILEGE):
        own = frame[frame["target_id"] == actor]
        what = f"{action} on {_some(frame['target_id'])}" + (", to himself or herself" if len(own) else "")
        yield _finding(
            CRITICAL if len(own) else WARN,
            "privilege change",
            actor,
            own if len(own) else frame,
            what,
            frame["request_id"],
        )


def removals(rows: pd.DataFrame) -> Iterator[Finding]:
    """Find deletions by administrators; what customers delete of their own is theirs."""
    for (actor, action), frame in _matching(rows[rows["actor_type"] != "user"], REMOVAL):
        yield _finding(WARN, "deletion", actor, frame, f"{action} of {_some(frame['target_id'])}", frame["request_id"])


def firsts(rows: pd.DataFrame, habits: pd.DataFrame) -> Iterator[Finding]:
    """Find actions and networks that are new for an actor who has a history."""
    known = {str(actor): frame for actor, frame in habits.groupby("actor") if frame["rows"].sum() >= KNOWN}
    for actor, frame in rows[rows["actor"].isin(list(known))].groupby("actor"):
        before, days = known[str(actor)], "not in the 30 days before"
        for action, new in frame[~frame["action"].isin(list(before["action"]))].groupby("action"):
            yield _finding(
                WARN,
                "first-time action",
                str(actor),
                new,
                f"{action} on {_some(new['target_id'])}, {days}",
                new["request_id"],
            )
        networks = frame["ip"].map(lambda ip: network_of(str(ip), 24))
        strange = frame[~networks.isin([*before["network"], ""])]
        for network, new in strange.groupby(networks[strange.index]):
            yield _finding(
                WARN,
                "new origin",
                str(actor),
                new,
                f"from {network}, {days} (usually {_some(before['network'])})",
                new["request_id"],
            )


def volumes(rows: pd.DataFrame, habits: pd.DataFrame) -> Iterator[Finding]:
    """Find actors who did something far more often than on their usual days: exports from 3, everything else from 20."""
    usual = habits.groupby(["actor", "action"])[["rows", "days"]].sum()
    for (actor, action), frame in rows[rows["actor"].isin(list(habits["actor"]))].groupby(["actor", "action"]):
        if (actor, action) not in usual.index:
            continue
        a_day = float(usual.loc[(actor, action), "rows"] / max(1, usual.loc[(actor, action), "days"]))
        most = int(frame.groupby(frame["at"].dt.date).size().max())
        if most >= (3 if EXPORT.search(str(action)) else MASS) and most > TIMES * a_day:
            yield _finding(
                WARN,
                "far more than usual",
                str(actor),
                frame,
                f"{action} {most} times on one day, usually {a_day:.1f}",
                frame["request_id"],
            )


def hours(rows: pd.DataFrame, habits: pd.DataFrame, *, zone: str) -> Iterator[Finding]:
    """Find staff at work at hours of the day, give or take one, at which they were not in the 30 days before."""
    for actor, before in habits.groupby("actor"):
        if before["rows"].sum() < MASS:
            continue
        seen = {int(hour) for hours in before["hours"] for hour in str(hours).split()}
        usual = {(hour + near) % 24 for hour in seen for near in (-1, 0, 1)}
        mine = rows[(rows["actor"] == actor) & (rows["actor_type"] == "staff")]
        odd = mine[~mine["at"].dt.tz_convert(zone).dt.hour.isin(usual)]
        if len(odd):
            said = f"{len(odd)} operations at {_some(odd['at'].dt.tz_convert(zone).dt.strftime('%H:00'))}, never at these hours before"
            yield _finding(WARN, "unusual hour", str(actor), odd, said, odd["request_id"])


@lru_cache(maxsize=65_536)
def network_of(ip: str, bits: int) -> str:
    """Return the network of an address: of IPv6 the /48 where 24 or 16 bits of IPv4 are asked for; empty for none."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ""
    wide = bits if address.version == 4 else 128 if bits == 32 else 48
    return str(ipaddress.ip_network(f"{address}/{wide}", strict=False))


def within(inner: str, outer: str) -> bool:
    """Tell whether a network lies in another."""
    first, second = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    return first.version == second.version and first.subnet_of(second)  # type: ignore[arg-type]


def _matching(rows: pd.DataFrame, pattern: re.Pattern[str]) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    for (actor, action), frame in rows[rows["action"].fillna("").str.contains(pattern)].groupby(["actor", "action"]):
        yield (str(actor), str(action)), frame


def _some(values: pd.Series, most: int = 4) -> str:
    """Return the first few different values."""
    different = [str(value) for value in dict.fromkeys(values.dropna())]
    return (
        ", ".join(different[:most]) + (f" and {len(different) - most} more" if len(different) > most else "")
        or "nothing named"
    )


def _finding(severity: str, rule: str, actor: str, frame: pd.DataFrame, what: str, requests: pd.Series) -> Finding:
    request = next(iter(requests.dropna()), "")
    return dict(
        zip(
            COLUMNS,
            (severity, rule, actor, frame["at"].min(), frame["at"].max(), len(frame), what, request),
            strict=True,
        )
    )
