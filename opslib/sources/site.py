"""The site as customers get it: does it answer, and which build of the front end answers."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from opslib.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from opslib.config import Environment

SECONDS, BYTES, STEPS = 10.0, 1_000_000, 5
# Next.js names its build in the address of a manifest, in __NEXT_DATA__, or in what the app router streams; others can say it.
_BUILD = re.compile(
    r"/_next/static/([\w-]{6,64})/_(?:build|ssg)Manifest\.js"
    r'|\\?"buildId\\?":\s?\\?"([\w.-]{6,64})\\?"'
    r'|\\"P\\":[^,]{1,20},\\"b\\":\\"([\w-]{6,64})\\"'
    r'|<meta name="build(?:-id)?" content="([\w.-]{4,64})"'
)


@dataclass(frozen=True)
class Page:
    """What the site answered: the HTTP status, and the build that its page or its header x-build-id names, if any."""

    status: int
    build: str

    def says(self) -> str:
        """Return it as people say it."""
        return f"{self.status} with {f'build {self.build}' if self.build else 'no name of a build'}"


def page(environment: Environment) -> Page:
    """Fetch `site` of [frontend] (GET, 10 s in all, no cookie, redirects on that host only).

    Raises ConfigError without one, SourceError when there is no whole answer.
    """
    named = environment.frontend
    if named is None or not named.site:
        raise ConfigError(
            "the site's address is not known", fix=f'add `site = "https://…"` to [env.{environment.name}.frontend]'
        )
    until = time.monotonic() + SECONDS
    direct = [urllib.request.ProxyHandler({})] if environment.sandbox else []
    opener = urllib.request.build_opener(_OnThisHost, *direct)
    asked = urllib.request.Request(named.site, headers={"User-Agent": "opslib", "Cache-Control": "no-cache"})
    try:
        with opener.open(asked, timeout=SECONDS / 2) as answer:
            return _read(answer, until)
    except urllib.error.HTTPError as error:
        return Page(error.code, "")
    except (OSError, ValueError, HTTPException) as error:
        why = str(getattr(error, "reason", "")) or type(error).__name__
        raise SourceError("the site did not answer", why=why, fix="open it in a browser; look at DNS and certificate: opslib open slow-frontend") from None  # fmt: skip


class _OnThisHost(urllib.request.HTTPRedirectHandler):
    max_redirections = STEPS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Follow on the same host and scheme; where it leads elsewhere the answer is the redirect itself."""
        here, there = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _read(answer: Any, until: float) -> Page:
    """Read in pieces: a server that sends a byte now and then holds nobody longer than the deadline."""
    text = b""
    while len(text) < BYTES and (piece := answer.read1(65536)):
        text += piece
        if time.monotonic() > until:
            raise TimeoutError(f"not whole within {SECONDS:g} s")
    found = _BUILD.search(text.decode("utf-8", "replace"))
    named = next(filter(None, found.groups()), "") if found else ""
    said = re.sub(r"[^\w.-]", "", answer.headers.get("x-build-id", ""))[:64]
    return Page(answer.status, said or named)
