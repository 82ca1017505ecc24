#!/usr/bin/env python3
"""Checks the log of an OnRecord trail, or one proof.

    verify.py TRAIL [--vkey KEY] [--pin CHECKPOINT]...
    verify.py --proof FILE.tlog-proof --digest HEX --vkey KEY

A second opinion: written from docs/formats.md, RFC 6962, RFC 9162 and C2SP, it shares no code with onrecord.
Exit status: 0 VALID or CONSISTENT; 1 INVALID or INCOMPLETE; 2 wrong use, or input that cannot be read.
"""
import argparse
import base64
import hashlib
import json
import re
import sys
from collections import namedtuple
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE_BYTES_MAX, FILE_ENTRIES = 1_000_000, 65_536
NAME, LINE = r"[^\s+\x00-\x1f]+", r"[^\x00-\x1f]+\n"
PRODUCER = "that the producer recorded what really happened, and all of it"

Key = namedtuple("Key", "name id public")
Checkpoint = namedtuple("Checkpoint", "called origin size root text signatures")


class Incomplete(Exception):
    """Something that was signed is not there, and all that is there agrees. Whatever is wrong is a ValueError."""


def need(holds, what):
    if not holds:
        raise ValueError(what)


def read(path, limit, optional=False):
    if not path.is_file():
        if optional:
            return None
        raise FileNotFoundError(f"{path} is not there, or is no file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    need(len(data) <= limit, f"{path} is longer than {limit} bytes")
    return data


def unbase64(text, length=None):
    data = base64.b64decode(text, validate=True)
    need(data and base64.b64encode(data).decode() == text, f"{text[:80]!r} is not canonical base64")
    need(length in (None, len(data)), f"{text[:80]!r} is {len(data)} bytes, not {length}")
    return data


def number(text):
    need(re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 2**64, f"{text[:80]!r} is not a number below 2^64")
    return int(text)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# ---- the tree: RFC 6962 section 2.1, RFC 9162 section 2.1.3.2 --------------------------------------------------------

def root_of(nodes):
    """Pairs neighbours until one node is left; a last one without a neighbour moves up as it is."""
    while len(nodes) > 1:
        pairs = [sha256(b"\1", left, right) for left, right in zip(nodes[::2], nodes[1::2])]
        nodes = pairs + nodes[2 * len(pairs) :]
    return nodes[0] if nodes else sha256()


def root_by_path(node, index, size, path):
    """The root that the path from leaf `index` leads to, in a tree of `size`."""
    need(index < size, f"there is no leaf {index} in a tree of {size}")
    meet = (index ^ (size - 1)).bit_length()  # from this height on, this and the last leaf are in one subtree
    need(len(path) == meet + (index >> meet).bit_count(), "the path has another length than index and size ask for")
    for height, sibling in enumerate(path):
        on_left = height >= meet or index >> height & 1
        node = sha256(b"\1", sibling, node) if on_left else sha256(b"\1", node, sibling)
    return node


# ---- keys, checkpoints, proofs: C2SP signed-note, tlog-checkpoint, tlog-proof ----------------------------------------

P, EIGHT = 2**255 - 19, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL = (0, 1, P - 1, EIGHT, P - EIGHT)  # y of the points whose order divides 8


def is_strong(point):
    """Whether a point is not of small order, and in its one encoding; others let signatures be ambiguous."""
    y = int.from_bytes(point, "little") % 2**255
    return y < P and y not in SMALL


def parse_vkey(vkey):
    match = re.fullmatch(rf"({NAME})\+([0-9a-f]{{8}})\+(.+)", vkey)
    need(match, "a verifier key has the form <name>+<8 hex digits>+<base64>")
    name, data = match[1], unbase64(match[3], 33)
    key_id = sha256(name.encode(), b"\n", data)[:4]
    need(match[2] == key_id.hex(), f"the verifier key's id is {match[2]}, name and key come to {key_id.hex()}")
    need(data[0] == 1 and is_strong(data[1:]), "the verifier key is a weak one, or not for Ed25519")
    return Key(name, key_id, data[1:])


def parse_checkpoint(data, called="the checkpoint"):
    """What a note claims: nothing of it may be believed before `check_signature`."""
    need(len(data) <= NOTE_BYTES_MAX, f"{called} is longer than {NOTE_BYTES_MAX} bytes")
    note = re.fullmatch(rf"((?:{LINE}){{3,}})\n((?:\u2014 {NAME} {LINE}){{1,100}})", data.decode())
    need(note, f"{called} is not three lines or more, an empty one, and 1 to 100 signatures")
    origin, size, root, *_ = note[1].split("\n")
    size, root = number(size), unbase64(root, 32)
    need(size or root == sha256(), f"{called} gives a root to the empty tree")
    signatures = [(name, unbase64(value)) for name, value in re.findall(rf"\u2014 ({NAME}) (.+)\n", note[2])]
    need(all(len(value) > 4 for _, value in signatures), f"{called} has a signature that is too short")
    return Checkpoint(called, origin, size, root, note[1], signatures)


def check_signature(checkpoint, key):
    """At least one signature by `key`, and none of it that fails. Those of other keys are passed over."""
    called, origin = checkpoint.called, checkpoint.origin
    need(origin == key.name, f"{called} is of {origin!r}, the key of {key.name!r}")
    ours = [value[4:] for name, value in checkpoint.signatures if (name, value[:4]) == (key.name, key.id)]
    need(ours, f"{called} is not signed by {key.name!r} with key id {key.id.hex()}")
    for signature in ours:
        need(len(signature) == 64 and is_strong(signature[:32]), f"{called} has a malformed signature")
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, checkpoint.text.encode())
        except InvalidSignature:
            raise ValueError(f"{called} has a signature that does not hold") from None


def check_proof(data, digest, key):
    """The verdict, what was checked, and what was not. Extra data is not authenticated, and not used."""
    form = r"c2sp\.org/tlog-proof@v1\n(?:extra (.+)\n)?index (.+)\n((?:.+\n)*)\n((?s:.*))"
    match = re.fullmatch(form, data.decode())
    need(match, "the proof is not its first line, extra data or none, the index, hashes, an empty line, a checkpoint")
    if match[1]:
        unbase64(match[1])
    index, path = number(match[2]), [unbase64(line, 32) for line in match[3].split("\n")[:-1]]
    checkpoint = parse_checkpoint(match[4].encode())
    check_signature(checkpoint, key)
    found, signed = root_by_path(sha256(b"\0", digest), index, checkpoint.size, path), checkpoint.root
    need(found == signed, f"the path of leaf {index} leads to root {found.hex()}, signed is {signed.hex()}")
    checked = [f"{key.name}: {digest.hex()} is entry {index} of {checkpoint.size}, signed"]
    return "VALID", checked, ["that others see the same log: witnesses' cosignatures are not looked at", PRODUCER]


# ---- a trail: docs/formats.md, sections 7 and 9 ----------------------------------------------------------------------

def read_settings(folder):
    """The verifier key that the trail itself names."""
    def once(pairs):
        need(len(dict(pairs)) == len(pairs), "trail.json has a field twice")
        return dict(pairs)

    value = json.loads(read(folder / "trail.json", 1 << 16).decode(), object_pairs_hook=once)
    types = {"format": int, "origin": str, "log_key": str, "created": str, "encryption": str}
    found = isinstance(value, dict) and {name: type(field) for name, field in value.items()}
    need(found == types, "trail.json has other fields, or fields of other types")
    known = value["format"] == 1 and value["encryption"] in ("none", "aes-256-gcm")
    need(known, "trail.json is of an unknown format or encryption")
    key = parse_vkey(value["log_key"])
    need(key.name == value["origin"], "trail.json names a key of another origin")
    return key


def check_trail(folder, vkey, pins):
    """The verdict, what was checked, and what was not."""
    own = read_settings(folder)
    note, key = read(folder / "checkpoint", NOTE_BYTES_MAX, optional=True), vkey or own
    if note is None:
        need(not (vkey or pins or any(folder.glob("entries/*"))), "there is no signed checkpoint")
        return "CONSISTENT", [f"{own.name}: nothing was signed yet"], [PRODUCER]
    checkpoint = parse_checkpoint(note)
    size = checkpoint.size
    need(own.name == key.name, f"trail.json says {own.name!r}, the key is of {key.name!r}")
    for signed in (checkpoint, *pins):
        check_signature(signed, key)
        need(signed.size <= size, f"the tail was cut: {signed.called} covers {signed.size} records, this trail "
             f"{size}; records {size} to {signed.size - 1} are gone")
    tiles = check_entries(folder, size, [checkpoint, *pins])
    anchored = any(pin.size for pin in pins)  # a pin of size 0 proves nothing
    checked = [f"{key.name}: {size} entries, {tiles} tiles, root {checkpoint.root.hex()}, signed"]
    checked += [f"the first {pin.size} entries are those of {pin.called}" for pin in pins]
    left = ["that the records in journal and lake are those of the entries; onrecord verify does that", PRODUCER]
    left += [] if vkey else ["that the log's key is the right one: trail.json names it; bring your own with --vkey"]
    left += [] if anchored else ["that no later entries were cut off, and that others see the same: bring a --pin"]
    return "VALID" if vkey or anchored else "CONSISTENT", checked, left


def check_entries(folder, size, checkpoints):
    """Hashes all entries; tiles and signed roots must be what they make. How many tiles there are."""
    count, roots, wrong, missing = 0, [], [], []
    for leaves in blocks_of_leaves(folder, size, missing):
        for signed in checkpoints:
            part = leaves[: max(signed.size - count, 0)]
            if part and signed.size <= count + len(leaves) and root_of([*roots, root_of(part)]) != signed.root:
                wrong.append(f"the first {signed.size} entries are not those that {signed.called} was signed over")
        count += len(leaves)
        roots.append(root_of(leaves))
    tiles = check_tiles(folder, roots[: count // 256], wrong, missing)
    need(not wrong, "\n  ".join(wrong[:10] + missing[:10]))
    if missing:
        raise Incomplete(*missing[:10])
    return tiles


def blocks_of_leaves(folder, size, missing):
    """The leaf hashes of 256 entries at a time, as far as there are entries."""
    for first in range(0, size, FILE_ENTRIES):
        name, count = f"entries/{first:020}.digests", min(FILE_ENTRIES, size - first)
        data = read(folder / name, 32 * FILE_ENTRIES, optional=True) or b""
        leaves = [sha256(b"\0", data[at : at + 32]) for at in range(0, min(len(data) // 32, count) * 32, 32)]
        yield from (leaves[at : at + 256] for at in range(0, len(leaves), 256))
        if len(leaves) < count:
            return missing.append(f"{name} ends before entry {first + len(leaves)}")


def check_tiles(folder, hashes, wrong, missing):
    """Compares all full tiles, from level 1 up, whose hashes are given. How many there are."""
    tiles, level = 0, 1
    while full := [hashes[at : at + 256] for at in range(0, len(hashes) - 255, 256)]:
        for index, tile in enumerate(full):
            path, span = tile_path(level, index), 256**level
            found = read(folder / path, 256 * 32, optional=True)
            if found is None:
                missing.append(f"{path} is missing")
            elif found != b"".join(tile):
                at = next(n for n, own in enumerate(tile) if found[32 * n : 32 * n + 32] != own)
                first = (index * 256 + at) * span
                wrong.append(f"{path}, hash {at}: not what entries {first} to {first + span - 1} make")
        tiles, level, hashes = tiles + len(full), level + 1, [root_of(tile) for tile in full]
    return tiles


def tile_path(level, index):
    *above, last = (group.zfill(3) for group in f"{index:,}".split(","))
    return "/".join([f"tile/{level}", *(f"x{group}" for group in above), last])


# ---- the command -----------------------------------------------------------------------------------------------------

def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trail", nargs="?", type=Path, help="the folder of a trail")
    parser.add_argument("--vkey", help="the log's verifier key, from wherever you trust")
    parser.add_argument("--pin", action="append", default=[], help="a checkpoint that you kept; may be given again")
    parser.add_argument("--proof", type=Path, help="a .tlog-proof file")
    parser.add_argument("--digest", help="a record's digest, 64 hexadecimal digits")
    args = parser.parse_args(argv)
    proof = [args.proof, args.digest]
    fits = proof == [None, None] if args.trail else not args.pin and None not in [*proof, args.vkey]
    if not fits:
        parser.error("give a trail, perhaps with --vkey and --pin; or --proof, --digest and --vkey")
    return args


def say(code, verdict, lines):
    """What files hold goes to the terminal as printable ASCII and nothing else."""
    text = "\n  ".join([verdict, *lines])
    print(re.sub(r"[^\n -~]", lambda match: ascii(match[0])[1:-1], text))
    return code


def main(argv=None):
    args = arguments(argv)
    try:
        vkey = None if args.vkey is None else parse_vkey(args.vkey)
        pins = [parse_checkpoint(read(Path(pin), NOTE_BYTES_MAX), f"the pin {pin}") for pin in args.pin]
        need(args.trail or re.fullmatch("[0-9a-f]{64}", args.digest), "a digest is 64 lower-case hexadecimal digits")
    except (ValueError, OSError) as error:  # of the person who brought it, and so no verdict
        return say(2, "nothing was checked", [str(error)])
    try:
        if args.trail:
            verdict, checked, left = check_trail(args.trail, vkey, pins)
        else:
            data = read(args.proof, 2 * NOTE_BYTES_MAX)
            verdict, checked, left = check_proof(data, bytes.fromhex(args.digest), vkey)
    except Incomplete as error:
        return say(1, "INCOMPLETE", error.args)
    except (ValueError, RecursionError) as error:
        return say(1, "INVALID", [str(error)])
    except OSError as error:
        return say(2, "nothing was checked", [str(error)])
    return say(0, verdict, [f"checked      {line}" for line in checked] + [f"NOT CHECKED  {line}" for line in left])


if __name__ == "__main__":
    sys.exit(main())
