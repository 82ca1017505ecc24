"""An encrypted trail's data files, read by an engine that shares no code with onrecord, once it is given their keys.

What it must read is what it reads of the same records in an open trail.
"""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import pyarrow.parquet
import pyarrow.parquet.encryption

CANARY = "canary7f3a"


class Keys(pyarrow.parquet.encryption.KmsClient):
    """A key service that has the key of one file, and is asked for it by its id."""

    def __init__(self, key_id, key):
        pyarrow.parquet.encryption.KmsClient.__init__(self)
        self.key_id, self.key = key_id, key

    def wrap_key(self, key, master):
        raise NotImplementedError

    def unwrap_key(self, wrapped, master):
        wrapped = wrapped.decode() if isinstance(wrapped, bytes) else wrapped
        if wrapped != self.key_id:
            raise ValueError(f"asked for the key {wrapped}, and this is {self.key_id}")
        return self.key


def lines():
    for n in range(40):
        yield json.dumps({
            "id": f"0190a5c2-7b1e-7c3a-9d55-{n:012x}", "time": "2024-06-01T12:00:00Z",
            "model": {"name": "m", "version": "1"}, "subject": {"id": f"{CANARY}-{n}"},
            "inputs": {"income": 1000 + n, "state": CANARY}, "output": {"score": n / 40},
        })


class Encrypted(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)
        for name, how in (("closed", []), ("open", ["--no-encryption"])):
            self.onrecord("init", name, "--origin", f"example.com/{name}", *how)
            self.onrecord("append", name, "--settle", stdin="\n".join(lines()) + "\n")

    def onrecord(self, *arguments, stdin=""):
        environment = os.environ | {"ONRECORD_KEYS": f"{self.temp.name}/keys"}
        command = [os.environ["ONRECORD_BIN"], *arguments]
        done = subprocess.run(command, input=stdin.encode(), capture_output=True, env=environment, cwd=self.temp.name)
        if done.returncode:
            raise RuntimeError(f"{command} failed: {done.stderr.decode()}")
        return done.stdout.decode()

    def file(self, trail):
        (file,) = Path(self.temp.name, trail, "lake").glob("*.parquet")
        return file

    def read(self, file, key_id, key):
        factory = pyarrow.parquet.encryption.CryptoFactory(lambda _: Keys(key_id, key))
        properties = factory.file_decryption_properties(pyarrow.parquet.encryption.KmsConnectionConfig())
        return pyarrow.parquet.ParquetFile(file, decryption_properties=properties).read()

    def test_pyarrow_reads_a_file_with_its_key(self):
        file = self.file("closed")
        shown = json.loads(self.onrecord("--json", "keys", "show", "closed", file.name))
        closed = self.read(file, shown["key_id"], bytes.fromhex(shown["key"]))
        opened = pyarrow.parquet.read_table(self.file("open"))
        # When they were received, and under which salts, is another matter in each trail.
        same = [name for name in opened.column_names if name not in ("received", "salt")]
        self.assertEqual(closed.column_names, opened.column_names)
        self.assertTrue(closed.select(same).equals(opened.select(same)))
        self.assertIn(f"{CANARY}-7", closed["subject.id"].to_pylist())

    def test_without_the_key_there_is_nothing(self):
        file = self.file("closed")
        with self.assertRaises(OSError):
            pyarrow.parquet.read_table(file)
        shown = json.loads(self.onrecord("--json", "keys", "show", "closed", file.name))
        with self.assertRaises(OSError):
            self.read(file, shown["key_id"], bytes(32))
        for each in Path(self.temp.name).rglob("*"):
            if each.is_file() and "open" not in each.parts:
                self.assertNotIn(CANARY.encode(), each.read_bytes(), each)


if __name__ == "__main__":
    unittest.main()
