"""How long a newcomer waits: the sandbox built and not, the demo, and one headless run against its floor and its peer.

The floor is plain Python on the same cells; the peer is the papermill command line on the same notebook.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
NOTEBOOK = ROOT / "notebooks" / "2-investigate" / "trace-request.ipynb"


def measured(command: list[str], environ: dict[str, str], cwd: Path = ROOT) -> tuple[float, float]:
    """Return seconds and peak resident megabytes of a command and all that it starts."""
    began, peak = time.monotonic(), 0.0
    process = subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read() if process.stderr else b""))
    reader.start()
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    reader.join()
    if process.returncode not in (0, 1):  # 1: the verdict is critical, as planted
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said[0].decode()[-2000:]}")
    return time.monotonic() - began, peak


def _resident(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        return sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def cells_as_script(folder: Path) -> Path:
    """Write the code cells as one script: the work itself, without kernel, record and page."""
    notebook = json.loads(NOTEBOOK.read_text())
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = "from opslib.display import result_html\nfor part in (trace, *trace.parts):\n    result_html(part)\n"
    script = folder / "cells.py"
    script.write_text("\n".join(code) + "\n" + shown)
    return script


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    opslib = str(BIN / "opslib")
    with tempfile.TemporaryDirectory(prefix="opslib-bench-") as name:
        Path(name).chmod(0o755)  # PostgreSQL runs as another user when we are root
        folder = Path(name)
        environ = {
            **os.environ,
            "OPSLIB_SANDBOX": str(folder / "state"),
            "OPSLIB_REPORTS": str(folder / "reports"),
            "OPSLIB_CACHE_DIR": str(folder / "cache"),
        }
        rows: dict[str, tuple[float, float]] = {}
        rows["sandbox, first time"] = measured([opslib, "sandbox", "start"], environ)
        measured([opslib, "sandbox", "stop"], environ)
        rows["sandbox, built"] = measured([opslib, "sandbox", "start"], environ)
        measured([opslib, "sandbox", "stop"], environ)
        rows["demo"] = measured([opslib, "demo"], environ)
        rows["plain Python"] = measured([sys.executable, str(cells_as_script(folder))], environ)
        rows["papermill"] = measured(
            [str(BIN / "papermill"), "--no-progress-bar", str(NOTEBOOK), str(folder / "out.ipynb")], environ, folder
        )
        rows["opslib run"] = measured([opslib, "run", "trace-request"], environ)
        measured([opslib, "sandbox", "stop"], environ)
    for what, (seconds, megabytes) in rows.items():
        print(f"{what:22} {seconds:8.1f} s {megabytes:8.0f} MB")
    run, floor, peer = (rows[what][0] for what in ("opslib run", "plain Python", "papermill"))
    keys = {
        "first_s": "sandbox, first time",
        "built_s": "sandbox, built",
        "demo_s": "demo",
        "run_s": "opslib run",
        "floor_s": "plain Python",
        "papermill_s": "papermill",
    }
    figures = {key: round(rows[what][0], 2) for key, what in keys.items()}
    print(
        json.dumps(
            {
                **figures,
                "ratio_floor": round(run / floor, 2),
                "ratio_papermill": round(run / peer, 2),
                "run_mb": round(rows["opslib run"][1]),
            }
        )
    )
