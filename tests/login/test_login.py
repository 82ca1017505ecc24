"""People log in at a real server by a real provider, and nobody else does."""

import base64
import json
import socket
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

from browser import Browser
from place import Provider, Server
from provider import OTHERS

DECISION = {"model": {"name": "credit-risk", "version": "1"}, "inputs": {"income": 42000}, "output": 0.85}
SQL = {"query": "SELECT count(*) AS n FROM decisions"}

provider: Provider


def setUpModule() -> None:
    global provider
    provider = Provider()


def tearDownModule() -> None:
    provider.close()


def decoded(part: str) -> dict:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encoded(part: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


#: Each is one login's.
others = iter(OTHERS)


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Server(provider)
        self.addCleanup(self.server.close)
        provider.meddler.meddle = None

    def browser(self) -> Browser:
        browser = Browser(self.server.url)
        self.addCleanup(browser.close)
        return browser

    def assert_nobody(self, browser: Browser, answer, status: int, says: str) -> None:
        """A page that says why, and no session."""
        self.assertEqual(answer.status_code, status, answer.text)
        self.assertIn("text/html", answer.headers["content-type"])
        self.assertIn("default-src 'none'", answer.headers["content-security-policy"])
        self.assertIn(says, answer.text)
        self.assertNotIn("onrecord", browser.http.cookies)
        self.assertEqual(browser.get("/v1/me").status_code, 401)


class People(Case):
    def test_a_person_logs_in_searches_and_logs_out(self) -> None:
        self.server.append(DECISION)
        browser = self.browser()
        back = browser.log_in("ada", "/v1/trails/default/records?limit=3")
        self.assertEqual(back.status_code, 303, back.text)
        self.assertEqual(back.headers["location"], "/v1/trails/default/records?limit=3")
        cookies = back.headers.get_list("set-cookie")
        self.assertTrue(any(c.startswith("onrecord=") and "HttpOnly; SameSite=Lax" in c for c in cookies), cookies)
        found = browser.follow(back)
        self.assertEqual((found.status_code, len(found.json()["records"])), (200, 1))
        me = browser.get("/v1/me").json()
        self.assertEqual((me["id"], me["name"], me["kind"]), ("person:ada", "Ada Example", "person"))
        self.assertEqual(me["roles"], [{"role": "analyst", "trails": ["default"]}])
        self.assertTrue(me["session"]["until_unused"] < me["session"]["until"])
        # What her role may not do stays so.
        self.assertEqual(browser.get("/metrics").status_code, 403)
        asked = browser.post("/v1/trails/default/sql", json=SQL, headers={"OnRecord-CSRF": browser.csrf()})
        self.assertEqual((asked.status_code, asked.json()["rows"]), (200, [{"n": 1}]))
        cookie, csrf = browser.http.cookies["onrecord"], browser.csrf()
        self.assertEqual(browser.post("/logout").status_code, 403)
        gone = browser.post("/logout", headers={"OnRecord-CSRF": csrf})
        self.assertEqual((gone.status_code, gone.json()), (200, {"logged_out": True}))
        self.assertNotIn("onrecord", browser.http.cookies)
        # Whoever kept the cookie has nothing.
        self.assertEqual(browser.get("/v1/me", headers={"Cookie": f"onrecord={cookie}"}).status_code, 401)
        records = self.server.access_records("login", "logout", "begin")
        hers = [row["context"]["event"] for row in records if (row["subject"] or {}).get("id") == "person:ada"]
        self.assertEqual(hers, ["login", "begin", "begin", "logout"])
        self.assertEqual(records[0]["context"]["roles"], ["analyst"])

    def test_another_sites_page_changes_nothing(self) -> None:
        browser, who = self.browser(), next(others)
        self.assertEqual(browser.log_in(who).status_code, 303)
        csrf = browser.csrf()
        for headers in [
            {},
            {"OnRecord-CSRF": "0" * 64},
            {"OnRecord-CSRF": csrf, "Origin": "https://evil.example"},
            {"OnRecord-CSRF": csrf, "Origin": "null"},
            {"OnRecord-CSRF": csrf, "Sec-Fetch-Site": "cross-site"},
        ]:
            for path in ("/v1/trails/default/sql", "/logout"):
                self.assertEqual(browser.post(path, json=SQL, headers=headers).status_code, 403, (path, headers))
        own = {"OnRecord-CSRF": csrf, "Origin": self.server.url, "Sec-Fetch-Site": "same-origin"}
        self.assertEqual(browser.post("/v1/trails/default/sql", json=SQL, headers=own).status_code, 200)
        # Of another session, it is as none.
        other = self.browser()
        other.log_in(next(others))
        self.assertEqual(other.post("/logout", headers={"OnRecord-CSRF": csrf}).status_code, 403)
        refused = self.server.access_records("refused", count=11)
        told = {(row["subject"]["id"] == "person:" + who, row["context"]["action"]) for row in refused}
        self.assertEqual(told, {(True, "sql"), (True, "logout"), (False, "logout")})

    def test_a_session_is_over_when_the_server_is(self) -> None:
        browser = self.browser()
        browser.log_in("carol")
        self.assertEqual(browser.get("/metrics").status_code, 200)
        self.server.stop()
        self.server.start()
        answer = browser.get("/metrics")
        self.assertEqual((answer.status_code, answer.json()["type"]), (401, "urn:onrecord:problem:unauthenticated"))
        self.assertNotIn("onrecord", browser.http.cookies, "a cookie of nothing goes")
        # As all the browsers of an office do, with all that their pages ask; and then they log in.
        for _ in range(40):
            over = browser.get("/v1/me", headers={"Cookie": "onrecord=" + "0" * 64})
            self.assertEqual(over.status_code, 401)
        self.assertEqual(self.browser().log_in(next(others)).status_code, 303)

    def test_who_logs_in_anew_ends_the_session_before(self) -> None:
        browser, who = self.browser(), [next(others), next(others)]
        browser.log_in(who[0])
        before = browser.http.cookies["onrecord"]
        # Somebody else sits down, and the provider has forgotten who was there.
        anew = self.browser()
        anew.http.cookies.set("onrecord", before, domain="127.0.0.1")
        self.assertEqual(anew.log_in(who[1]).status_code, 303)
        self.assertEqual(anew.get("/v1/me").json()["id"], "person:" + who[1])
        self.assertEqual(browser.get("/v1/me").status_code, 401)
        records = self.server.access_records("login", "logout")
        told = [(row["context"]["event"], row["subject"]["id"]) for row in records]
        self.assertEqual(told, [("login", "person:" + who[0]), ("login", "person:" + who[1]),
                                ("logout", "person:" + who[0])])

    def test_a_token_in_the_header_stands_over_a_cookie(self) -> None:
        browser = self.browser()
        browser.log_in(next(others))
        headers = self.server.bearer("auditor")
        self.assertEqual(browser.get("/v1/me", headers=headers).json()["kind"], "token")
        asked = browser.post("/v1/trails/default/sql", json=SQL, headers=headers)
        self.assertEqual(asked.status_code, 200, "what no cookie authorises needs no token of its pages")
        self.assertEqual(browser.post("/logout", headers=headers).status_code, 400)


class Nobody(Case):
    def test_a_person_without_a_role(self) -> None:
        browser = self.browser()
        self.assert_nobody(browser, browser.log_in("bob"), 403, "Bob Example is in no group that may do anything here")
        (refused,) = self.server.access_records("refused")
        self.assertEqual(refused["subject"]["id"], "person:bob")
        self.assertEqual(refused["context"]["action"], "login")

    def test_a_person_who_does_not_agree(self) -> None:
        browser = self.browser()
        back = browser.http.get(browser.back("dan", answer="deny"))
        self.assert_nobody(browser, back, 403, "did not let you in")

    def test_a_state_that_is_not_this_browsers(self) -> None:
        browser = self.browser()
        url = browser.back(next(others))
        self.assert_nobody(browser, browser.http.get(url.copy_set_param("state", "0" * 64)), 400, "not begun in this")
        # That ended nothing: it may have been another tab's, or some page's.
        self.assertEqual(browser.http.get(url).status_code, 303)
        self.assertEqual(browser.http.get(url).status_code, 400, "once")
        # Somebody else's login, put before a browser that has begun none, or its own.
        mine, other = self.browser(), self.browser()
        theirs = other.back(next(others))
        self.assert_nobody(mine, mine.http.get(theirs), 400, "not begun in this browser")
        mine.begin()
        self.assert_nobody(mine, mine.http.get(theirs), 400, "not begun in this browser")

    def test_a_code_is_good_once(self) -> None:
        browser = self.browser()
        url = browser.back(next(others))
        self.assertEqual(browser.http.get(url).status_code, 303)
        other = self.browser()
        self.assert_nobody(other, other.http.get(url), 400, "not begun in this browser")
        again = other.back(next(others))
        self.assert_nobody(other, other.http.get(again.copy_set_param("code", url.params["code"])), 400, "not take")

    def test_another_providers_answer(self) -> None:
        browser = self.browser()
        url = browser.back(next(others)).copy_set_param("iss", "https://evil.example")
        self.assert_nobody(browser, browser.http.get(url), 400, "not begun in this browser")

    def test_an_id_token_that_was_tampered_with(self) -> None:
        def claim(name, value):
            return lambda header, claims, signature: (header, claims | {name: value}, signature)

        changes = {
            "subject": claim("sub", "carol"),
            "groups": claim("groups", ["operators"]),
            "audience": claim("aud", "another"),
            "issuer": claim("iss", "https://evil.example"),
            "expiry": claim("exp", 1),
            "nonce": claim("nonce", "another"),
            "no signature": lambda header, claims, signature: (header, claims, ""),
            "another signature": lambda header, claims, signature: (header, claims, signature[::-1]),
            "none": lambda header, claims, signature: ({"alg": "none"}, claims, ""),
            "shared secret": lambda header, claims, signature: (header | {"alg": "HS256"}, claims, signature),
            "another key": lambda header, claims, signature: (header | {"kid": "another"}, claims, signature),
        }
        seen = []
        for what, change in changes.items():

            def meddle(path: str, text: bytes, change=change) -> bytes:
                if not path.startswith("/oauth/token"):
                    return text
                answer = json.loads(text)
                header, claims, signature = answer["id_token"].split(".")
                header, claims, signature = change(decoded(header), decoded(claims), signature)
                answer["id_token"] = f"{encoded(header)}.{encoded(claims)}.{signature}"
                seen.append(path)
                return json.dumps(answer).encode()

            with self.subTest(what):
                browser = self.browser()
                url = browser.back(next(others))
                provider.meddler.meddle = meddle
                self.assert_nobody(browser, browser.http.get(url), 400, "is not believed")
                provider.meddler.meddle = None
        self.assertEqual(len(seen), len(changes))

    def test_nobody_is_led_elsewhere(self) -> None:
        for path in ("https://evil.example", "//evil.example", "/\\evil.example"):
            browser = self.browser()
            self.assertEqual(browser.log_in(next(others), path).headers["location"], "/v1/me", path)

    def test_a_page_that_asks_for_logins_locks_nobody_out(self) -> None:
        browser = self.browser()
        for _ in range(40):
            self.assertEqual(browser.get("/login/callback", params={"code": "x", "state": "x"}).status_code, 400)
        self.assertEqual(browser.log_in(next(others)).status_code, 303)
        refused = self.server.access_records("refused", count=40)
        self.assertLess(len(refused), 10, "those of one kind are counted")

    def begun(self) -> tuple[Browser, str]:
        """A browser that was sent to the provider, and with which state."""
        browser = self.browser()
        sent = browser.get("/login")
        self.assertEqual(sent.status_code, 303, sent.text)
        return browser, sent.next_request.url.params["state"]

    def test_however_many_come_back_at_once_few_are_asked_about(self) -> None:
        asked = []

        def count(path: str, text: bytes) -> bytes:
            if path.startswith("/oauth/token"):
                asked.append(path)
            return text

        provider.meddler.meddle = count
        all_begun = [self.begun() for _ in range(80)]
        with ThreadPoolExecutor(len(all_begun)) as pool:
            statuses = list(pool.map(
                lambda begun: begun[0].get("/login/callback", params={"code": "x", "state": begun[1]}).status_code,
                all_begun,
            ))
        self.assertEqual(set(statuses), {400, 429}, statuses)
        self.assertTrue(30 <= len(asked) < 30 + 16, len(asked))
        self.assertEqual(self.browser().get("/login").status_code, 429)

    def test_who_goes_away_is_on_record_all_the_same(self) -> None:
        arrived, gone = threading.Event(), threading.Event()

        def meddle(path: str, text: bytes) -> bytes:
            if path.startswith("/oauth/token"):
                arrived.set()
                self.assertTrue(gone.wait(30))
            return text

        browser, state = self.begun()
        provider.meddler.meddle = meddle
        cookie = browser.http.cookies["onrecord-login"]
        port = provider.server_port
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(
                f"GET /login/callback?code=x&state={state} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                f"Cookie: onrecord-login={cookie}\r\n\r\n".encode()
            )
            self.assertTrue(arrived.wait(30))
            connection.shutdown(socket.SHUT_WR)
            # The server has let go of it, and of the request.
            self.assertEqual(connection.recv(1), b"")
        gone.set()
        (refused,) = self.server.access_records("refused")
        self.assertIn("does not take the code", refused["context"]["reason"])

    def test_who_fails_often_waits(self) -> None:
        browser = self.browser()
        for _ in range(30):
            state = browser.get("/login").next_request.url.params["state"]
            declined = browser.get("/login/callback", params={"error": "access_denied", "state": state})
            self.assertEqual(declined.status_code, 403)
        for path in ("/login/callback", "/login"):
            answer = browser.get(path)
            self.assertEqual(answer.status_code, 429, answer.text)
            self.assertGreater(int(answer.headers["retry-after"]), 0)
        refused = self.server.access_records("refused", count=30)
        self.assertLess(len(refused), 10, "those of one kind are counted")

    def test_without_a_provider_nobody_gets_further_and_tokens_work(self) -> None:
        provider.meddler.meddle = lambda path, text: b"x" * (2 << 20)
        browser = self.browser()
        answer = browser.get("/login")
        self.assertEqual(answer.status_code, 503, answer.text)
        self.assertIn("the identity provider cannot be asked", answer.text)
        headers = self.server.bearer("admin")
        self.assertEqual(browser.get("/metrics", headers=headers).status_code, 200)


if __name__ == "__main__":
    unittest.main()
