"""SQL over a trail, held against DuckDB over the records as they were sent.

Predicates and aggregates are generated from a number, so that a failure can be had again. Both engines get the same
text, but for how a time is written; DuckDB's table is made here, from what was sent, and has read nothing of the trail.
"""
import json
import os
import random
import subprocess
import unittest

import duckdb
import pyarrow

import sent
from test_readers import Trail, lines

SEED = int(os.environ.get("ONRECORD_TEST_SEED", "1"))
ROUNDS = 12 if os.environ.get("ONRECORD_TEST_LONG") is None else 120
TOGETHER = 25
TEXTS = ["CA", "NY", "TX", "", "a'b", "käse", "%", "_", "日本語", "C", "ca", "NYC"]

PATTERNS = ["'%a%'", "'s-_'", "'%3'", "'C%'", "'%'", "''", "'_'", "'%本%'", "'%month'"]

NUMBERS = ["inputs.income", "inputs.ratio", "inputs.rare", 'inputs["odd key"]', "output.score", "inputs.deep.er.n",
           "explanation.values.income", "sampling.probability"]
WORDS = ["inputs.state", "subject.id", "subject.case", "model.name", "model.version", "result.class", "context.note",
         "inputs.income:str", "kind"]
FLAGS = ["inputs.owner", "result.adverse", "output.flag"]


def decision(n, stage, chance):
    """One decision: every field is missing, null, or of another type at times."""
    maybe = lambda likely, value: value if chance.random() < likely else None
    state, rare = chance.choice(TEXTS), chance.randrange(10)
    inputs = {"income": chance.randrange(100), "ratio": round(chance.random(), 2), "state": state,
              "owner": chance.random() < 0.5}
    if chance.random() < 0.1:
        inputs["income"] = chance.choice([None, f"{n} a month", True, [1, 2], {"a": 1}, 2**63 + 2048, -7])
    for key in ("ratio", "state", "owner"):
        if chance.random() < 0.2:
            del inputs[key]
    # In a remainder in the first stage; dense enough for a column later.
    if chance.random() < (0.03, 0.5, 0.3)[stage]:
        inputs["rare"] = rare
    if chance.random() < 0.04:
        inputs["odd key"] = rare / 2
    if chance.random() < 0.3:
        inputs["deep"] = {"er": {"n": rare}}
    record = {
        "id": sent.identity(n, stage), "time": f"2024-06-0{1 + stage}T12:{n // 60 % 60:02}:{n % 60:02}.{chance.randrange(10**6):06}Z",
        "model": {"name": chance.choice(["risk", "fraud"]), "version": f"{stage}.{n % 3}"}, "inputs": inputs,
        "output": {"score": round(chance.random(), 3), "flag": n % 7 == 0},
    }
    optional = {
        "subject": maybe(0.9, {"id": f"s-{rare}", "case": f"c-{n}"}),
        "result": maybe(0.7, {"class": chance.choice(["deny", "allow"]), "adverse": n % 2 == 0}),
        "explanation": maybe(0.5, {"values": {"income": round(chance.random() - 0.5, 2)}}),
        "sampling": maybe(0.3, {"probability": chance.choice([0.25, 0.5, 1])}),
        "context": maybe(0.4, {"note": chance.choice(TEXTS) + str(rare)}),
    }
    return record | {key: value for key, value in optional.items() if value is not None}


def value_of(record, index, name):
    """What a column of the view holds of a record, by docs/sql.md."""
    if name in ("index", "kind"):
        return {"index": index, "kind": "decision"}[name]
    name, _, suffix = name.partition(":")
    path = ["inputs", "odd key"] if "[" in name else name.split(".")
    value = record
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    kind = "text" if suffix == "str" or name in WORDS else "flag" if name in FLAGS else "number"
    if isinstance(value, bool):
        return value if kind == "flag" else None
    if isinstance(value, str):
        return value if kind == "text" else None
    return float(value) if isinstance(value, (int, float)) and kind == "number" else None


def truth(trail):
    """DuckDB with a table of what was sent."""
    columns = {name: [] for name in ["index", *NUMBERS, *WORDS, *FLAGS]}
    times = []
    for index, record in sorted(trail.sent.items()):
        for name, values in columns.items():
            values.append(value_of(record, index, name))
        times.append(record["time"])
    types = {name: pyarrow.float64() for name in NUMBERS} | {name: pyarrow.string() for name in WORDS}
    types |= {name: pyarrow.bool_() for name in FLAGS} | {"index": pyarrow.int64()}
    table = pyarrow.table({name: pyarrow.array(values, types[name]) for name, values in columns.items()})
    connection = duckdb.connect()
    connection.register("sent", table.append_column("time_text", pyarrow.array(times)))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE TABLE decisions AS SELECT * EXCLUDE time_text, time_text::TIMESTAMPTZ AS time FROM sent")
    return connection


def name(field):
    return '"' + field.replace('"', '""') + '"'


class Queries:
    """Random conditions and aggregates."""

    def __init__(self, chance):
        self.chance = chance

    def text(self):
        word = self.chance.choice([*TEXTS, "s-3", "deny", "allow", "risk", "1.1", "c-77", "7 a month", "decision", "käse3"])
        return "'" + word.replace("'", "''") + "'"

    def number(self):
        return str(self.chance.choice([0, 1, 3, 50, 99, 0.5, 0.25, -0.1, 1e300, 2**63 + 2048, self.chance.randrange(100)]))

    def time(self):
        return f"'2024-06-0{self.chance.randrange(1, 4)}T12:{self.chance.randrange(60):02}:30Z'"

    def leaf(self):
        pick, compare = self.chance.choice, self.chance.choice(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"])
        negated = pick(["", "NOT "])
        number, word = name(pick(NUMBERS)), name(pick(WORDS))
        return pick([
            lambda: f"{number} {compare} {self.number()}",
            lambda: f"{self.number()} {compare} {number}",
            lambda: f"{number} {negated}BETWEEN {self.number()} AND {self.number()}",
            lambda: f"{number} {negated}IN ({self.number()}, {self.number()}, {self.number()})",
            lambda: f"{number} + {name(pick(NUMBERS))} {compare} {self.number()}",
            lambda: f"{word} {compare} {self.text()}",
            lambda: f"{word} {negated}IN ({self.text()}, {self.text()})",
            lambda: f"{word} {negated}LIKE {pick(PATTERNS)}",
            lambda: f"length({word}) {compare} {pick([0, 1, 2, 3, 4])}",
            lambda: f"{name(pick(NUMBERS + WORDS + FLAGS))} IS {negated}NULL",
            lambda: f"{name(pick(FLAGS))}",
            lambda: f"{name(pick(FLAGS))} = {pick(['true', 'false'])}",
            lambda: f"time {pick(['<', '<=', '>', '>='])} {self.time()}",
            lambda: f"index {compare} {self.chance.randrange(1500)}",
            lambda: f"coalesce({number}, -1) {compare} {self.number()}",
        ])()

    def condition(self, depth=0):
        draw = self.chance.random()
        if depth > 3 or draw < 0.35:
            # In brackets: DataFusion's parser takes all that follows IS DISTINCT FROM for its right side.
            return f"({self.leaf()})"
        if draw < 0.45:
            return f"NOT ({self.condition(depth + 1)})"
        return f"({self.condition(depth + 1)} {self.chance.choice(['AND', 'OR'])} {self.condition(depth + 1)})"

    def aggregate(self):
        by, number = name(self.chance.choice(WORDS + FLAGS)), name(self.chance.choice(NUMBERS))
        word = name(self.chance.choice(WORDS))
        return (f"SELECT {by} AS k, count(*) AS n, count({number}) AS c, sum({number}) AS s, avg({number}) AS a, min({number}) AS lo,"
                f" max({number}) AS hi, count(DISTINCT {word}) AS d, min({word}) AS w FROM decisions WHERE {self.condition()} GROUP BY {by}")


def same(one, other):
    if isinstance(one, float) or isinstance(other, float):
        return one == other or (None not in (one, other) and abs(one - other) <= 1e-9 * max(1, abs(one), abs(other)))
    return one == other


@unittest.skipUnless(os.environ.get("ONRECORD_BIN"), "ONRECORD_BIN does not name the onrecord binary")
class Sql(unittest.TestCase):
    def ask(self, trail, query):
        command = [os.environ["ONRECORD_BIN"], "-q", "sql", str(trail.folder), "-", "--format", "ndjson"]
        done = subprocess.run(command, input=query.encode(), capture_output=True, timeout=300)
        self.assertEqual(done.returncode, 0, f"seed {SEED}: {query}\n{done.stderr.decode()}")
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def test_answers_are_duckdbs(self):
        chance = random.Random(SEED)
        trail = Trail()
        self.addCleanup(trail.temp.cleanup)
        for stage, count in enumerate((60, 800, 500)):
            trail.append(lines(decision(n, stage, chance) for n in range(count)))
        queries = Queries(chance)
        self.agree(trail, queries, "three settles")
        trail.onrecord("compact", trail.folder)
        self.agree(trail, queries, "a compaction")
        hot = lines(decision(n, 2, chance) for n in range(500, 560))
        said = trail.onrecord("append", trail.folder, "--receipts", stdin="\n".join(hot) + "\n")
        for line, receipt in zip(hot, said.splitlines()):
            trail.sent[json.loads(receipt)["index"]] = json.loads(line)
        self.agree(trail, queries, "records in the journal")

    def agree(self, trail, queries, stage):
        with truth(trail) as connection:
            self.assertEqual(self.ask(trail, "SELECT count(*) AS n FROM decisions"), [{"n": len(trail.sent)}])
            found = 0
            for _ in range(ROUNDS // 3):
                found += self.conditions(trail, connection, [queries.condition() for _ in range(TOGETHER)], stage)
            self.assertGreater(found, len(trail.sent), "most conditions hold for something")
            for _ in range(ROUNDS):
                self.aggregates(trail, connection, queries.aggregate(), stage)

    def conditions(self, trail, connection, conditions, stage):
        """How many records hold which condition, and which ones: the sum of their indices and of its squares."""
        part = 'SELECT {} AS q, count(*) AS n, sum("index") AS s, sum("index" * "index") AS r FROM decisions WHERE {}'
        query = " UNION ALL ".join(part.format(q, condition) for q, condition in enumerate(conditions))
        ours = {row["q"]: (row["n"], row["s"], row["r"]) for row in self.ask(trail, query)}
        theirs = {q: (n, s, r) for q, n, s, r in connection.execute(query).fetchall()}
        for q, condition in enumerate(conditions):
            self.assertEqual(ours[q], theirs[q], f"seed {SEED}, {stage}: {condition}")
        return sum(n for n, _, _ in theirs.values())

    def aggregates(self, trail, connection, query, stage):
        order = lambda row: (row["k"] is not None, str(row["k"]))
        ours = sorted(self.ask(trail, query), key=order)
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description]
        theirs = sorted((dict(zip(names, row)) for row in cursor.fetchall()), key=order)
        self.assertEqual(len(ours), len(theirs), f"seed {SEED}, {stage}: {query}")
        for one, other in zip(ours, theirs):
            self.assertTrue(all(same(one[key], other[key]) for key in names), f"seed {SEED}, {stage}: {query}\n{one}\n{other}")


if __name__ == "__main__":
    unittest.main()
