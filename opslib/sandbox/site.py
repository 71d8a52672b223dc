"""The shop's front end as Amplify serves it: one page of the build that was deployed last, under /_site/."""

import hashlib
from collections.abc import Callable
from datetime import datetime

from opslib.sandbox.frontend_builds import Build, Builds
from opslib.sandbox.protocol import Call, Request, Response

PREFIX = "/_site/"
_PAGE = """<!DOCTYPE html><html lang="ja"><head><meta charset="utf-8"><title>Hinata Market</title>
<script src="/_next/static/{build}/_buildManifest.js" defer></script></head><body><h1>Hinata Market</h1></body></html>
"""


class Site:
    """A door of the gateway beside AWS; faults name it `site`."""

    def __init__(self, builds: Callable[[], Builds], now: Callable[[], datetime]) -> None:
        self._builds, self._now = builds, now

    def call(self, request: Request) -> Call:
        """Return a request as a call, by which faults know it."""
        return Call("site", request.method, "site", "")

    def answer(self, request: Request) -> Response:
        """Answer the page of the build that is served; one that breaks when it is served says so."""
        now = self._now()
        done = sorted(
            (job for job in self._builds().of("main") if job.status(now) == "SUCCEED"), key=lambda job: job.end
        )
        served = [job for job in done if job.serves != "old"]
        if not served:
            return _page(404, "nothing was ever deployed")
        return _page(500, "Internal Server Error") if served[-1].serves == "broken" else _page(200, _PAGE.format(build=build_id(served[-1])))  # fmt: skip

    def failed(self, request: Request, status: int, retry_after: float | None) -> Response:
        """Answer with a status that was asked for."""
        return _page(status, "an error on purpose")

    def lost(self, request: Request, how: str) -> None:
        """Say nothing: nobody hears of it."""


def build_id(job: Build) -> str:
    """Return what Next.js calls a build: another one each time, also of the same commit."""
    return hashlib.sha256(f"{job.branch}/{job.id}/{job.commit}".encode()).hexdigest()[:21]


def _page(status: int, body: str) -> Response:
    return Response(status, [("content-type", "text/html; charset=utf-8")], body.encode())
