"""Engines that share no code with onrecord, each as a function from a lake's folder to an Arrow table of all records."""
import chdb
import duckdb
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
from deltalake import DeltaTable


def files(lake):
    """The files of the table's version, as its log names them: a file that is not named is no part of the table."""
    return sorted(DeltaTable(lake).file_uris())


def with_deltalake(lake):
    return DeltaTable(lake).to_pyarrow_table()


def with_polars(lake):
    return polars.read_delta(str(lake)).to_arrow()


def with_polars_over_files(lake):
    frames = [polars.read_parquet(file, hive_partitioning=False) for file in files(lake)]
    return polars.concat(frames, how="diagonal").to_arrow()


def with_pyarrow(lake):
    names = files(lake)
    schema = pyarrow.unify_schemas([pyarrow.parquet.read_schema(name).remove_metadata() for name in names])
    return pyarrow.dataset.dataset(names, schema=schema, format="parquet").to_table()


def with_duckdb(lake):
    query = f"SELECT * FROM read_parquet({files(lake)!r}, union_by_name = true)"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(query).to_arrow_table()


def with_chdb(lake):
    # `file` takes a glob; braces make it exactly the files that the log names.
    glob = f"{lake}/{{{','.join(name.rsplit('/', 1)[1] for name in files(lake))}}}"
    settings = "schema_inference_mode = 'union', session_timezone = 'UTC', output_format_arrow_string_as_string = 0"
    return chdb.query(f"SELECT * FROM file('{glob}', Parquet) SETTINGS {settings}", "ArrowTable")


ENGINES = {
    "deltalake": with_deltalake,
    "polars": with_polars,
    "polars over the files": with_polars_over_files,
    "pyarrow over the files": with_pyarrow,
    "duckdb over the files": with_duckdb,
    "chdb over the files": with_chdb,
}
# One type for text and bytes, and no null where a list may be: both are known from the table's own schema, in which no
# list is ever empty.
CLICKHOUSE = {"chdb over the files"}
