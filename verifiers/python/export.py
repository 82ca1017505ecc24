#!/usr/bin/env python3
"""Checks an export: that each row is what its record says, and that the records are in the signed log.

    export.py FOLDER [--vkey KEY] [--digest HEX]

Written from docs/formats.md, sections 1 to 4, 10 and 16; it shares no code with onrecord. Rows in Parquet take pyarrow.
Exit status: 0 VALID or CONSISTENT; 1 INVALID or INCOMPLETE; 2 wrong use, or input that cannot be read.
"""
import argparse
import base64
import hashlib
import json
import math
import re
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import record
import verify
from verify import Incomplete, need, sha256

MANIFEST, SUM, RECORDS, HASHES = "manifest.json", "manifest.json.sha256", "records.cbor", "hashes"
MANIFEST_MAX, RECORD_MAX, BATCH = 16 << 20, 20 << 20, 1024
STAMP = ("index", "id", "kind", "time", "time_ns", "received", "time_source", "id_by")
LEFT = [
    "that every record that matches the filter is here: onrecord verify --trail asks the trail again",
    "what the manifest says of its query, its times, its field dictionary and of erasures",
    verify.PRODUCER,
]


def there(path):
    if path.is_symlink() or path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is a link, or no file")
    if not path.exists():
        raise Incomplete(f"{path.name} is not here")
    return path


# ---- the manifest ----------------------------------------------------------------------------------------------------

def read_manifest(folder, told):
    data = verify.read(there(folder / MANIFEST), MANIFEST_MAX)
    digest = hashlib.sha256(data).hexdigest()
    line = verify.read(there(folder / SUM), 1024)
    need(line == f"{digest}  {MANIFEST}\n".encode(), "the manifest's digest is not the one that stands beside it")
    need(told in (None, digest), "the manifest's digest is not the one that you were told")
    manifest = record.json_object(data)
    need(type(manifest.get("onrecord_export")) is int and manifest["onrecord_export"] == 1, "an export of another format")
    return manifest, digest


def check_manifest(manifest):
    """What it says of files and figures agrees, and no name in it leads anywhere else."""
    files, rows, form = manifest["files"], manifest["rows"], manifest["format"]
    need(form in ("parquet", "csv", "ndjson"), "rows in an unknown format")
    need(3 <= len(files) <= 10_000, "too few or too many files")
    names = [f"rows-{n:04}.{form}" for n in range(1, len(files) - 1)] + [RECORDS, HASHES]
    need([file["name"] for file in files] == names, "the files do not have the names that they must have")
    counts = [file["rows"] for file in files[:-2]]
    need(all(type(count) is int and count >= 0 for count in [*counts, rows]), "a count is none")
    need(sum(counts) == rows == manifest["evidence"]["counts"]["returned"], "the counts of rows do not agree")
    size, records = manifest["evidence"]["checkpoint"]["size"], manifest["records"]
    covers = manifest["evidence"]["covers"]
    need([covers["from"], covers["until"], covers["sealed"]] == [0, size, size], "it covers other records than it says")
    need(records == (size if manifest["complete"] else rows), "another number of records than rows or checkpoint ask for")
    narrowed = set(manifest["filter"]) - {"kind"}
    need(manifest["complete"] == (not narrowed), "it says whether it is complete, and its filter says otherwise")
    need(manifest["filter"].get("kind", "decision") in record.KINDS, "it names no kind of record")
    need(set(manifest["parts"]) <= set(record.PARTS), "it names a part that no record has")


def check_files(folder, manifest):
    for file in manifest["files"]:
        digest, length = hashlib.sha256(), 0
        with there(folder / file["name"]).open("rb") as data:
            while block := data.read(1 << 20):
                digest.update(block)
                length += len(block)
        need((length, digest.hexdigest()) == (file["bytes"], file["sha256"]), f"{file['name']} is not the file it was")


def check_checkpoint(manifest, vkey):
    evidence = manifest["evidence"]
    named = evidence["checkpoint"]
    checkpoint = verify.parse_checkpoint(named["note"].encode(), "the export's checkpoint")
    verify.check_signature(checkpoint, vkey or verify.parse_vkey(evidence["log_key"]))
    says = (evidence["origin"], named["size"], named["root"])
    need(says == (checkpoint.origin, checkpoint.size, checkpoint.root.hex()), "the manifest describes another checkpoint")
    return checkpoint


# ---- records, and the tree -------------------------------------------------------------------------------------------

def framed(file):
    """The byte strings of a CBOR sequence."""
    while head := file.read(1):
        more = {0x58: 1, 0x59: 2, 0x5A: 4}.get(head[0], 0)
        need(more or 0x40 <= head[0] <= 0x57, f"{RECORDS}: what stands there is no byte string")
        argument = file.read(more)
        need(len(argument) == more, f"{RECORDS} ends within a record")
        length = int.from_bytes(argument, "big") if more else head[0] - 0x40
        need(length >= {0: 0, 1: 24, 2: 2**8, 4: 2**16}[more] and length <= RECORD_MAX, f"{RECORDS}: a length not in its form")
        data = file.read(length)
        need(len(data) == length, f"{RECORDS} ends within a record")
        yield data


def disclosed(data):
    """Index, stamp, the parts that are shown, and the digest."""
    value = record.canonical(data)
    need(isinstance(value, list) and len(value) in (3, 4), "a record is an array of three or four")
    index, stamp = value[0], record.canonical(value[1])
    need(type(index) is int and index >= 0, "an index is a number from 0")
    record.check_stamp(stamp)
    if len(value) == 3:
        need(isinstance(value[2], bytes) and len(value[2]) == 32, "the content is not 32 bytes")
        return index, stamp, None, record.digest(value[2], value[1])
    proofs, parts = record.seven(value[2]), value[3]
    need(isinstance(parts, list) and len(parts) == 7, "there are not seven parts")
    commitments = []
    for name, proof, part in zip(record.PARTS, proofs, parts):
        need((part is not None) == (proof is not None and len(proof) == 16), "a part without its salt, or a salt without")
        commitments.append(record.commit(name, proof, part) if part is not None else proof or bytes(32))
    shown = {name: record.canonical(part) for name, part in zip(record.PARTS, parts) if part is not None}
    if "envelope" in shown:
        record.check_envelope(shown["envelope"], stamp)
    return index, stamp, shown, record.digest(record.content(commitments), value[1])


def root_of(size, leaves, hashes):
    """The root that leaves, by rising index, and the hashes of all subtrees without any of them lead to."""
    ahead = next(leaves, None)

    def draw(last):
        nonlocal ahead
        ahead = next(leaves, None)
        need(ahead is None or last < ahead[0] < size, "a record does not stand in the order of indices")

    def under(low, high):
        if ahead is None or ahead[0] >= high:
            found = hashes.read(32)
            need(len(found) == 32, f"{HASHES} ends too soon")
            return found
        if high - low == 1:
            index, leaf = ahead
            draw(index)
            return leaf
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        left = under(low, middle)
        return sha256(b"\1", left, under(middle, high))

    need(ahead is None or ahead[0] < size, "a record is not below the checkpoint's size")
    root = under(0, size) if size else sha256()
    need(ahead is None and not hashes.read(1), f"{HASHES} or {RECORDS} has more than size and indices ask for")
    return root


# ---- rows ------------------------------------------------------------------------------------------------------------

def as_json(value):
    """A canonical value as docs/formats.md section 3 writes it."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$f64": "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return {key: as_json(each) for key, each in value.items()} if isinstance(value, dict) else value


def is_number(value):
    return type(value) in (int, float)


def steps(field):
    """The keys of a path: names with dots between, or JSON strings in square brackets."""
    found, at = [], 0
    step = re.compile(r'\.?([^.\[\]"]+)|\[("(?:[^"\\]|\\.)*")\]')
    while at < len(field):
        match = step.match(field, at)
        need(match, f"{field!r} is no path")
        found.append(match[1] if match[1] is not None else json.loads(match[2]))
        at = match.end()
    return found


def value_of(column, index, stamp, shown):
    """What a column shows of a record; None for nothing."""
    field, kind = column["field"], column["type"]
    if kind == "stamp":
        need(field in STAMP, f"{field!r} is no field of the stamp")
        if field == "index":
            return index
        if field in ("time", "time_ns"):
            sent = (shown or {}).get("envelope", {}).get("time")
            return stamp["received"] if "time_source" in stamp else sent
        return stamp.get(field)
    path = steps(field)
    part = path.pop(0) if path[0] in record.PARTS[1:] else "envelope"
    value = (shown or {}).get(part)
    if value is None:
        return None
    for key in path:
        key = "$" + key if key.startswith("$") else key
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    if kind == "json":
        return [as_json(value)]  # so that null stays apart from nothing
    full = isinstance(value, list) and value
    fits = {"num": lambda: is_number(value), "int": lambda: type(value) is int and value < 2**63,
            "bool": lambda: type(value) is bool, "str": lambda: isinstance(value, str),
            "nums": lambda: full and all(map(is_number, value)),
            "strs": lambda: full and all(isinstance(each, str) for each in value)}
    need(kind in fits, f"{kind!r} is no type of a column")
    if not fits[kind]():
        return None
    return float(value) if kind == "num" else [float(each) for each in value] if kind == "nums" else value


def same(found, expected):
    """Equal, and no boolean for a number; a NaN is itself."""
    if isinstance(expected, (list, dict)):
        if type(found) is not type(expected) or len(found) != len(expected):
            return False
        keys = range(len(expected)) if isinstance(expected, list) else expected
        return all((isinstance(expected, list) or key in found) and same(found[key], expected[key]) for key in keys)
    if isinstance(found, bool) or isinstance(expected, bool):
        return found is expected
    return found == expected or found != found and expected != expected


def moment(ns, digits):
    seconds, rest = divmod(ns, 10**9)
    text = (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    rest = f"{rest:09}"[:digits]
    for width in (0, 3, 6, 9):
        if not rest[width:].strip("0"):
            return text + ("." + rest[:width] if width else "") + "Z"
    return text


def in_text(column, value):
    """A value as JSON has it in a row."""
    if value is None:
        return None
    if column["type"] == "json":
        return value[0]
    if column["type"] == "stamp" and column["field"] in ("time", "received"):
        return moment(value, 6 if column["field"] == "time" else 9)
    return as_json(value)


FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
CELL = re.compile(r'"((?:[^"]|"")*)"|([^",\r\n]*)')


def harmless(text):
    return "'" + text if text.lstrip(" \u00a0").startswith(FORMULA) or text.startswith("'") else text


def cells(text, count):
    """One line of CSV: each cell's text, and whether it stood in quotes."""
    found, at = [], 0
    while True:
        match = CELL.match(text, at)
        found.append((match[1].replace('""', '"'), True) if match[1] is not None else (match[2], False))
        at = match.end()
        if text[at : at + 1] != ",":
            break
        at += 1
    need(text[at:] == "\r\n" and len(found) == count, "a line of CSV is malformed, or has other columns")
    return found


def csv_line(file):
    """A line: quotes may hold ends of lines."""
    text = file.readline()
    while text.count('"') % 2:
        more = file.readline()
        need(more, "a file ends within quotes")
        text += more
    return text


def csv_cell(column, cell, value):
    text, quoted = cell
    if value is None:
        return not text and not quoted
    expected = in_text(column, value)
    if column["type"] in ("num", "int", "bool") or column["field"] in ("index", "time_ns") and column["type"] == "stamp":
        if isinstance(expected, dict):
            return text.strip("'") == {"NaN": "NaN", "Infinity": "inf", "-Infinity": "-inf"}[expected["$f64"]]
        return not quoted and same(json.loads(text), expected)
    if column["type"] in ("json", "nums", "strs"):
        bare = text[1:] if text.startswith("'") else text
        return harmless(bare) == text and same(json.loads(bare), expected)
    return text == harmless(expected) and (quoted or text != "")


def rows_of(folder, manifest):
    """Compares the next row with what a record makes; one after another, over all files."""
    columns, form = manifest["columns"], manifest["format"]
    for file in manifest["files"][:-2]:
        path = folder / file["name"]
        compare = {"csv": csv_rows, "ndjson": ndjson_rows, "parquet": parquet_rows}[form](path, columns, file["rows"])
        next(compare)
        for row in range(file["rows"]):
            expected = yield
            wrong = compare.send(expected)
            need(wrong is None, f"{file['name']}, row {row}: {wrong} is not what its record says")
        compare.close()


def csv_rows(path, columns, rows):
    with path.open(encoding="utf-8", newline="\n") as file:
        names = [text for text, _ in cells(csv_line(file), len(columns))]
        need(names == [harmless(column["name"]) for column in columns], f"{path.name} has other columns")
        wrong = None
        for _ in range(rows):
            expected = yield wrong
            found = cells(csv_line(file), len(columns))
            pairs = zip(columns, found, expected)
            wrong = next((column["name"] for column, cell, value in pairs if not csv_cell(column, cell, value)), None)
        need(not file.read(1), f"{path.name} has more rows than records")
        yield wrong


def ndjson_rows(path, columns, rows):
    with path.open(encoding="utf-8", newline="\n") as file:
        wrong = None
        for _ in range(rows):
            expected = yield wrong
            found = record.json_object(file.readline().encode())
            need(list(found) == [column["name"] for column in columns], f"{path.name} has other columns")
            pairs = zip(columns, found.values(), expected)
            wrong = next((c["name"] for c, cell, value in pairs if not same(cell, in_text(c, value))), None)
        need(not file.read(1), f"{path.name} has more rows than records")
        yield wrong


def parquet_rows(path, columns, rows):
    import pyarrow
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(path)
    need(file.schema_arrow.names == [column["name"] for column in columns], f"{path.name} has other columns")
    need(file.metadata.num_rows == rows, f"{path.name} has another number of rows")
    wrong = None
    for batch in file.iter_batches(BATCH):
        arrays = [a.cast(pyarrow.int64()) if pyarrow.types.is_timestamp(a.type) else a for a in batch.columns]
        for found in zip(*(array.to_pylist() for array in arrays)):
            expected = yield wrong
            pairs = zip(columns, found, expected)
            wrong = next((c["name"] for c, cell, value in pairs if not parquet_cell(c, cell, value)), None)
    yield wrong


def parquet_cell(column, cell, value):
    if value is None or cell is None:
        return value is cell
    if column["type"] == "json":
        return same(json.loads(cell), value[0])
    if column["type"] == "stamp" and column["field"] == "time":
        value //= 1000
    return same(cell, value)


# ---- the whole -------------------------------------------------------------------------------------------------------

def check(folder, vkey=None, told=None):
    """The verdict, what was checked, and what was not."""
    manifest, digest = read_manifest(folder, told)
    try:
        check_manifest(manifest)
        check_files(folder, manifest)
        checkpoint = check_checkpoint(manifest, vkey)
        erased = check_contents(folder, manifest, checkpoint)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the manifest, or a row, is not of the form that it must have: {error!r}") from None
    complete = ", and no record of the kind can be missing" if manifest["complete"] else ""
    checked = [f"{checkpoint.origin}: {manifest['records']} records lead to root {checkpoint.root.hex()}, signed{complete}",
               f"{manifest['rows']} rows are what their records say", f"manifest {digest}"]
    left = LEFT[1:] if manifest["complete"] else list(LEFT)
    left += [] if vkey else ["that the log's key is the right one: the export names it; bring your own with --vkey"]
    left += [f"that {erased} records which lack parts were erased, and rightly"] if erased else []
    return "VALID" if vkey else "CONSISTENT", checked, left


def check_contents(folder, manifest, checkpoint):
    kind, columns = manifest["filter"].get("kind"), manifest["columns"]
    counted, erased, seen, taken = [0] * len(columns), 0, 0, 0
    rows = rows_of(folder, manifest)
    next(rows, None)

    def leaves(file):
        nonlocal erased, seen, taken
        for data in framed(file):
            index, stamp, shown, digest = disclosed(data)
            seen += 1
            if kind in (None, stamp["kind"]):
                need(set(shown or ()) <= set(manifest["parts"]), f"record {index} shows a part that is not named")
                values = [value_of(column, index, stamp, shown) for column in columns]
                taken += 1
                need(taken <= manifest["rows"], f"record {index} has no row")
                try:
                    rows.send(values)
                except StopIteration:
                    pass
                except ValueError as error:
                    raise ValueError(f"record {index}: {error}") from None
                for at, value in enumerate(values):
                    counted[at] += value is not None
                erased += lacks(data, manifest["parts"])
            else:
                need(manifest["complete"] and shown is None, f"record {index} is not of the kind that was asked for")
            yield index, sha256(b"\0", digest)

    with (folder / RECORDS).open("rb") as records, (folder / HASHES).open("rb") as hashes:
        root = root_of(checkpoint.size, leaves(records), hashes)
    need(root == checkpoint.root, "the records do not lead to the signed root")
    need((seen, taken) == (manifest["records"], manifest["rows"]), "there are fewer or more records than the manifest says")
    need(counted == [column["rows"] for column in columns], "a column has more or fewer values than the manifest says")
    return erased


def lacks(data, parts):
    """Whether a part that the export shows is no more than a commitment here."""
    proofs = record.canonical(data)[2]
    return isinstance(proofs, bytes) or any(
        proof is not None and len(proof) == 32 for name, proof in zip(record.PARTS, proofs) if name in parts)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of an export")
    parser.add_argument("--vkey", help="the log's verifier key, from wherever you trust")
    parser.add_argument("--digest", help="the manifest's SHA-256, as whoever exported told it")
    args = parser.parse_args(argv)
    try:
        vkey = None if args.vkey is None else verify.parse_vkey(args.vkey)
    except ValueError as error:
        return verify.say(2, "nothing was checked", [str(error)])
    try:
        verdict, checked, left = check(args.folder, vkey, args.digest)
    except Incomplete as error:
        return verify.say(1, "INCOMPLETE", error.args)
    except (ValueError, RecursionError) as error:
        return verify.say(1, "INVALID", [str(error)])
    except (OSError, ImportError) as error:
        return verify.say(2, "nothing was checked", [str(error)])
    return verify.say(0, verdict, [f"checked      {line}" for line in checked] + [f"NOT CHECKED  {line}" for line in left])


if __name__ == "__main__":
    sys.exit(main())
