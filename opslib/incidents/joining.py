"""Runs made while an incident is open join it: their notebook and page, their numbers as evidence, a line in its journal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from opslib import config, files
from opslib.errors import OpsError
from opslib.incidents import store

_PAGES = {"record.ipynb": ".ipynb", "report.html": ".html"}


def join(record: Path, summary: Mapping[str, Any], incident: str) -> None:
    """Add a finished record to an incident; raises OpsError when it cannot be written or is closed meanwhile."""
    environment = config.load(str(summary["env"]))
    found = store.load(environment, incident)
    if not found.is_open:
        raise OpsError(
            f"{incident} is closed: {record.name} did not join it", fix=f"opslib incident attach {record} --incident ID"
        )
    at = _moment(summary)
    copies = {
        name: _copied(found.folder / "runs" / f"{record.name}{ending}", record / name)
        for name, ending in _PAGES.items()
    }
    pages = {name: {"file": f"runs/{file.name}", "sha256": store.sha256(file)} for name, file in copies.items() if file}
    first = summary["results"][0] if summary["results"] else {}
    store.enter(
        found, "run", at=at, record=record.name, runbook=summary["runbook"], status=summary["status"], verdict=summary["verdict"],
        sight=summary["sight"], says=first.get("sentence", ""), parameters=summary["parameters"], pages=pages,
    )  # fmt: skip
    for name, origin in _origins(summary).items():
        if (record / name).is_file():
            says = f"{summary['runbook']}: {origin['title']}"
            store.attach(
                found,
                environment,
                record / name,
                says=says,
                query=origin["query"],
                window=origin["window"],
                folder=record.name,
            )


def _origins(summary: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the data files of all results with title, query and window of the result they belong to."""
    found: dict[str, dict[str, str]] = {}

    def walk(result: Mapping[str, Any]) -> None:
        sources = result.get("sources", [])
        query = "\n".join(filter(None, (one["query"] or one["api"] for one in sources)))
        about = {
            "title": result["title"],
            "query": query,
            "window": "; ".join(filter(None, (one["window"] for one in sources))),
        }
        for name in result.get("data", []):
            found.setdefault(name, about)
        for part in result.get("parts", []):
            walk(part)

    for result in summary["results"]:
        walk(result)
    return found


def _moment(summary: Mapping[str, Any]) -> datetime:
    """When it was, by the environment's clock where the run got that far."""
    return datetime.fromisoformat(summary["start"].get("now") or summary["timing"]["started"])


def _copied(target: Path, source: Path) -> Path | None:
    if not source.is_file():
        return None
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(files.PRIVATE_FILE)
    except OSError as error:
        raise files.cannot_write(target, error) from None
    return target
