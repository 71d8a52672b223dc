"""The fields that CloudWatch Logs finds in a JSON message."""

from collections.abc import Iterator
from typing import Any

import orjson


def discovered(message: str) -> dict[str, str]:
    """Return the fields of a message that is a JSON object: nested keys by dots, array elements by index."""
    if not message.startswith("{"):
        return {}
    try:
        return dict(_leaves("", orjson.loads(message)))
    except orjson.JSONDecodeError:
        return {}


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = f"@{key}" if not prefix and key.startswith("@") else key
            yield from _leaves(f"{prefix}{name}.", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(f"{prefix}{index}.", inner)
    elif value is not None:
        yield prefix[:-1], value if isinstance(value, str) else orjson.dumps(value).decode()
