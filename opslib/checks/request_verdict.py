"""What a request's story amounts to: a verdict and one sentence. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from opslib.checks.request_story import SLOW_MS, Story, error_text, seconds_text, shortened
from opslib.result import Verdict

MANY = 5


def verdict_of(story: Story, *, same_error: int, failed_jobs: Sequence[str]) -> Verdict:
    """Return the verdict: critical when others meet the same error too, unknown when no line says how it went."""
    if story.failed:
        return Verdict.CRITICAL if same_error >= MANY else Verdict.WARN
    troubled = story.first_error is not None or bool(failed_jobs)
    if troubled or story.status >= 400 or (story.entry is not None and story.total_ms > SLOW_MS):
        return Verdict.WARN
    if not story.readable:
        return Verdict.UNKNOWN
    return Verdict.WARN if story.total_ms > SLOW_MS else Verdict.OK


def sentence_of(story: Story, *, failed_jobs: Sequence[str]) -> str:
    """Return one sentence: what happened to the request, after how long, why; then what failed afterwards."""
    later = _later(story, failed_jobs)
    tail = f"; {later}" if later else ""
    if not story.readable:
        lines = "one line" if len(story.lines) == 1 else f"{len(story.lines)} lines in {seconds_text(story.total_ms)}"
        return _capital(f"{story.what} left {lines}; nothing in them says whether it failed{tail}.")
    if len(story.lines) == 1 and not story.failed:
        return f"One line of {story.what}, no error: {shortened(story.lines['message'].iloc[0])}{tail}."
    cause = story.cause()
    because = f": {cause}" if cause else ""
    return _capital(f"{_head(story)}{because}{tail}.")


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _head(story: Story) -> str:
    after = f" after {seconds_text(story.total_ms)}" if story.total_ms > 0 else ""
    if story.failed:
        code = f" with {story.status:.0f}" if story.entry is not None else ""
        return f"{story.what} failed{code}{after}"
    inner = len(story.errors_inside)
    lines = len(story.inside if len(story.errors_after) else story.lines)
    count = (
        f", {inner} error{'' if inner == 1 else 's'} on the way"
        if inner
        else f", no error in {lines} line{'' if lines == 1 else 's'}"
    )
    answered = f"was answered {story.status:.0f}" if story.entry is not None else "ended"
    return f"{story.what} {answered}{after}{count}"


def _later(story: Story, failed_jobs: Sequence[str]) -> str:
    """Say what failed after the answer; of a failed request only its jobs, the rest follows from it."""
    if failed_jobs:
        return f"its job {', '.join(dict.fromkeys(failed_jobs))} failed"
    if len(story.errors_after) and not story.failed:
        return f"afterwards {error_text(story.errors_after.iloc[-1])}"
    if story.went_on_ms > SLOW_MS and not story.failed:
        return f"{story.lines['service'].iloc[-1]} went on for {seconds_text(story.went_on_ms)} after the answer"
    return ""
