"""A plan and the answers to `apply` as people see them."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from opslib.display import escape, visible, wrapped
from opslib.locks import THIS_MACHINE

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.plan import Plan, Step

_RED, _AMBER, _GREY, _GREEN = "#b3261e", "#a15c00", "#5f6c7b", "#0b7a55"
_CODE = "display:block;background:#f7f9fb;border:1px solid #e3e8ee;border-radius:4px;padding:4px 8px;margin:2px 0 6px;font-size:12px;white-space:pre-wrap;overflow-wrap:anywhere"
LONG, MANY = 400, 5  # characters of a command, and steps, beyond which commands are folded
_LINK = 'style="color:#0b5cad;font-size:12px"'


def plan_html(plan: Plan) -> str:
    """Return the card: no way back said first, then the change, the conditions, the steps, how it is seen, what to type."""
    colour = _RED if plan.blocked or not plan.undo_draft.action else _AMBER
    word = "NO PLAN · 実行不可" if plan.blocked else "PLAN · 変更計画"
    head = (
        f'<div style="border-left:6px solid {colour};background:#f7f9fb;border-radius:6px;padding:12px 16px;margin:0 0 8px">'
        f'<div style="font-size:18px;font-weight:700;margin-bottom:2px">{escape(plan.title)} {_pill(word, colour)}</div>'
        f'{_foremost(plan)}<div style="font-size:13px;color:{_GREY}">{escape(" · ".join(_facts(plan)))}</div></div>'
    )
    return wrapped(head + _changes(plan) + _conditions(plan) + ("" if plan.blocked else _doing(plan)))


def plan_text(plan: Plan) -> str:
    """Return the plan as text."""
    lines = [f"{'NO PLAN' if plan.blocked else 'PLAN'} {plan.title}", *_back(plan), " · ".join(_facts(plan))]
    lines += [f"{row.target}: {row.now} → {row.proposed}; impact: {row.impact}" for row in plan.changes]
    lines += [f"{'ok' if one.holds else 'NO'}  {one.what}: {one.found}" for one in plan.conditions]
    lines += (
        [] if plan.blocked else [f"{n}. {step.says}: {_command(plan, step)}" for n, step in enumerate(plan.steps, 1)]
    )
    lines += [] if plan.blocked else [f"type: {plan.phrase}"]
    return "\n".join(visible(line) for line in lines)


def slack_text(plan: Plan) -> str:
    """Return the plan in a few lines for Slack; mentions and links in it are made harmless."""
    mark = "[SANDBOX] " if _environment(plan).sandbox else ""
    lines = [
        f"{mark}*{'NO PLAN' if plan.blocked else 'PLAN'}* {plan.title}",
        *(f"{row.target}: {row.now} → {row.proposed}" for row in plan.changes),
    ]
    impacts = dict.fromkeys(row.impact for row in plan.changes if row.impact != "as above")  # mostly the same
    lines += [f"impact: {impact}" for impact in impacts] + _back(plan)
    lines += [f"blocked: {one.what}: {one.found}" for one in plan.blocked] or [
        f"hash {plan.sealed[:8]}, {_facts(plan)[3]}"
    ]
    return "\n".join(visible(line).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for line in lines)


def local_time(stamp: str, zone: tzinfo) -> str:
    """Return a stamp of a plan as a time of the day with its zone."""
    return f"{datetime.fromisoformat(stamp).astimezone(zone):%H:%M:%S %Z}"


def _environment(plan: Plan) -> Environment:
    assert plan.run is not None
    return plan.run.environment


def _facts(plan: Plan) -> list[str]:
    zone = _environment(plan).zone
    joined = f"incident {plan.incident}" if plan.incident else plan.incident_note
    role = plan.change_role or "no change role is configured: with the role that reads"
    until = f"made {local_time(plan.made_at, zone)}, expires {local_time(plan.expires, zone)}"
    alone = [] if _environment(plan).lock_bucket else [f"its lock {THIS_MACHINE}"]
    return [plan.environment, f"account {plan.account}", plan.region, until, joined, role, *alone]


def _pill(word: str, colour: str) -> str:
    style = "display:inline-block;color:#fff;border-radius:999px;padding:1px 10px;font-size:12px;font-weight:700;white-space:nowrap"
    return f'<span style="{style};background:{colour}">{word}</span>'


def _back(plan: Plan) -> list[str]:
    """Return how it is taken back; of what cannot be done there is nothing to say."""
    draft = plan.undo_draft
    return [] if plan.blocked else [f"Way back: {draft.says}" if draft.action else f"NO WAY BACK: {draft.says}"]


def _foremost(plan: Plan) -> str:
    """Say what a reader must not miss: why there is no plan, or how it is taken back."""
    style = f"color:{_RED};font-weight:700" if plan.blocked or not plan.undo_draft.action else ""
    said = _back(plan) or [f"{one.found} (needed: {one.what})" for one in plan.blocked]
    return "".join(f'<div style="font-size:15px;{style}">{escape(line)}</div>' for line in said)


def _changes(plan: Plan) -> str:
    """One block a target, so that it reads on a phone as well: a table of five columns of prose does not."""
    names = ("now", "proposed", "undo", "impact")
    blocks = []
    for row in plan.changes:
        cells = "".join(
            f'<div style="background:{"#fff8ec" if name == "proposed" else "#fff"};border:1px solid #e3e8ee;border-radius:6px;padding:6px 10px">'
            f'<span style="color:{_GREY};font-size:12px">{name}</span><div style="font-size:14px;overflow-wrap:anywhere">{escape(getattr(row, name))}</div></div>'
            for name in names
        )
        grid = "display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:8px;margin:4px 0 10px"
        blocks.append(f'<div style="font-weight:700">{escape(row.target)}</div><div style="{grid}">{cells}</div>')
    return "".join(blocks)


def _conditions(plan: Plan) -> str:
    rows = "".join(_condition(one.what, one.found, one.holds) for one in plan.conditions)
    return f'<b>Before anything is done</b><div style="margin:2px 0 8px">{rows}</div>' if rows else ""


def _condition(what: str, found: str, holds: bool) -> str:
    mark, style = ("holds", f"color:{_GREEN}") if holds else ("DOES NOT HOLD", f"color:{_RED};background:#fdecea")
    return (
        f'<div style="border-bottom:1px solid #e3e8ee;padding:3px 0;overflow-wrap:anywhere"><b style="{style};font-size:12px">{mark}</b> '
        f'{escape(what)}: <span style="color:{_GREY}">{escape(found)}</span></div>'
    )


def _doing(plan: Plan) -> str:
    steps = "".join(_step(plan, number, step) for number, step in enumerate(plan.steps, 1))
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in plan.limits)
    seen = plan.verification
    how = f"{escape(seen.says)} Asked every {seen.every_s:g} s; after {seen.timeout_s / 60:g} minutes the outcome is said as unknown."
    undo = "".join(_step(plan, number, step) for number, step in enumerate(plan.undo_draft.steps, 1))
    return (
        f"<b>What is done</b>{steps}"
        + (f'<b>Limits</b><ul style="margin:2px 0 8px;padding-left:20px">{limits}</ul>' if limits else "")
        + f'<b>How it is seen</b><div style="margin:2px 0 8px">{how}</div>'
        + (f'<details style="margin:2px 0 8px"><summary style="cursor:pointer">the way back: plan.undo() makes its plan</summary>{undo}</details>' if undo else "")
        + f'<div style="border:1px solid {_AMBER};background:#fff8ec;border-radius:6px;padding:8px 12px;margin:6px 0">To do it, type this between the quotes of the last cell and run that cell alone:'
        f'<code style="{_CODE};font-size:14px;font-weight:700">{escape(plan.phrase)}</code>'
        f'<span style="font-size:12px;color:{_GREY}">One person suffices: a second one who reads it is not enforced. Who applied it stands in the journal, and in CloudTrail where there is a change role.</span></div>'
    )  # fmt: skip


def _command(plan: Plan, step: Step) -> str:
    return step.command(_environment(plan))


def _step(plan: Plan, number: int, step: Step) -> str:
    link = f' <a {_LINK} href="{escape(step.console)}">console</a>' if step.console else ""
    code = f'<code style="{_CODE}">{escape(command := _command(plan, step))}</code>'
    if len(command) > LONG and len(plan.steps) > MANY:  # else the phrase to type lies far below
        code = f'<details><summary style="cursor:pointer;font-size:12px;color:{_GREY}">its command</summary>{code}</details>'
    return f'<div style="margin:2px 0">{number}. {escape(step.says)}{link}{code}</div>'
