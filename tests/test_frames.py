"""What a record keeps reads back as it was, and is safe in a spreadsheet."""

import csv
from pathlib import Path

import pandas as pd

from opslib import frames
from opslib.errors import OpsError, SourceError


def test_a_frame_reads_back(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "@timestamp": pd.to_datetime(["2026-11-05T02:31:20.123Z", None], utc=True),
            "text": ["=HYPERLINK(1)", "在庫\n'二行'"],
            "n": [1, -2],
            "x": [1.5, float("nan")],
            "empty": ["", None],
            "flag": [True, False],
        }
    )
    frame.attrs["groups"] = ["/shop/api"]
    frames.write(tmp_path / "data" / "lines.csv", frame)
    back = frames.read(tmp_path / "data" / "lines.csv")
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back, frame, check_dtype=False, check_column_type=False)
    assert back.attrs == frame.attrs


def test_metrics_by_time_read_back(tmp_path: Path) -> None:
    index = pd.date_range("2026-11-05T02:00Z", periods=3, freq="60s")
    columns = pd.MultiIndex.from_tuples([("web", "CPU"), ("cache", "5XX · share")], names=["component", "metric"])
    frame = pd.DataFrame([[1.0, 2.5], [float("nan"), 0.1 + 0.2], [3.0, -1.0]], index=index, columns=columns)
    frame.attrs = {"period": 60, "problems": ["web CPU: Forbidden"]}
    frames.write(tmp_path / "series.csv", frame)
    back = frames.read(tmp_path / "series.csv")
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back, frame, check_freq=False, check_index_type=False)
    assert back.attrs == frame.attrs and frame.index.equals(index)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    frames.write(tmp_path / "a.csv", pd.DataFrame({"a": hostile}))
    with (tmp_path / "a.csv").open(newline="") as file:
        cells = [row[0] for row in csv.reader(file)]
    assert len(cells) == 7 and not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    back = frames.read(tmp_path / "a.csv")
    assert not isinstance(back, OpsError) and list(back["a"]) == hostile


def test_an_error_reads_back(tmp_path: Path) -> None:
    frames.write_error(
        tmp_path / "jobs.json",
        SourceError("no way to the database", why="refused", fix="VPN", sight="denied"),
        "denied",
    )
    back = frames.read(tmp_path / "jobs.csv")
    assert isinstance(back, SourceError) and (back.what, back.sight) == ("no way to the database", "denied")


def test_no_secret_in_the_file(tmp_path: Path) -> None:
    message = '{"request_id":"req-secret0001","password":"hunter2hunter","note":"kept"}'
    frames.write(tmp_path / "lines.csv", pd.DataFrame({"@message": [message], "who": ["taro@example.co.jp"]}))
    written = (tmp_path / "lines.csv").read_text()
    assert "hunter2" not in written and "taro" not in written and "kept" in written


def test_an_unknown_boolean_reads_back(tmp_path: Path) -> None:
    frames.write(tmp_path / "health.csv", pd.DataFrame({"healthy": pd.array([True, None, False], dtype="boolean")}))
    healthy = frames.read(tmp_path / "health.csv")
    assert isinstance(healthy, pd.DataFrame) and healthy["healthy"].tolist() == [True, pd.NA, False]
