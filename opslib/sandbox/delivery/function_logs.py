"""What functions print: into their log group in our store, and the metrics that stand in lines of the embedded format."""

import json
from typing import Any

from opslib.sandbox.delivery.ground import Ground, region_of
from opslib.sandbox.metrics_store import Point


class FunctionLogs:
    """Log lines of invocations."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def write(
        self, record: dict[str, Any], request_id: str, printed: str, error: bool, ms: int, *, log_source: str | None = None
    ) -> None:  # fmt: skip
        """Write one invocation as Lambda does: START, what was printed, END, REPORT."""
        config = record.get("config") or record
        at = round(self._ground.now() * 1000)
        about = f"RequestId: {request_id}"
        report = f"REPORT {about}\tDuration: {ms} ms\tBilled Duration: {ms} ms\tMemory Size: {config.get('MemorySize', 128)} MB"
        lines = [f"START {about} Version: $LATEST", *printed.splitlines(), f"END {about}", report]
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        stream = (
            f"{self._ground.services.home.state.clock.now():%Y/%m/%d}/[$LATEST]{config['RevisionId'].replace('-', '')}"
        )
        region = self._ground.services.region(region_of(config["FunctionArn"]))
        region.logs.add(group, stream, [(at, line) for line in lines])
        region.logs.tell(group, [(at, line) for line in lines])
        for line in lines:
            self._embedded(region_of(config["FunctionArn"]), line)

    def _embedded(self, region: str, line: str) -> None:
        """Take the metrics out of a line of CloudWatch's embedded metric format."""
        if not line.startswith("{") or '"_aws"' not in line:
            return
        try:
            held = json.loads(line)
            about = held["_aws"]
            for said in about["CloudWatchMetrics"]:
                for names in said["Dimensions"]:
                    place = tuple(sorted((name, str(held[name])) for name in names))
                    for metric in said["Metrics"]:
                        value = float(held[metric["Name"]])
                        point = Point(int(about["Timestamp"] / 1000), 1.0, value, value, value)
                        key = (said["Namespace"], metric["Name"], place)
                        self._ground.services.region(region).metrics.put(key, metric.get("Unit", "None"), [point])
        except (ValueError, KeyError, TypeError):
            return  # AWS leaves the line a line, too
