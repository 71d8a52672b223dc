"""CloudFront: take paths out of its caches; paths are checked, their price is told, and what it does to the origin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opslib import aws, console
from opslib import plan as plans
from opslib.errors import ConfigError, ParameterError
from opslib.journal import digest
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register
from opslib.sources.cloudfront import REGION

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

USD, FREE_A_MONTH, MOST, MOST_WILDCARDS = 0.005, 1000, 3000, 15
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()+,;=:@/-]|%[0-9A-Fa-f]{2})*\*?")


def invalidate(run: Run, *, paths: str) -> Plan:
    """Plan to invalidate paths, separated by blanks (cloudfront:CreateInvalidation).

    Raises ParameterError for what is no path, ConfigError without `cdn`, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment, wanted = run.environment, checked(paths)
    named = environment.cdn
    if named is None:
        raise ConfigError(
            f"environment {environment.name!r} has no CDN", fix=f"add [env.{environment.name}.cdn] with distribution"
        )
    told, open_paths = _distribution(environment), _open_paths(environment)
    reference = f"opslib-{digest([wanted, aws.now(environment).isoformat()])[:24]}"  # the same plan sent twice is one invalidation
    batch = {"Paths": {"Quantity": len(wanted), "Items": wanted}, "CallerReference": reference}
    step = Step(
        "cloudfront",
        "CreateInvalidation",
        {"DistributionId": named.distribution, "InvalidationBatch": batch},
        f"take {len(wanted)} paths out of the caches",
        console.cloudfront(named.distribution),
        REGION,
    )
    return plans.propose(
        run, action="invalidate-cdn", title=f"Invalidate {', '.join(wanted[:3])}{f' and {len(wanted) - 3} more' if len(wanted) > 3 else ''}", target=named.distribution,
        parameters={"paths": wanted}, before=_before(told),
        changes=(Change(named.distribution, f"{told['Status']}, {len(open_paths)} paths being invalidated", f"{', '.join(wanted[:8])} fetched anew from the origin",
                        "none: what left the caches is fetched again", _impact(wanted)),),
        conditions=_conditions(told, wanted, open_paths), steps=(step,),
        limits=(f"at most US${len(wanted) * USD:.3f}: {FREE_A_MONTH} paths a month are free, then US${USD} each; a wildcard is one path",
                "browsers keep what they have: Cache-Control of the files decides there"),
        verification=Verification("Until the invalidation says Completed.", _look(environment), 10.0, 900.0),
        undo_draft=Undo("an invalidation cannot be cancelled, and needs no way back: the caches fill by themselves"),
    )  # fmt: skip


def checked(text: str) -> list[str]:
    """Return the paths; raises ParameterError for one without a leading slash, not percent-encoded or with a star inside."""
    paths = list(dict.fromkeys(text.split()))
    wrong = [path for path in paths if not _PATH.fullmatch(path)]
    if wrong or not paths:
        raise ParameterError(
            f"{wrong[0]!r} is no path" if wrong else "no path is named",
            fix="/index.html /assets/* : a leading slash, percent-encoded, a star at the end only",
        )
    return paths


def _impact(paths: list[str]) -> str:
    if "/*" in paths:
        return "STAMPEDE: every file of the site is fetched from the origin at once; an origin that is sick already may not bear it"
    wide = [path for path in paths if path.endswith("*")]
    return (
        f"the origin answers everything under {', '.join(wide[:5])} anew"
        if wide
        else "the origin answers each of these paths once more"
    )


def _conditions(told: dict[str, Any], wanted: list[str], open_paths: list[str]) -> tuple[Condition, ...]:
    every = [*wanted, *open_paths]
    stars = sum(path.endswith("*") for path in every)
    enabled = bool(told["DistributionConfig"].get("Enabled", True))
    return (
        Condition(
            "the distribution is enabled and deployed",
            f"{'enabled' if enabled else 'disabled'}, {told['Status']}",
            enabled and told["Status"] == "Deployed",
        ),
        Condition(
            "CloudFront takes so many at once",
            f"{len(every)} of {MOST} paths, {stars} of {MOST_WILDCARDS} wildcards",
            len(every) - stars <= MOST and stars <= MOST_WILDCARDS,
        ),
    )


def _distribution(environment: Environment) -> dict[str, Any]:
    assert environment.cdn is not None
    told: dict[str, Any] = aws.ask(
        environment, "cloudfront", "get_distribution", region=REGION, Id=environment.cdn.distribution
    )["Distribution"]
    return told


def _open_paths(environment: Environment) -> list[str]:
    """Return the paths of the invalidations that are under way (cloudfront:ListInvalidations, GetInvalidation)."""
    assert environment.cdn is not None
    named = environment.cdn.distribution
    found = aws.ask(environment, "cloudfront", "list_invalidations", region=REGION, DistributionId=named)[
        "InvalidationList"
    ].get("Items", [])
    going = [one["Id"] for one in found if one["Status"] != "Completed"]
    told = [
        aws.ask(environment, "cloudfront", "get_invalidation", region=REGION, DistributionId=named, Id=one)
        for one in going
    ]
    return [path for one in told for path in one["Invalidation"]["InvalidationBatch"]["Paths"]["Items"]]


def _before(told: dict[str, Any]) -> dict[str, Any]:
    changed = told["LastModifiedTime"].isoformat()
    return {
        "status": told["Status"],
        "enabled": bool(told["DistributionConfig"].get("Enabled", True)),
        "last modified": changed,
    }


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    return _before(_distribution(environment))


def _look(environment: Environment) -> str:
    assert environment.cdn is not None
    return f"aws cloudfront list-invalidations --distribution-id {environment.cdn.distribution} --max-items 3"


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    told = aws.ask(
        environment,
        "cloudfront",
        "get_invalidation",
        region=REGION,
        DistributionId=plan.target,
        Id=kept["invalidation"],
    )["Invalidation"]
    return Progress(
        "done" if told["Status"] == "Completed" else "going",
        f"invalidation {kept['invalidation']} {told['Status']}",
        {"invalidation": kept["invalidation"]},
    )


register(
    Action(
        "invalidate-cdn",
        observe=_observe,
        follow=_follow,
        keep=lambda answers: {"invalidation": answers[0]["Invalidation"]["Id"]},
    )
)
