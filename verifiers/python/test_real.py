"""Tests on trails that the real command writes."""
import json
import shutil
import unittest

import record
from made import ENVELOPE, exported, flip, RealTrail, run


class RealTrails(RealTrail):
    def test_trail_receipts_and_proof(self):
        self.verdict("CONSISTENT", self.trail, says="nothing was signed yet")
        for more in ((), ("--settle",)):
            receipts = self.append(5, *more)
            self.verdict("VALID", self.trail, "--vkey", self.vkey, says=f"{receipts[-1]['index'] + 1} entries")
        for n, receipt in enumerate(receipts):
            parts = {"envelope": {"kind": "decision", "model": ENVELOPE["model"]}, "inputs": {"n": n, "x": n + 0.1},
                     "output": n % 2 == 0}
            value = exported(parts, bytes.fromhex(f"{n:032x}"), receipt["stamp"])
            path, proof = self.file("r.json", json.dumps(value)), self.temp / "p.tlog-proof"
            self.assertEqual(run(path, main=record.main)[1], receipt["digest"] + "\n")
            self.onrecord("prove", self.trail, receipt["index"], "-o", proof)
            self.verdict("VALID", "--proof", proof, "--vkey", self.vkey, "--digest", receipt["digest"])
            self.verdict("INVALID", "--proof", proof, "--vkey", self.vkey, "--digest", "00" * 32)

    def test_tampered_copies(self):
        self.append(3, "--settle")
        pin = self.file("pin", (self.trail / "checkpoint").read_bytes())
        self.append(4, "--settle")
        self.verdict("VALID", self.trail, "--pin", pin)
        late = self.file("late", (self.trail / "checkpoint").read_bytes())
        copy = self.temp / "copy"
        shutil.copytree(self.trail, copy)
        flip(copy / f"entries/{0:020}.digests", 32 * 2)
        self.verdict("INVALID", copy, "--vkey", self.vkey, says="the first 7 entries are not those")
        flip(copy / f"entries/{0:020}.digests", 32 * 2)
        (copy / "checkpoint").write_bytes(pin.read_bytes())
        self.verdict("CONSISTENT", copy, says="NOT CHECKED  that no later entries were cut off")
        self.verdict("INVALID", copy, "--pin", late, says="records 3 to 6 are gone")

    def test_a_full_tile(self):
        self.append(65_600)
        self.verdict("VALID", self.trail, "--vkey", self.vkey, says="65600 entries, 1 tiles")
        flip(self.trail / "tile/1/000", 0)
        self.verdict("INVALID", self.trail, "--vkey", self.vkey,
                     says="tile/1/000, hash 0: not what entries 0 to 255 make")


if __name__ == "__main__":
    unittest.main()
