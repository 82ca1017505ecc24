"""Tests of the verifier on trails, and of each of its checks alone."""
import json
import random
import shutil
import tempfile
import unittest
from pathlib import Path

import record
import verify
from made import b64, Case, flip, LARGE, Log, NOTHING, ORIGIN, run, sha256, Signer, STAMP, tree_hash, tree_of_nodes


class GoodTrails(Case):
    def test_trails_of_any_size(self):
        for size in (1, 2, 3, 7, 8, 255, 256, 257, 1000):
            log = Log(self.temp / str(size), size)
            output = self.verdict("CONSISTENT", log.folder, says=f"{size} entries")
            self.assertIn("NOT CHECKED  that the log's key is the right one", output)
            self.verdict("VALID", log.folder, "--vkey", log.signer.vkey)

    def test_each_older_checkpoint_is_a_good_pin(self):
        log = Log(self.temp / "t", 20)
        pins = [self.file(f"pin{size}", log.checkpoint(size)) for size in range(1, 21)]
        every = [word for pin in pins for word in ("--pin", pin)]
        output = self.verdict("VALID", log.folder, *every, says="the first 1 entries are those of")
        self.assertNotIn("that no later entries were cut off", output)

    def test_two_files_of_entries_and_a_tile(self):
        log = Log(self.temp / "t", LARGE)
        pin = self.file("pin", log.checkpoint(65_537))
        self.verdict("VALID", log.folder, "--pin", pin, says="66000 entries, 1 tiles")

    def test_an_empty_trail_is_consistent_and_never_valid(self):
        log = Log(self.temp / "t", 0)
        self.verdict("CONSISTENT", log.folder, says="nothing was signed yet")
        self.verdict("INVALID", log.folder, "--vkey", log.signer.vkey)

    def test_a_pin_of_nothing_makes_nothing_valid(self):
        log = Log(self.temp / "t", 3)
        self.verdict("CONSISTENT", log.folder, "--pin", self.file("pin", log.checkpoint(0)))

    def test_what_is_not_signed_yet_is_no_fault(self):
        log = Log(self.temp / "t", 5)
        with (log.folder / "entries/00000000000000000000.digests").open("ab") as file:
            file.write(bytes(50))
        self.verdict("CONSISTENT", log.folder, says="5 entries")

    def test_signatures_of_unknown_keys_are_passed_over(self):
        log = Log(self.temp / "t", 5)
        text, path = log.text(5), log.folder / "checkpoint"
        for other in (Signer(seed=2), Signer("witness.example", 3)):
            for lines in (other.line(text) + log.signer.line(text),
                          log.signer.line(text) + other.line("another text\n")):
                path.write_text(text + "\n" + lines)
                self.verdict("VALID", log.folder, "--vkey", log.signer.vkey)

    def test_extension_lines_are_read(self):
        log = Log(self.temp / "t", 5)
        (log.folder / "checkpoint").write_text(log.signer.note(log.text(5) + "more\n"))
        self.verdict("CONSISTENT", log.folder)

    def test_tile_paths(self):
        for index, path in ((0, "000"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")):
            self.assertEqual(verify.tile_path(2, index), f"tile/2/{path}")


class TamperedTrails(Case):
    def setUp(self):
        super().setUp()
        self.log = Log(self.temp / "t", 7)
        self.trail, self.vkey = self.log.folder, ("--vkey", self.log.signer.vkey)
        self.entries, self.note = self.trail / "entries/00000000000000000000.digests", self.trail / "checkpoint"

    def test_a_flipped_bit_in_any_entry(self):
        for index in range(7):
            flip(self.entries, 32 * index + 3)
            self.verdict("INVALID", self.trail, *self.vkey, says="the first 7 entries are not those")
            flip(self.entries, 32 * index + 3)
        self.verdict("VALID", self.trail, *self.vkey)

    def test_entries_swapped_repeated_cut_removed_or_too_many(self):
        entries = self.log.entries
        for wrong in ([entries[1], entries[0], *entries[2:]], [*entries[:6], entries[5]]):
            self.entries.write_bytes(b"".join(wrong))
            self.verdict("INVALID", self.trail)
        self.entries.write_bytes(b"".join(entries)[:-1])
        self.verdict("INCOMPLETE", self.trail, *self.vkey, says="ends before entry 6")
        self.entries.write_bytes(bytes(65_536 * 32 + 1))
        self.verdict("INVALID", self.trail, says="is longer than")
        self.entries.unlink()
        self.verdict("INCOMPLETE", self.trail, *self.vkey, says="ends before entry 0")
        self.verdict("INVALID", self.trail, "--vkey", Signer(seed=2).vkey)

    def test_root_size_and_origin_of_the_checkpoint(self):
        good = self.note.read_text()
        for old, new in (("\n7\n", "\n6\n"), ("\n7\n", "\n8\n"), (ORIGIN + "\n", "other.example\n"),
                         (b64(tree_hash(self.log.entries)), b64(bytes(32)))):
            self.note.write_text(good.replace(old, new, 1))
            self.verdict("INVALID", self.trail, *self.vkey)

    def test_a_wrong_root_or_size_that_was_signed(self):
        root = b64(tree_hash(self.log.entries))
        for size, root, verdict in ((7, b64(bytes(32)), "INVALID"), (6, root, "INVALID"), (0, root, "INVALID"),
                                    (8, root, "INCOMPLETE"), (2**64 - 1, root, "INCOMPLETE"), (2**64, root, "INVALID")):
            self.note.write_text(self.log.signer.note(f"{ORIGIN}\n{size}\n{root}\n"))
            self.verdict(verdict, self.trail, *self.vkey)

    def test_signatures(self):
        text, ours = self.log.text(7), self.log.signer.line(self.log.text(7))
        other, forged = Signer(seed=2), self.log.signer.line(self.log.text(6))
        malformed = f"\u2014 {ORIGIN} {b64(self.log.signer.id + bytes(63))}\n"
        renamed = ours.replace(ORIGIN, ORIGIN + "x")
        for lines in ("", forged, ours + forged, forged + ours, other.line(text), malformed, renamed, ours * 101,
                      ours[:-1], ours + "\n", ours.replace("\u2014", "-"), ours.replace(" ", "  "), ours[2:]):
            self.note.write_text(text + "\n" + lines)
            self.verdict("INVALID", self.trail, *self.vkey)

    def test_a_second_spelling_of_a_checkpoint(self):
        root = b64(tree_hash(self.log.entries))
        bits = root[:42] + chr(ord(root[42]) + 1) + "="
        for text in (f"{ORIGIN}\n07\n{root}\n", f"{ORIGIN}\n+7\n{root}\n", f"{ORIGIN}\n7\n{bits}\n",
                     f"{ORIGIN}\n7\n{root[:-1]}\n",
                     f"{ORIGIN}\n7\n{root}\n\n", f"\n{ORIGIN}\n7\n{root}\n", f"{ORIGIN}\n7\n",
                     f"{ORIGIN}\r\n7\r\n{root}\r\n",
                     f"{ORIGIN}\n7 \n{root}\n", f"{ORIGIN}\n\u0667\n{root}\n"):
            self.note.write_text(self.log.signer.note(text), newline="")
            self.verdict("INVALID", self.trail, *self.vkey)

    def test_every_flipped_bit_of_a_checkpoint(self):
        key, good = verify.parse_vkey(self.log.signer.vkey), self.note.read_bytes()
        for bit in range(8 * len(good)):
            wrong = bytearray(good)
            wrong[bit // 8] ^= 1 << bit % 8
            with self.assertRaises(ValueError, msg=bit):
                verify.check_signature(verify.parse_checkpoint(bytes(wrong)), key)

    def test_no_checkpoint(self):
        self.note.unlink()
        self.verdict("INVALID", self.trail, says="no signed checkpoint")
        self.entries.unlink()
        self.verdict("CONSISTENT", self.trail)
        pin = self.file("pin", self.log.checkpoint(7))
        for brought in (self.vkey, ("--pin", pin)):
            self.verdict("INVALID", self.trail, *brought, says="no signed checkpoint")

    def test_trail_json(self):
        good = self.log.settings
        changes = ({"format": 2}, {"format": True}, {"format": 1.0}, {"origin": "other"},
                   {"log_key": Signer(seed=2).vkey},
                   {"log_key": Signer("other").vkey}, {"log_key": "x"}, {"log_key": 1}, {"encryption": "aes"},
                   {"more": 1})
        texts = [json.dumps(good | change) for change in changes]
        texts += ["", "[]", "null", "[" * 100_000, json.dumps(good)[:-1], json.dumps(good)[:-1] + ', "format": 1}',
                  "{}", json.dumps(good) + "x", '{"format": ' + "9" * 10_000 + "}", " " * 70_000]
        for text in texts:
            (self.trail / "trail.json").write_text(text)
            self.verdict("INVALID", self.trail)
        (self.trail / "trail.json").write_bytes(b"\xff\xfe")
        self.verdict("INVALID", self.trail)
        (self.trail / "trail.json").unlink()
        self.verdict(NOTHING, self.trail)

    def test_a_rewritten_history_needs_a_pin_or_a_key(self):
        pin = self.file("pin", self.log.checkpoint(5))
        rewritten = Log(self.temp / "u", 7, salt=b"!")
        self.verdict("CONSISTENT", rewritten.folder)
        self.verdict("INVALID", rewritten.folder, "--pin", pin, says="the first 5 entries are not those that the pin")
        resigned = Log(self.temp / "v", 7, Signer(seed=9), salt=b"!")
        self.verdict("INVALID", resigned.folder, *self.vkey, says="is not signed by")
        self.verdict("INVALID", resigned.folder, "--pin", pin, says="is not signed by")

    def test_a_cut_tail_needs_a_pin(self):
        pin = self.file("pin", self.log.checkpoint(7))
        cut = Log(self.temp / "u", 5)
        self.verdict("VALID", cut.folder, *self.vkey, says="NOT CHECKED  that no later entries were cut off")
        self.verdict("INVALID", cut.folder, "--pin", pin, says="records 5 to 6 are gone")

    def test_pins(self):
        good = self.log.checkpoint(5)
        for wrong in (good.replace("\n5\n", "\n4\n"), Signer(seed=2).note(self.log.text(5)),
                      Signer("other.example").note(self.log.text(5).replace(ORIGIN, "other.example")),
                      self.log.signer.note(f"{ORIGIN}\n5\n{b64(bytes(32))}\n")):
            self.verdict("INVALID", self.trail, "--pin", self.file("pin", wrong))
        for useless in (b"", b"x", b"\xff", good[:-1].encode(), b"x" * 1_000_001):
            self.verdict(NOTHING, self.trail, "--pin", self.file("pin", useless))
        self.verdict(NOTHING, self.trail, "--pin", self.temp / "absent")

    def test_keys(self):
        self.verdict("INVALID", self.trail, "--vkey", Signer(seed=2).vkey)
        name, key_id, key = self.log.signer.vkey.split("+", 2)
        cosigner = sha256(ORIGIN.encode() + b"\n\4" + self.log.signer.public[1:])[:4].hex()
        for useless in ("", "x", f"{name}+{key_id}", f"{name}+{key_id.upper()}+{key}", f"{name}+00000000+{key}",
                        f"{name}+{key_id}+{key}=", f"{name}+{key_id}+{key[:-4]}", f" {name}+{key_id}+{key}",
                        f"{name}+{cosigner}+{b64(bytes([4]) + self.log.signer.public[1:])}"):
            self.verdict(NOTHING, self.trail, "--vkey", useless)

    def test_what_files_hold_never_reaches_the_terminal_raw(self):
        evil = Log(self.temp / "u", 2, Signer("evil\x7f\x9b31m\u202e"))
        for args in ((), ("--vkey", self.log.signer.vkey)):
            output = run(evil.folder, *args)[1]
            self.assertIn("evil", output)
            self.assertTrue(output.isascii() and output.replace("\n", "").isprintable(), output)

    def test_random_damage_is_no_traceback(self):
        chance = random.Random(1)
        for name in ("trail.json", "checkpoint"):
            good = (self.trail / name).read_bytes()
            for _ in range(60):
                wrong = bytearray(good)
                for _ in range(chance.randrange(1, 4)):
                    wrong[chance.randrange(len(wrong))] = chance.randrange(256)
                (self.trail / name).write_bytes(wrong)
                code, output, _ = run(self.trail)
                self.assertTrue(code == 1 or name == "trail.json" or wrong == good, output)
            (self.trail / name).write_bytes(good)


class TamperedTiles(Case):
    def test_the_first_bad_tile_and_its_entries_are_named(self):
        log = Log(self.temp / "t", LARGE)
        tile, entries = log.folder / "tile/1/000", log.folder / f"entries/{0:020}.digests"
        good = tile.read_bytes()
        flip(tile, 32 * 5 + 31)
        self.verdict("INVALID", log.folder, says="tile/1/000, hash 5: not what entries 1280 to 1535 make")
        for wrong, says in ((good[:-1], "hash 255"), (b"", "hash 0"), (good + b"\0", "longer than")):
            tile.write_bytes(wrong)
            self.verdict("INVALID", log.folder, says=says)
        tile.unlink()
        self.verdict("INCOMPLETE", log.folder, "--vkey", log.signer.vkey, says="tile/1/000 is missing")
        tile.write_bytes(good)
        flip(entries, 32 * 300)
        output = self.verdict("INVALID", log.folder, says="tile/1/000, hash 1: not what entries 256 to 511 make")
        self.assertIn("the first 66000 entries are not those that the checkpoint", output)
        flip(entries, 32 * 300)
        flip(log.folder / f"entries/{65_536:020}.digests", 0)
        self.verdict("INVALID", log.folder, says="the first 66000 entries are not those")
        (log.folder / f"entries/{65_536:020}.digests").unlink()
        self.verdict("INCOMPLETE", log.folder, says="ends before entry 65536")
        flip(tile, 0)
        output = self.verdict("INVALID", log.folder, says="tile/1/000, hash 0")
        self.assertIn("ends before entry 65536", output)
        flip(tile, 0)
        pin = self.file("pin", log.signer.note(f"{ORIGIN}\n300\n{b64(bytes(32))}\n"))
        self.verdict("INVALID", log.folder, "--pin", pin, says="the first 300 entries are not those")

    def test_three_levels_of_tiles(self):
        """Hashes stand for those of the blocks of 256 entries; the tiles above are compared just the same."""
        hashes, wrong, missing = [sha256(b"%d" % n) for n in range(3 * 256 + 5)], [], []
        (self.temp / "tile/1").mkdir(parents=True)
        for index in range(3):
            (self.temp / f"tile/1/{index:03}").write_bytes(b"".join(hashes[256 * index : 256 * index + 256]))
        self.assertEqual(verify.check_tiles(self.temp, hashes, wrong, missing), 3)
        self.assertEqual((wrong, missing), ([], []))
        (self.temp / "tile/1/001").unlink()
        flip(self.temp / "tile/1/002", 32 * 255)
        verify.check_tiles(self.temp, hashes, wrong, missing)
        self.assertEqual(missing, ["tile/1/001 is missing"])
        first = (2 * 256 + 255) * 256
        self.assertEqual(wrong, [f"tile/1/002, hash 255: not what entries {first} to {first + 255} make"])
        many = [bytes(32)] * 65_536
        for index in range(256):
            (self.temp / f"tile/1/{index:03}").write_bytes(bytes(8192))
        (self.temp / "tile/2").mkdir()
        level_2 = [tree_of_nodes(many[:256])] * 256
        for content, expected in ((b"".join(level_2), []), (bytes(8192), ["hash 0: not what entries 0 to 65535 make"])):
            (self.temp / "tile/2/000").write_bytes(content)
            wrong, missing = [], []
            self.assertEqual(verify.check_tiles(self.temp, many, wrong, missing), 257)
            self.assertEqual((wrong, missing), ([f"tile/2/000, {what}" for what in expected], []))


class EachCheckAlone(unittest.TestCase):
    """Where a later check would refuse the same file for another reason, the first one still has to."""

    def refused(self, why, parse, *args):
        with self.assertRaisesRegex(ValueError, why):
            parse(*args)

    def test_sizes(self):
        for length in (1, 31, 33):
            self.refused("not 32", verify.unbase64, b64(bytes(length)), 32)
        for index, size, path in ((0, 1, [bytes(32)]), (0, 2, []), (2, 3, [bytes(32)] * 2)):
            self.refused("another length", verify.root_by_path, bytes(32), index, size, path)
        for index, size in ((0, 0), (1, 1), (2**64 - 1, 5)):
            self.refused("no leaf", verify.root_by_path, bytes(32), index, size, [])
        self.refused("longer than", verify.parse_checkpoint, b"x" * 1_000_001)
        for count in (0, 3, 4):
            signatures = f"\u2014 x {b64(bytes(count))}\n"
            note = f"{ORIGIN}\n0\n{b64(sha256(b''))}\n\n{signatures}".encode()
            self.refused("too short" if count else "1 to 100", verify.parse_checkpoint, note)
        with tempfile.TemporaryDirectory() as temp:
            (Path(temp) / "x").write_bytes(b"12345")
            self.refused("longer than 4", verify.read, Path(temp) / "x", 4)

    def test_what_is_signed_and_yet_no_checkpoint(self):
        signer, empty = Signer(), b64(sha256(b""))
        for text, why in ((f"{ORIGIN}\n0\n{b64(bytes(32))}\n", "empty tree"),
                          (f"{ORIGIN}\n0\n{empty}\na\tb\n", "three lines")):
            self.refused(why, verify.parse_checkpoint, signer.note(text).encode())
        verify.parse_checkpoint(signer.note(f"{ORIGIN}\n0\n{empty}\na b\n").encode())

    def test_a_weak_verifier_key(self):
        public = b"\1" + (2**255 - 20).to_bytes(32, "little")
        key_id = sha256(b"x\n" + public)[:4].hex()
        self.refused("weak", verify.parse_vkey, f"x+{key_id}+{b64(public)}")

    def test_the_log_of_another_trail(self):
        with tempfile.TemporaryDirectory() as temp:
            ours, theirs = Log(f"{temp}/a", 3), Log(f"{temp}/b", 3, Signer("other.example"))
            shutil.copy(theirs.folder / "trail.json", ours.folder)
            self.refused("trail.json says", verify.check_trail, ours.folder, verify.parse_vkey(ours.signer.vkey), [])

    def test_records(self):
        self.refused("inside the string", record.canonical, b"\x62a")
        self.refused("unknown tag", record.canonical, bytes.fromhex("c1" + "83" + "5820" + "11" * 32 + "05" + "6161"))
        for change, why in (({"id": "x"}, "UUID"), ({"kind": "x"}, "kind"), ({"id_by": "x"}, "source")):
            self.refused(why, record.check_stamp, STAMP | change)
        self.refused("no map", record.check_envelope, [], STAMP)


if __name__ == "__main__":
    unittest.main()
