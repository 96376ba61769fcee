"""Which names and origins the running app answers: raw requests, no browser."""

import asyncio
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.datastructures import Headers
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from terrainlib import rights
from terrainlib.ui import door, identity
from terrainlib.ui.door import Door
from tests.browser.conftest import ROOT, serve

CONFIG = tomllib.loads((ROOT / ".streamlit/config.toml").read_text("utf-8"))
NAMES = CONFIG["server"]["allowedHosts"]
SECONDS = 30
BOUNDARY = "a-boundary"
UPLOAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.png"'
    f"\r\n\r\n1\r\n--{BOUNDARY}--\r\n"
)
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@dataclass(frozen=True)
class Visit:
    """A person's session with the running app, and what its browser holds of it."""

    port: int
    media: str
    session: str
    token: str

    def ask(self, what: str, *fields: tuple[str, str]) -> tuple[int, str, Headers]:
        """Send a request with these `Host` and `Origin` and return what comes back."""
        method, path, more, body = "GET", what, {}, ""
        if what == "websocket":
            path, more = "/_stcore/stream", UPGRADE
        elif what == "media":
            path = self.media
        elif what == "upload":
            method, path, body = "PUT", f"/_stcore/upload_file/{self.session}/1", UPLOAD
            more = {
                "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
                "Content-Length": str(len(body)),
                "Cookie": f"_streamlit_xsrf={self.token}",
                "X-Xsrftoken": self.token,
            }
        line = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        line.putrequest(method, path, skip_host=True)
        for name, value in [*fields, *more.items()]:
            line.putheader(name, value)
        line.endheaders(body.encode() or None)
        answer = line.getresponse()
        headers = Headers(dict(answer.getheaders()))
        text = "" if answer.status == 101 else answer.read().decode(errors="replace")
        line.close()
        return answer.status, text, headers


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """The app, which is also reached by the name maps.lan, visited by a person."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMLIT_SERVER_ALLOWED_HOSTS", " ".join([*NAMES, "maps.lan"]))
        with serve(ROOT / "streamlit_app.py", home) as server:
            port = urlsplit(server.url).port
            stream = f"ws://127.0.0.1:{port}/_stcore/stream"
            wanted = BackMsg()
            wanted.rerun_script.page_name = "Dataset_Preview"
            with connect(
                stream, subprotocols=["streamlit"], max_size=None, proxy=None
            ) as line:
                line.send(wanted.SerializeToString())
                session, media = "", None
                while not media:
                    seen = line.recv(SECONDS, decode=False)
                    media = re.search(rb"/media/\w+\.\w+", seen)
                    begun = ForwardMsg.FromString(seen).new_session
                    session = begun.initialize.session_id or session
                found = Visit(port, media[0].decode(), session, "")
                cookie = found.ask("/_stcore/health", ("Host", f"localhost:{port}"))[2]
                token = re.search(r"_streamlit_xsrf=([^;]+)", cookie["set-cookie"])
                yield Visit(port, found.media, session, token[1])


WAYS = {
    "/": 200,
    "/Training": 200,
    "/static/no.js": 200,  # any other path is the page
    "/_stcore/host-config": 200,
    "websocket": 101,
    "media": 200,
    "upload": 204,
}
OWN = [
    [("Host", "127.0.0.1:{port}")],
    [("Host", "127.0.0.1:{port}"), ("Origin", "http://127.0.0.1:{port}")],
    [("Host", "LocalHost:{port}"), ("Origin", "http://localhost:{port}")],
    [("Host", "[::1]:{port}"), ("Origin", "http://[::1]:{port}")],
    [("Host", "maps.lan"), ("Origin", "https://maps.lan")],  # a proxy before it
]
FOREIGN = [
    [("Host", "evil.example:{port}")],
    [("Host", "evil.example:{port}"), ("Origin", "http://evil.example:{port}")],
    [("Host", "127.0.0.1.evil.example"), ("Origin", "http://127.0.0.1.evil.example")],
    [("Host", "192.0.2.1:{port}"), ("Origin", "http://192.0.2.1:{port}")],
    [("Host", "localhost@evil.example")],
    [("Host", "localhost:no")],
    [("Host", "localhost/x")],
    [("Host", "")],
    [("Host", "127.0.0.1:{port}"), ("Origin", "http://evil.example")],
    [("Host", "127.0.0.1:{port}"), ("Origin", "http://127.0.0.1:3000")],
    [("Host", "localhost:{port}"), ("Origin", "http://localhost")],
    [("Host", "localhost:{port}"), ("Origin", "http://127.0.0.1:{port}")],
    [("Host", "localhost:{port}"), ("Origin", "null")],
    [("Host", "localhost:{port}"), ("Origin", "")],
    [
        ("Host", "localhost:{port}"),
        ("Origin", "http://localhost:{port}"),
        ("Origin", "http://evil.example"),
    ],
]


def filled(fields: list[tuple[str, str]], port: int) -> list[tuple[str, str]]:
    return [(name, value.format(port=port)) for name, value in fields]


@pytest.mark.parametrize("what", WAYS)
def test_its_own_pages_are_answered(visit: Visit, what: str):
    answers = [visit.ask(what, *filled(fields, visit.port))[0] for fields in OWN]

    assert answers == [WAYS[what]] * len(OWN)


@pytest.mark.parametrize("what", WAYS)
@pytest.mark.parametrize("fields", FOREIGN, ids=str)
def test_foreign_names_and_origins_are_refused(
    visit: Visit, what: str, fields: list[tuple[str, str]]
):
    status, text, _ = visit.ask(what, *filled(fields, visit.port))

    if (status, what) != (400, "websocket"):  # the server's own, for odd requests
        assert status == 403
    if what != "websocket":
        assert "server.allowedHosts" in text or "server.corsAllowedOrigins" in text


def test_an_upload_without_the_token_of_its_own_page_is_refused(visit: Visit):
    stranger = Visit(visit.port, visit.media, visit.session, "")

    status, text, _ = stranger.ask("upload", ("Host", f"localhost:{visit.port}"))

    assert (status, "XSRF" in text) == (403, True)


@pytest.mark.parametrize("what", ["/", "media", "/Training"])
def test_no_page_elsewhere_can_frame_or_embed_it(visit: Visit, what: str):
    _, _, headers = visit.ask(what, ("Host", f"localhost:{visit.port}"))

    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_only_this_machine_is_reached_by_the_settings_that_come_with_it():
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert NAMES == ["localhost", "127.0.0.1", "::1"]
    assert CONFIG["server"]["enableCORS"] is True
    assert CONFIG["server"]["enableXsrfProtection"] is True


@pytest.mark.parametrize(
    ("host", "origin", "passes"),
    [
        ("a.maps.lan", "https://a.maps.lan", True),
        ("b.a.maps.lan:8501", "http://b.a.maps.lan:8501", True),
        ("maps.lan", None, False),
        ("evilmaps.lan", None, False),
        ("Tiles.Lan.", "http://tiles.lan.", True),
        ("10.0.0.1:8501", "https://portal.example", True),
        ("10.0.0.1:8501", "https://portal.example:444", False),
        ("10.0.0.1:8501", "http://portal.example", False),
    ],
)
def test_settings_name_who_else_may_come(host: str, origin: str | None, passes: bool):
    async def app(*_: object) -> None:
        raise AssertionError

    guard = Door(
        app, ["*.maps.lan", "tiles.lan", "10.0.0.1"], ["https://Portal.example/"]
    )
    fields = {"host": host} | ({"origin": origin} if origin else {})

    assert (guard.refusal(Headers(fields)) == "") is passes


def test_a_star_stands_for_every_name_but_not_for_every_origin():
    guard = Door(lambda *_: None, ["*"], [])

    assert guard.refusal(Headers({"host": "any.example"})) == ""
    assert guard.refusal(Headers({"host": "any.example", "origin": "http://b.example"}))


def test_an_upload_waits_for_room_in_memory_and_is_told_why_it_finds_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, large = "/_stcore/upload_file/a/1", str(2**40)
    monkeypatch.setattr(door, "_PATIENCE_S", 0.0)
    assert enter(path, content_length=large)[0] == 200  # alone, it always fits
    monkeypatch.setattr(door, "_coming", [500_000_000])
    assert enter(path, content_length="90000000")[0] == 200
    assert enter(path, content_length="110000000")[0] == 503
    assert enter(path)[0] == 503  # nobody says how much comes
    monkeypatch.setattr(door, "_PATIENCE_S", 60.0)
    monkeypatch.setattr(door.asyncio, "sleep", leave_room)
    assert enter(path, content_length="110000000")[0] == 200
    assert door._coming == []


async def leave_room(_: float) -> None:
    door._coming.clear()


def enter(
    path: str, kind: str = "http", **fields: str
) -> tuple[int, Headers, list[set[str]]]:
    """Ask a door; return status and headers of the answer, and who was here."""
    sent: list[dict] = []
    seen: list[set[str]] = []

    async def app(_: object, __: object, send: Callable[..., Any]) -> None:
        seen.append(set(door._present))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict) -> None:
        sent.append(message)

    headers = {
        "host": "localhost",
        **{k.replace("_", "-"): v for k, v in fields.items()},
    }
    scope = {
        "type": kind,
        "path": path,
        "method": "PUT" if "upload" in path else "GET",
        "client": ("192.0.2.1", 5),
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
    }
    with ThreadPoolExecutor() as pool:  # Playwright's loop may run in this thread
        visit = Door(app, ["localhost"], [])(scope, None, send)
        pool.submit(asyncio.run, visit).result()
    return sent[0]["status"], Headers(raw=sent[0]["headers"]), seen


def test_a_demo_knows_its_visitors_by_a_cookie_and_who_is_here(
    monkeypatch: pytest.MonkeyPatch, terrainlib_home: Path
) -> None:
    monkeypatch.setenv("TERRAINLIB_MODE", "demo")
    cookie = enter("/")[1]["set-cookie"].split(";")[0]
    assert "set-cookie" not in enter("/", cookie=cookie)[1]
    assert "set-cookie" in enter("/", cookie="terrainlib_visitor=x")[1]
    home = terrainlib_home / rights.visitor(cookie.partition("=")[2]).folder
    home.mkdir(parents=True)
    os.utime(home, (0, 0))
    assert enter("/_stcore/stream", "websocket", cookie=cookie)[2] == [{home.name}]
    assert not door._present
    assert home.stat().st_mtime > 0  # the hour begins when the last page is closed


@pytest.mark.parametrize(
    ("mode", "path", "length", "status"),
    [
        ("demo", "/_stcore/upload_file/a/1", "50000000", 200),
        ("demo", "/_stcore/upload_file/a/1", "50200000", 403),
        ("demo", "/maps/_stcore/upload_file/a/1", "", 403),
        ("own", "/_stcore/upload_file/a/1", "200000000", 200),
        ("team", "/_stcore/upload_file/a/1", "1", 403),  # nobody has logged in
        ("team", "/_stcore/upload_file/known/1", "1", 200),
        ("own", "/_stcore/metrics", "", 403),  # to another machine
        ("team", "/maps/_stcore/metrics", "", 403),
    ],
)
def test_large_uploads_and_metrics_are_refused_at_the_door(
    monkeypatch: pytest.MonkeyPatch, mode: str, path: str, length: str, status: int
) -> None:
    monkeypatch.setenv("TERRAINLIB_MODE", mode)
    monkeypatch.setitem(identity._sessions, "known", None)
    assert enter(path, content_length=length)[0] == status


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "http://localhost:8501/"),
        ({"server.address": "0.0.0.0"}, "http://localhost:8501/"),
        ({"server.address": "::1"}, "http://[::1]:8501/"),
        ({"server.baseUrlPath": "/maps/"}, "http://localhost:8501/maps"),
        ({"server.sslCertFile": "a.pem"}, "https://localhost:8501/"),
        ({"server.headless": True}, None),
    ],
)
def test_the_browser_opens_the_app_at_its_start(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, object], address: str | None
):
    opened: SimpleQueue[str] = SimpleQueue()
    usual = {"server.port": 8501, "server.baseUrlPath": ""}
    monkeypatch.setattr(door.webbrowser, "open", opened.put)
    monkeypatch.setattr(door.st, "get_option", (usual | options).get)

    async def start() -> None:
        async with door.served(None):
            pass

    with ThreadPoolExecutor() as pool:  # Playwright's loop may run in this thread
        pool.submit(asyncio.run, start()).result()

    if address is None:
        assert opened.empty()
    else:
        assert opened.get(timeout=SECONDS) == address
