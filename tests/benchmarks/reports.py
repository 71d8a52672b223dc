"""Ten reports with HTML in one `opslib run`, against the papermill command line ten times (which makes no HTML).

The light report asks one source and shows a verdict, a chart and a table, once for each of ten components; then ten
times `daily-health`. Both sides work on the same frozen sandbox, and what they show is compared.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from opslib.runner import cleaning, runbooks
from opslib.runner.refresh import normal
from opslib.sandbox.control import Sandbox
from tests.runner.probe import code, markdown, notebook

BIN = Path(sys.executable).parent
DAILY = Path(__file__).parents[2] / "notebooks" / "1-monitor" / "daily-health.ipynb"
COMPONENTS = ["api", "cache", "cdn", "database", "dns", "frontend", "jobs", "load-balancer", "web", "worker"]
LIGHT = notebook(
    markdown("# One component\n\n**READ-ONLY** · 一つの構成要素の数値を示します。\n\nUse it to see one component's numbers."),
    code('component: str = "cache"  # whose numbers\nenv: str = ""  # empty: OPSLIB_ENV, else the default', "parameters"),
    code('import opslib\nfrom opslib.charts.timeseries import timeseries\nfrom opslib.result import Result, Verdict\nfrom opslib.sources import metrics\n\nrun = opslib.start(env=env, window="3h")\nrun', "start"),
    code('numbers = run.facts(numbers=lambda: metrics.series(run.environment, window=run.window, components=[component]))["numbers"].frame[component]\ntold = run.record(Result("numbers", component, Verdict.OK, f"{component} told {len(numbers.columns)} numbers.", facts={"points": str(numbers.size)}, table=numbers.describe().round(2).T.reset_index()))\ntold', "verdict"),
    markdown("## How did the first of them go?"),
    code('from IPython.display import HTML\nHTML(timeseries(numbers.iloc[:, :1], title=f"{numbers.columns[0]} of {component}", unit="as measured", zone=run.environment.zone).html())'),
)  # fmt: skip


def timed(*commands: list[str], environ: dict[str, str]) -> float:
    """Return the seconds that the commands take one after another; a critical finding is no failure."""
    began = time.monotonic()
    for command in commands:
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        if done.returncode not in (0, 1, 2):
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began


def papermill(file: Path, out: Path, *given: str) -> list[str]:
    """Return the command line that papermill's users type."""
    return [str(BIN / "papermill"), "--no-progress-bar", "--cwd", str(out.parent), str(file), str(out), *given]


def shown(file: Path) -> list[object]:
    """Return what the code cells below the parameters show, without what differs from run to run.

    papermill adds a cell for the parameters, we fill them in: so the cells' numbers differ, and are left out.
    """
    cells = cleaning.clean_notebook(normal(runbooks.read(file)))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code" and "arameters" not in str(runbooks.tags(cell))]
    return [[{**output, "execution_count": None} for output in cell["outputs"]] for cell in code]


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    opslib = str(BIN / "opslib")
    with (
        tempfile.TemporaryDirectory(prefix="opslib-bench-") as name,
        Sandbox(clock="frozen", directory=Path(name) / "state") as own,
    ):
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
        environ = {
            **os.environ,
            **own.environ,
            "OPSLIB_REPORTS": str(folder / "reports"),
            "OPSLIB_CACHE_DIR": str(folder / "cache"),
        }
        light = folder / "light.ipynb"
        runbooks.write(light, LIGHT)
        outs = [folder / f"{component}.ipynb" for component in COMPONENTS]
        theirs = timed(*(papermill(light, out, "-p", "component", out.stem) for out in outs), environ=environ)
        ours = timed([opslib, "run", str(light), "--each", f"component={','.join(COMPONENTS)}"], environ=environ)
        records = [file.parent for file in (folder / "reports").glob("sandbox/*/*/*/*_light_*/report.html")]
        made = {
            json.loads((record / "summary.json").read_text())["parameters"]["component"]: record for record in records
        }
        equal = all(shown(out) == shown(made[out.stem] / "record.ipynb") for out in outs)
        daily_theirs = timed(*(papermill(DAILY, folder / "daily.ipynb") for _ in outs), environ=environ)
        daily_ours = timed([opslib, "run", *["daily-health"] * len(outs)], environ=environ)
    for what, (peer, own_s) in {"light": (theirs, ours), "daily-health": (daily_theirs, daily_ours)}.items():
        print(f"10 x {what:14} papermill {peer:6.1f} s   opslib run {own_s:6.1f} s   {peer / own_s:4.1f} times faster")
    figures = {
        "papermill_s": theirs,
        "opslib_s": ours,
        "speedup": theirs / ours,
        "daily_speedup": daily_theirs / daily_ours,
    }
    print(
        json.dumps({"reports": len(made), **{key: round(value, 2) for key, value in figures.items()}, "equal": equal})
    )
