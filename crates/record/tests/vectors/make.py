#!/usr/bin/env python3
"""Known answers for the canonical bytes, commitments and digests of records.

Written from the specification, with nothing but the standard library and nothing of the Rust code, so that the two
check each other. Prints one JSON document: python3 make.py > records.json
"""

import base64
import datetime
import hashlib
import json
import re
import struct
import sys

PARTS = ["envelope", "subject", "inputs", "parameters", "output", "explanation", "context"]
BLOB_TAG = 0x6F6E7262


class Blob:
    def __init__(self, digest, size, media_type):
        self.digest, self.size, self.media_type = digest, size, media_type


# ---- deterministic CBOR ---------------------------------------------------------------------------------------------


def head(major, n):
    major <<= 5
    if n < 24:
        return bytes([major | n])
    for info, form, top in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
        if n < top:
            return bytes([major | info]) + struct.pack(form, n)
    raise ValueError(n)


def integer(n):
    return head(0, n) if n >= 0 else head(1, -1 - n)


def number(x):
    if isinstance(x, int):
        return integer(x)
    if x != x:
        return bytes.fromhex("f97e00")
    if x not in (float("inf"), float("-inf")) and x == int(x) and -(2**63) <= int(x) < 2**64:
        return integer(int(x))
    for form, first in ((">e", 0xF9), (">f", 0xFA)):
        try:
            short = struct.pack(form, x)
        except OverflowError:
            continue
        if struct.unpack(form, short)[0] == x:
            return bytes([first]) + short
    return b"\xfb" + struct.pack(">d", x)


def cbor(value):
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        text = value.encode()
        return head(3, len(text)) + text
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, Blob):
        return head(6, BLOB_TAG) + cbor([value.digest, value.size, value.media_type])
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    entries = sorted((cbor(key), cbor(item)) for key, item in value.items())
    return head(5, len(entries)) + b"".join(key + item for key, item in entries)


# ---- the JSON face --------------------------------------------------------------------------------------------------


def value_of(pairs):
    """An object of the JSON face: one of the $ forms, or a map whose keys lose one $ of an escape."""
    if len(pairs) == 1:
        key, item = pairs[0]
        if key == "$f64":
            return float(item.replace("Infinity", "inf"))
        if key == "$bytes":
            return base64.b64decode(item, validate=True)
        if key == "$blob":
            return Blob(bytes.fromhex(item["digest"].removeprefix("sha256:")), item["bytes"], item["media_type"])
    out = {}
    for key, item in pairs:
        key = key[1:] if key.startswith("$$") else key
        assert key not in out, key
        out[key] = item
    return out


def nanoseconds(time):
    if isinstance(time, int):
        return time
    date, fraction, offset = re.fullmatch(r"(.{19})(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", time).groups()
    moment = datetime.datetime.fromisoformat(date + offset.replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    delta = moment - epoch
    return (delta.days * 86400 + delta.seconds) * 10**9 + int((fraction or "").ljust(9, "0"))


def envelope_of(record):
    envelope = {"kind": "decision"}
    for key, item in record.items():
        if key in PARTS or key == "salt" or item is None:
            continue
        if isinstance(item, dict):
            item = {name: inner for name, inner in item.items() if inner is not None}
            for name in ("trace_id", "span_id", "digest"):
                if name in item:
                    item[name] = item[name].lower()
            if not item:
                continue
        if key == "time":
            item = nanoseconds(item)
        if key in ("id", "about"):
            item = item.lower()
        if key == "profile" and not item:
            continue
        envelope[key] = item
    return envelope


def parts_of(text):
    record = json.loads(text, object_pairs_hook=value_of)
    parts = {"envelope": cbor(envelope_of(record))}
    for name in PARTS[1:]:
        section = record.get(name)
        if section is None:
            continue
        if name == "inputs" and not isinstance(section, dict):
            section = {"value": section}
        parts[name] = cbor(section)
    return parts


# ---- commitments ----------------------------------------------------------------------------------------------------


def sha256(*pieces):
    return hashlib.sha256(b"".join(pieces)).digest()


def part_salt(salt, name):
    return sha256(b"onrecord/salt/v1", salt, name.encode())[:16]


def commitment(salt, name, canonical):
    return sha256(b"onrecord/part/v1", b"\0", name.encode(), b"\0", part_salt(salt, name), canonical)


def vector(name, text, stamp, salt):
    parts = parts_of(text)
    commitments = [commitment(salt, part, parts[part]) if part in parts else bytes(32) for part in PARTS]
    content = sha256(b"onrecord/content/v1", b"\0", *commitments)
    stamp_bytes = cbor({"v": 1, **stamp})
    digest = sha256(b"onrecord/record/v1", b"\0", content, sha256(stamp_bytes))
    shown = {key: item.hex() if isinstance(item, bytes) else item for key, item in stamp.items()}
    return {
        "name": name,
        "json": text,
        "salt": salt.hex(),
        "stamp": shown,
        "parts": {part: canonical.hex() for part, canonical in parts.items()},
        "part_salts": {part: part_salt(salt, part).hex() for part in parts},
        "commitments": {part: made.hex() for part, made in zip(PARTS, commitments)},
        "content": content.hex(),
        "stamp_canonical": stamp_bytes.hex(),
        "digest": digest.hex(),
        "leaf": sha256(b"\0", digest).hex(),
    }


# ---- the records ----------------------------------------------------------------------------------------------------

ID = "0190a5c2-7b1e-7c3a-9d55-1f0f5a6b7c8d"
ABOUT = "0190a5c2-7b1e-7000-8000-000000000001"
MODEL = '"model":{"name":"m","version":"1"}'
FULL = """{
  "id": "0190A5C2-7B1E-7C3A-9D55-1F0F5A6B7C8D", "kind": "decision", "time": "2024-06-01T12:00:00.123456789Z",
  "clock": {"max_error_ns": 180000, "source": "kernel", "synced": true},
  "producer": {"name": "credit-api", "instance": "5b1c", "seq": 1042},
  "trace": {"trace_id": "4BF92F3577B34DA6A3CE929D0E0E4736", "span_id": "00f067aa0ba902b7"},
  "model": {"name": "credit-risk", "version": "1.2.0", "digest": "sha256:%s"},
  "result": {"class": "deny", "adverse": true}, "sampling": {"probability": 1.0, "reason": "adverse"},
  "profile": ["reg-b"],
  "subject": {"id": "customer-991", "case": "application-88123", "demographics": {"sex": "f"}},
  "inputs": {"income": 42000, "state": "CA", "months_since_delinquency": null},
  "parameters": {"threshold": 0.5}, "output": {"score": 0.37, "decision": "deny"},
  "explanation": {"method": "shap.tree", "space": "log-odds", "base": -0.31, "values": {"income": -0.42}},
  "context": {"environment": "production", "git_commit": "9f1c2ab", "request_id": "req-77"}
}""" % (
    "Ab" * 32
)


def decision(sections, envelope=""):
    return "{" + MODEL + envelope + "," + sections + "}"


NUMBERS = (
    "[0,-0.0,1,1.0,1e0,-1,23,24,255,256,65535,65536,4294967295,4294967296,9007199254740993,"
    "9223372036854775807,9223372036854775808,18446744073709551615,-9223372036854775808,"
    "9223372036854775808.0,1.8446744073709552e19,1e23,-1e300,0.1,0.5,1.5,65504.0,65504.5,5.960464477539063e-8,"
    "3.4028234663852886e38,1e-45,5e-324,1.7976931348623157e308,-9.223372036854778e18,NaN,Infinity,-Infinity,"
    "100000000000000000000.0,0.37]"
)
RECORDS = [
    ("the example of the specification", FULL, {}),
    ("the least decision", decision('"inputs":{},"output":true'), {}),
    ("explicit null, absent and empty sections", decision('"inputs":{"a":null},"output":[],"subject":{},"context":null'), {}),
    ("bare inputs and a bare output", decision('"inputs":[1,"two",null],"output":0.85'), {}),
    ("inputs withheld, an error for an output", "{" + MODEL + ',"inputs_withheld":"consent","error":"timeout"}', {}),
    ("numbers", decision('"inputs":{"n":' + NUMBERS + '},"output":' + NUMBERS), {}),
    ("spelled-out floats", decision('"inputs":{"a":{"$f64":"NaN"},"b":{"$f64":"-Infinity"}},"output":{"$f64":"Infinity"}'), {}),
    (
        "bytes, a blob, keys with dollars",
        decision(
            '"inputs":{"image":{"$blob":{"media_type":"image/png","bytes":18446744073709551615,"digest":"sha256:'
            + "0f" * 32
            + '"}},"raw":{"$bytes":"AP8Q"},"$$f64":1,"$$":2,"$$$x":3},"output":{"$bytes":""}'
        ),
        {},
    ),
    (
        "key order is by length, then by bytes",
        decision('"inputs":{"b":1,"aa":2,"a":3,"B":4,"\\u00e9":5,"zz":6,"":7,"a.b":8,"' + "k" * 24 + '":9},"output":1'),
        {},
    ),
    (
        "text is kept byte for byte",
        decision('"inputs":{"e\\u0301":"\\u00e9","\\u00e9":"e\\u0301","x":"\\ud83d\\ude00\\u0000\\u2028"},"output":""'),
        {},
    ),
    ("a map of 24 entries", decision('"inputs":{' + ",".join(f'"f{i:02}":{i}' for i in range(24)) + '},"output":1'), {}),
    ("an array of 300 items", decision('"inputs":{"embedding":[' + ",".join(f"{i}.5" for i in range(300)) + ']},"output":1'), {}),
    ("a time before 1970", decision('"inputs":{},"output":1', ',"time":"1969-12-31T23:59:59.5-01:30"'), {}),
    ("a time in nanoseconds", decision('"inputs":{},"output":1', ',"time":1717243200123456789'), {}),
    (
        "nulls in the envelope are absent fields",
        decision('"inputs":{},"output":1', ',"id":null,"clock":{"source":null},"producer":{"name":"p","seq":null},"profile":[],"result":{}'),
        {},
    ),
    (
        "an outcome, late",
        '{"kind":"outcome","about":"%s","output":{"repaid":false}}' % ABOUT,
        {"about_digest": bytes(range(32)), "time_source": "server"},
    ),
    ("an oversight", '{"kind":"oversight","about":"%s","output":{"before":"deny","after":"grant"}}' % ABOUT, {}),
    ("a gap", '{"kind":"gap","producer":{"name":"p","instance":"i"},"context":{"from":3,"to":9}}', {"id_by": "server"}),
    ("a hold", '{"kind":"hold","context":{"basis":"litigation"}}', {"salt_by": "server", "id_by": "server", "time_source": "server"}),
]


def main():
    vectors = []
    for position, (name, text, extra) in enumerate(RECORDS):
        kind = json.loads(text).get("kind", "decision")
        stamp = {"kind": kind, "received": 1717243200123456789 + position, "id": ID, **extra}
        salt = hashlib.sha256(f"salt {position}".encode()).digest()[:16]
        vectors.append(vector(name, text, stamp, salt))
    json.dump(vectors, sys.stdout, indent=1, ensure_ascii=True)
    print()


main()
