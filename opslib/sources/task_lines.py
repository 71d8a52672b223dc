"""What tasks of ECS wrote before they stopped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opslib.errors import SourceError
from opslib.sources import log_lines, logs

if TYPE_CHECKING:
    import pandas as pd

    from opslib.run import Run
    from opslib.window import Window

MOST = 400  # lines
_TASK = re.compile(r"[0-9a-f]{12,64}")


def lines(run: Run, *, tasks: Sequence[str], groups: Sequence[str], window: Window) -> pd.DataFrame:
    """Return the last lines that some tasks wrote, newest first, at most 400 (logs:StartQuery).

    The log stream of a task ends in its id, of which the first twelve digits are looked for. Columns as of
    `log_lines.parsed`, and task str. attrs: query, usd, complete, groups. Raises SourceError without a log group.
    """
    import pandas as pd

    if not groups:
        raise SourceError(
            "no log group is known", why="no task definition names awslogs", fix="look where the tasks write"
        )
    heads = {task[:12]: task for task in tasks if _TASK.fullmatch(task)}
    text = (
        f"filter @logStream like /{'|'.join(heads)}/ | fields @timestamp, @message, @logStream, @log, @ptr "
        f"| sort @timestamp desc | limit {MOST}"
    )
    answer = logs.query(run.environment, text, groups=groups, window=window, limit=MOST, deadline_s=run.deadline)
    run.usd += answer.usd
    frame = (
        answer.frame
        if len(answer.frame)
        else pd.DataFrame({name: [] for name in ("@timestamp", "@message", "@logStream", "@log")})
    )
    found = log_lines.parsed(frame)
    streams = [str(stream).rpartition("/")[2][:12] for stream in frame["@logStream"]]
    found["task"] = pd.Series([heads.get(stream, stream) for stream in streams], dtype="object")
    found.attrs.update(query=text, usd=answer.usd, complete=answer.complete, groups=list(groups))
    return found
