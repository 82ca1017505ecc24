"""Times queries in DuckDB and ClickHouse (chDB) over Parquet files.

    query_peers.py ENGINE QUESTIONS.json TIMES

Each query is asked once to warm up, then TIMES times. Prints one JSON object: of each query its times in seconds, its
rows, and the sum of their column `n`.
"""
import json
import sys
import time


def duckdb(folder, threads):
    import duckdb
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET TimeZone = 'UTC'")
    files = ", ".join(f"'{folder}/{file}'" for file in ASKED["files"])
    # Footers are kept from one query to the next, as in the others.
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet([{files}], union_by_name = true)")

    def ask(text):
        table = connection.sql(text).to_arrow_table()
        return table.num_rows, lambda column: sum(table.column(column).to_pylist())

    return ask


def clickhouse(folder, threads):
    import pyarrow
    from chdb import session
    clickhouse = session.Session()
    files = "{" + ",".join(ASKED["files"]) + "}"
    # The columns that queries name: files lack those of which they have no value.
    source = f"file('{folder}/{files}', Parquet, '{ASKED['structure']}')"
    settings = f"SETTINGS max_threads = {threads}, session_timezone = 'UTC'"

    def ask(text):
        out = clickhouse.query(f"{text.replace('FROM events', 'FROM ' + source)} {settings}", "Arrow").bytes()
        table = pyarrow.ipc.open_file(out).read_all()
        return table.num_rows, lambda column: sum(table.column(column).to_pylist())

    return ask


def main(engine, times):
    ask = {"duckdb": duckdb, "clickhouse": clickhouse}[engine](ASKED["folder"], ASKED["threads"])
    said = {}
    for query in ASKED["queries"]:
        rows, total = ask(query[engine])
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            ask(query[engine])
            taken.append(time.perf_counter() - start)
        said[query["name"]] = {"seconds": taken, "rows": rows, "n": total(query["count"])}
    print(json.dumps(said))


if __name__ == "__main__":
    with open(sys.argv[2]) as file:
        ASKED = json.load(file)
    main(sys.argv[1], int(sys.argv[3]))
