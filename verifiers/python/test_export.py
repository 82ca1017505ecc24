"""Tests of the verifier of exports: of what the real command writes, and of copies that someone has been at."""
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import unittest

import export
import record
from made import RealTrail, run

HOSTILE = ["=1+1", "'quoted", "a,\"b\"\r\nc", "\u202eleft", "", " blank ", "-", "\ufeff"]
NUMBERS = [1, 0.1, -2.5e300, 2**64 - 1, 1e-7, 1e16, -1]
COLUMNS = ("index,id,kind,time,time_ns,received,time_source,model.name,profile,result.adverse,subject.id,"
           "inputs.n,inputs.text,inputs.list,inputs[\"odd key\"].deep,inputs.maybe:str,inputs:json,output:json")
FORMATS = ["csv", "ndjson"] + (["parquet"] if importlib.util.find_spec("pyarrow") else [])


class Small(unittest.TestCase):
    def test_what_a_spreadsheet_would_run_comes_back(self):
        for text in HOSTILE:
            written = '"' + export.harmless(text).replace('"', '""') + '"\r\n'
            self.assertEqual(export.cells(written, 1), [(export.harmless(text), True)])
        self.assertEqual(export.harmless(" =1"), "' =1")
        self.assertEqual(export.harmless("plain"), "plain")

    def test_values_are_of_their_type_or_none(self):
        shown = {"inputs": {"n": 2**64 - 1, "b": True, "l": [], "t": "x", "m": {"k": None}}}
        of = lambda field, kind: export.value_of({"field": field, "type": kind}, 0, {}, shown)
        self.assertEqual([of("inputs.n", "num"), of("inputs.b", "num"), of("inputs.l", "nums")], [2.0**64, None, None])
        self.assertEqual([of("inputs.b", "bool"), of("inputs.t", "str"), of("inputs.m.k", "json")], [True, "x", [None]])
        self.assertFalse(export.same(1, True) or export.same([1], [1.5]))

    def test_times_have_as_many_decimals_as_they_need(self):
        self.assertEqual(export.moment(10**9, 9), "1970-01-01T00:00:01Z")
        self.assertEqual(export.moment(1_500_000_000, 9), "1970-01-01T00:00:01.500Z")
        self.assertEqual(export.moment(1_500_000_001, 6), "1970-01-01T00:00:01.500Z")
        self.assertEqual(export.moment(-1, 9), "1969-12-31T23:59:59.999999999Z")


@unittest.skipUnless("ONRECORD_BIN" in os.environ, "ONRECORD_BIN names no command")
class Exports(RealTrail):
    def setUp(self):
        super().setUp()
        lines = []
        for n in range(40):
            lines.append(json.dumps({
                "model": {"name": f"m{n % 2}", "version": "1"}, "time": "2024-06-01T12:00:00.1234567Z", "profile": ["reg-b"],
                "result": {"class": "deny", "adverse": n % 2 == 0}, "subject": {"id": f"s-{n}"}, "output": [n, n + 0.5],
                "inputs": {"n": NUMBERS[n % 7], "text": HOSTILE[n % 8], "list": [1, 2.5], "none": None,
                           "odd key": {"deep": n}, "maybe": n if n % 3 else "text", "nan": float("nan")}}))
        self.onrecord("append", self.trail, "--settle", stdin="\n".join(lines))

    def made(self, name, form, *filters):
        folder = self.temp / name
        said = self.onrecord("--json", "export", self.trail, "-o", folder, "--format", form, "--columns", COLUMNS, *filters)
        return folder, json.loads(said)["manifest_sha256"]

    def outcome(self, verdict, folder, *args, says=""):
        code, out, _ = run(folder, *args, main=export.main)
        self.assertTrue(out.startswith(verdict), out)
        self.assertIn(says, out)
        self.assertEqual(code, 0 if verdict in ("VALID", "CONSISTENT") else 1)

    def cover_up(self, folder):
        manifest = json.loads((folder / export.MANIFEST).read_text())
        for file in manifest["files"]:
            data = (folder / file["name"]).read_bytes()
            file["bytes"], file["sha256"] = len(data), hashlib.sha256(data).hexdigest()
        data = json.dumps(manifest).encode()
        (folder / export.MANIFEST).write_bytes(data)
        (folder / export.SUM).write_text(f"{hashlib.sha256(data).hexdigest()}  {export.MANIFEST}\n")

    def test_exports_check_in_every_format(self):
        for form in FORMATS:
            folder, digest = self.made(form, form)
            self.outcome("VALID", folder, "--vkey", self.vkey, "--digest", digest, says="no record of the kind can be missing")
            self.outcome("CONSISTENT", folder, says="NOT CHECKED  that the log's key is the right one")
            self.outcome("INVALID", folder, "--digest", "00" * 32)
            some, _ = self.made(f"some-{form}", form, "--where", "inputs[\"odd key\"].deep > 20")
            self.outcome("CONSISTENT", some, says="NOT CHECKED  that every record that matches")

    def test_every_flipped_byte_is_found(self):
        folder, _ = self.made("flipped", "ndjson", "--limit", "3")
        for path in sorted(folder.iterdir()):
            whole = path.read_bytes()
            for at in range(0, len(whole), 1 + len(whole) // 40):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                self.outcome("INVALID", folder)
            path.write_bytes(whole)
        self.outcome("CONSISTENT", folder)

    def test_what_was_changed_with_care_is_found(self):
        for form in ("csv", "ndjson"):
            whole, _ = self.made(f"care-{form}", form)
            for names, verdict in (([f"rows-0001.{form}"], "s-10"), (["records.cbor"], "record 10"),
                                   ([f"rows-0001.{form}", "records.cbor"], "do not lead to the signed root")):
                copy = self.temp / "copy"
                shutil.copytree(whole, copy)
                for name in names:
                    path = copy / name
                    path.write_bytes(path.read_bytes().replace(b"s-10", b"s-99"))
                self.cover_up(copy)
                self.outcome("INVALID", copy, says="record 10" if verdict == "s-10" else verdict)
                shutil.rmtree(copy)
            (whole / "hashes").unlink()
            self.outcome("INCOMPLETE", whole)

    def by_onrecord(self, folder, *more):
        environment = os.environ | {"ONRECORD_KEYS": str(self.temp / "keys")}
        command = [os.environ["ONRECORD_BIN"], "--json", "verify", str(folder), *map(str, more)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
        return json.loads(done.stdout)

    def test_an_auditor_needs_the_folder_alone(self):
        folder, digest = self.made("handed-over", "csv", "--where", "result.adverse")
        policy = self.file("policy", f"log {self.vkey}\nquorum none\n")
        self.assertIn("the same records", self.by_onrecord(folder, "--trail", self.trail)["again"])
        self.trail.rename(self.temp / "out-of-reach")
        self.outcome("VALID", folder, "--vkey", self.vkey, "--digest", digest)
        self.assertEqual(self.by_onrecord(folder, "--policy", policy, "--digest", digest)["verdict"], "VALID")
        rows = folder / "rows-0001.csv"
        rows.write_bytes(rows.read_bytes().replace(b"s-10", b"s-11"))
        self.cover_up(folder)
        self.outcome("INVALID", folder, "--vkey", self.vkey, says="record 10")
        found = self.by_onrecord(folder, "--policy", policy)
        self.assertEqual((found["verdict"], found["findings"][0]["index"]), ("INVALID", 10))

    def test_compaction_changes_no_proof(self):
        before, _ = self.made("before", "ndjson")
        self.onrecord("append", self.trail, "--settle", stdin=json.dumps({"model": {"name": "m0", "version": "2"},
                                                                          "inputs": {}, "output": 1}))
        grown, _ = self.made("grown", "ndjson", "--where", "\"index\" < 40")
        self.onrecord("compact", self.trail)
        after, _ = self.made("after", "ndjson", "--where", "\"index\" < 40")
        self.outcome("CONSISTENT", before)
        for name in ("records.cbor", "hashes", "rows-0001.ndjson"):
            self.assertEqual((grown / name).read_bytes(), (after / name).read_bytes())
        self.assertEqual((before / "records.cbor").read_bytes(), (after / "records.cbor").read_bytes())


if __name__ == "__main__":
    unittest.main()
