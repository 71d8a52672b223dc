"""Lambda and SQS: which functions and queues there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opslib import aws

if TYPE_CHECKING:
    from opslib.config import Environment


def names(environment: Environment) -> list[str]:
    """Return the names of the functions of the region, sorted (lambda:ListFunctions); raises SourceError."""
    return sorted(one["FunctionName"] for one in aws.pages(environment, "lambda", "list_functions", "Functions"))


def queues(environment: Environment) -> list[str]:
    """Return the names of the queues of the region, sorted (sqs:ListQueues); raises SourceError."""
    return sorted(url.rpartition("/")[2] for url in aws.pages(environment, "sqs", "list_queues", "QueueUrls"))
