"""DataFrames as the files of a record: CSV with a JSON beside it for types and origin, redacted, safe in a spreadsheet."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opslib import redact
from opslib.errors import OpsError, RecordError, SourceError

if TYPE_CHECKING:
    import pandas as pd

_MISSING = r"\N"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run it


def made(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame of these columns whatever the rows hold, also of none; type "time" is datetime64[ns, UTC]."""
    import pandas as pd

    def column(name: str, kind: str) -> Any:
        values = [row.get(name) for row in rows]
        if kind == "time":
            return pd.to_datetime(pd.Series(values, dtype="object"), utc=True).astype("datetime64[ns, UTC]")
        return pd.Series(values, dtype="object" if kind == "str" else kind)

    return pd.DataFrame({name: column(name, kind) for name, kind in types.items()})


def write(file: Path, frame: pd.DataFrame) -> None:
    """Write the frame as CSV, and its column types and attrs as JSON beside it.

    The index is not kept, but where the columns have two levels: then it is the time.
    """
    import pandas as pd

    file.parent.mkdir(mode=0o700, exist_ok=True)
    wide = isinstance(frame.columns, pd.MultiIndex)
    shape = {
        "index": frame.index.name or "time",
        "columns": [list(column) for column in frame.columns],
        "names": list(frame.columns.names),
    }
    if wide:  # metrics by time: the CSV has a column for the time, and says both levels in one name
        frame = (
            frame.set_axis([" · ".join(column) for column in frame.columns], axis=1)
            .rename_axis(shape["index"])
            .reset_index()
        )
    written = frame.copy()
    types = {str(column): str(frame[column].dtype) for column in frame.columns}
    for column, kind in types.items():
        if kind.startswith("datetime"):
            written[column] = frame[column].map(lambda moment: moment.isoformat(), na_action="ignore")
        elif kind in {"object", "str", "string"}:
            written[column] = frame[column].map(_cell, na_action="ignore")
    text = written.to_csv(index=False, na_rep=_MISSING, lineterminator="\n", quoting=csv.QUOTE_ALL)
    about = {"types": types, "attrs": frame.attrs} | ({"wide": shape} if wide else {})
    file.write_bytes(text.encode("utf-8", errors="backslashreplace"))  # no newline translation
    file.with_suffix(".json").write_text(
        redact.text(json.dumps(about, ensure_ascii=False, indent=1, default=str)), encoding="utf-8"
    )


def write_error(file: Path, error: OpsError, sight: str) -> None:
    """Write why there is no frame."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    about = {"error": {"what": error.what, "why": error.why, "fix": error.fix, "sight": sight}}
    file.write_text(redact.text(json.dumps(about, ensure_ascii=False)), encoding="utf-8")


def read(file: Path) -> pd.DataFrame | OpsError:
    """Return the frame that `write` wrote, or the error that `write_error` wrote.

    Raises RecordError when neither lies there.
    """
    import pandas as pd

    try:
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        if failed := about.get("error"):
            return SourceError(failed["what"], why=failed["why"], fix=failed["fix"], sight=failed["sight"])
        text = file.read_bytes().decode("utf-8")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{file.name} is not in this record", why=str(error), fix="the record is incomplete: run the runbook again"
        ) from None
    types: dict[str, str] = about["types"]
    frame = (
        pd.read_csv(StringIO(text, newline=""), dtype=str, keep_default_na=False, na_values=[_MISSING])
        if types
        else pd.DataFrame()
    )
    for column, kind in types.items():
        frame[column] = _typed(frame[column], kind)
    if wide := about.get("wide"):
        frame = frame.set_index(wide["index"]).rename_axis(None)
        frame.columns = pd.MultiIndex.from_tuples([tuple(column) for column in wide["columns"]], names=wide["names"])
    frame.attrs.update(about["attrs"])
    return frame


def _typed(column: Any, kind: str) -> Any:
    import pandas as pd

    if kind.startswith("datetime"):
        return pd.to_datetime(column, utc="UTC" in kind, format="ISO8601")
    if kind == "boolean":
        return column.map({"True": True, "False": False}).astype("boolean")
    if kind == "bool":
        return column == "True"
    if kind.startswith(("int", "float")):
        return pd.to_numeric(column).astype(kind)
    return column.map(_bare, na_action="ignore")


def _cell(value: Any) -> Any:
    text = redact.text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _bare(value: str) -> str:
    return value[1:] if value.startswith("'") else value
