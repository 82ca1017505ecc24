"""Tests of records: their commitments, their digest, and what is none."""
import contextlib
import json
import random
import unittest

import record
from made import canonical, Case, CRATES, ENVELOPE, exported, Log, run, sha256, STAMP


class Records(Case):
    def digest(self, value):
        return record.check(json.dumps(value).encode())[0]

    def refused(self, value):
        with self.assertRaises(ValueError, msg=value):
            record.check(value if isinstance(value, bytes) else json.dumps(value).encode())

    def test_the_vectors_of_the_record_crate(self):
        vectors = json.loads((CRATES / "record/tests/vectors/records.json").read_text())
        self.assertGreater(len(vectors), 15)
        for vector in vectors:
            # Not `check`: the stamps of some are not those that a server would make.
            parts = {name: bytes.fromhex(part) for name, part in vector["parts"].items() if part}
            commitments, gone = record.commit_all({"salt": vector["salt"]}, parts)
            expected = [vector["commitments"][name] for name in record.PARTS]
            self.assertEqual(([made.hex() for made in commitments], gone), (expected, []), vector["name"])
            stamp, content = bytes.fromhex(vector["stamp_canonical"]), record.content(commitments)
            record.check_stamp(record.canonical(stamp))
            self.assertTrue(all(record.canonical(part) is not None for part in parts.values()))
            self.assertEqual(content.hex(), vector["content"])
            self.assertEqual(record.digest(content, stamp).hex(), vector["digest"])
            self.assertEqual(sha256(b"\0" + record.digest(content, stamp)).hex(), vector["leaf"])

    def test_the_command(self):
        value = exported({"envelope": ENVELOPE, "inputs": {"a": 0.85, "$x": b"\0", "b": "\x9b\u202e"}, "output": True})
        code, output, says = run(self.file("r.json", json.dumps(value)), main=record.main)
        self.assertEqual((code, output), (0, self.digest(value).hex() + "\n"))
        self.assertIn('inputs {"a": 0.85, "b": "\\u009b\\u202e", "$$x": {"$bytes": "AA=="}}', says)
        for text in ("", "[" * 100_000, json.dumps(value | {"more\x9b": 1})):
            code, output, says = run(self.file("w.json", text), main=record.main)
            self.assertEqual((code, output, says.split("\n")[0]), (1, "", "INVALID"))
        for args in ((self.temp / "absent",), (self.temp,), (), ("a", "b")):
            code, output, _ = run(*args, main=record.main)
            self.assertEqual((code, output), (2, ""))

    def test_a_record_and_its_proof(self):
        log, value = Log(self.temp / "t", 3), exported({"envelope": ENVELOPE, "inputs": {"a": 0.85}})
        log.entries[1] = self.digest(value)
        path, proof = self.temp / "r.json", self.file("p", log.proof(1))
        for inputs, verdict in (({"a": 0.85}, "VALID"), ({"a": 1}, "INVALID")):
            value["parts"]["inputs"] = canonical(inputs).hex()
            path.write_text(json.dumps(value))
            digest = run(path, main=record.main)[1].strip()
            self.verdict(verdict, "--proof", proof, "--vkey", log.signer.vkey, "--digest", digest)

    def test_erasure_changes_no_digest(self):
        parts, salt = {"envelope": ENVELOPE, "subject": {"id": "x"}, "output": False}, bytes(range(16))
        whole = exported(parts, salt)
        salts = {name: record.part_salt(salt, name) for name in parts}
        commitments = {name: record.commit(name, salts[name], canonical(part)) for name, part in parts.items()}
        for gone in (["subject"], ["envelope"], ["subject", "output"]):
            array = [commitments[name] if name in gone else salts.get(name) for name in record.PARTS]
            left = {name: part for name, part in whole["parts"].items() if name not in gone}
            part = {"stamp": whole["stamp"], "erased": canonical(array).hex(), "parts": left}
            self.assertEqual(self.digest(part), self.digest(whole))
            self.refused(part | {"parts": whole["parts"]})
            self.refused(part | {"parts": {}})
        content = record.content([commitments.get(name, bytes(32)) for name in record.PARTS])
        self.assertEqual(self.digest({"stamp": whole["stamp"], "content": content.hex()}), self.digest(whole))
        for array in (1, [None] * 6, [None] * 8, [b"x"] * 7, ["x"] * 7, {}, [None] * 6 + [1]):
            self.refused({"stamp": whole["stamp"], "erased": canonical(array).hex(), "parts": {}})

    def test_shape(self):
        good = exported({"envelope": ENVELOPE})
        self.digest(good)
        for change in ({"more": 1}, {"salt": "00"}, {"salt": None}, {"salt": "zz" * 16}, {"salt": "AA" * 16},
                       {"parts": []},
                       {"parts": {}}, {"parts": {"envelopes": "a0"}}, {"stamp": 1}, {"stamp": ""},
                       {"parts": good["parts"] | {"output": ""}},
                       {"parts": good["parts"] | {"inputs": "01"}}, {"parts": good["parts"] | {"output": "f6"}},
                       {"parts": good["parts"] | {"inputs": 1}}):
            self.refused(good | change)
        for text in (b"", b"[]", b"\xff", b'{"stamp": "a0", "stamp": "a0"}', b"{}"):
            self.refused(text)

    def test_the_stamp(self):
        good = {"envelope": ENVELOPE}
        for change in ({"v": 2}, {"v": True}, {"kind": "decided"}, {"id": ENVELOPE["id"].upper()}, {"received": "7"},
                       {"received": 2**63},
                       {"id_by": "sender"}, {"about_digest": bytes(31)}, {"more": 1}, {"kind": "outcome"},
                       {"id_by": "server"},
                       {"time_source": "server"}, {"id": ENVELOPE["id"][:-1] + "e"}):
            self.refused(exported(good, stamp=STAMP | change))
        self.refused(exported(good, stamp={"v": 1}))
        self.refused(exported(good, stamp=[1]))
        sent = {name: value for name, value in ENVELOPE.items() if name not in ("id", "time")}
        self.digest(exported({"envelope": sent}, stamp=STAMP | {"id_by": "server", "time_source": "server"}))
        self.digest(exported(good, stamp=STAMP | {"about_digest": bytes(32), "salt_by": "server"}))

    def test_numbers(self):
        for text, value in (("00", 0), ("fb3ff199999999999a", 1.1), ("f93e00", 1.5), ("fa7f7fffff",
                                                                                      3.4028234663852886e38),
                            ("f90001", 5.960464477539063e-08), ("f97c00", float("inf")),
                            ("1bffffffffffffffff", 2**64 - 1),
                            ("3b7fffffffffffffff", -(2**63)), ("fa5f800000", 2.0**64), ("20", -1)):
            self.assertEqual(record.canonical(bytes.fromhex(text)), value)
        self.assertNotEqual(record.canonical(bytes.fromhex("f97e00")), record.canonical(bytes.fromhex("f97e00")))

    def test_what_is_not_canonical(self):
        for text in ("", "1801", "190001", "1a00000001", "1b0000000000000001", "f93c00", "fa7fc00000", "f97e01",
                     "f98000", "fb3ff8000000000000",
                     "fa3fc00000", "9fff", "5fff", "a2616201616102", "a2616101616102" + "00", "a2616101616101",
                     "a10101", "61ff", "c101",
                     "3b8000000000000000", "0101", "9affffffff", "bbffffffffffffffff", "f7", "f820", "e0", "f8ff",
                     "ff", "1c", "62", "f9",
                     "da6f6e726201", "da6f6e7262834000" + "60", "81" * 200 + "00"):
            with self.assertRaises(ValueError, msg=text):
                record.canonical(bytes.fromhex(text))
        blob = bytes.fromhex("da6f6e7262" + "83" + "5820" + "11" * 32 + "05" + "6161")
        self.assertEqual(record.canonical(blob)["$blob"]["bytes"], 5)

    def test_random_damage_is_no_traceback(self):
        value = exported({"envelope": ENVELOPE, "inputs": {"a": [1, "x", None]}})
        good, chance = json.dumps(value).encode(), random.Random(1)
        first = record.check(good)[0]
        for _ in range(3000):
            wrong = bytearray(good)
            wrong[chance.randrange(len(wrong))] = chance.choice(b'0123456789abcdef"{}[]:, x\xff')
            with contextlib.suppress(ValueError):
                self.assertTrue(record.check(bytes(wrong))[0] != first or json.loads(wrong) == json.loads(good))


if __name__ == "__main__":
    unittest.main()
