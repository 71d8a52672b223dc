"""CloudWatch Logs Insights: StartQuery and what follows, asynchronous and limited as AWS does it."""

from collections.abc import Mapping
from typing import Any

from opslib.sandbox.clock import Clock
from opslib.sandbox.insights import Answer, LookupTable, Malformed, Query, compile_query
from opslib.sandbox.insights.commands import Selection
from opslib.sandbox.log_store import LogStore
from opslib.sandbox.logs_api import ACCOUNT, API, group_name
from opslib.sandbox.operations import Params, operation
from opslib.sandbox.paging import page, state_of, token
from opslib.sandbox.query_runs import Asked, QueryRuns, Run
from opslib.sandbox.service_errors import ServiceError, invalid
from opslib.sandbox.settings import Settings
from opslib.sandbox.token_bucket import TokenBucket

DEFAULT_ROWS = 10_000
MAX_ROWS = 100_000
MAX_GROUPS = 50
PAGE_ROWS = 10_000
SECONDS_BELOW = 10_000_000_000  # in seconds the year 2286; in milliseconds April 1970


class LogsQueries:
    """StartQuery, GetQueryResults, StopQuery and DescribeQueries."""

    def __init__(self, store: LogStore, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._runs = QueryRuns(store, clock, settings.scan_seconds)
        self._start_rate = TokenBucket(lambda: settings.query_calls_per_second)
        self._results_rate = TokenBucket(lambda: settings.query_calls_per_second)

    @operation(
        "logs",
        "StartQuery",
        modelled="seconds, both ends inclusive; limit 10,000 by default and 100,000 at most; 50 groups, or those of SOURCE; "
        "100 at once; 10 calls/s",
        source=API + "; Logs Insights quotas; see insights for the language",
        difference="CWLI only; epoch milliseconds and a `limit` that differs from the query's are refused; "
        "offsets in queryCompileError are ours; pct() takes the nearest rank, stddev() the population: AWS says neither",
        tested=(
            "test_query_window_is_inclusive",
            "test_start_query_refusals",
            "test_query_rate_limits",
            "test_source_selects_groups",
        ),
    )
    def start_query(self, p: Params) -> dict[str, Any]:
        """Start a query and return its id."""
        _take(self._start_rate)
        if p.get("queryLanguage") not in (None, "CWLI"):
            raise invalid("stand-in: only the query language CWLI is modelled")
        start, end = _window(p)
        query = _compiled(p["queryString"], self._store.lookup_tables)
        groups = self._selected(p, query.selection) if query.selection else self._groups(p)
        self._check_reach(groups, end)
        asked = Asked(p["queryString"], query, groups, start * 1000, end * 1000 + 999, _limit(p, query))
        return {"queryId": self._runs.start(asked).id}

    @operation(
        "logs",
        "GetQueryResults",
        modelled="pages of 10,000 rows by maxItems and nextToken; statistics with resultCount; zeros while it runs; 10 calls/s",
        source=API + "; quotas",
        difference="no partial rows while Running; tokens do not expire",
        tested=("test_query_pages_equal_the_whole", "test_query_runs_on_while_polled", "test_query_rate_limits"),
    )
    def get_query_results(self, p: Params) -> dict[str, Any]:
        """Answer one page of rows, or none yet."""
        _take(self._results_rate)
        run = self._known(p["queryId"])
        status, answer = run.look()
        body = {"queryLanguage": "CWLI", "status": status, "statistics": _statistics(run, answer), "results": []}
        if answer is None:
            return body
        start = state_of(f"results {run.id}", p["nextToken"]) if p.get("nextToken") else 0
        wanted = PAGE_ROWS if p.get("maxItems") is None else p["maxItems"]
        if not 0 <= wanted <= PAGE_ROWS:
            raise invalid(f"maxItems must be between 0 and {PAGE_ROWS}")
        rows = answer.rows[start : start + wanted]
        cut = int(self._settings.message_cut_chars) or None
        body["results"] = [
            [{"field": name, "value": value[:cut] if name == "@message" else value} for name, value in row]
            for row in rows
        ]
        if start + len(rows) < len(answer.rows):
            body["nextToken"] = token(f"results {run.id}", start + len(rows))
        return body

    @operation(
        "logs",
        "StopQuery",
        modelled="cancels what runs; refuses what has ended",
        source=API,
        difference="the text of the refusal is ours",
        tested=("test_query_is_stopped",),
    )
    def stop_query(self, p: Params) -> dict[str, Any]:
        """Stop a query that has not ended."""
        run = self._known(p["queryId"])
        if not run.active:
            raise invalid(f"stand-in: the query {run.id} has already ended: {run.status}")
        run.stopped.set()
        run.future.cancel()
        return {"success": True}

    @operation(
        "logs",
        "DescribeQueries",
        modelled="by group and status, newest first, paging; the stored text begins with SOURCE, START and END",
        source=API + "; recorded answers of AWS seen in LocalStack's tests",
        difference="userIdentity is left out",
        tested=("test_queries_are_described",),
    )
    def describe_queries(self, p: Params) -> dict[str, Any]:
        """Answer the queries of this account."""
        described = [
            _described(run)
            for run in self._runs.newest_first()
            if p.get("logGroupName") in (None, run.asked.groups[0]) and p.get("status") in (None, run.status)
        ]
        shown, following = page("queries", described, p.get("nextToken"), p.get("maxResults") or 1000)
        return {"queries": shown} | ({"nextToken": following} if following else {})

    @property
    def failures(self) -> list[dict[str, str]]:
        """Return the last queries that failed, and why."""
        return list(self._runs.failures)

    def _known(self, query_id: str) -> Run:
        run = self._runs.get(query_id)
        if run is None:
            raise ServiceError("ResourceNotFoundException", f"Query with id {query_id} not found")
        return run

    def _groups(self, p: Params) -> tuple[str, ...]:
        given = [p[key] for key in ("logGroupName", "logGroupNames", "logGroupIdentifiers") if p.get(key)]
        if len(given) != 1:
            raise invalid("Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be given.")
        asked = [given[0]] if isinstance(given[0], str) else given[0]
        groups = tuple(dict.fromkeys(group_name(identifier) for identifier in asked))
        if len(groups) > MAX_GROUPS:
            raise invalid(f"A query can search at most {MAX_GROUPS} log groups.")
        for group in groups:
            if group not in self._store.groups:
                raise ServiceError("ResourceNotFoundException", _no_such_group(group))
        return groups

    def _selected(self, p: Params, selection: Selection) -> tuple[str, ...]:
        """Return the groups that SOURCE logGroups(…) selects."""
        if any(p.get(key) for key in ("logGroupName", "logGroupNames", "logGroupIdentifiers")):
            raise invalid("stand-in: SOURCE together with log groups of StartQuery is not documented")
        if set(selection.accounts) - {ACCOUNT}:
            raise invalid("stand-in: there is no account but this one")
        classes, prefixes = selection.classes or ("STANDARD",), selection.prefixes or ("",)
        groups = self._store.groups.values()
        found = [group.name for group in groups if group.log_class in classes and group.name.startswith(prefixes)]
        if not found:
            raise invalid("stand-in: what AWS answers when SOURCE selects no log group is not documented")
        return tuple(found)

    def _check_reach(self, groups: tuple[str, ...], end: int) -> None:
        now = self._clock.now_ms()
        reach = (self._store.groups[name] for name in groups)
        if all(end * 1000 + 999 < max(group.created, group.oldest_kept(now)) for group in reach):
            raise ServiceError(
                "MalformedQueryException",
                "end date and time is either before the log groups creation time "
                "or exceeds the log groups log retention settings",
            )


def _take(rate: TokenBucket) -> None:
    if not rate.take():
        raise ServiceError("ThrottlingException", "Rate exceeded")


def _window(p: Params) -> tuple[int, int]:
    start, end = p["startTime"], p["endTime"]
    for name, value in (("startTime", start), ("endTime", end)):
        if not 0 <= value < SECONDS_BELOW:
            raise invalid(f"stand-in: {name} {value} looks like milliseconds; StartQuery takes epoch seconds")
    if start > end:
        raise invalid("stand-in: startTime is after endTime")
    return start, end


def _compiled(text: str, tables: Mapping[str, LookupTable]) -> Query:
    if len(text) > 10_000:
        raise invalid("queryString has more than 10000 characters")
    try:
        return compile_query(text, tables=tables, selects_groups=True)
    except Malformed as error:
        location = {"startCharOffset": error.start, "endCharOffset": error.end}
        compile_error = {"location": location, "message": error.message}
        raise ServiceError("MalformedQueryException", error.message, queryCompileError=compile_error) from error


def _limit(p: Params, query: Query) -> int:
    limit = p.get("limit")
    if limit is not None and not 1 <= limit <= MAX_ROWS:
        raise invalid(f"limit must be between 1 and {MAX_ROWS}")
    if limit is not None and query.limit is not None and limit != query.limit:
        raise invalid(
            "stand-in: the limit of StartQuery and that of the query differ; which one counts is not documented"
        )
    return limit or query.limit or DEFAULT_ROWS


def _no_such_group(group: str) -> str:
    return (
        f"Log group '{group}' does not exist for account ID '{ACCOUNT}' (Service: AWSLogs; Status Code: 400; "
        "Error Code: ResourceNotFoundException; Request ID: 00000000-0000-4000-8000-000000000000; Proxy: null)"
    )


def _statistics(run: Run, answer: Answer | None) -> dict[str, float]:
    return {
        "recordsMatched": float(answer.records_matched) if answer else 0.0,
        "recordsScanned": float(answer.records_scanned) if answer else 0.0,
        "estimatedRecordsSkipped": 0.0,
        "bytesScanned": float(answer.bytes_scanned) if answer else 0.0,
        "estimatedBytesSkipped": 0.0,
        "logGroupsScanned": float(len(run.asked.groups)) if answer else 0.0,
        "resultCount": float(len(answer.rows)) if answer else 0.0,
    }


def _described(run: Run) -> dict[str, Any]:
    asked = run.asked
    sources = " ".join(f'SOURCE "{group}"' for group in asked.groups)
    return {
        "queryId": run.id,
        "queryString": f"{sources} START={asked.start_ms} END={asked.end_ms} | {asked.text}",
        "queryLanguage": "CWLI",
        "status": run.status,
        "createTime": run.created_ms,
        "logGroupName": asked.groups[0],
    }
