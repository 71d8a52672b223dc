"""The seeded life of an online shop: its logs, metrics, tables and changes, and the incidents laid over them."""

from pathlib import Path

from opslib.sandbox.life.incident import overlay
from opslib.sandbox.life.overlays import Overlay, apply
from opslib.sandbox.life.rhythm import NOW, NOW_MS
from opslib.sandbox.life.scenarios import DEFAULT_SCENARIO, SCENARIOS
from opslib.sandbox.life.store import QUANTILES, GroupLog, Life, MetricKey, Series, load
from opslib.sandbox.life.tables import TABLES
from opslib.sandbox.life.world import build

GLOBAL_NAMESPACES = ("AWS/CloudFront", "AWS/Route53")
_HERE = Path(__file__).parent


def schema_sql() -> str:
    """Return the statements that make the empty tables."""
    return (_HERE / "schema.sql").read_text(encoding="utf-8")


def after_copy_sql() -> str:
    """Return the statements that add keys, indexes and sequences once the rows are in."""
    return (_HERE / "after_copy.sql").read_text(encoding="utf-8")


__all__ = [
    "DEFAULT_SCENARIO", "GLOBAL_NAMESPACES", "NOW", "NOW_MS", "QUANTILES", "SCENARIOS", "TABLES",
    "GroupLog", "Life", "MetricKey", "Overlay", "Series",
    "after_copy_sql", "apply", "build", "load", "overlay", "schema_sql",
]  # fmt: skip
