"""Trails of released versions of the format."""
import json
import shutil
import unittest
from pathlib import Path

from made import Case, flip


FIXTURES = sorted((Path(__file__).resolve().parents[2] / "crates/trail/tests/fixtures").glob("v*"))


class Fixtures(Case):
    """What released versions of the format left, the same files that every later version of onrecord must read."""

    def test_each_trail_is_valid_against_key_and_pin(self):
        self.assertIn("v1", [fixture.name for fixture in FIXTURES])
        for fixture in FIXTURES:
            vkey = json.loads((fixture / "trail/trail.json").read_text())["log_key"]
            self.verdict("VALID", fixture / "trail", "--vkey", vkey, "--pin", fixture / "pinned", says="100 entries")
            copy = self.temp / fixture.name
            shutil.copytree(fixture / "trail", copy)
            flip(copy / f"entries/{0:020}.digests", 32 * 7)
            self.verdict("INVALID", copy, "--vkey", vkey, "--pin", fixture / "pinned", says="the first 40 entries are not")

    def test_each_proof_and_each_receipt_hold(self):
        for fixture in FIXTURES:
            vkey = json.loads((fixture / "trail/trail.json").read_text())["log_key"]
            receipts = [json.loads(line) for line in (fixture / "receipts.ndjson").read_text().splitlines()]
            entries = (fixture / f"trail/entries/{0:020}.digests").read_bytes()
            self.assertEqual(entries.hex(), "".join(receipt["digest"] for receipt in receipts))
            proof, digest = fixture / "record-3.tlog-proof", receipts[3]["digest"]
            self.verdict("VALID", "--proof", proof, "--vkey", vkey, "--digest", digest)
            self.verdict("INVALID", "--proof", proof, "--vkey", vkey, "--digest", receipts[4]["digest"])


if __name__ == "__main__":
    unittest.main()
