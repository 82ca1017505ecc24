#!/usr/bin/env python3
"""The digest of one exported record: canonical bytes, commitments, content, digest, as docs/formats.md has them.

    record.py RECORD.json

Prints the digest, and to standard error what the record says, so that the record is what you read and not what a label
says. Exit status: 0; 1 INVALID; 2 wrong use, or a file that cannot be read. Standard library alone.
"""
import argparse
import base64
import hashlib
import json
import math
import re
import struct
import sys
from pathlib import Path

PARTS = ["envelope", "subject", "inputs", "parameters", "output", "explanation", "context"]
KINDS = "decision explanation outcome oversight model access summary gap producer config erasure hold".split()
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
BLOB_TAG, DEPTH_MAX, BYTES_MAX = 0x6F6E7262, 128, 64 << 20


def need(holds, what):
    if not holds:
        raise ValueError(what)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def unhex(text, length=None):
    need(isinstance(text, str) and re.fullmatch("([0-9a-f]{2})+", text), "a value is not lower-case hexadecimal")
    need(length in (None, len(text) // 2), f"a value has {len(text) // 2} bytes, not {length}")
    return bytes.fromhex(text)


def json_object(data):
    def once(pairs):
        need(len(dict(pairs)) == len(pairs), "a key of the JSON text is there twice")
        return dict(pairs)

    value = json.loads(data.decode(), object_pairs_hook=once)
    need(isinstance(value, dict), "the JSON text is no object")
    return value


# ---- canonical CBOR --------------------------------------------------------------------------------------------------


def canonical(data):
    """The value of one canonical item, and nothing after it."""
    value, end = item(data, 0, 0)
    need(end == len(data), f"canonical CBOR: bytes follow at {end}")
    return value


def item(data, at, depth):
    need(at < len(data) and depth <= DEPTH_MAX, f"canonical CBOR: the bytes end at {at}, or are nested too deep")
    major, info = data[at] >> 5, data[at] & 31
    width = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    end = at + 1 + width
    need(info < 28 and end <= len(data), f"canonical CBOR: no item at {at}")
    argument = int.from_bytes(data[at + 1 : end], "big") if width else info
    if major == 7:
        return simple(info, data[at + 1 : end]), end
    least = {0: 0, 1: 24, 2: 2**8, 4: 2**16, 8: 2**32}[width]
    need(argument >= least, f"canonical CBOR: not the shortest form at {at}")
    if major == 0:
        return argument, end
    if major == 1:
        need(argument < 2**63, f"canonical CBOR: a number below -2^63 at {at}")
        return -1 - argument, end
    if major in (2, 3):
        body = data[end : end + argument]
        need(len(body) == argument, f"canonical CBOR: the bytes end inside the string at {at}")
        return (body if major == 2 else body.decode()), end + argument
    if major == 4:
        return items(data, end, depth, argument)
    if major == 5:
        return entries(data, end, depth, argument)
    need(argument == BLOB_TAG, f"canonical CBOR: an unknown tag at {at}")
    blob, end = item(data, end, depth + 1)
    need(isinstance(blob, list) and [type(part) for part in blob] == [bytes, int, str], f"no blob at {at}")
    need(len(blob[0]) == 32 and blob[1] >= 0, f"no blob at {at}")
    return {"$blob": {"digest": "sha256:" + blob[0].hex(), "bytes": blob[1], "media_type": blob[2]}}, end


def items(data, at, depth, count):
    values = []
    for _ in range(count):
        value, at = item(data, at, depth + 1)
        values.append(value)
    return values, at


def entries(data, at, depth, count):
    values, last = {}, b""
    for _ in range(count):
        key, end = item(data, at, depth + 1)
        need(isinstance(key, str) and data[at:end] > last, f"canonical CBOR: no key, or out of order, at {at}")
        last = data[at:end]
        values["$" + key if key.startswith("$") else key], at = item(data, end, depth + 1)
    return values, at


def simple(info, raw):
    if not raw:
        need(info in (20, 21, 22), "canonical CBOR: a simple value that it does not have")
        return {20: False, 21: True, 22: None}[info]
    need(len(raw) > 1, "canonical CBOR: a simple value that it does not have")
    value = struct.unpack({2: ">e", 4: ">f", 8: ">d"}[len(raw)], raw)[0]
    whole = math.isfinite(value) and value == int(value) and -(2**63) <= value < 2**64
    shorter = any(fits(value, code) for code in {2: "", 4: "e", 8: "ef"}[len(raw)])
    need(not whole and not shorter and (value == value or raw == b"\x7e\0"), "canonical CBOR: a number not in its form")
    return value


def fits(value, code):
    try:
        return struct.unpack(">" + code, struct.pack(">" + code, value))[0] == value
    except OverflowError:
        return False


# ---- commitments -----------------------------------------------------------------------------------------------------


def part_salt(salt, name):
    return sha256(b"onrecord/salt/v1", salt, name.encode())[:16]


def commit(name, salt, part):
    return sha256(b"onrecord/part/v1\0", name.encode(), b"\0", salt, part)


def content(commitments):
    return sha256(b"onrecord/content/v1\0", *commitments)


def digest(content_hash, stamp):
    return sha256(b"onrecord/record/v1\0", content_hash, sha256(stamp))


def check_stamp(stamp):
    server = {"id_by", "salt_by", "time_source"}
    need(isinstance(stamp, dict) and {"v", "id", "kind", "received"} <= set(stamp), "the stamp lacks a field")
    need(set(stamp) <= {"v", "id", "kind", "received", "about_digest"} | server, "the stamp has an unknown field")
    need(type(stamp["v"]) is int and stamp["v"] == 1, "the stamp is not of version 1")
    need(isinstance(stamp["id"], str) and re.fullmatch(UUID, stamp["id"]), "the stamp's id is no UUID")
    need(stamp["kind"] in KINDS, "the stamp's kind is unknown")
    need(type(stamp["received"]) is int and stamp["received"] < 2**63, "the stamp's time is no time")
    need(all(stamp[name] == "server" for name in server & set(stamp)), "the stamp names another source than the server")
    about = stamp.get("about_digest", bytes(32))
    need(isinstance(about, bytes) and len(about) == 32, "the stamp's digest is not 32 bytes")


def check_envelope(envelope, stamp):
    """What the server says of a record is what its sender said, or is marked as the server's own."""
    need(isinstance(envelope, dict), "the envelope is no map")
    need(envelope.get("kind") == stamp["kind"], "the stamp and the envelope disagree on the kind")
    sent_id = None if "id_by" in stamp else stamp["id"]
    need(envelope.get("id") == sent_id, "the stamp and the envelope disagree on the id")
    need(("time" in envelope) != ("time_source" in stamp), "the stamp and the envelope disagree on who set the time")


def check(data):
    """The digest of an exported record, and what it says, part by part."""
    exported = json_object(data)
    need(set(exported) in ({"stamp", "salt", "parts"}, {"stamp", "erased", "parts"}, {"stamp", "content"}),
         "an exported record has stamp, salt and parts; or stamp, erased and parts; or stamp and content")
    stamp = canonical(unhex(exported["stamp"]))
    check_stamp(stamp)
    says = {"stamp": stamp}
    if "content" in exported:
        return digest(unhex(exported["content"], 32), unhex(exported["stamp"])), says | {"erased": "all parts"}
    parts = exported["parts"]
    need(isinstance(parts, dict) and set(parts) <= set(PARTS), "the parts are not named as parts are")
    parts = {name: unhex(part) for name, part in parts.items()}
    says |= {name: canonical(parts[name]) for name in PARTS if name in parts}
    need(all(isinstance(says[name], dict) for name in parts if name != "output"), "a part is no map")
    need("output" not in parts or says["output"] is not None, "a part is null, which is as if it were not there")
    if "envelope" in parts:
        check_envelope(says["envelope"], stamp)
    commitments, erased = commit_all(exported, parts)
    says |= {"erased": erased} if erased else {}
    return digest(content(commitments), unhex(exported["stamp"])), says


def commit_all(exported, parts):
    """The seven commitments, and the names of the parts that were erased."""
    if "salt" in exported:
        need("envelope" in parts, "a whole record has an envelope")
        salt = unhex(exported["salt"], 16)
        kept = {name: part_salt(salt, name) for name in parts}
    else:
        kept = dict(zip(PARTS, seven(canonical(unhex(exported["erased"])))))
        salted = {name for name, value in kept.items() if value is not None and len(value) == 16}
        need(salted == set(parts), "the parts that are there are not those that survived")
    gone = [name for name in kept if name not in parts and kept[name] is not None]
    made = {name: commit(name, kept[name], part) for name, part in parts.items()}
    return [made.get(name) or kept.get(name) or bytes(32) for name in PARTS], gone


def seven(values):
    need(isinstance(values, list) and len(values) == 7, "what was erased is not an array of seven")
    each = [value is None or isinstance(value, bytes) and len(value) in (16, 32) for value in values]
    need(all(each), "what was erased is neither a salt nor a commitment")
    return values


# ---- the command -----------------------------------------------------------------------------------------------------


def read(path):
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there, or is no file")
    with path.open("rb") as file:
        data = file.read(BYTES_MAX + 1)
    need(len(data) <= BYTES_MAX, f"{path} is longer than {BYTES_MAX} bytes")
    return data


def say(text):
    """What files hold goes to the terminal as printable ASCII and nothing else."""
    print(re.sub(r"[^\n -~]", lambda match: ascii(match[0])[1:-1], text), file=sys.stderr)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, help="an exported record, JSON")
    try:
        found, says = check(read(parser.parse_args(argv).record))
    except (ValueError, RecursionError) as error:
        say(f"INVALID\n  {error}")
        return 1
    except OSError as error:
        say(f"nothing was checked\n  {error}")
        return 2
    for name, value in says.items():
        say(f"{name} " + json.dumps(value, default=lambda data: {"$bytes": base64.b64encode(data).decode()}))
    print(found.hex())
    return 0


if __name__ == "__main__":
    sys.exit(main())
