"""What a person does with a browser: cookies, redirects, forms."""

import html
import re

import httpx

from provider import PASSWORD


class Browser:
    """Follows redirects like one, until it is told to stop somewhere; cookies are kept by host, whatever the port."""

    def __init__(self, server: str) -> None:
        self.server = server
        # A connection a request: the server closes one on which it refused a body without reading it.
        self.http = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))

    def close(self) -> None:
        self.http.close()

    def follow(self, response: httpx.Response, until: str | None = None) -> httpx.Response:
        for _ in range(20):
            if not response.is_redirect or (until and response.next_request.url.path == until):
                return response
            response = self.http.send(response.next_request)
        raise AssertionError("too many redirects")

    def get(self, path: str, **more) -> httpx.Response:
        return self.http.get(self.server + path, **more)

    def post(self, path: str, **more) -> httpx.Response:
        return self.http.post(self.server + path, **more)

    def submit(self, page: httpx.Response, until: str | None = None, **fields: str) -> httpx.Response:
        """Sends a page's form back, with what it hides and what a person fills in."""
        sent = {}
        for tag in re.findall(r"<input[^>]*>", page.text):
            of = {name: html.unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}
            if of.get("type") == "hidden" and "name" in of:
                sent[of["name"]] = of.get("value", "")
        return self.follow(self.http.post(page.url, data=sent | fields), until)

    def begin(self, next_path: str = "/v1/me") -> httpx.Response:
        """At the provider, which asks who it is or whether it is agreed."""
        return self.follow(self.get("/login", params={"next": next_path}))

    def back(self, name: str, next_path: str = "/v1/me", answer: str = "accept") -> httpx.URL:
        """All the way through the provider; the address that it leads back to, not yet gone to."""
        page = self.begin(next_path)
        page = self.submit(page, login=name)
        page = self.submit(page, until="/login/callback", password=PASSWORD)
        # Whoever agreed once is not asked again.
        if not page.is_redirect:
            assert page.url.path == "/oauth/authorize", (page.url, page.status_code, page.text)
            page = self.submit(page, until="/login/callback", answer=answer)
        return page.next_request.url

    def log_in(self, name: str, next_path: str = "/v1/me") -> httpx.Response:
        return self.http.get(self.back(name, next_path))

    def csrf(self) -> str:
        return self.get("/v1/me").json()["session"]["csrf"]
