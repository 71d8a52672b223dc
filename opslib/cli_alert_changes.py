"""The command line's side of changes to the alerts: each is planned by a runbook, and applied by its hash."""

from __future__ import annotations

import json

import click

from opslib.cli_changes import env_option, say_planned

APPLY = "opslib alerts apply"


@click.command()
@env_option
@click.option("--over-hand", is_flag=True, help="Set back what was changed by hand.")
@click.option("--allow-loss", is_flag=True, help="Let queues, keys and logs go, with what they hold.")
def plan(env: str, over_hand: bool, allow_loss: bool) -> None:
    """Plan to make the alert stacks what opslib.toml and the templates say, by change sets; nothing is changed.

    Exit code: 0 there is a plan to apply, or nothing to do; 1 a condition does not hold; 3 no report.
    """
    given = {"over_hand": json.dumps(over_hand), "allow_loss": json.dumps(allow_loss)}
    say_planned("1-monitor/deploy-alerts", given, env=env, idle=0, apply=APPLY)


@click.command()
@env_option
@click.option("--region", default="", help="One region alone; else the environment's and us-east-1.")
def drill(env: str, region: str) -> None:
    """Plan a drill of the way to Slack and PagerDuty; applied, it tells people, and says which part did not come through.

    Exit code: 0 there is a plan to apply; 1 a condition does not hold; 3 no report.
    """
    say_planned("1-monitor/drill-alerts", {"region": region}, env=env, apply=APPLY)
