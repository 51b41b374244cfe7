#!/usr/bin/env python3
"""SSTs as the server writes them, read by pyarrow and DuckDB: columns, order, values, metadata; in both layouts."""
import glob
import json
import os
import sys

import duckdb
import pyarrow.parquet as pq

from harness import HANDLE, INT64, STRING, TS_MS, TAG, FIELD, TIME, Server, create_region, flush_request, insert

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('cpu', INT64, FIELD), ('note', STRING, FIELD)]
LAYOUTS = {'flat': ['host', 'cpu', 'note', 'ts'], 'primary_key': ['cpu', 'note', 'ts']}


def make_rows():
    """Three series out of order, nulls, and a row that is written twice: the later value stays."""
    rows = [(f'h{i % 3}', 1700000000000 + 1000 * (i // 3), i, None if i % 4 == 0 else f'n{i}') for i in range(3000)]
    return list(reversed(rows)) + [('h1', 1700000000000, 777777, 'again')]


def expected(rows):
    last = {(h, t): (h, t, c, n) for h, t, c, n in rows}
    return [last[k] for k in sorted(last)]


def check(server, layout, region_id):
    channel = server.channel()
    handle = channel.unary_unary(HANDLE)
    rows = make_rows()
    path = f'test/{layout}'
    handle(create_region(region_id, COLUMNS, [('sst_format', layout)], path=path), timeout=300)
    handle(insert(region_id, COLUMNS, rows), timeout=300)
    handle(flush_request(region_id), timeout=300)
    files = glob.glob(os.path.join(server.home, 'data', path, '**', '*.parquet'), recursive=True)
    assert len(files) == 1, files
    want = expected(rows)

    parquet = pq.ParquetFile(files[0])
    names = parquet.schema_arrow.names
    assert names == LAYOUTS[layout] + ['__primary_key', '__sequence', '__op_type'], names
    metadata = json.loads(parquet.metadata.metadata[b'greptime:metadata'])
    assert metadata['region_id'] == region_id and len(metadata['column_metadatas']) == 4
    table = parquet.read()
    assert table.num_rows == len(want), (table.num_rows, len(want))
    times = table['ts'].cast('int64').to_pylist()
    assert times == [t for _, t, _, _ in want], 'times'
    assert table['cpu'].to_pylist() == [c for _, _, c, _ in want], 'cpu'
    assert table['note'].to_pylist() == [n for _, _, _, n in want], 'note'
    keys = table['__primary_key'].cast('binary').to_pylist()
    assert keys == [b'\x01\x01' + h.encode().ljust(8, b'\0') + b'\x02' for h, _, _, _ in want], keys[:1]
    if layout == 'flat':
        assert [str(h) for h in table['host'].to_pylist()] == [h for h, _, _, _ in want], 'host'
    assert set(table['__op_type'].to_pylist()) == {1}
    assert set(table['__sequence'].to_pylist()) == {len(rows)}, set(table['__sequence'].to_pylist())

    summary = duckdb.sql(f"SELECT count(*), sum(cpu), min(epoch_ms(ts)), max(epoch_ms(ts)), count(note) FROM '{files[0]}'").fetchall()[0]
    assert summary == (len(want), sum(c for _, _, c, _ in want), want[0][1], max(t for _, t, _, _ in want), sum(n is not None for *_, n in want)), summary
    print(f'{layout}: {table.num_rows} rows, {os.path.getsize(files[0])} bytes, read by pyarrow and DuckDB')


def main():
    server = Server()
    for i, layout in enumerate(LAYOUTS):
        check(server, layout, (2000 + i) << 32)
    server.remove()


if __name__ == '__main__':
    sys.exit(main())
