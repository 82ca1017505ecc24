"""Stands before the provider and passes everything on as it is, but for what a test has it change."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Meddler:
    """`meddle` gets the path and the bytes of each answer, and returns the bytes that are passed on."""

    def __init__(self, port: int, behind: int) -> None:
        self.meddle = None
        meddler = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                inner = http.client.HTTPConnection("127.0.0.1", behind, timeout=30)
                inner.request(self.command, self.path, body, dict(self.headers))
                answer = inner.getresponse()
                text = answer.read()
                if meddler.meddle is not None:
                    text = meddler.meddle(self.path, text)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "connection", "server", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                inner.close()

            do_GET = do_POST = answer

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
