"""Who may look at the panel: a page with the token, from this machine, by the address that was printed.

The token is random and compared in constant time; the first page has it in its address, and then in a cookie that no other
site's page is sent with. A name that another site points at this machine (DNS rebinding) is refused by the Host header, a
page of another origin by the WebSocket's Origin. ASGI; the panel's own thread.
"""

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
REFUSED = 403
POLICY_VIOLATED = 1008


class Gate:
    """Lets through to `app` who shows `token` at this `port`."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"bodycam-panel-{port}"  # cookies are the host's, whatever the port
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        by_address = self._is_token(parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0])
        why_not = self._why_not(scope, headers, by_address=by_address)
        if why_not:
            await _refuse(scope, receive, send, why_not)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = HEADERS | ({"set-cookie": self._set_cookie()} if by_address else {})
                own = [(name.encode(), value.encode()) for name, value in more.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _why_not(self, scope: Scope, headers: dict[str, str], *, by_address: bool) -> str:
        host = headers.get("host", "")
        if host not in self._hosts:
            return "not by this name: use the address that bodycam-sim panel printed"
        if scope["type"] == "websocket" and headers.get("origin") != f"http://{host}":
            return "not for a page of another origin"
        if not by_address and not self._has_cookie(headers.get("cookie", "")):
            return "the token is missing or wrong: use the address that bodycam-sim panel printed"
        return ""

    def _has_cookie(self, header: str) -> bool:
        try:
            cookie = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return False
        return cookie is not None and self._is_token(cookie.value)

    def _is_token(self, said: str) -> bool:
        return hmac.compare_digest(said.encode("utf-8", "replace"), self._token)

    def _set_cookie(self) -> str:
        return f"{self._cookie}={self._token.decode()}; Path=/; HttpOnly; SameSite=Strict"


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    """A WebSocket that is closed before it was accepted is answered with 403 by the server."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATED, "reason": why})
        return
    plain = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "http.response.start", "status": REFUSED, "headers": plain})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})
