"""CloudWatch Logs: groups and streams."""

import fnmatch
from typing import Any

from opslib.sandbox.clock import Clock
from opslib.sandbox.log_store import LogGroup, LogStore, Stream
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page
from opslib.sandbox.service_errors import ServiceError, invalid

ACCOUNT = "000000000000"
_RETENTION = "1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653"
RETENTION_DAYS = [int(days) for days in _RETENTION.split()]
DAY_MS = 86_400_000
API = "API reference"


def group_arn(name: str, region: str) -> str:
    """Return the ARN of a log group, without the `:*`."""
    return f"arn:aws:logs:{region}:{ACCOUNT}:log-group:{name}"


def group_name(identifier: str) -> str:
    """Return the name in a log group identifier, which is a name or an ARN."""
    return identifier.partition(":log-group:")[2].removesuffix(":*") if ":log-group:" in identifier else identifier


def named_group(store: LogStore, p: Params) -> LogGroup:
    """Return the group that a call names, by name or identifier."""
    given = [p[key] for key in ("logGroupName", "logGroupIdentifier") if p.get(key)]
    if len(given) != 1:
        raise invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
    group = store.groups.get(group_name(given[0]))
    if group is None:
        raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
    return group


def named_stream(group: LogGroup, name: str) -> int:
    """Return the number of a stream that must exist."""
    if name not in group.stream_numbers:
        raise ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")
    return group.stream_numbers[name]


class LogsApi:
    """Operations on groups and streams."""

    def __init__(self, store: LogStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @operation(
        "logs",
        "CreateLogGroup",
        also_behind=True,
        modelled="name, logGroupClass",
        source=API,
        difference="tags and keys ignored",
        tested=("test_groups_are_created_listed_and_deleted",),
    )
    def create_log_group(self, p: Params) -> None:
        """Make a group."""
        with self._store.lock:
            if p["logGroupName"] in self._store.groups:
                raise ServiceError("ResourceAlreadyExistsException", "The specified log group already exists")
            created = LogGroup(p["logGroupName"], self._clock.now_ms(), log_class=p.get("logGroupClass") or "STANDARD")
            self._store.groups[created.name] = created

    @operation(
        "logs",
        "DeleteLogGroup",
        also_behind=True,
        modelled="all",
        source=API,
        tested=("test_groups_are_created_listed_and_deleted",),
    )
    def delete_log_group(self, p: Params) -> None:
        """Delete a group and its events."""
        with self._store.lock:
            del self._store.groups[named_group(self._store, p).name]

    @operation("logs", "CreateLogStream", modelled="all", source=API, tested=("test_streams_by_last_event",))
    def create_log_stream(self, p: Params) -> None:
        """Make a stream."""
        with self._store.lock:
            group = named_group(self._store, p)
            if p["logStreamName"] in group.stream_numbers:
                raise ServiceError("ResourceAlreadyExistsException", "The specified log stream already exists")
            group.stream(p["logStreamName"], self._clock.now_ms())

    @operation(
        "logs",
        "DescribeLogGroups",
        modelled="prefix, pattern, class, identifiers, paging",
        source=API,
        difference="linked accounts are ignored",
        tested=("test_groups_are_paged",),
    )
    def describe_log_groups(self, p: Params) -> dict[str, Any]:
        """Answer the groups by name."""
        prefix, pattern = p.get("logGroupNamePrefix"), p.get("logGroupNamePattern")
        if prefix and pattern:
            raise invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
        wanted = {group_name(identifier) for identifier in p.get("logGroupIdentifiers") or ()}
        with self._store.lock:
            groups = [
                group
                for name, group in sorted(self._store.groups.items())
                if (not prefix or name.startswith(prefix))
                and (not pattern or fnmatch.fnmatchcase(name.lower(), f"*{pattern.lower()}*"))
                and (not wanted or name in wanted)
                and p.get("logGroupClass") in (None, group.log_class)
            ]
            shown, following = page("groups", groups, p.get("nextToken"), _limit(p, "limit", 50, 50))
            return _answer({"logGroups": [_described_group(group, self._store.region) for group in shown]}, following)

    @operation(
        "logs",
        "DescribeLogStreams",
        modelled="prefix, both orders, paging",
        source=API,
        tested=("test_streams_by_last_event",),
    )
    def describe_log_streams(self, p: Params) -> dict[str, Any]:
        """Answer the streams of a group."""
        by_time = p.get("orderBy") == "LastEventTime"
        prefix = p.get("logStreamNamePrefix") or ""
        if by_time and prefix:
            raise invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        with self._store.lock:
            group = named_group(self._store, p)
            streams = [stream for stream in group.streams if stream.name.startswith(prefix)]
        streams.sort(key=_last_event if by_time else lambda stream: stream.name, reverse=bool(p.get("descending")))
        shown, following = page("streams", streams, p.get("nextToken"), _limit(p, "limit", 50, 50))
        return _answer(
            {"logStreams": [_described_stream(group, stream, self._store.region) for stream in shown]}, following
        )

    @operation(
        "logs",
        "PutRetentionPolicy",
        modelled="all",
        source=API,
        difference="older events vanish at once, not within 72 hours",
        tested=("test_retention_hides_what_is_older",),
    )
    def put_retention_policy(self, p: Params) -> None:
        """Set how long events are kept."""
        if p["retentionInDays"] not in RETENTION_DAYS:
            raise invalid(f"retentionInDays must be one of {', '.join(map(str, RETENTION_DAYS))}")
        named_group(self._store, p).retention_days = p["retentionInDays"]

    @operation(
        "logs", "DeleteRetentionPolicy", modelled="all", source=API, tested=("test_retention_hides_what_is_older",)
    )
    def delete_retention_policy(self, p: Params) -> None:
        """Keep events for ever."""
        named_group(self._store, p).retention_days = None


def _described_group(group: LogGroup, region: str) -> dict[str, Any]:
    described = {
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": group_arn(group.name, region) + ":*",
        "logGroupArn": group_arn(group.name, region),
        "storedBytes": group.stored_bytes,
        "logGroupClass": group.log_class,
    }
    return described | ({"retentionInDays": group.retention_days} if group.retention_days else {})


def _described_stream(group: LogGroup, stream: Stream, region: str) -> dict[str, Any]:
    described = {
        "logStreamName": stream.name,
        "creationTime": stream.created,
        "firstEventTimestamp": stream.first,
        "lastEventTimestamp": stream.last,
        "lastIngestionTime": stream.ingested,
        "arn": f"{group_arn(group.name, region)}:log-stream:{stream.name}",
        "storedBytes": 0,
    }
    return {key: value for key, value in described.items() if value is not None}


def _last_event(stream: Stream) -> tuple[int, str]:
    return stream.last or 0, stream.name


def _limit(p: Params, key: str, default: int, top: int) -> int:
    limit = p.get(key) or default
    if not 1 <= limit <= top:
        raise invalid(f"{key} must be between 1 and {top}")
    return limit


def _answer(body: dict[str, Any], following: str | None) -> dict[str, Any]:
    return body | ({"nextToken": following} if following else {})
