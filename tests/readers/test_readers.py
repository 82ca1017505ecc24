"""A trail's lake, read by engines that share no code with onrecord: the same rows, values and types.

What they must read is not what any of them says, nor onrecord: it is the records as they were sent, and the digests in
the receipts, which every row's values must come to. docs/other-engines.md says what each engine needs.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pyarrow
import pyarrow.parquet

from deltalake import DeltaTable

import engines
import rebuilt
import sent

PAGE = Path(__file__).resolve().parents[2] / "docs/other-engines.md"
TYPES = {
    "long": [pyarrow.int64()], "double": [pyarrow.float64()], "boolean": [pyarrow.bool_()],
    "string": [pyarrow.string(), pyarrow.large_string()], "binary": [pyarrow.binary(), pyarrow.large_binary()],
}


class Trail:
    """A trail in a temporary folder, and what was sent to it."""

    def __init__(self):
        self.temp = tempfile.TemporaryDirectory()
        self.folder = Path(self.temp.name) / "trail"
        self.lake = self.folder / "lake"
        self.sent, self.receipts = {}, {}
        self.onrecord("init", self.folder, "--origin", "example.com/readers", "--no-encryption")

    def onrecord(self, *arguments, stdin=""):
        environment = os.environ | {"ONRECORD_KEYS": f"{self.temp.name}/keys"}
        command = [os.environ["ONRECORD_BIN"], *map(str, arguments)]
        done = subprocess.run(command, input=stdin.encode(), capture_output=True, env=environment, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{command} failed: {done.stderr.decode()}")
        return done.stdout.decode()

    def append(self, lines):
        said = self.onrecord("append", self.folder, "--receipts", "--settle", stdin="\n".join(lines) + "\n")
        receipts = [json.loads(line) for line in said.splitlines()]
        assert len(receipts) == len(lines)
        for line, receipt in zip(lines, receipts):
            self.sent[receipt["index"]] = json.loads(line)
            self.receipts[receipt["index"]] = receipt

    def schema(self):
        """The table's types as its log has them, read here as the plain Parquet and JSON that it is."""
        found = None
        for file in sorted(self.lake.glob("_delta_log/*.checkpoint.parquet")):
            column = pyarrow.parquet.read_table(file, columns=["metaData"]).column("metaData").to_pylist()
            [found] = [json.loads(metadata["schemaString"]) for metadata in column if metadata]
        for entry in sorted(self.lake.glob("_delta_log/*.json")):
            for line in entry.read_text().splitlines():
                metadata = json.loads(line).get("metaData")
                found = json.loads(metadata["schemaString"]) if metadata else found
        return {field["name"]: plain(field["type"]) for field in found["fields"]}


def plain(kind):
    return kind["elementType"] + "s" if isinstance(kind, dict) else kind


def fits(kind, arrow, text_is_bytes):
    if kind in ("doubles", "strings"):
        is_list = pyarrow.types.is_list(arrow) or pyarrow.types.is_large_list(arrow)
        return is_list and fits(kind[:-1], arrow.value_type, text_is_bytes)
    if kind == "timestamp":
        return pyarrow.types.is_timestamp(arrow) and arrow.unit == "us" and arrow.tz in ("UTC", "Etc/UTC")
    if kind == "string" and text_is_bytes:
        kind = "binary"
    return arrow in TYPES[kind]


def as_text(value):
    if isinstance(value, list):
        return [as_text(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


@unittest.skipUnless(os.environ.get("ONRECORD_BIN"), "ONRECORD_BIN does not name the onrecord binary")
class Readers(unittest.TestCase):
    """One trail that goes through its life; at each stage all engines must agree with what was sent."""

    def test_all_engines_read_what_was_sent(self):
        trail = Trail()
        self.addCleanup(trail.temp.cleanup)
        trail.append(sent.german() + lines(sent.of_models(1, 1_000)) + lines(sent.odd(1)))
        first = trail.schema()
        self.assertEqual({name: first[name] for name in rebuilt.FIXED}, rebuilt.FIXED)
        self.assertGreater(len(engines.files(trail.lake)), 2, "models have files of their own")
        self.agree(trail, "one settle")

        trail.append(lines(sent.of_models(2, 50)) + lines(sent.odd(2)))
        second = trail.schema()
        self.assertIn("inputs.new_in_2", second.keys() - first.keys())
        self.assertEqual(first, {name: second[name] for name in first}, "a column never changes its type")
        self.agree(trail, "a second settle that added columns")

        self.page(trail)

        before = set(engines.files(trail.lake))
        trail.onrecord("compact", trail.folder)
        after = set(engines.files(trail.lake))
        self.assertLess(len(after), len(before))
        self.assertTrue(all(Path(file).exists() for file in before), "whoever was reading them still may")
        self.agree(trail, "a compaction")
        self.page(trail)

        trail.append(lines(sent.of_models(3, 20)) + lines(sent.odd(3)))
        trail.onrecord("compact", trail.folder)
        log = sorted(file.name for file in trail.lake.glob("_delta_log/*"))
        self.assertNotIn(f"{0:020}.json", log, "its first entries are gone")
        self.assertEqual(sum(name.endswith(".checkpoint.parquet") for name in log), 2, log)
        self.assertEqual(DeltaTable(trail.lake).version(), 5)
        self.agree(trail, "checkpoints, and a log whose beginning is gone")
        trail.append(lines(sent.of_models(4, 10)))
        self.assertEqual(DeltaTable(trail.lake).version(), 6)
        self.agree(trail, "a settle on top of a checkpoint")
        self.page(trail)

    def page(self, trail):
        """What docs/other-engines.md tells a user to run prints what the records as sent come to."""
        denied = [record for record in trail.sent.values() if record.get("result", {}).get("class") == "deny"]
        amount = sum(record["inputs"].get("credit_amount", 0) for record in denied)
        self.assertGreater(amount, 100_000)
        blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(blocks), 5)
        for block in blocks:
            done = subprocess.run([sys.executable, "-u", "-c", block], cwd=trail.temp.name, capture_output=True, text=True)
            # PyArrow can abort while the interpreter ends, its answer given: a thread of its pool is not joined then.
            aborted_at_exit = done.stdout and done.stderr == "terminate called without an active exception\n"
            self.assertTrue(done.returncode == 0 or aborted_at_exit, f"{block}\n{done.stderr}")
            self.assertEqual(float(done.stdout), amount, block)

    def agree(self, trail, stage):
        truth = {index: rebuilt.parts_sent(record) for index, record in trail.sent.items()}
        schema = trail.schema()
        for name, read in engines.ENGINES.items():
            with self.subTest(engine=name, stage=stage):
                table = read(trail.lake)
                clickhouse = name in engines.CLICKHOUSE
                self.types(schema, table, clickhouse)
                self.rows(trail, truth, schema, table, clickhouse)

    def types(self, schema, table, text_is_bytes):
        names = table.schema.names
        self.assertEqual(len(set(names)), len(names))
        # Engines over the files do not see a column that no file has a value in.
        self.assertLessEqual(set(names), set(schema))
        for field in table.schema:
            self.assertTrue(fits(schema[field.name], field.type, text_is_bytes), f"{field} is no {schema[field.name]}")

    def rows(self, trail, truth, schema, table, no_null_lists):
        texts = {name for name in table.schema.names if schema[name] in ("string", "strings")}
        seen = set()
        for row in table.to_pylist():
            row = {name: as_text(value) if name in texts else value for name, value in row.items()}
            if no_null_lists:
                row = {name: None if value == [] else value for name, value in row.items()}
            index = row["index"]
            self.assertNotIn(index, seen, "a row is there twice")
            seen.add(index)
            receipt = trail.receipts[index]
            self.assertEqual(rebuilt.parts_of(row), truth[index], f"record {index}: {trail.sent[index]}")
            self.assertEqual(row["id"], receipt["id"])
            self.assertEqual(rebuilt.digest_of(row), receipt["digest"], f"record {index}")
            self.assertEqual(rebuilt.microseconds(row["time"]), row["time_ns"] // 1000)
        self.assertEqual(seen, set(range(len(truth))))


def lines(records):
    return [json.dumps(record, ensure_ascii=False) for record in records]


if __name__ == "__main__":
    unittest.main()
