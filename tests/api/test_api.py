"""The server answers as its description says, whatever it is asked and whoever asks."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
GERMAN = HERE.parents[1] / "demo/german_credit/records.ndjson.gz"
BIN = os.environ["ONRECORD_BIN"]
SECONDS = int(os.environ.get("API_SECONDS", "60"))
SEED = os.environ.get("ONRECORD_TEST_SEED", "1")

# Who asks, with the purpose that it states, and how many of ten parts of the time it has.
CALLERS = [
    ("auditor", None, 4),
    ("writer", None, 2),
    ("investigator", "complaint 17", 1),
    ("reader", None, 1),
    ("admin", None, 1),
    (None, None, 1),
]
# Routes that must have given an answer, and not only refusals: else this would show little.
ANSWERED = [
    ("POST", "/v1/trails/{trail}/records"), ("GET", "/v1/trails/{trail}/records"),
    ("GET", "/v1/trails/{trail}/records/{id}"), ("GET", "/v1/trails/{trail}/records/{id}/proof"),
    ("POST", "/v1/trails/{trail}/sql"), ("GET", "/v1/trails/{trail}/stats"), ("GET", "/v1/trails/{trail}/gaps"),
    ("GET", "/v1/trails/{trail}/log/checkpoint"), ("GET", "/metrics"), ("GET", "/v1/tokens"), ("GET", "/health/live"),
    ("GET", "/health/ready"), ("GET", "/v1/docs"), ("GET", "/v1/openapi.json"),
]
# What the server's log says when something is wrong with the server.
FAULTS = ["panicked", "a request failed", "cannot be read"]


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.env = {"ONRECORD_KEYS": f"{folder}/keys", "PATH": os.environ["PATH"]}
        self.run("init", "served/default", "--origin", "example.com/api")
        self.run("append", "served/default", GERMAN, "--settle")
        self.tokens = {role: self.token(role) for role in {role for role, _, _ in CALLERS if role}}
        self.log = open(f"{folder}/server.log", "w+")

    def start(self):
        self.process = subprocess.Popen(
            [BIN, "serve", "--dir", "served", "--listen", "127.0.0.1:0"], cwd=self.folder, env=self.env,
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.startswith("listening on "):
                self.base = line.split()[-1]
                return
        raise RuntimeError(f"the server does not start: {self.logged()}")

    def run(self, *args):
        done = subprocess.run([BIN, *map(str, args)], cwd=self.folder, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def token(self, role):
        said = self.run("token", "create", role, "--dir", "served", "--role", role, "--trail", "*")
        return next(word for word in said.split() if word.startswith("onr_"))

    def logged(self):
        self.log.flush()
        return Path(self.log.name).read_text()

    def get(self, path, role):
        request = urllib.request.Request(self.base + path)
        request.add_header("Authorization", f"Bearer {self.tokens[role]}")
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def end(self):
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code


def ask_everything(server, role, purpose, seconds, report):
    """Schemathesis's own words, if something is not as described."""
    command = [
        Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run",
        f"{server.base}/v1/openapi.json", "--checks", "all", "--exclude-checks", "positive_data_acceptance",
        "--max-time", str(seconds), "--seed", SEED, "--continue-on-failure", "--no-color", "--warnings", "off",
        "--generation-database", "none", "--request-timeout", "60", "--report", "ndjson",
        "--report-ndjson-path", report,
    ]
    if role:
        command += ["--header", f"Authorization: Bearer {server.tokens[role]}"]
    if purpose:
        command += ["--header", f"OnRecord-Purpose: {purpose}"]
    done = subprocess.run([*map(str, command)], cwd=HERE, capture_output=True, text=True)
    return None if done.returncode == 0 else f"as {role or 'nobody'}:\n{done.stdout}{done.stderr}"


class TheDescriptionIsTrue(unittest.TestCase):
    def test_every_answer_is_as_described(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(folder)
            wrong, metrics = [], ""
            for role, purpose, parts in CALLERS:
                # A server for each: it counts failed attempts of a source, and all callers are one.
                server.start()
                try:
                    seconds = max(3, SECONDS * parts // 10)
                    wrong.append(ask_everything(server, role, purpose, seconds, f"{folder}/{role}.ndjson"))
                    metrics += server.get("/metrics", "admin")
                    self.assertEqual(json.loads(server.get("/health/ready", "admin"))["status"], "ready")
                finally:
                    code = server.end()
                self.assertEqual(code, 0)
            server.log.close()
            logged = Path(f"{folder}/server.log").read_text()
            wrong = [words for words in wrong if words]
            self.assertFalse(wrong, "\n".join(wrong))
            for method, route in ANSWERED:
                labels = f'route="{route}",method="{method}",status="200"'
                self.assertIn(labels, metrics, f"{method} {route} was never answered")
            faults = [line for line in logged.splitlines() if any(fault in line for fault in FAULTS)]
            self.assertEqual(faults, [])
            server.run("verify", "served/default")


if __name__ == "__main__":
    unittest.main()
