"""The rules for events of alarm coverage: each of the templates' beside those that there are, by what they match and whom they tell.

A rule's own name says nothing: CloudFormation makes it up, and one that was made by hand is as good.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opslib import frames
from opslib.alerting import wanted
from opslib.checks.wording import counted, listed
from opslib.display import FLAG
from opslib.result import Result, Sight, Verdict
from opslib.sources.messaging import canonical

if TYPE_CHECKING:
    import pandas as pd

    from opslib.config import Environment
    from opslib.run import Fact

SOURCES = ("aws.amplify", "aws.ecs", "aws.health", "aws.rds")
TEMPLATE = {"name": "str", "region": "str", "pattern": "str", "targets": "str"}
TITLE = "Are events told?"


def template(environment: Environment) -> pd.DataFrame:
    """Return the rules for events that the templates make for an environment, but for the alerting's own.

    Columns: name (in the template), region, pattern (as of `sources.messaging.event_rules`), targets (ARNs, parted by
    spaces) str.
    """
    rows = []
    for place, body in wanted.bodies(environment).items():
        known = {name: one.get("Default") for name, one in body.get("Parameters", {}).items()}
        for name, one in body["Resources"].items():
            if place.stack != wanted.DELIVERY and one["Type"] == "AWS::Events::Rule":
                held = one["Properties"]
                targets = " ".join(sorted(str(known[each["Arn"]["Ref"]]) for each in held["Targets"]))
                rows.append({"name": name, "region": place.region, "pattern": canonical(held["EventPattern"]), "targets": targets})  # fmt: skip
    return frames.made(rows, TEMPLATE)


def amiss(template: pd.DataFrame, there: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return by name and region what is wrong with each rule of the templates that stands for nothing, or for less."""
    found, strange = {}, there[~there["pattern"].isin(template["pattern"])]
    for one in template.itertuples():
        near = there[there["region"] == one.region]
        same = near[near["pattern"] == one.pattern]
        on = same[same["state"] != "DISABLED"]
        told = {arn for targets in on["targets"] for arn in targets.split()}
        deaf = sorted(arn.rpartition(":")[2] for arn in set(one.targets.split()) - told)
        if not len(same):
            others = [
                other.rule for other in strange[strange["region"] == one.region].itertuples() if _alike(one, other)
            ]
            found[one.name, one.region] = f"matches other events: {listed(others, 2)}" if others else "no rule matches these events"  # fmt: skip
        elif not len(on):
            found[one.name, one.region] = f"switched off: {listed(sorted(same['rule']), 2)}"
        elif deaf:
            found[one.name, one.region] = f"does not tell {listed(deaf)}: {listed(sorted(on['rule']), 2)}"
    return found


def _alike(one: Any, other: Any) -> bool:
    """Tell whether a rule that is none of the templates' tells the same of the same kind of events."""
    kinds = [json.loads(each.pattern).get("detail-type") for each in (one, other)]
    return kinds[0] == kinds[1] and set(one.targets.split()) <= set(other.targets.split())


def seen(template: Fact, there: Fact) -> pd.DataFrame | None:
    """Return the rules of the templates in the regions whose rules could be seen; None when nobody saw any."""
    if template.frame is None or there.frame is None:
        return None
    blind = {problem.partition(":")[0].removeprefix("rules in ") for problem in there.frame.attrs.get("problems", [])}
    return template.frame[~template.frame["region"].isin(blind)]


def events(template: Fact, there: Fact) -> Result:
    """Show each rule of the templates, whom it tells, and what is wrong with it, the wrong ones first."""
    import pandas as pd

    rules = seen(template, there)
    if rules is None or there.frame is None:
        why = next((fact.error.what for fact in (there, template) if fact.error), "")
        return Result("events", TITLE, Verdict.UNKNOWN, "It could not be seen.", Sight(there.sight), why)
    wrong = amiss(rules, there.frame)
    rows: list[tuple[Any, ...]] = []
    for one in rules.itertuples():
        tells = listed([arn.rpartition(":")[2] for arn in one.targets.split()])
        why = wrong.get((one.name, one.region), "")
        rows.append((one.name, one.region, tells, why, bool(why)))
    blind = there.frame.attrs.get("problems", [])
    sentence = f"{len(rows) - len(wrong)} of {counted(len(rows), 'rule')} for events match and tell what the template says."  # fmt: skip
    table = pd.DataFrame(sorted(rows, key=lambda row: (not row[4], row[:2])), columns=["rule", "region", "tells", "what is wrong", FLAG])  # fmt: skip
    return Result("events", TITLE, Verdict.WARN if wrong else Verdict.UNKNOWN if blind else Verdict.OK, sentence, Sight.PARTIAL if blind else Sight.COMPLETE, listed(blind), table=table if rows else None)  # fmt: skip
