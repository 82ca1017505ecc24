"""A real provider and a real server, each a process of its own."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from meddler import Meddler

BIN = os.environ["ONRECORD_BIN"]
HERE = Path(__file__).resolve().parent
SECRET = "a-secret-of-the-client"

ACCESS = """
[[group]]
group = "credit-desk"
role = "analyst"
trails = ["default"]

[[group]]
group = "operators"
role = "admin"
trails = ["*"]
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Provider:
    """Canaille, behind a meddler. It is one for all tests: it takes seconds to start."""

    def __init__(self) -> None:
        self.port, inner, self.server_port = free_port(), free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        redirect = f"http://127.0.0.1:{self.server_port}/login/callback"
        command = [sys.executable, HERE / "provider.py", inner, redirect, SECRET, self.port]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        ready = self.process.stdout.readline()
        if ready != "ready\n":
            self.log.seek(0)
            raise AssertionError(f"the provider did not start: {self.log.read().decode()}")
        self.meddler = Meddler(self.port, inner)

    def close(self) -> None:
        self.meddler.close()
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()
        self.log.close()


class Server:
    """`onrecord serve` over a folder of its own, with one trail and some decisions on it."""

    def __init__(self, provider: Provider) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.trails = self.root / "trails"
        self.url = f"http://127.0.0.1:{provider.server_port}"
        (self.root / "secret").write_text(SECRET + "\n")
        (self.root / "onrecord.toml").write_text(
            f"""
dir = "{self.trails}"
keys = "{self.root}/keys"
listen = "127.0.0.1:{provider.server_port}"

[login]
issuer = "{provider.issuer}"
client_id = "onrecord"
client_secret = "file:{self.root}/secret"
redirect_url = "{self.url}/login/callback"
scopes = ["profile", "groups"]

[limits]
turn_s_max = 60
"""
        )
        (self.trails / "access").mkdir(parents=True)
        (self.trails / "access" / "access.toml").write_text(ACCESS)
        # Before the start: a server that runs sees a new token within a second, and not at once.
        self.tokens = {
            role: self.token(role, trail)
            for role, trail in {"writer": "default", "auditor": "default", "admin": "*"}.items()
        }
        self.start()

    def command(self, *args: str) -> str:
        env = os.environ | {"XDG_CONFIG_HOME": str(self.root / "config")}
        done = subprocess.run([BIN, *args], env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def start(self) -> None:
        self.log = open(self.root / "log", "ab")
        self.process = subprocess.Popen(
            [BIN, "serve", "--config", self.root / "onrecord.toml"], stdout=self.log, stderr=self.log
        )
        until = time.monotonic() + 30
        while True:
            try:
                if httpx.get(self.url + "/health/ready", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None and time.monotonic() < until, (self.root / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0, (self.root / "log").read_text()
        self.log.close()

    def close(self) -> None:
        self.stop()
        self.folder.cleanup()

    def token(self, role: str, trail: str) -> str:
        made = self.command("--json", "token", "create", f"a {role}", "--dir", str(self.trails), "--role", role,
                            "--trail", trail)
        return json.loads(made)["token"]

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    def append(self, *records: dict) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        answer = httpx.post(
            f"{self.url}/v1/trails/default/records", content=lines,
            headers=self.bearer("writer") | {"Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == 200, answer.text

    def access_records(self, *events: str, count: int = 1) -> list[dict]:
        """Access records of these events, oldest first, once there is one of each, and they tell of so many: refusals are
        told within a second."""
        until = time.monotonic() + 30
        while True:
            answer = httpx.get(
                f"{self.url}/v1/trails/default/records", headers=self.bearer("auditor"),
                params={"kind": "access", "columns": "index,subject,context", "limit": 1000},
            )
            assert answer.status_code == 200, answer.text
            rows = sorted(answer.json()["records"], key=lambda row: row["index"])
            found = [row for row in rows if row["context"]["event"] in events]
            told = sum(row["context"].get("count", 1) for row in found)
            if {row["context"]["event"] for row in found} == set(events) and told >= count:
                return found
            assert time.monotonic() < until, rows
            time.sleep(0.1)
