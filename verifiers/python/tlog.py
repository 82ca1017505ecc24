"""The formats that OnRecord shares with other transparency logs, each parsed in its one spelling.

RFC 6962 section 2.1 (tree), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (proofs), C2SP signed-note, tlog-checkpoint,
tlog-tiles and tlog-proof. Whatever is not as it should be is a ValueError.
"""
import base64
import hashlib
import re
from collections import namedtuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE_BYTES_MAX, SIGNATURES_MAX, PATH_MAX = 1_000_000, 100, 64
NAME = r"[^\s+\x00-\x1f]+"

Key = namedtuple("Key", "name id public")
Checkpoint = namedtuple("Checkpoint", "origin size root text signatures")
Proof = namedtuple("Proof", "index path checkpoint")


def need(holds, what):
    if not holds:
        raise ValueError(what)


# ---- values ----------------------------------------------------------------------------------------------------------


def unbase64(text):
    data = base64.b64decode(text, validate=True)
    need(data and base64.b64encode(data).decode() == text, f"{text[:80]!r} is not canonical base64")
    return data


def hash_of(text):
    data = unbase64(text)
    need(len(data) == 32, f"a hash has {len(data)} bytes, not 32")
    return data


def number(text):
    canonical = re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 2**64
    need(canonical, f"{text[:80]!r} is not a decimal below 2^64 in its shortest form")
    return int(text)


# ---- the tree --------------------------------------------------------------------------------------------------------


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


EMPTY_ROOT = hashlib.sha256(b"").digest()


class Tree:
    """A growing tree. `full(level, index, hashes)` is called with each full tile above level 0."""

    def __init__(self, full=lambda level, index, hashes: None):
        self.size, self.peaks, self.tiles, self.full = 0, [], {}, full

    def push(self, entry):
        node, height = leaf_hash(entry), 0
        self.size += 1
        while self.size % (2 << height) == 0:
            node, height = node_hash(self.peaks.pop(), node), height + 1
            if height % 8 == 0:
                self.add_to_tile(height // 8, node)
        self.peaks.append(node)

    def add_to_tile(self, level, node):
        tile = self.tiles.setdefault(level, [])
        tile.append(node)
        if len(tile) == 256:
            self.full(level, self.size // 256 ** (level + 1) - 1, self.tiles.pop(level))

    def root(self):
        root = self.peaks[-1] if self.peaks else EMPTY_ROOT
        for peak in self.peaks[-2::-1]:
            root = node_hash(peak, root)
        return root


def tile_path(level, index):
    groups = re.findall("...", f"{index:0{-(-len(str(index)) // 3) * 3}}")
    return "/".join(["tile", str(level), *("x" + group for group in groups[:-1]), groups[-1]])


def climb(node, index, last, path):
    """The two roots that a path leads to: of the tree that ended with `node`, and of the one that ends at `last`."""
    old = new = node
    for sibling in path:
        need(last, "the path is too long")
        if index & 1 or index == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        index, last = index >> 1, last >> 1
    need(last == 0, "the path is too short")
    return old, new


def check_inclusion(leaf, index, size, root, path):
    need(index < size, f"there is no leaf {index} in a tree of {size}")
    found = climb(leaf, index, size - 1, path)[1]
    need(found == root, f"the path of leaf {index} leads to root {found.hex()}, signed is {root.hex()}")


def check_consistency(old_size, old_root, size, root, path):
    """For whoever has two checkpoints and a proof; a trail's own entries need none."""
    need(0 < old_size <= size, "a tree extends a smaller one that is not empty")
    if old_size == size:
        return need(old_root == root and not path, "two trees of one size have two roots, or a path")
    shift = (old_size & -old_size).bit_length() - 1
    path = [old_root, *path] if old_size == 1 << shift else path
    need(path, "the path is too short")
    found = climb(path[0], (old_size - 1) >> shift, (size - 1) >> shift, path[1:])
    need(found == (old_root, root), "the path does not lead to both roots")


# ---- keys, checkpoints and proofs ------------------------------------------------------------------------------------

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (1).to_bytes(32, "little")


def add(a, b):
    k = D * a[0] * b[0] * a[1] * b[1]
    return (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P) % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P) % P


def is_strong(public):
    """Whether a key is a point of the large prime order in its one encoding; others let signatures be ambiguous."""
    sign, y = divmod(int.from_bytes(public, "little"), 2**255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x == 0 or x * x % P != square:
        return False
    total, point = (0, 1), (x if x % 2 == sign else P - x, y)
    for bit in f"{ORDER:b}":
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    return total == (0, 1)


def parse_vkey(vkey):
    match = re.fullmatch(rf"({NAME})\+([0-9a-f]{{8}})\+(.+)", vkey)
    need(match, "a verifier key has the form <name>+<8 hex digits>+<base64>")
    name, key_id, data = match[1], bytes.fromhex(match[2]), unbase64(match[3])
    need(len(data) == 33 and data[0] == 1, "the verifier key is not 01 (Ed25519) and 32 bytes")
    computed = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
    need(key_id == computed, f"the verifier key's id is {key_id.hex()}, name and key come to {computed.hex()}")
    need(is_strong(data[1:]), "the verifier key is a weak one")
    return Key(name, key_id, data[1:])


def parse_signature(line):
    match = re.fullmatch(rf"\u2014 ({NAME}) (.+)", line)
    need(match, "a signature line of the checkpoint is malformed")
    data = unbase64(match[2])
    need(len(data) > 4, "a signature of the checkpoint is too short")
    return match[1], data[:4], data[4:]


def parse_checkpoint(data):
    """What a note claims: nothing of it may be believed before `check_signature`."""
    need(len(data) <= NOTE_BYTES_MAX, f"the checkpoint is longer than {NOTE_BYTES_MAX} bytes")
    note = data.decode()
    need(not re.search(r"[\x00-\x09\x0b-\x1f]", note), "the checkpoint has control characters")
    text, _, tail = note.rpartition("\n\n")
    lines, signatures = text.split("\n"), tail.split("\n")
    enough = signatures.pop() == "" and 0 < len(signatures) <= SIGNATURES_MAX
    need(enough, f"the checkpoint has no signatures, or over {SIGNATURES_MAX}, or ends without a newline")
    need(len(lines) >= 3 and all(lines), "the checkpoint is not three lines or more, none of them empty")
    size, root = number(lines[1]), hash_of(lines[2])
    need(size or root == EMPTY_ROOT, "the checkpoint gives a root to the empty tree")
    return Checkpoint(lines[0], size, root, text + "\n", [parse_signature(line) for line in signatures])


def check_signature(checkpoint, key, what="the checkpoint"):
    """At least one signature by `key`, and none of it that fails. Those of other keys are passed over."""
    need(checkpoint.origin == key.name, f"{what} is of {checkpoint.origin!r}, the key of {key.name!r}")
    ours = [signature for name, key_id, signature in checkpoint.signatures if (name, key_id) == (key.name, key.id)]
    need(ours, f"{what} is not signed by {key.name!r} with key id {key.id.hex()}")
    for signature in ours:
        # The library refuses a nonce or a scalar in a second spelling, but not a nonce of nothing.
        need(len(signature) == 64 and signature[:32] != IDENTITY, f"{what} has a malformed signature")
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, checkpoint.text.encode())
        except InvalidSignature:
            raise ValueError(f"{what} has a signature that does not hold") from None


def parse_proof(data):
    """A tlog-proof. Its extra data is not authenticated, and not used."""
    need(len(data) <= 2 * NOTE_BYTES_MAX, "the proof is too long")
    head, _, checkpoint = data.decode().partition("\n\n")
    first, *lines = head.split("\n")
    need(first == "c2sp.org/tlog-proof@v1", "the proof does not begin with the line c2sp.org/tlog-proof@v1")
    if lines and lines[0].startswith("extra "):
        unbase64(lines.pop(0)[6:])
    need(lines and lines[0].startswith("index "), "the proof has no index where it belongs")
    index, path = number(lines[0][6:]), [hash_of(line) for line in lines[1:]]
    need(len(path) <= PATH_MAX, f"the path has more than {PATH_MAX} hashes")
    return Proof(index, path, parse_checkpoint(checkpoint.encode()))
