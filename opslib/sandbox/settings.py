"""How slow this AWS is: settings that a test or a person may change while it runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class Settings:
    """Real seconds and milliseconds, in both clocks."""

    latency_ms: float = 0.0  # before every AWS call
    scan_seconds_constant: float = 0.0  # every Logs Insights query
    scan_seconds_per_group_hour: float = 0.0  # and for each hour of each log group searched
    query_calls_per_second: float = 10.0  # of StartQuery and of GetQueryResults each; AWS allows ten
    message_cut_chars: float = 0.0  # GetQueryResults cuts @message there; 0: never. AWS is said to, at about a thousand

    def update(self, changes: Mapping[str, Any]) -> dict[str, float]:
        """Change some settings, all or none, and return them all."""
        known = {field.name for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"unknown setting {name!r}; there are {', '.join(sorted(known))}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 600_000:
                raise ValueError(f"{name} must be a number from 0 to 600000, not {value!r}")
        for name, value in changes.items():
            setattr(self, name, float(value))
        return asdict(self)

    def scan_seconds(self, groups: int, hours: float) -> float:
        """Return how long a query over so many groups and hours takes."""
        return self.scan_seconds_constant + self.scan_seconds_per_group_hour * groups * hours
