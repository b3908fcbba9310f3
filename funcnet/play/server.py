"""The page on loopback: one secret in its address, no other host, and nothing but JSON."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from funcnet.errors import FuncnetError, one_line
from funcnet.play.numbers import encoded
from funcnet.play.page import POLICY, page
from funcnet.play.session import Session
from funcnet.play.settings import MOST_TABLE

LOOPBACK = "127.0.0.1"
MOST_BYTES = 6 * MOST_TABLE
"""Length of a request: a character of JSON text takes up to 6 bytes"""
SECONDS = 30
"""After which a connection that sends nothing is closed"""


class Server(ThreadingHTTPServer):
    """A server for one page. ``address`` has the token without which every request is refused.

    Raises   FuncnetError for a port that is taken
    """

    daemon_threads = True
    allow_reuse_address = os.name == "posix"  # elsewhere two servers could share a port

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session, self.token = session, secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FuncnetError(f"--port {port}: cannot be used: {reason}; leave --port out for a free one") from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print an error of the program; a browser that goes away is not one."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers ``GET /TOKEN/`` with the page and ``POST /TOKEN/ask`` with JSON."""

    server: Server
    server_version, sys_version = "funcnet", ""
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    disable_nagle_algorithm = True  # head and body are two writes; else the second waits 40 ms

    def do_GET(self) -> None:
        """The page."""
        if self.allowed(""):
            self.reply(HTTPStatus.OK, page(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """The answer to a request in JSON."""
        if not self.allowed("ask"):
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 12:
            return self.refuse(HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length")
        if int(length) > MOST_BYTES:
            return self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {MOST_BYTES} bytes")
        if self.headers.get_content_type() != "application/json":
            return self.refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
        try:
            request = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            return self.refuse(HTTPStatus.BAD_REQUEST, "expected JSON")
        try:
            self.reply(HTTPStatus.OK, encoded(self.server.session.answer(request)))
        except (FuncnetError, MemoryError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, one_line(str(error) or "not enough memory"))

    def allowed(self, name: str) -> bool:
        """Whether a request has the token, comes from this page, and asks for ``name``; if not, it is refused."""
        hosts = [f"{host}:{self.server.port}" for host in (LOOPBACK, "localhost")]
        given = self.path.encode("utf-8", "replace")
        if self.headers.get_all("Host") not in [[host] for host in hosts]:
            self.refuse(HTTPStatus.FORBIDDEN, "this host is not served")
        elif self.headers.get("Origin") not in (None, *(f"http://{host}" for host in hosts)):
            self.refuse(HTTPStatus.FORBIDDEN, "this origin is not served")
        elif not hmac.compare_digest(given, f"/{self.server.token}/{name}".encode()):
            self.refuse(HTTPStatus.NOT_FOUND, "there is nothing here; open the whole address that funcnet play printed")
        else:
            return True
        return False

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error, and close the connection: the body of the request may not have been read."""
        self.close_connection = True
        self.reply(status, encoded({"error": message}))

    def reply(self, status: HTTPStatus, body: bytes, kind: str = "application/json") -> None:
        """Send an answer."""
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY["served"])
        for name, value in (
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors of the protocol and methods that are not served, as JSON too."""
        status = HTTPStatus(code)
        if status is HTTPStatus.NOT_IMPLEMENTED:
            status = HTTPStatus.METHOD_NOT_ALLOWED
        self.refuse(status, status.phrase)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed: the token would be in it."""
