"""The image of an ECS service: roll another one out, fixed by its digest, or go back to the one before; a Plan."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from opslib import aws
from opslib import plan as plans
from opslib.actions import ecs_state as state
from opslib.actions import services
from opslib.errors import ParameterError, Refused
from opslib.plan import Action, Change, Condition, Kept, Plan, Progress, Step, Undo, Verification, register

if TYPE_CHECKING:
    from opslib.config import Environment
    from opslib.run import Run

_TOLD = ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy",
         "deregisteredAt")  # fmt: skip
_LAST = 20  # so many deployments are looked through for another image


def roll_out(run: Run, *, service: str, image: str = "", alarm: str = "") -> Plan:
    """Plan to run another image (ecs:RegisterTaskDefinition with its digest, then ecs:UpdateService).

    `image` is a tag, a digest or a whole name in the repository that the service runs from; empty: the image of the
    last successful deployment that had another one, with the task definition it had (ecs:ListServiceDeployments, kept
    90 days). Raises ParameterError for a service, image or alarm that does not exist, SourceError.
    """
    if run.replayed:
        return plans.remembered(run)
    environment = run.environment
    services.check_name(environment, service)
    found, rings = state.read(environment, service, tasks=True), state.alarm(environment, alarm)
    running = _definition(environment, found.definition)
    base, wanted = (found.definition, image) if image else _earlier(environment, found)
    known = _known(environment, found.image, wanted)
    given = running if base == found.definition else _definition(environment, base)
    box = _box(given, service)
    steps = _steps(environment, found, base, box, known)
    back = Step("ecs", "UpdateService", {"cluster": found.cluster, "service": service, "taskDefinition": found.definition},
                f"deploy {found.definition} again", state.console(environment, service))  # fmt: skip
    until = f" until alarm {alarm} is OK (now {rings})" if alarm else ""
    other = _differences(running, given, service)
    return plans.propose(
        run, action="roll-out-image", title=f"Roll {known['label']} out to {service}{'' if image else ', the image before'}", target=service,
        parameters={"alarm": alarm, "cluster": found.cluster, "base": base, "box": box["name"], "image": known["name"], "digest": known["digest"]},
        before={**found.identity(), "base": base, "digest": known["digest"]},
        changes=(Change(f"{found.cluster}/{service}", f"{found.now()}; digest {_short(found.digests)}",
                        f"image {known['label']}, digest {_short([known['digest']])}; otherwise as {base}: {other}", back.says, services.impact(environment, found)),),
        conditions=(*services.standing(found), services.room(found), *_conditions(found, known)), steps=steps,
        limits=("what a release did to the database is not undone by an image", "tags of the task definition are not carried over to the new revision",
                "the template or pipeline that made the task definition does not know of this: tell it, or its next run undoes it"),
        verification=Verification(f"The new deployment is followed by its id until that very one has completed and every task runs the digest. Then target health{until}.",
                                  services.look(environment, found), every_s=10.0, timeout_s=900.0),
        undo_draft=Undo(f"{back.says} ({found.image.rpartition('/')[2]})", "roll-image-back", (back,)),
    )  # fmt: skip


def _steps(
    environment: Environment, found: state.Service, base: str, box: dict[str, Any], known: dict[str, str]
) -> tuple[Step, ...]:
    """Register a revision with the digest, unless the base has it, and deploy it."""
    console, family = state.console(environment, found.name), base.partition(":")[0]
    fixed = box["image"] == known["name"]
    change = f'(.containerDefinitions[] | select(.name=="{box["name"]}").image) = "{known["name"]}" | del(.{", .".join(_TOLD)})'
    made = f"$(aws ecs describe-task-definition --task-definition {base} --query taskDefinition --region {environment.region} | jq '{change}')"
    return (
        *([] if fixed else [Step("ecs", "RegisterTaskDefinition", {"cliInputJson": made}, f"register a revision of {family}: {base} with the image fixed by digest", console)]),
        Step("ecs", "UpdateService", {"cluster": found.cluster, "service": found.name, "taskDefinition": base if fixed else family},
             f"deploy {base if fixed else 'that revision'}", console),
    )  # fmt: skip


def _complete(environment: Environment, plan: Plan, step: Step, kept: Kept) -> dict[str, Any]:
    """A definition may hold what no record should: it is read again, and is the same, as a revision never changes."""
    if step.operation == "UpdateService":
        return {**step.arguments, **({"taskDefinition": kept["definition"]} if "definition" in kept else {})}
    given = _definition(environment, plan.parameters["base"])
    boxes = [
        {**one, "image": plan.parameters["image"]} if one["name"] == plan.parameters["box"] else one
        for one in given["containerDefinitions"]
    ]
    return {name: value for name, value in given.items() if name not in _TOLD} | {"containerDefinitions": boxes}


def _keep(answers: list[Any]) -> Kept:
    made = [one["taskDefinition"]["taskDefinitionArn"] for one in answers if "taskDefinition" in one]
    begun = services.keep(answers) if "service" in answers[-1] else {}
    return {**({"definition": made[0]} if made else {}), **begun}


def _definition(environment: Environment, name: str) -> dict[str, Any]:
    told: dict[str, Any] = aws.ask(environment, "ecs", "describe_task_definition", taskDefinition=name)
    return dict(told["taskDefinition"])


def _box(given: dict[str, Any], service: str) -> dict[str, Any]:
    boxes: list[dict[str, Any]] = given["containerDefinitions"]
    return next((one for one in boxes if one["name"] == service), boxes[0])


def _earlier(environment: Environment, found: state.Service) -> tuple[str, str]:
    """Return task definition and digest of the last successful deployment of another image."""
    asked: dict[str, Any] = {"cluster": found.cluster, "service": found.name, "status": ["SUCCESSFUL"]}
    told = aws.ask(environment, "ecs", "list_service_deployments", **asked, maxResults=_LAST)["serviceDeployments"]
    arns = list(dict.fromkeys(one["targetServiceRevisionArn"] for one in told))
    answer = aws.ask(environment, "ecs", "describe_service_revisions", serviceRevisionArns=arns) if arns else {}
    revisions = {one["serviceRevisionArn"]: one for one in answer.get("serviceRevisions", [])}
    for revision in filter(None, map(revisions.get, arns)):
        images = revision.get("containerImages", [])
        box = next((one for one in images if one["containerName"] == found.name), images[0] if images else {})
        if box.get("imageDigest") and box["imageDigest"] not in found.digests:
            return revision["taskDefinition"].rpartition("/")[2], box["imageDigest"]
    raise ParameterError(f"no earlier image of {found.name} is known", why=f"its last {len(arns)} deployments had this one", fix='say image="TAG"')  # fmt: skip


def _known(environment: Environment, running: str, wanted: str) -> dict[str, str]:
    """Return name by digest, digest, label and push time of an image (ecr:DescribeImages)."""
    registry, repository, _ = _parted(running)
    if ".dkr.ecr." not in registry:
        raise ParameterError(f"{running!r} is not in ECR", why="no digest can be read", fix="use your registry's way")
    there = wanted if "/" not in wanted else _within(wanted, registry, repository)
    if not re.fullmatch(r"sha256:[0-9a-f]{64}|[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", there):
        raise ParameterError(f"image={wanted!r} is no tag and no digest", fix='such as "2026.11.05" or "sha256:…"')
    kind = "imageDigest" if there.startswith("sha256:") else "imageTag"
    asked = {"repositoryName": repository, "registryId": registry.partition(".")[0]}
    images = islice(
        aws.pages(environment, "ecr", "describe_images", "imageDetails", **asked, imageIds=[{kind: there}]), 1
    )
    for told in images:
        digest, tags = told["imageDigest"], told.get("imageTags", [])
        label = there if kind == "imageTag" else tags[0] if tags else digest[:19]
        pushed = f"{told['imagePushedAt'].astimezone(environment.zone):%Y-%m-%d %H:%M %Z}"
        return {"name": f"{registry}/{repository}@{digest}", "digest": digest, "label": label, "pushed": pushed}
    raise ParameterError(f"there is no image {wanted!r} in {repository}", fix="push it first, or name another")


def _parted(image: str) -> tuple[str, str, str]:
    """Return registry, repository and tag or digest of an image's name."""
    registry, _, rest = image.partition("/")
    found = re.fullmatch(r"([^:@]+)[:@]?(.*)", rest)
    return (registry, found[1], found[2]) if found else (registry, "", "")


def _within(wanted: str, registry: str, repository: str) -> str:
    parts = _parted(wanted)
    if parts[:2] != (registry, repository):
        raise ParameterError(f"{wanted!r} is another repository", why=f"the service runs from {registry}/{repository}")
    return parts[2]


def _conditions(found: state.Service, known: dict[str, str]) -> tuple[Condition, ...]:
    other = set(found.digests) != {known["digest"]}
    return (
        Condition("the registry has the image", f"{known['label']}, pushed {known['pushed']}", True),
        Condition("it is another image than the running one", "yes" if other else f"all run {_short(found.digests)}", other),
    )  # fmt: skip


def _differences(running: dict[str, Any], base: dict[str, Any], service: str) -> str:
    """Say what else differs; of the environment only names, as values may be secret."""
    said = [
        f"{name} {running.get(name)} to {base.get(name)}"
        for name in ("cpu", "memory", "taskRoleArn", "executionRoleArn", "networkMode")
        if running.get(name) != base.get(name)
    ]
    now, then = _box(running, service), _box(base, service)
    for kind in ("environment", "secrets"):
        one, two = ({each["name"]: each for each in box.get(kind, [])} for box in (now, then))
        names = sorted(name for name in one | two if one.get(name) != two.get(name))
        said += [f"{kind} differ in {', '.join(names)}"] if names else []
    left = ("image", "environment", "secrets")
    rest = sorted(n for n in now | then if n not in left and now.get(n) != then.get(n))
    return "; ".join([*said, *([f"{', '.join(rest)} differ"] if rest else [])]) or "nothing else differs from what runs"


def _short(digests: Any) -> str:
    return ", ".join(f"{one[:19]}…" for one in digests) or "not told"


def _observe(environment: Environment, plan: Plan) -> dict[str, Any]:
    found, fixed = state.read(environment, plan.target), plan.parameters
    there = _known(environment, found.image, fixed["digest"])
    return {**found.identity(), "base": fixed["base"], "digest": there["digest"]}


def _follow(environment: Environment, plan: Plan, kept: Kept) -> Progress:
    """The deployment, its targets and its alarm as after a restart; then that the tasks run this very image."""
    seen = services.follow(environment, plan, kept)
    if seen.state != "done":
        return seen
    digests = state.read(environment, plan.target, tasks=True).digests
    if set(digests) != {plan.parameters["digest"]}:
        return Progress("failed", f"{seen.says}; yet its tasks run {_short(digests)}")
    return Progress("done", f"{seen.says}; all run {_short(digests)}", {**seen.evidence, "digest": digests[0]})


def _undo(run: Run, plan: Plan, kept: Kept) -> Plan:
    """Plan to deploy the definition from before, also while the new one is still under way."""
    environment, step = run.environment, plan.undo_draft.steps[0]
    found = state.read(environment, plan.target, tasks=True)
    if found.definition == step.arguments["taskDefinition"]:
        raise Refused(
            "there is nothing to go back from",
            why=f"{plan.target} wants {found.definition} already",
            fix=plan.verification.look,
        )
    return plans.propose(
        run, action="roll-image-back", title=f"Roll {plan.target} back to {step.arguments['taskDefinition']}", target=plan.target,
        parameters={"alarm": plan.parameters["alarm"], "cluster": found.cluster}, before=found.identity(),
        changes=(Change(f"{found.cluster}/{plan.target}", found.now(), step.says, "roll out again", services.impact(environment, found)),),
        conditions=(Condition("the service is active", found.status, found.status == "ACTIVE"), services.room(found)), steps=(step,),
        limits=("what the release did to the database stays",), verification=plan.verification,
        undo_draft=Undo("roll the image out again"),
    )  # fmt: skip


def _observe_back(environment: Environment, plan: Plan) -> dict[str, Any]:
    return state.read(environment, plan.target).identity()


register(Action("roll-out-image", observe=_observe, follow=_follow, keep=_keep, undo=_undo, complete=_complete))
register(Action("roll-image-back", observe=_observe_back, follow=services.follow, keep=services.keep))
