"""What the tests are made of: logs that follow RFC 6962 to the letter, canonical CBOR, a trail of the real command."""
import base64
import contextlib
import hashlib
import io
import json
import os
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import verify

CRATES = Path(__file__).resolve().parents[2] / "crates"
ORIGIN = "log.example/credit"
LARGE = 66_000  # more than one file of entries and one full tile of level 1


def sha256(data):
    return hashlib.sha256(data).digest()


def b64(data):
    return base64.b64encode(data).decode()


class Signer:
    def __init__(self, name=ORIGIN, seed=1):
        self.name, self.key = name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public = b"\1" + self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.id = sha256(name.encode() + b"\n" + self.public)[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(self.public)}"

    def line(self, text):
        return f"\u2014 {self.name} {b64(self.id + self.key.sign(text.encode()))}\n"

    def note(self, text):
        return text + "\n" + self.line(text)


def split(count):
    return 1 << (count - 1).bit_length() - 1


def tree_hash(entries):
    if len(entries) < 2:
        return sha256(b"\0" + entries[0]) if entries else sha256(b"")
    k = split(len(entries))
    return sha256(b"\1" + tree_hash(entries[:k]) + tree_hash(entries[k:]))


def tree_of_nodes(nodes):
    half = len(nodes) // 2
    return sha256(b"\1" + tree_of_nodes(nodes[:half]) + tree_of_nodes(nodes[half:])) if half else nodes[0]


def inclusion(index, entries):
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if index < k:
        return inclusion(index, entries[:k]) + [tree_hash(entries[k:])]
    return inclusion(index - k, entries[k:]) + [tree_hash(entries[:k])]


def consistency(old_size, entries, whole=True):
    if old_size == len(entries):
        return [] if whole else [tree_hash(entries)]
    k = split(len(entries))
    if old_size <= k:
        return consistency(old_size, entries[:k], whole) + [tree_hash(entries[k:])]
    return consistency(old_size - k, entries[k:], False) + [tree_hash(entries[:k])]


class Log:
    """A trail's folder as far as it belongs to the log."""

    def __init__(self, folder, size, signer=None, salt=b""):
        self.folder, self.signer = Path(folder), signer or Signer()
        self.entries = [sha256(salt + b"record %d" % index) for index in range(size)]
        for name in ("entries", "tile", "journal", "lake"):
            (self.folder / name).mkdir(parents=True)
        self.settings = {"format": 1, "origin": self.signer.name, "log_key": self.signer.vkey,
                         "created": "2024-06-01T12:00:00Z", "encryption": "none"}
        self.write()

    def text(self, size):
        return f"{self.signer.name}\n{size}\n{b64(tree_hash(self.entries[:size]))}\n"

    def checkpoint(self, size):
        return self.signer.note(self.text(size))

    def write(self):
        (self.folder / "trail.json").write_text(json.dumps(self.settings))
        for first in range(0, len(self.entries), 65_536):
            name = f"entries/{first:020}.digests"
            (self.folder / name).write_bytes(b"".join(self.entries[first : first + 65_536]))
        for index in range(len(self.entries) // 65_536):
            of = self.entries[65_536 * index :]
            tile = self.folder / f"tile/1/{index:03}"
            tile.parent.mkdir(exist_ok=True)
            tile.write_bytes(b"".join(tree_hash(of[256 * n : 256 * n + 256]) for n in range(256)))
        if self.entries:
            (self.folder / "checkpoint").write_text(self.checkpoint(len(self.entries)))

    def proof(self, index, size=None):
        size = size or len(self.entries)
        path = "".join(b64(sibling) + "\n" for sibling in inclusion(index, self.entries[:size]))
        return f"c2sp.org/tlog-proof@v1\nindex {index}\n{path}\n{self.checkpoint(size)}"


def canonical(value):
    """Canonical CBOR of what the tests need."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, (bytes, str)):
        data = value if isinstance(value, bytes) else value.encode()
        return head(2 if isinstance(value, bytes) else 3, len(data)) + data
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(canonical, value))
    entries = sorted((canonical(key), canonical(entry)) for key, entry in value.items())
    return head(5, len(entries)) + b"".join(key + entry for key, entry in entries)


def head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    width, info = next(pair for pair in ((1, 24), (2, 25), (4, 26), (8, 27)) if argument < 256 ** pair[0])
    return bytes([major << 5 | info]) + argument.to_bytes(width, "big")


def run(*args, main=verify.main):
    """The exit code, and what went to standard output and standard error."""
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as exit_:
            code = exit_.code
    return code, output.getvalue(), error.getvalue()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.temp = Path(folder.name)

    def file(self, name, content):
        path = self.temp / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def verdict(self, expected, *args, says=""):
        code, output, error = run(*args)
        self.assertEqual((output.split("\n")[0], error), (expected, ""), output)
        self.assertEqual(code, {"VALID": 0, "CONSISTENT": 0, "INVALID": 1, "INCOMPLETE": 1}.get(expected, 2))
        self.assertIn(says, output)
        return output


NOTHING = "nothing was checked"


def flip(path, byte, bit=1):
    data = bytearray(path.read_bytes())
    data[byte] ^= bit
    path.write_bytes(data)


ENVELOPE = {"id": "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d", "kind": "decision", "time": 5,
            "model": {"name": "m", "version": "1"}}
STAMP = {"v": 1, "id": ENVELOPE["id"], "kind": "decision", "received": 7}


def exported(parts, salt=bytes(16), stamp=None):
    parts = {name: canonical(part).hex() for name, part in parts.items()}
    return {"stamp": canonical(stamp or STAMP).hex(), "salt": salt.hex(), "parts": parts}


@unittest.skipUnless(os.environ.get("ONRECORD_BIN"), "ONRECORD_BIN does not name the onrecord binary")
class RealTrail(Case):
    """A trail that the real command writes."""

    def onrecord(self, *args, stdin=""):
        environment = os.environ | {"ONRECORD_KEYS": str(self.temp / "keys")}
        command = [os.environ["ONRECORD_BIN"], *map(str, args)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=600)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def setUp(self):
        super().setUp()
        self.trail = self.temp / "trail"
        self.onrecord("init", self.trail, "--origin", ORIGIN)
        self.vkey = json.loads((self.trail / "trail.json").read_text())["log_key"]

    def append(self, count, *more):
        lines = [json.dumps({"model": ENVELOPE["model"], "inputs": {"n": n, "x": n + 0.1}, "output": n % 2 == 0,
                             "salt": f"{n:032x}"})
                 for n in range(count)]
        receipts = self.onrecord("--json", "append", self.trail, "--receipts", *more,
                                 stdin="\n".join(lines)).split("\n")
        return [json.loads(line) for line in receipts if '"digest"' in line]
