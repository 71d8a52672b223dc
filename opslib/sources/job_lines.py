"""What one run of a job wrote into the logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib.errors import SourceError
from opslib.sources import log_lines, logs

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run
    from opslib.window import Window

MOST = 200


def lines(run: Run, *, run_id: int, window: Window) -> pd.DataFrame:
    """Return the lines that carry the id of a job run, oldest first, at most 200 (logs:StartQuery).

    Columns as of `log_lines.parsed`. attrs: query, usd, complete, groups. Raises SourceError without a log group.
    """
    import pandas as pd

    env = run.environment
    groups = list(logs.log_groups(env, patterns=env.log_groups)["name"])
    if not groups:
        raise SourceError("no log group is configured", fix=f"set log_groups in [env.{env.name}]")
    text = f"filter job.id = {int(run_id)} | fields @timestamp, @message, @logStream, @log, @ptr | sort @timestamp asc | limit {MOST}"
    frames, complete, usd = [], True, 0.0
    for begin in range(0, len(groups), logs.GROUPS_A_QUERY):
        part = groups[begin : begin + logs.GROUPS_A_QUERY]
        answer = logs.query(env, text, groups=part, window=window, limit=MOST, deadline_s=run.deadline)
        run.usd += answer.usd
        usd, complete = usd + answer.usd, complete and answer.complete
        frames += [answer.frame] if len(answer.frame) else []
    columns = ["@timestamp", "@message", "@logStream", "@log", "@ptr"]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({name: [] for name in columns})
    found = log_lines.parsed(frame) if len(frame) else frame
    found.attrs.update(query=text, usd=usd, complete=complete, groups=groups)
    return found
