"""The CloudWatch Logs Insights query language over events in memory; what it does not know it refuses."""

from opslib.sandbox.insights.query import Answer, Event, Query, compile_query
from opslib.sandbox.insights.refusals import Failed, Malformed

__all__ = ["Answer", "Event", "Failed", "Malformed", "Query", "compile_query"]
