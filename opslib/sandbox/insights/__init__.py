"""The CloudWatch Logs Insights query language over events in memory; what it does not know it refuses."""

from opslib.sandbox.insights.events import Batch, Event
from opslib.sandbox.insights.query import Answer, Query, compile_query
from opslib.sandbox.insights.refusals import Failed, Malformed
from opslib.sandbox.insights.tables import LookupTable

__all__ = ["Answer", "Batch", "Event", "Failed", "LookupTable", "Malformed", "Query", "compile_query"]
