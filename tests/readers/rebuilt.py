"""A record out of a row as another engine hands it over, by the rules of docs/formats.md section 11, and the canonical
bytes of records as they were sent, to hold it against."""
import base64
import math
import re
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "verifiers/python"))
import record  # noqa: E402

SECTIONS = record.PARTS[1:]
FIXED = {
    "index": "long", "id": "string", "kind": "string", "time": "timestamp", "time_ns": "long", "received": "long",
    "time_source": "string", "id_by": "string", "salt_by": "string", "about_digest": "binary", "salt": "binary",
    "content": "binary", "erased": "binary", "envelope:rest": "binary", "clock.max_error_ns": "long",
    "clock.source": "string", "clock.synced": "boolean", "producer.name": "string", "producer.instance": "string",
    "producer.seq": "long", "trace.trace_id": "string", "trace.span_id": "string", "model.name": "string",
    "model.version": "string", "model.digest": "string", "result.class": "string", "result.adverse": "boolean",
    "sampling.probability": "double", "sampling.reason": "string", "sampling.rules": "string", "profile": "strings",
    "about": "string", "error": "string", "inputs_withheld": "string", "subject:rest": "binary", "inputs:rest": "binary",
    "parameters:rest": "binary", "output:rest": "binary", "explanation:rest": "binary", "context:rest": "binary",
    "subject.id": "string", "subject.case": "string",
}
ENVELOPE = [name for name in FIXED if name.split(".")[0] in
            "clock producer trace model result sampling profile about error inputs_withheld".split()]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


# ---- canonical CBOR --------------------------------------------------------------------------------------------------


def head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    width = next(width for width in range(4) if argument < 1 << (8 << width))
    return bytes([major << 5 | 24 + width]) + argument.to_bytes(1 << width, "big")


def number(value):
    if value == int(value) if math.isfinite(value) else False:
        if -(2**63) <= value < 2**64:
            return head(0, int(value)) if value >= 0 else head(1, -1 - int(value))
    if math.isnan(value):
        return b"\xf9\x7e\0"
    for first, code in ((b"\xf9", "e"), (b"\xfa", "f"), (b"\xfb", "d")):
        if record.fits(value, code):
            return first + struct.pack(">" + code, value)


def canonical(value):
    """The bytes of a value in its JSON face; bytes may stand as they are."""
    if value is None or isinstance(value, bool):
        return {None: b"\xf6", False: b"\xf4", True: b"\xf5"}[value]
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(canonical, value))
    if set(value) == {"$f64"}:
        return number(float(value["$f64"]))
    if set(value) == {"$bytes"}:
        return canonical(base64.b64decode(value["$bytes"]))
    if set(value) == {"$blob"}:
        blob = value["$blob"]
        return b"\xda" + b"onrb" + canonical([bytes.fromhex(blob["digest"][7:]), blob["bytes"], blob["media_type"]])
    entries = sorted((canonical(key.removeprefix("$")), canonical(entry)) for key, entry in value.items())
    return head(5, len(entries)) + b"".join(key + entry for key, entry in entries)


# ---- what was sent ---------------------------------------------------------------------------------------------------


def nanoseconds(time):
    if isinstance(time, int):
        return time
    seconds, decimals = re.fullmatch(r"([^.]+?)(?:\.([0-9]+))?Z", time).groups()
    whole = datetime.fromisoformat(seconds + "+00:00") - EPOCH
    return (whole.days * 86_400 + whole.seconds) * 10**9 + int((decimals or "").ljust(9, "0"))


def parts_sent(sent):
    """The canonical parts of a record, as its sender could compute them."""
    envelope = {"kind": "decision"} | {key: value for key, value in sent.items() if key not in SECTIONS}
    if "time" in envelope:
        envelope["time"] = nanoseconds(envelope["time"])
    parts = {name: sent[name] for name in SECTIONS if sent.get(name) is not None}
    bare = parts.get("inputs")
    if "inputs" in parts and (not isinstance(bare, dict) or set(bare) <= {"$f64", "$bytes", "$blob"} and bare):
        parts["inputs"] = {"value": bare}
    return {name: canonical(part) for name, part in ({"envelope": envelope} | parts).items()}


# ---- what an engine reads --------------------------------------------------------------------------------------------


def put(section, path, value):
    for key in path[:-1]:
        section = section.setdefault(key, {})
    assert isinstance(section, dict) and path[-1] not in section, f"{path} is there twice"
    section[path[-1]] = value


def section_of(row, name):
    """A section: its columns put into its remainder."""
    rest = row.get(f"{name}:rest")
    section = None if rest is None else record.canonical(rest)
    for column, value in row.items():
        path = column.split(":")[0].split(".")
        if value is None or path[0] != name or column == f"{name}:rest":
            continue
        if len(path) == 1:
            assert section is None, f"{name} has a value and a remainder"
            section = value
        else:
            section = {} if section is None else section
            put(section, path[1:], value)
    return section


def envelope_of(row):
    if row.get("envelope:rest") is not None:
        return record.canonical(row["envelope:rest"])
    envelope = {"kind": row["kind"]}
    if row.get("id_by") is None:
        envelope["id"] = row["id"]
    if row.get("time_source") is None:
        envelope["time"] = row["time_ns"]
    for column in ENVELOPE:
        if row.get(column) is not None:
            put(envelope, column.split("."), row[column])
    return envelope


def parts_of(row):
    parts = {"envelope": envelope_of(row)} | {name: section_of(row, name) for name in SECTIONS}
    return {name: canonical(part) for name, part in parts.items() if part is not None}


def stamp_of(row):
    stamp = {"v": 1} | {key: row.get(key) for key in
                        ("id", "kind", "received", "time_source", "id_by", "salt_by", "about_digest")}
    return canonical({key: value for key, value in stamp.items() if value is not None})


def digest_of(row):
    """The digest that the row's values come to: if they are not what was appended, it is another one."""
    parts = parts_of(row)
    salts = {name: record.part_salt(row["salt"], name) for name in parts}
    commitments = [record.commit(name, salts[name], parts[name]) if name in parts else bytes(32) for name in record.PARTS]
    return record.digest(record.content(commitments), stamp_of(row)).hex()


def microseconds(time):
    return (time - EPOCH) // timedelta(microseconds=1)
