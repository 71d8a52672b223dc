"""The site is fetched with a deadline, on its own host only, and names its build as Next.js or a header does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from opslib.config import Environment
from opslib.errors import ConfigError, SourceError
from opslib.sources import site

NAME = "Zx3-kQ_a81bYh2nT0mWq7"


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = PAGES.get(self.path)
        if found is None:
            self.send_response(404)
            self.end_headers()
            return
        status, headers, body = found
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("HERE", str(self.server.server_address[1])))  # type: ignore[index]
        self.end_headers()
        for number, piece in enumerate(body):
            time.sleep(0.2 if number else 0)
            try:
                self.wfile.write(piece.encode())
                self.wfile.flush()
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        pass


PAGES: dict[str, tuple[int, dict[str, str], list[str]]] = {
    "/pages": (200, {}, [f'<script src="/_next/static/{NAME}/_buildManifest.js" defer>']),
    "/data": (200, {}, [f'<script id="__NEXT_DATA__">{{"page":"/","buildId":"{NAME}"}}</script>']),
    "/app": (200, {}, [f'self.__next_f.push([1,"0:{{\\"P\\":null,\\"b\\":\\"{NAME}\\",\\"p\\":\\"\\"}}"])']),
    "/meta": (200, {}, [f'<meta name="build-id" content="{NAME}">']),
    "/header": (200, {"x-build-id": f"{NAME}<b>"}, ['"buildId":"another-one"']),
    "/none": (200, {}, ["<h1>hello</h1>"]),
    "/hostile": (200, {}, ['"buildId":"<script>alert(1)</script>"']),
    "/here": (302, {"location": "/pages"}, []),
    "/there": (302, {"location": "http://localhost:HERE/pages"}, []),
    "/meta-data": (302, {"location": "http://169.254.169.254/latest/meta-data/"}, []),
    "/round": (302, {"location": "/round"}, []),
    "/broken": (500, {}, [f'"buildId":"{NAME}"']),
    "/drip": (200, {}, ["x"] * 40),
    "/no-http": (200, {"location": "x"}, []),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _environment(address: str) -> Environment:
    given = {"app": "d2", "site": address}
    return Environment(account="000000000000", region="ap-northeast-1", sandbox=True, frontend=given, name="test")


@pytest.mark.parametrize("path", ["/pages", "/data", "/app", "/meta", "/header", "/here"])
def test_the_build_is_named(shop: str, path: str) -> None:
    found = site.page(_environment(shop + path))
    assert (found.status, found.build.rstrip("b")) == (200, NAME)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/none", 200), ("/hostile", 200), ("/there", 302), ("/meta-data", 302), ("/broken", 500), ("/gone", 404)],
)
def test_no_build_and_no_other_host(shop: str, path: str, status: int) -> None:
    found = site.page(_environment(shop + path))
    assert (found.status, found.build) == (status, "")


def test_a_deadline_holds_for_the_whole_answer(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "SECONDS", 1.0)
    with pytest.raises(SourceError, match="did not answer"):
        site.page(_environment(f"{shop}/drip"))


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "https://127.0.0.1:1/"])
def test_nobody_there(address: str) -> None:
    with pytest.raises(SourceError, match="the site did not answer"):
        site.page(_environment(address))


@pytest.mark.parametrize(
    "address",
    ["http://www.example.com/", "file:///etc/passwd", "https://a:b@example.com/", "https://x/?token=1", "www.example.com"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="https address"):
        _environment(address)


def test_without_an_address(shop: str) -> None:
    with pytest.raises(ConfigError, match="address is not known"):
        site.page(_environment(""))
