"""`python -m tests.alerting.shop_alarms`: write the sandbox's alarms as the templates make them for its environment.

The sandbox imports nothing of opslib, so that no mistake is shared by both sides: what it has of the templates is a file.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from opslib.alerting import template
from opslib.config import Environment
from opslib.sandbox import state_files

FILE = Path(state_files.__file__).with_name("shop_alarms.json")
_KINDS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm", "AWS::Logs::MetricFilter")


def environment() -> Environment:
    """Return the environment of a sandbox, which need not run."""
    return Environment(**state_files.environment(Path(), "frozen", 5432, 0, "http://127.0.0.1:1"), name="sandbox")


def rows(environment: Environment) -> list[dict[str, Any]]:
    """Return the alarms, metric filters and rules for events of an environment's templates: region, type and properties.

    Those that watch the alerting itself are left out: a sandbox starts without topics, functions and queues.
    """
    found = []
    for name, made in template.templates(environment).items():
        if name != "alerts-delivery":
            region = re.sub("^alerts-(services|application)?", "", name) or environment.region
            values = {parameter: about["Default"] for parameter, about in made.get("Parameters", {}).items()}
            for logical, resource in made["Resources"].items():
                if resource["Type"] == "AWS::Events::Rule":
                    targets = [{key: one[key] for key in one if key != "DeadLetterConfig"} for one in resource["Properties"]["Targets"]]  # fmt: skip
                    properties = _resolved({**resource["Properties"], "Targets": targets, "Name": f"{name}-{logical}"}, values)  # fmt: skip
                    found.append({"region": region, "type": resource["Type"], "properties": properties})
                elif resource["Type"] in _KINDS and "Fn::GetAtt" not in json.dumps(resource):
                    properties = _resolved(resource["Properties"], values)
                    found.append({"region": region, "type": resource["Type"], "properties": properties})
    return found


def _resolved(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return values[value["Ref"]] if set(value) == {"Ref"} else {key: _resolved(one, values) for key, one in value.items()}  # fmt: skip
    return [_resolved(one, values) for one in value] if isinstance(value, list) else value


def text(rows: list[dict[str, Any]]) -> str:
    """Return the file: a row a line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text(rows(environment())), encoding="utf-8")
