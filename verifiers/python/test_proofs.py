"""Tests of the verifier on proofs, and on keys that prove nothing."""
import json
import unittest

import verify
from made import b64, Case, consistency, CRATES, Log, NOTHING, ORIGIN, run, sha256, Signer, tree_hash


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


if __name__ == "__main__":
    unittest.main()
