"""Who looks at a page: by their log-in, by a proxy's header, or as a visitor of a demo.

`rights` asks here whose page is drawn, also for callbacks and fragments. In a team
people log in by OpenID Connect (`st.login`, the section `[auth]` of
`.streamlit/secrets.toml`), or a proxy before the app does that and names them in the
header that `TERRAINLIB_USER_HEADER` names.
"""

import os
from ipaddress import ip_address
from typing import Final

import streamlit as st
from streamlit.errors import StreamlitAuthError
from streamlit.runtime.scriptrunner import get_script_run_ctx

from terrainlib import rights
from terrainlib.rights import Actor
from terrainlib.ui.text import md_escape

HEADER_VARIABLE: Final = "TERRAINLIB_USER_HEADER"
ADMINS_VARIABLE: Final = "TERRAINLIB_ADMINS"
VISITOR_COOKIE: Final = "terrainlib_visitor"
COOKIE_LETTERS: Final = (20, 100)  # of a visitor's secret: at least, at most
NOT_SET_UP: Final = (
    "The log-in is not set up. Whoever runs this app can find the steps in "
    "docs/deploy.md: an `[auth]` section in `.streamlit/secrets.toml`, and the extra "
    "`auth`."
)
OPEN_WARNING: Final = (
    "Whoever reaches this machine can open this app, read its folders, and start and "
    "delete everything. Start it with `--server.address 127.0.0.1`, or set "
    f"`{rights.MODE_VARIABLE}` to `team` or `demo`."
)


def viewer() -> Actor | None:
    """Return whose page is drawn in this thread; None where none is."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return None
    if rights.mode() == "demo":
        return rights.visitor(_visitor_secret() or context.session_id)
    header = os.environ.get(HEADER_VARIABLE)
    return (_by_header(header) if header else _by_log_in()) or rights.NOBODY


rights.ask_for_actor(viewer)


def visitor_secret(cookie: str | None) -> str | None:
    """Return what a visitor's cookie says, unless that is none of ours."""
    least, most = COOKIE_LETTERS
    return cookie if cookie and least <= len(cookie) <= most else None


def _visitor_secret() -> str | None:
    return visitor_secret(st.context.cookies.get(VISITOR_COOKIE))


def _by_header(name: str) -> Actor | None:
    """Return whom the proxy names; nobody where it named none, or somebody else too."""
    named = [value.strip() for value in st.context.headers.get_all(name)]
    if len(named) != 1 or not named[0]:
        return None
    who = named[0]
    return rights.person(f"header {who}", who, administrator=_is_admin(who))


def _by_log_in() -> Actor | None:
    """Return who has logged in, known by provider and subject, not by their e-mail."""
    user = st.user.to_dict()
    subject = str(user.get("sub") or "")
    if not user.get("is_logged_in") or not subject:
        return None
    mail = str(user.get("email") or "")
    verified = mail if user.get("email_verified") is True else ""
    return rights.person(
        f"{user.get('iss', '')} {subject}",
        str(mail or user.get("name") or subject),
        administrator=_is_admin(subject) or _is_admin(verified),
    )


def _is_admin(name: str) -> bool:
    listed = os.environ.get(ADMINS_VARIABLE, "").lower().split(",")
    return bool(name) and name.lower() in {word.strip() for word in listed}


_MAX_SESSIONS: Final = 10_000
_sessions: Final[dict[str, None]] = {}  # those of people who are known, oldest first


def let_in() -> None:
    """Let this session, of somebody who is known, send uploads."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:
        _sessions[context.session_id] = None
        for old in list(_sessions)[:-_MAX_SESSIONS]:
            _sessions.pop(old, None)


def is_let_in(session: str) -> bool:
    """Return whether a session is that of somebody who is known."""
    return session in _sessions


def show_viewer() -> None:
    """Say in the side bar who is here, and how long a visitor's things stay."""
    who = rights.actor()
    if rights.mode() == "demo":
        st.caption(
            ":material/schedule: A demo: what you make is deleted an hour after "
            "you leave."
        )
    elif rights.mode() == "team":
        role = ", administrator" if who.role == "administrator" else ""
        st.caption(f":material/person: {md_escape(who.name)}{role}")
        if not os.environ.get(HEADER_VARIABLE):
            st.button(
                "Log out", key="log_out", icon=":material/logout:", on_click=st.logout
            )


def warn_if_open() -> None:
    """Warn where everybody on the network may do what the owner may."""
    if rights.mode() == "own" and not is_loopback(st.get_option("server.address")):
        st.warning(OPEN_WARNING, icon=":material/lock_open:")


def is_loopback(address: str | None) -> bool:
    """Return whether a server at an address is reached from its own machine alone."""
    try:
        return address == "localhost" or ip_address(address or "0.0.0.0").is_loopback
    except ValueError:
        return False


def show_log_in() -> None:
    """Ask somebody who is not known yet to log in."""
    if os.environ.get(HEADER_VARIABLE):
        st.error(
            "The proxy before this app has not said who you are. Log in there, or ask "
            "the person who runs it.",
            icon=":material/lock:",
        )
        return
    st.markdown("Log in to see your trainings, predictions, labels and models.")
    for provider in _providers():
        name = f"Log in with {md_escape(provider)}" if provider else "Log in"
        if st.button(name, type="primary", icon=":material/login:"):
            try:
                st.login(provider)
            except StreamlitAuthError:
                st.error(NOT_SET_UP, icon=":material/error:")


def _providers() -> list[str | None]:
    """Return the providers of `secrets.toml` that have names; None is the only one."""
    try:
        known = st.secrets["auth"]
        return [name for name in known if hasattr(known[name], "keys")] or [None]
    except (KeyError, FileNotFoundError):
        return [None]


def mode_text() -> str:
    """Return in a line who this app is for."""
    mode = rights.mode()
    return f"This app is {rights.MODES[mode]} ({rights.MODE_VARIABLE}={mode})"
