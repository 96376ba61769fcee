"""Who may use the app: requests to its own names, from its own pages.

In a demo it also knows visitors apart, by a cookie, and who of them is here.

A web page elsewhere can make its visitor's browser send requests to 127.0.0.1, and by
DNS rebinding under a name of its own. Streamlit looks at the websocket only, and lets
in the pages of every port of localhost.
"""

import asyncio
import logging
import os
import secrets
import threading
import time
import webbrowser
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime.stats import CacheStat

from terrainlib import files, rights
from terrainlib.errors import TerrainError
from terrainlib.model.beside import work_beside
from terrainlib.runs.launcher import clear_visitors
from terrainlib.ui.identity import (
    VISITOR_COOKIE,
    is_let_in,
    is_loopback,
    visitor_secret,
)
from terrainlib.ui.memory import keep_memory_small

_SHOWN_LETTERS: Final = 100
_UPLOADS: Final = "/_stcore/upload_file/"
_METRICS: Final = "/_stcore/metrics"  # names pages and sessions, and asks for no token
_FORM_BYTES: Final = 100_000  # what an upload's form takes beside the file
_HELD_MB: Final = 600  # of uploads in memory at once: three of the largest
_PATIENCE_S: Final = 45.0  # until room is there; proxies wait for 60
_LOOK_SECONDS: Final = 0.2
_SWEEP_SECONDS: Final = 60.0
_FULL: Final = (
    "Other people are uploading as much as fits into memory. Try again in a minute."
)
_log = logging.getLogger(__name__)
_present: Final[Counter[str]] = Counter()  # open pages of visitors, by their folder
_coming: Final[list[int]] = []  # bytes of each upload under way


class Door:
    """Middleware that refuses foreign names and origins, pages and files included.

    Args:
        app: What lies behind the door.
        hosts: Names that the app is reached by, without ports; `*.example.org` stands
            for all below it, `*` for any name.
        origins: Origins of other pages that may use the app, as
            `https://example.org:8443`.
    """

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], origins: Collection[str]
    ) -> None:
        self._app = app
        self._hosts = {name.strip().lower().rstrip(".") for name in hosts}
        self._origins = {origin.strip().lower().rstrip("/") for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it by 403 and one sentence."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        refusal = self.refusal(headers) or _refused_path(scope, headers)
        if refusal and scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})  # seen as 403
        if refusal:
            return await PlainTextResponse(refusal, 403)(scope, receive, send)

        known = _visitor_of(headers)

        async def send_bounded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                ancestors = " ".join(["'self'", *sorted(self._origins)])
                added["Content-Security-Policy"] = f"frame-ancestors {ancestors}"
                added["Cross-Origin-Resource-Policy"] = "same-origin"
                if known is None and rights.mode() == "demo":
                    added.append("Set-Cookie", _new_visitor())
            await send(message)

        if scope["type"] == "http" or known is None:
            return await self._enter(scope, receive, send_bounded)
        _present[known] += 1
        try:
            return await self._app(scope, receive, send_bounded)
        finally:
            _left(known)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_upload(scope):
            return await self._app(scope, receive, send)
        async with _room(_length(Headers(scope=scope))) as there:
            inside = self._app if there else PlainTextResponse(_FULL, 503)
            return await inside(scope, receive, send)

    def refusal(self, headers: Headers) -> str:
        """Return why a request is refused, in one sentence; empty if it is not."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = hosts[0].lower() if len(hosts) == 1 else ""
        if not self._is_own(host):
            return (
                f"This app is not reached by the name {_shown(hosts)}. Whoever runs it "
                "can add a name to server.allowedHosts in .streamlit/config.toml."
            )
        own = {*self._origins, f"http://{host}", f"https://{host}"}
        if len(origins) > 1 or not own.issuperset(map(str.lower, origins)):
            return (
                f"Pages of {_shown(origins)} may not use this app. Whoever runs it can "
                "add an origin to server.corsAllowedOrigins in .streamlit/config.toml."
            )
        return ""

    def _is_own(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name = (parts.hostname or "").rstrip(".")
            parts.port  # noqa: B018  a port that is no number raises here
        except ValueError:
            return False
        if not name or parts.netloc != host or "@" in host:
            return False
        above = {f"*{name[i:]}" for i, letter in enumerate(name) if letter == "."}
        return not self._hosts.isdisjoint({name, "*", *above})


def _refused_path(scope: Scope, headers: Headers) -> str:
    """Return why what is asked for is refused, in one sentence; empty if it is not."""
    path, limit = str(scope["path"]), rights.limits().upload_mb
    host = (scope.get("client") or ("",))[0]
    own = rights.mode() == "own" and is_loopback(host)
    if path.endswith(_METRICS) and not own:
        return "This app does not tell others its metrics."
    if not _is_upload(scope):
        return ""
    session = path.partition(_UPLOADS)[2].partition("/")[0]
    if rights.mode() == "team" and not is_let_in(session):
        return "Log in first."
    if limit is not None:
        length = _length(headers)
        if length is None or length > limit * 1_000_000 + _FORM_BYTES:
            return f"An upload has {limit} MB at most here."
    return ""


def _is_upload(scope: Scope) -> bool:
    return _UPLOADS in str(scope["path"]) and scope.get("method") == "PUT"


def _length(headers: Headers) -> int | None:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else None


@asynccontextmanager
async def _room(size: int | None) -> AsyncIterator[bool]:
    """Wait until an upload finds room in memory; yield whether it does.

    Args:
        size: Its bytes; None where nobody says.
    """
    if size is None:
        size = int(st.get_option("server.maxUploadSize")) * 2**20
    until = time.monotonic() + _PATIENCE_S
    while (held := _held()) and held + size > _HELD_MB * 1_000_000:
        if time.monotonic() >= until:
            yield False
            return
        await asyncio.sleep(_LOOK_SECONDS)
    _coming.append(size)
    try:
        yield True
    finally:
        _coming.remove(size)


def _held() -> int:
    """Return the bytes of the uploads under way, and of those that pages still hold."""
    held = sum(_coming)
    if st.runtime.exists():
        told = st.runtime.get_instance().uploaded_file_mgr.get_stats()
        stats = [stat for family in told.values() for stat in family]
        held += sum(stat.byte_length for stat in stats if isinstance(stat, CacheStat))
    return held


def _visitor_of(headers: Headers) -> str | None:
    """Return the name of the folder of a demo's visitor; None for any other request."""
    if rights.mode() != "demo":
        return None
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == VISITOR_COOKIE and (secret := visitor_secret(value)):
            return PurePosixPath(rights.visitor(secret).folder).name
    return None


def _new_visitor() -> str:
    secret = secrets.token_urlsafe(24)
    return f"{VISITOR_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax"


def _left(visitor: str) -> None:
    """Note that a visitor has closed a page; the hour runs from the last one."""
    _present[visitor] -= 1
    if not _present[visitor]:
        del _present[visitor]
        with suppress(OSError):  # who made nothing has no folder
            os.utime(files.shared_dir() / rights.VISITORS / visitor)


async def _clear_visitors() -> None:
    """Remove what visitors have left, as long as the app runs."""
    while True:
        try:
            await asyncio.to_thread(clear_visitors, set(_present))
        except (OSError, TerrainError) as error:
            _log.warning("not everything of a visitor was removed: %s", error)
        await asyncio.sleep(_SWEEP_SECONDS)


@asynccontextmanager
async def served(app: object) -> AsyncIterator[None]:
    """Do what a running app does beside its pages.

    Networks run in a process beside it. It is opened in the person's browser at the
    start, unless it is headless; what visitors of a demo have left is cleared away.
    """
    del app
    keep_memory_small()
    work_beside()
    _open_browser()
    sweeping = None
    if rights.mode() == "demo":
        sweeping = asyncio.create_task(_clear_visitors())
    yield
    work_beside(wanted=False)
    if sweeping is not None:
        sweeping.cancel()


def _open_browser() -> None:
    if not st.get_option("server.headless"):
        address = str(st.get_option("server.address") or "localhost")
        shown = "localhost" if address in {"0.0.0.0", "::"} else address
        scheme = "https" if st.get_option("server.sslCertFile") else "http"
        host = f"[{shown}]" if ":" in shown else shown
        base = str(st.get_option("server.baseUrlPath")).strip("/")
        url = f"{scheme}://{host}:{st.get_option('server.port')}/{base}"
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _shown(values: list[str]) -> str:
    text = ", ".join(values)
    return repr(text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…")
