"""What the doctor says: a finding names what is wrong, why, and the command or line that mends it."""

from __future__ import annotations

import json
from dataclasses import dataclass

PREFIXES = {"elbv2": "elasticloadbalancing"}  # where IAM's prefix is not boto3's name of the service
BROKEN, WEAK = "broken", "weak"  # something a runbook asks for does not answer; it answers, but not as well as it could


@dataclass(frozen=True)
class Finding:
    """`about` is what the finding takes away: "service:operation", "table job_runs", "config cdn", "database", "aws"; empty: nothing."""

    kind: str
    what: str
    why: str = ""
    mend: str = ""
    about: str = ""

    def text(self) -> str:
        """Return the finding as up to three lines."""
        lines = [
            self.what,
            *([f"why:  {self.why}"] if self.why else []),
            *([f"do:   {self.mend}"] if self.mend else []),
        ]
        return "\n".join(lines)


def action_of(service: str, operation: str) -> str:
    """Return the IAM action of an operation, such as elasticloadbalancing:DescribeTargetHealth."""
    from opslib.doctor.needs import operations

    return f"{PREFIXES.get(service, service)}:{operations(service)[operation]}"


def policy_line(*actions: str) -> str:
    """Return the statement that allows actions."""
    allowed: object = actions[0] if len(actions) == 1 else sorted(actions)
    return json.dumps({"Effect": "Allow", "Action": allowed, "Resource": "*"})
