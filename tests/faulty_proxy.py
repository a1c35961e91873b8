"""A proxy before an HTTP server on loopback that fails, or is slow, as often as it is told to."""

import contextlib
import http.client
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length"})


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FaultyProxy:
    """Answers 503 to the next `failures` requests for `part` of an address, and counts them."""

    status = 503

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream.removeprefix("http://")
        self.part, self.failures, self.seen = "", 0, 0
        self.seconds = 0.0

    def fail(self, part: str, failures: int, seconds: float = 0.0) -> None:
        """From now on: wait `seconds`, and fail, whatever has `part` in its address."""
        self.part, self.failures, self.seconds, self.seen = part, failures, seconds, 0

    def fails_now(self, address: str) -> bool:
        """Whether this request fails."""
        if not self.part or self.part not in address:
            return False
        self.seen += 1
        time.sleep(self.seconds)
        return self.seen <= self.failures


@contextlib.contextmanager
def serve(proxy: FaultyProxy) -> Iterator[str]:
    """The address at which `proxy` listens, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if proxy.fails_now(f"{self.command} {self.path}"):
                self._answer(proxy.status, [], b"")
                return
            upstream = http.client.HTTPConnection(proxy.upstream, timeout=30)
            upstream.request(self.command, self.path, body, dict(self.headers))
            response = upstream.getresponse()
            self._answer(response.status, response.getheaders(), response.read())

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            length = str(len(content))
            for name, value in headers:
                if name.lower() == "content-length" and self.command == "HEAD":
                    length = value
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
