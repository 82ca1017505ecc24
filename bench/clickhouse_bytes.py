"""Bytes that ClickHouse (chDB) needs for JSON lines in a column of its JSON type.

    clickhouse_bytes.py RECORDS.ndjson FOLDER

A MergeTree table, merged into one part. Prints one JSON object.
"""
import json
import sys

from chdb import session


def main(records, folder):
    clickhouse = session.Session(folder)

    def ask(query):
        return json.loads(clickhouse.query(query, "JSON").bytes())["data"]

    clickhouse.query("CREATE DATABASE bench ENGINE = Atomic")
    clickhouse.query("CREATE TABLE bench.decision (record JSON) ENGINE = MergeTree ORDER BY tuple()")
    clickhouse.query(f"INSERT INTO bench.decision SELECT json FROM file('{records}', JSONAsObject, 'json JSON')")
    clickhouse.query("OPTIMIZE TABLE bench.decision FINAL")
    parts = ask("SELECT sum(bytes_on_disk) AS bytes, sum(rows) AS rows, count() AS parts FROM system.parts "
                "WHERE database = 'bench' AND table = 'decision' AND active")[0]
    version = ask("SELECT version() AS version")[0]
    print(json.dumps({key: int(value) for key, value in parts.items()} | version))


if __name__ == "__main__":
    main(*sys.argv[1:])
