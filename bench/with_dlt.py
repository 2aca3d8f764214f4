"""dlt loading the delivery, run by the Python of its own environment: ``with_dlt.py SMALL FILE``; address in BENCH_URL.

dlt's fast way: Arrow tables in, CSV files in between, COPY into the server.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow as pa
from memory import peak_memory
from pyarrow import csv

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"

SYMBOLS = [".", "-", "/", "x", "..."]


def tables(path: str) -> Iterator[pa.Table]:
    with csv.open_csv(
        path,
        read_options=csv.ReadOptions(encoding="cp1252", block_size=12 << 20),
        parse_options=csv.ParseOptions(delimiter=";"),
        convert_options=csv.ConvertOptions(
            null_values=SYMBOLS,
            strings_can_be_null=False,
            column_types={"Gemeindeschluessel": pa.string(), "Jahr": pa.string(), "Wert": pa.string()},
        ),
    ) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def run(path: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(os.environ["BENCH_URL"]),
            dataset_name="raw",
        )
        source: Any = dlt.resource(tables(path), name="long")
        pipeline.run(source, write_disposition="replace", loader_file_format="csv")
        with pipeline.sql_client() as client:
            rows = client.execute_sql("select count(*) from long")
            return int(rows[0][0])


for file in sys.argv[1:]:
    started, worked = time.perf_counter(), time.process_time()
    result = {"rows": run(file)}
    result |= {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - worked}
print(json.dumps(result | {"peak_mb": peak_memory()}))
