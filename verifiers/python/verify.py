#!/usr/bin/env python3
"""Checks the log of an OnRecord trail, one proof, or one exported record.

    verify.py TRAIL [--vkey KEY] [--pin CHECKPOINT]...
    verify.py --proof FILE.tlog-proof --vkey KEY (--digest HEX | --record FILE.json)
    verify.py --record FILE.json [--digest HEX]

A second opinion: written from docs/formats.md, RFC 6962, RFC 9162 and C2SP, it shares no code with onrecord.
Exit status: 0 VALID or CONSISTENT, 1 INVALID, 2 wrong use or input that cannot be read.
"""
import argparse
import base64
import json
import re
import sys
from pathlib import Path

import record
from tlog import NOTE_BYTES_MAX, Tree, need, parse_checkpoint, parse_proof, parse_vkey
from tlog import check_inclusion, check_signature, leaf_hash, tile_path

FILE_ENTRIES, RECORD_BYTES_MAX = 65_536, 64 << 20
PRODUCER = "that the producer recorded what really happened, and all of it"


class WrongUse(Exception):
    """What the person brought cannot be used, so nothing was checked."""


def read(path, limit):
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there, or is no file")
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    need(len(data) <= limit, f"{path} is longer than {limit} bytes")
    return data


def read_if_there(path, limit):
    return read(path, limit) if path.is_file() else None


def brought(parse, value, what):
    """What a person brings is an error of theirs if it cannot be parsed, and no verdict."""
    try:
        return parse(value)
    except ValueError as error:
        raise WrongUse(f"{what}: {error}") from None


# ---- a trail ---------------------------------------------------------------------------------------------------------


def read_settings(folder):
    """The verifier key that the trail itself names."""
    value = record.json_object(read(folder / "trail.json", 1 << 16))
    need(set(value) == {"format", "origin", "log_key", "created", "encryption"}, "trail.json has other fields")
    texts = [value[name] for name in value if name != "format"]
    need(all(isinstance(text, str) for text in texts), "a field of trail.json has another type")
    need(type(value["format"]) is int and value["format"] == 1, "trail.json is not of format 1")
    need(value["encryption"] == "none", "trail.json names an encryption that this program does not know")
    key = parse_vkey(value["log_key"])
    need(key.name == value["origin"], "trail.json names a key of another origin")
    return key


def check_trail(folder, vkey, pins):
    """The verdict, what was checked, and what was not."""
    own = read_settings(folder)
    key = vkey or own
    settled = settled_from(folder)  # before the checkpoint is read, which a writer may replace meanwhile
    for name, pin in pins:
        check_signature(pin, key, f"the pinned checkpoint {name}")
    note = read_if_there(folder / "checkpoint", NOTE_BYTES_MAX)
    if note is None:
        return check_nothing_signed(folder, own, vkey or pins or settled)
    checkpoint = parse_checkpoint(note)
    check_signature(checkpoint, key)
    need(own.name == checkpoint.origin, f"trail.json says {own.name!r}, the checkpoint {checkpoint.origin!r}")
    for name, pin in pins:
        need(pin.size <= checkpoint.size, f"the tail was cut: {name} covers {pin.size} records, this trail "
             f"{checkpoint.size}; records {checkpoint.size} to {pin.size - 1} are gone")
    need(max(settled, default=-1) < checkpoint.size, f"the checkpoint covers {checkpoint.size} records, and the lake has "
         "more, all of which were signed: the tail was cut, or the copy was made while a writer was at work")
    tiles = check_entries(folder, checkpoint, pins)
    anchored = [name for name, pin in pins if pin.size > 0]
    checked = [f"{key.name}: {checkpoint.size} entries, {tiles} tiles, root {checkpoint.root.hex()}, signed"]
    checked += [f"the first {pin.size} entries are those of {name}" for name, pin in pins]
    left = ["that the records in journal and lake are those of the entries; onrecord verify does that", PRODUCER]
    left += [] if vkey else ["that the log's key is the right one: trail.json names it; bring your own with --vkey"]
    left += [] if anchored else ["that no later entries were cut off, and that others see the same: bring a --pin"]
    return "VALID" if vkey or anchored else "CONSISTENT", checked, left


def settled_from(folder):
    """From which index on each data file was written: a record that was signed by then, and is in the lake."""
    names = [re.fullmatch("settle-([0-9]{20})-[0-9a-f]{16}[.]parquet", path.name) for path in folder.glob("lake/*")]
    return [int(name[1]) for name in names if name]


def check_nothing_signed(folder, own, more):
    """No checkpoint: right only for a trail in which nothing was ever sealed, and never with a key or pin in hand."""
    need(not more and not any(folder.glob("entries/*")), "there is no signed checkpoint")
    return "CONSISTENT", [f"{own.name}: nothing was signed yet"], [PRODUCER]


def check_entries(folder, checkpoint, pins):
    """Hashes all entries; each full tile, each pin and the checkpoint must agree. How many tiles there are."""
    problems, tiles, pinned = [], [], {pin.size for _, pin in pins}

    def full_tile(level, index, hashes):
        path = tile_path(level, index)
        found = read_if_there(folder / path, 256 * 32)
        tiles.append(path)
        if found is None:
            problems.append(f"{path} is missing")
        elif found != b"".join(hashes):
            at = next(n for n, own in enumerate(hashes) if found[32 * n : 32 * n + 32] != own)
            first, span = (index * 256 + at) * 256**level, 256**level
            problems.append(f"{path}, hash {at}: not what entries {first} to {first + span - 1} make")

    tree = Tree(full_tile)
    for first in range(0, checkpoint.size, FILE_ENTRIES):
        name, count = f"entries/{first:020}.digests", min(FILE_ENTRIES, checkpoint.size - first)
        data = read_if_there(folder / name, FILE_ENTRIES * 32) or b""
        need(len(data) >= 32 * count, "\n".join([f"{name} ends before entry {first + len(data) // 32}", *problems[:9]]))
        for at in range(0, 32 * count, 32):
            tree.push(data[at : at + 32])
            for pin_name, pin in pins if tree.size in pinned else []:
                if pin.size == tree.size and pin.root != tree.root():
                    problems.append(f"the first {pin.size} entries are not those of {pin_name}: history was rewritten")
    if tree.root() != checkpoint.root:
        problems.append(f"the entries make root {tree.root().hex()}, signed is {checkpoint.root.hex()}")
    need(not problems, "\n".join(problems[:10]))
    return len(tiles)


# ---- a proof, a record -----------------------------------------------------------------------------------------------


def check_proof(data, digest, vkey):
    proof = parse_proof(data)
    checkpoint = proof.checkpoint
    check_signature(checkpoint, vkey)
    check_inclusion(leaf_hash(digest), proof.index, checkpoint.size, checkpoint.root, proof.path)
    checked = [f"{vkey.name}: {digest.hex()} is entry {proof.index} of {checkpoint.size}, signed"]
    return "VALID", checked, ["that others see the same log: witnesses' cosignatures are not looked at", PRODUCER]


def check_record(data, expected):
    """As for a trail, and the digest."""
    digest, says = record.check(data)
    need(expected in (None, digest), f"the record hashes to {digest.hex()}, not to {(expected or b'').hex()}")
    as_text = lambda value: {"$bytes": base64.b64encode(value).decode()}  # noqa: E731
    checked = [f"{name} {json.dumps(value, default=as_text)}" for name, value in says.items()]
    checked += [f"digest {digest.hex()}, from content and stamp"]
    left = ["that this digest is in a log: bring a --proof", PRODUCER]
    return "CONSISTENT", checked, left, digest


# ---- the command -----------------------------------------------------------------------------------------------------


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trail", nargs="?", type=Path, help="the folder of a trail")
    parser.add_argument("--vkey", help="the log's verifier key, from wherever you trust")
    parser.add_argument("--pin", action="append", default=[], help="a checkpoint that you kept; may be given again")
    parser.add_argument("--proof", help="a .tlog-proof file")
    parser.add_argument("--digest", help="a record's digest, 64 hexadecimal digits")
    parser.add_argument("--record", help="an exported record, JSON")
    args = parser.parse_args(argv)
    if args.trail and (args.proof or args.record or args.digest) or not (args.trail or args.proof or args.record):
        parser.error("give a trail, or --proof, or --record")
    if args.proof and not (args.vkey and (args.digest or args.record)):
        parser.error("--proof needs --vkey, and --digest or --record")
    if args.pin and not args.trail or args.vkey and not (args.trail or args.proof):
        parser.error("--pin is for a trail, --vkey for a trail or a proof")
    return args


def run(args):
    vkey = brought(parse_vkey, args.vkey, "--vkey") if args.vkey else None
    digest = brought(lambda text: record.unhex(text, 32), args.digest, "--digest") if args.digest else None
    if args.trail:
        kept = lambda name: parse_checkpoint(read(name, NOTE_BYTES_MAX))  # noqa: E731
        pins = [(name, brought(kept, name, f"--pin {name}")) for name in args.pin]
        return check_trail(args.trail, vkey, pins)
    verdict, checked, left = None, [], []
    if args.record:
        verdict, checked, left, digest = check_record(read(args.record, RECORD_BYTES_MAX), digest)
    if args.proof:
        verdict, of_proof, left = check_proof(read(args.proof, 2 * NOTE_BYTES_MAX), digest, vkey)
        checked += of_proof
    return verdict, checked, left


def say(line):
    """What files hold goes to the terminal as printable ASCII and nothing else."""
    print(re.sub(r"[^\n -~]", lambda match: ascii(match[0])[1:-1], line))


def main(argv=None):
    args = arguments(argv)
    try:
        verdict, checked, left = run(args)
    except (ValueError, RecursionError) as error:
        say(f"INVALID\n{error}")
        return 1
    except (WrongUse, OSError) as error:
        say(f"nothing was checked: {error}")
        return 2
    checked, left = [f"  checked      {line}" for line in checked], [f"  NOT CHECKED  {line}" for line in left]
    say("\n".join([verdict, *checked, *left]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
