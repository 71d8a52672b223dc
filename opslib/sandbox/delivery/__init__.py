"""How messages travel in the sandbox: SNS, EventBridge, Lambda and SQS with AWS's retries and permissions, on the agenda.

ministack keeps topics, rules, functions and queues; what happens between them is decided here.
"""

from opslib.sandbox.delivery.alarm_actions import AlarmActions
from opslib.sandbox.delivery.functions import Functions
from opslib.sandbox.delivery.ground import Ground
from opslib.sandbox.delivery.queues import Queues
from opslib.sandbox.delivery.rules import Rules
from opslib.sandbox.delivery.topics import Topics


def install(ground: Ground) -> None:
    """Take over from ministack what happens between its services."""
    queues = Queues(ground)
    functions = Functions(ground, queues)
    topics = Topics(ground, queues, functions)
    rules = Rules(ground, queues, functions, topics)
    for part in (queues, functions, topics, rules, AlarmActions(ground, topics)):
        part.install()
