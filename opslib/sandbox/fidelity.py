"""How true the sandbox is, operation by operation: FIDELITY.md, made from what the code declares.

python -m opslib.sandbox.fidelity           # writes FIDELITY.md beside this file
"""

from collections.abc import Iterable
from pathlib import Path

from opslib.sandbox.operations import Declaration, declarations
from opslib.sandbox.services import OWNERS

PATH = Path(__file__).with_name("FIDELITY.md")
HEAD = """# How true the sandbox is

Written by `python -m opslib.sandbox.fidelity` from declarations in the code; a test holds it up to date.

**Ours** are the operations below. **ministack 1.5.33** answers what it models of the rest; what is not tested here is
only as true as ministack is. **Everything else** answers status 501, code `SandboxNotModelled` and the name of the
operation, in the protocol of its service; no SDK retries that, and `opslib sandbox status` lists it.

## Common to all operations
- Signatures are not checked and policies are not evaluated; access is denied only by an injected fault.
- Regions: the shop is in ap-northeast-1; metrics of AWS/CloudFront and AWS/Route53 are in us-east-1; others are empty.
- `Date`, time stamps and ages follow the sandbox's clock. Rates, latency and scan time are real seconds in both clocks.
- Parameters are checked where AWS's answer matters to a client; boto3 checks types and required members by itself.
- Faults (`throttling`, `access-denied`, `expired-token`) bear the code that the service uses; `latency`, `hang` and `drop`
  act on the connection.
- A request over CBOR is known by name, but our own operations answer it with `SandboxNotModelled`; boto3 speaks JSON.
- Alarms lie in ministack, the shop's own beside those that are put; their states are decided by our metrics and
  CloudWatch's rules (M of N, missing data). The history of the shop's is worked out of the life when the sandbox starts;
  later all are looked at on every minute of the clock, as it runs or is stepped, on periods that end with that minute.
  A new alarm is looked at at once where there is data. Where data is missing, no older datapoints are looked for.
- Metrics of the life that have an entry a minute go on with the clock as their last quarter of an hour went, over and
  over; log lines, and what is counted from them, do not.
- CloudFormation is ministack's, with what it lacks for alerts. A log group that is there already fails its stack, also
  after a rollback or a DeleteStack that retained it, unless the change set has ImportExistingResources, which here takes
  over log groups alone; AWS refuses a change set whose other named resources are there and not retained, here the stack
  fails when it comes to them.
- Drift is ministack's, with alarms and rules beside it: of properties that the template sets, and not of policies, keys,
  permissions and metric filters. A change set with DeploymentMode REVERT_DRIFT compares with what there is, and lists what
  was deleted as Add; the drift itself, and where values come from, it does not describe. AWS may see more, and reads again
  when it carries out.
- SNS lists a subscription that nobody confirmed under an ARN, with PendingConfirmation among its attributes; AWS lists
  the word PendingConfirmation in the ARN's place.

## Operations of ours
"""
COLUMNS = ("operation", "modelled", "behaviour tested", "source of truth", "known difference")


def text() -> str:
    """Return the whole document."""
    declared = sorted((each for owner in OWNERS for each in declarations(owner)), key=_order)
    return (
        HEAD
        + "\n".join([_row(COLUMNS), _row(["---"] * len(COLUMNS)), *(_row(_cells(each)) for each in declared)])
        + "\n"
    )


def _order(declared: Declaration) -> tuple[str, str]:
    return declared.service, declared.operation


def _cells(declared: Declaration) -> list[str]:
    tests = "<br>".join(f"`{name}`" for name in declared.tested) or "-"
    name = f"{declared.service}:{declared.operation}"
    return [name, declared.modelled, tests, declared.source, declared.difference or "none known"]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
