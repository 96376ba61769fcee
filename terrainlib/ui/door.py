"""Who may use the app: requests to its own names, from its own pages.

A web page elsewhere can make its visitor's browser send requests to 127.0.0.1, and by
DNS rebinding under a name of its own. Streamlit looks at the websocket only, and lets
in the pages of every port of localhost.
"""

import threading
import webbrowser
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SHOWN_LETTERS: Final = 100


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
        refusal = self.refusal(Headers(scope=scope))
        if refusal and scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})  # seen as 403
        if refusal:
            return await PlainTextResponse(refusal, 403)(scope, receive, send)

        async def send_bounded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                ancestors = " ".join(["'self'", *sorted(self._origins)])
                headers["Content-Security-Policy"] = f"frame-ancestors {ancestors}"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
            await send(message)

        return await self._app(scope, receive, send_bounded)

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


@asynccontextmanager
async def browser_opened(app: object) -> AsyncIterator[None]:
    """Open the app in the person's browser at the start, unless it is headless."""
    del app
    if not st.get_option("server.headless"):
        address = str(st.get_option("server.address") or "localhost")
        shown = "localhost" if address in {"0.0.0.0", "::"} else address
        scheme = "https" if st.get_option("server.sslCertFile") else "http"
        host = f"[{shown}]" if ":" in shown else shown
        base = str(st.get_option("server.baseUrlPath")).strip("/")
        url = f"{scheme}://{host}:{st.get_option('server.port')}/{base}"
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    yield


def _shown(values: list[str]) -> str:
    text = ", ".join(values)
    return repr(text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…")
