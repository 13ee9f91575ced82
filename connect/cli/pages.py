"""A page served from memory, on this machine only, until Ctrl-C. Nothing is written."""

from __future__ import annotations

import secrets
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from connect.cli.terminal import err
from connect.reports.pages import POLICY


def serve(page: str, *, open_browser: bool = True) -> None:
    """Serve one HTML page at an unguessable path of localhost until Ctrl-C."""
    server = page_server(page)
    url = f"http://127.0.0.1:{server.server_address[1]}{server.path}"
    err.print(f"{url}  (Ctrl-C to stop)")
    if open_browser:
        webbrowser.open(url)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        err.print("stopped")
    finally:
        server.server_close()


class PageServer(ThreadingHTTPServer):
    """Answers one path with one page, and everything else with 404."""

    daemon_threads = True

    def __init__(self, page: str) -> None:
        self.page = page.encode()
        self.path = f"/{secrets.token_urlsafe(16)}"
        super().__init__(("127.0.0.1", 0), _Handler)


def page_server(page: str) -> PageServer:
    return PageServer(page)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        # A page of another site could rebind its name to this address and read us: only our own host is answered.
        ours = (self.headers.get("Host") or "").partition(":")[0] in ("127.0.0.1", "localhost")
        if not ours or self.path != self.server.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.server.page)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a request line is nobody's business."""
