"""The build of main fails on a dependency at 02:08Z: the sale's page is missing when the newsletter goes out at 02:12Z."""

import hashlib

from opslib.sandbox.life.incident import Incident
from opslib.sandbox.life.rhythm import MINUTE, milliseconds

TITLE = "The front end's build fails after a dependency update; the announced page of the sale is missing."
BUILD, SINCE = 365, "2026-11-05T02:12:00Z"
MESSAGE = "秋のセール特設ページ、react を 20 へ更新 (page of the autumn sale, react 20)"
CAUSE = (
    "npm error code ERESOLVE", "npm error ERESOLVE unable to resolve dependency tree", "npm error Found: react@20.0.1",
    'npm error Could not resolve dependency: peer react@"^19.0.0" from next@16.0.4',
)  # fmt: skip
INQUIRIES = (
    "メールのセールページが開けません", "「ページが見つかりません」と出ます。セールはいつからですか", "秋のセールのリンクが切れています",
)  # fmt: skip
MEASURED = (
    ("AWS/AmplifyHosting", "4XXErrors", "amplify", {"add": 42.0}), ("AWS/AmplifyHosting", "Requests", "amplify", {"add": 47.0}),
    ("AWS/CloudFront", "Requests", "cdn", {"factor": 1.06}), ("AWS/CloudFront", "4xxErrorRate", "cdn", {"add": 5.2}),
    ("AWS/CloudFront", "TotalErrorRate", "cdn", {"add": 5.2}),
)  # fmt: skip


def unfold(incident: Incident) -> None:
    """Let the build fail, and customers look for what it should have brought."""
    commit = hashlib.sha1(str(BUILD).encode()).hexdigest()
    incident.out.events.setdefault("amplify_builds", []).append(
        {"app": "d2shopexample", "branch": "main", "id": BUILD, "status": "FAILED", "started": "2026-11-05T02:06:00.000Z",
         "finished": "2026-11-05T02:08:07.000Z", "commit": commit, "message": MESSAGE, "by": "nakamura.sho", "cause": list(CAUSE)}
    )  # fmt: skip
    tasks = incident.shop.tasks("notifier")
    incident.note(
        "notifier", SINCE, "info", "メルマガを配信しました: 秋のセール (18,400 通)", tasks[0], campaign="autumn-sale"
    )
    for namespace, name, where, change in MEASURED:
        incident.metric(namespace, name, where, SINCE, **change, ramp=240)
    readers = [request for request in incident.requests("GET /", SINCE) if request.user]
    for number, request in enumerate(readers[4::9]):
        start = request.end + int((1 + 3 * incident.rng.random()) * MINUTE)
        if start < milliseconds("2026-11-05T02:39:00Z"):
            incident.ask(request, start, INQUIRIES[number % len(INQUIRIES)])
    incident.out.planted = {
        "component": "frontend",
        "runbook": "2-investigate/slow-frontend",
        "branch": "main",
        "build": str(BUILD),
    }
