"""Tests of the verifier. The logs it is held against are made here, with a tree that follows RFC 6962 to the letter."""
import base64
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import record
import verify

CRATES = Path(__file__).resolve().parents[2] / "crates"
ORIGIN = "log.example/credit"
LARGE = 66_000  # more than one file of entries and one full tile of level 1


# ---- a log, made from the specifications -----------------------------------------------------------------------------


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


# ---- trails ----------------------------------------------------------------------------------------------------------


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


# ---- proofs ----------------------------------------------------------------------------------------------------------


class Proofs(Case):
    def setUp(self):
        super().setUp()
        self.log = Log(self.temp / "t", 7)
        self.key, self.digest = verify.parse_vkey(self.log.signer.vkey), self.log.entries[3]

    def check(self, text, digest=None, key=None):
        data = text if isinstance(text, bytes) else text.encode()
        return verify.check_proof(data, digest or self.digest, key or self.key)

    def refused(self, text, **with_):
        with self.assertRaises(ValueError, msg=text):
            self.check(text, **with_)

    def test_every_entry_of_small_trees_and_some_of_a_large_one(self):
        for size in range(1, 8):
            for index in range(size):
                self.check(self.log.proof(index, size), digest=self.log.entries[index])
        large = Log(self.temp / "u", 1000)
        for index in (0, 255, 256, 998, 999):
            self.check(large.proof(index), digest=large.entries[index])

    def test_the_command(self):
        proof, digest = self.file("p.tlog-proof", self.log.proof(3)), self.digest.hex()
        vkey = ("--vkey", self.log.signer.vkey)
        self.verdict("VALID", "--proof", proof, "--digest", digest, *vkey, says="is entry 3 of 7")
        self.verdict("INVALID", "--proof", proof, "--digest", "00" * 32, *vkey, says="leads to root")
        self.verdict("INVALID", "--proof", proof, "--digest", digest, "--vkey", Signer(seed=2).vkey)
        self.verdict(NOTHING, "--proof", proof, "--digest", "00", *vkey)
        self.verdict(NOTHING, "--proof", proof, "--digest", digest.upper(), *vkey)
        self.verdict(NOTHING, "--proof", self.temp / "absent", "--digest", digest, *vkey)
        for args in ((), ("--proof", proof), ("--proof", proof, *vkey), ("--proof", proof, "--digest", digest),
                     (self.log.folder, "--proof", proof), ("--digest", digest), ("--pin", proof, "--proof", proof)):
            self.assertEqual(run(*args)[0], 2)

    def test_every_flipped_bit(self):
        good = self.log.proof(3).encode()
        for bit in range(8 * len(good)):
            wrong = bytearray(good)
            wrong[bit // 8] ^= 1 << bit % 8
            self.refused(bytes(wrong))

    def test_index_path_and_size(self):
        good = self.log.proof(3)
        lines = good.split("\n")
        first, second, third = lines[2:5]
        for index in (0, 1, 2, 4, 5, 6, 7, 11, 2**64 - 1):
            self.refused(good.replace("index 3", f"index {index}"))
        for path in ([second, first, third], [first, third, second], [first, second], [second, third], [],
                     [first, second, third, third], [first, second, third] * 22, [first, first, second, third],
                     [b64(bytes(32)), second, third], [first[:-4], second, third], [first + first, second, third]):
            self.refused("\n".join([*lines[:2], *path, *lines[5:]]))
        self.refused(good, digest=self.log.entries[2])
        self.refused(good, key=verify.parse_vkey(Signer(seed=2).vkey))
        self.refused(good.replace("\n7\n", "\n6\n"))
        self.refused(good.split("\u2014")[0])
        self.refused(self.log.proof(3).split("\n\n")[0] + "\n\n" + self.log.checkpoint(6))

    def test_one_spelling(self):
        good = self.log.proof(3)
        for old, new in (("@v1", "@v2"), ("index 3", "index 03"), ("index 3", "index +3"), ("index 3", "index  3"),
                         ("index 3", "index"),
                         ("index 3", "Index 3"), ("index 3", "extra \nindex 3"), ("index 3", "extra A\nindex 3"),
                         ("index 3", "extra AAAA\nextra AAAA\nindex 3"), ("index 3\n", "index 3\r\n"),
                         ("\n\n", "\n\n\n"), ("c2sp", " c2sp"), ("index 3\n", "index 3\n\n")):
            self.refused(good.replace(old, new, 1))
        for wrong in ("", good + "x", good + "\n", "\ufeff" + good, good.encode() + b"\xff", "x" * 2_000_001):
            self.refused(wrong)
        self.check(good.replace("index 3", "extra AAAA\nindex 3"))

    def test_the_fixture_of_the_log_crate(self):
        folder = CRATES / "tlog/tests/fixtures"
        lines = (folder / "policy.txt").read_text().split("\n")
        log = next(line.split(" ") for line in lines if line.startswith("log "))
        proof = (folder / "entry-5.tlog-proof").read_bytes()
        self.check(proof, digest=bytes([5]) * 32, key=verify.parse_vkey(log[1]))


def check_inclusion(leaf, index, size, root, path):
    verify.need(verify.root_by_path(leaf, index, size, path) == root, "another root")


def check_consistency(old_size, old_root, size, root, path):
    """RFC 9162 section 2.1.4.2 by way of inclusion: the subtree that the old tree ends with is in both trees."""
    verify.need(0 < old_size <= size, "a tree extends a smaller one that is not empty")
    if old_size == size:
        return verify.need(old_root == root and not path, "two trees of one size have two roots, or a path")
    height = (old_size & -old_size).bit_length() - 1
    index, last = (old_size - 1) >> height, (size - 1) >> height
    first, *path = path if old_size != 1 << height else [old_root, *path]
    meet = (index ^ last).bit_length()
    on_left = [sibling for at, sibling in enumerate(path) if at >= meet or index >> at & 1]
    check_inclusion(first, index, index + 1, old_root, on_left)
    check_inclusion(first, index, last + 1, root, path)


class PublicVectors(unittest.TestCase):
    """transparency-dev/merkle. A word where a root or leaf hash should be stands for its own hash."""

    @staticmethod
    def hash(text):
        try:
            return verify.unbase64(text, 32)
        except ValueError:
            verify.need(text, "an empty text is no hash")
            return sha256(text.encode())

    def holds(self, vector):
        try:
            path = [verify.unbase64(sibling, 32) for sibling in vector["proof"] or []]
            if "leafIdx" in vector:
                leaf, root = self.hash(vector["leafHash"]), self.hash(vector["root"])
                check_inclusion(leaf, vector["leafIdx"], vector["treeSize"], root, path)
            else:
                old, new = self.hash(vector["root1"]), self.hash(vector["root2"])
                check_consistency(vector["size1"], old, vector["size2"], new, path)
            return True
        except ValueError:
            return False

    def test_all_196(self):
        files = sorted((CRATES / "tlog/tests/vectors/rfc6962").rglob("*.json"))
        self.assertEqual(len(files), 196)
        for file in files:
            vector = json.loads(file.read_text())
            self.assertEqual(self.holds(vector), not vector["wantErr"], file)

    def test_consistency_of_all_small_trees(self):
        entries = [bytes([n]) for n in range(20)]
        for size in range(1, 21):
            for old in range(1, size + 1):
                roots, path = (tree_hash(entries[:old]), tree_hash(entries[:size])), consistency(old, entries[:size])
                check_consistency(old, roots[0], size, roots[1], path)
                for wrong in (path + [bytes(32)], path[:-1] if path else [bytes(32)], [bytes(32), *path]):
                    with self.assertRaises(ValueError):
                        check_consistency(old, roots[0], size, roots[1], wrong)


class WeakKeys(unittest.TestCase):
    """Points of small order, and points in a second encoding."""

    def test_they_are_refused(self):
        prime, eight = verify.P, verify.EIGHT
        for y in (0, 1, prime - 1, eight, prime - eight, prime, prime + 1, 2**255 - 1):
            for sign in (0, 1 << 255):
                self.assertFalse(verify.is_strong((y | sign).to_bytes(32, "little")), y)
        self.assertTrue(verify.is_strong(Signer().public[1:]))

    def test_the_points_of_order_eight_are_those(self):
        """Twice the point (x, y) has (y² + x²) / (1 - d x² y²) for its y. The points with y = 0 are of order 4."""
        p, y = verify.P, verify.EIGHT
        d = -121665 * pow(121666, -1, p) % p
        x2 = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        self.assertEqual((y * y + x2) * pow(1 - d * x2 * y * y, -1, p) % p, 0)

    def test_a_nonce_of_nothing_is_refused(self):
        signer = Signer()
        text = f"{ORIGIN}\n0\n{b64(sha256(b''))}\n"
        line = f"\u2014 {ORIGIN} {b64(signer.id + bytes([1]) + bytes(63))}\n"
        checkpoint = verify.parse_checkpoint(f"{text}\n{line}".encode())
        with self.assertRaisesRegex(ValueError, "malformed"):
            verify.check_signature(checkpoint, verify.parse_vkey(signer.vkey))


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


# ---- records ---------------------------------------------------------------------------------------------------------

ENVELOPE = {"id": "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d", "kind": "decision", "time": 5,
            "model": {"name": "m", "version": "1"}}
STAMP = {"v": 1, "id": ENVELOPE["id"], "kind": "decision", "received": 7}


def exported(parts, salt=bytes(16), stamp=None):
    parts = {name: canonical(part).hex() for name, part in parts.items()}
    return {"stamp": canonical(stamp or STAMP).hex(), "salt": salt.hex(), "parts": parts}


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


# ---- trails of released versions -------------------------------------------------------------------------------------


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


# ---- the real thing --------------------------------------------------------------------------------------------------


@unittest.skipUnless(os.environ.get("ONRECORD_BIN"), "ONRECORD_BIN does not name the onrecord binary")
class RealTrails(Case):
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
