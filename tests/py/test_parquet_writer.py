"""Has our writer make files of every type and codec, and reads them with pyarrow and DuckDB: values, statistics, page index, layout.

usage: test_parquet_writer.py WRITE_TOOL
"""
import decimal
import math
import os
import subprocess
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

decimal.getcontext().prec = 60
CODECS = {0: "UNCOMPRESSED", 1: "SNAPPY", 2: "GZIP", 4: "BROTLI", 6: "ZSTD", 7: "LZ4"}


def value(name, i):
    """What parquet_write_tool.c puts into row i, as the integer or bytes or float behind the type."""
    nullable = name not in ("ts", "seq", "op", "wide")
    if nullable and (i % 5 == 2 or name == "nulls" or (name == "late" and i < 3000)):
        return None
    v = (i * 7919) % 10007 - 5000
    trunc = lambda bits, signed: (v + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) if signed else v % (1 << bits)
    return {
        "ts": lambda: 1700000000000 + i * 10, "seq": lambda: 42, "op": lambda: 1, "bool": lambda: math.fmod(v, 3) == 0,
        "i8": lambda: trunc(8, True), "i16": lambda: v, "i32": lambda: v, "i64": lambda: v, "u16": lambda: trunc(16, False),
        "u32": lambda: trunc(32, False), "f32": lambda: math.nan if i % 11 == 3 else v / 4, "f64": lambda: 0.0 if i % 13 == 4 else v / 8,
        "late": lambda: 0.0 if i % 13 == 4 else v / 8, "str": lambda: f"v{i % 97}", "wide": lambda: b"key-%050d" % i, "date": lambda: v, "ts_s": lambda: v,
        "ts_ns": lambda: v, "time_us": lambda: v + 5000, "dur": lambda: v, "dec9": lambda: decimal.Decimal(v).scaleb(-2),
        "dec18": lambda: decimal.Decimal(v).scaleb(-3), "dec38": lambda: decimal.Decimal(v).scaleb(-4), "fix": lambda: b"fixe" + bytes([i % 256]),
        "list": lambda: [None if k == 1 else i + k for k in range(i % 4)],
        "struct": lambda: {"item": None if i % 3 == 0 else i, "s": "abc"[:i % 4]},
    }[name]()


def plain(column):
    t = column.type
    if pa.types.is_temporal(t):
        return pa.concat_arrays([c.view(pa.int32() if t.bit_width == 32 else pa.int64()) for c in column.chunks]).to_pylist()
    return column.to_pylist()


def same(a, b):
    return a == b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b)


def check_values(table, rows, tag_step):
    bad = 0
    for name in table.schema.names:
        got = plain(table[name])
        if name == "tag":
            want = [None if i % 5 == 2 else f"t{(i % tag_step % 10 + i // tag_step * tag_step) % 10}" for i in range(rows)]
        else:
            want = [value(name, i) for i in range(rows)]
        for i, (g, w) in enumerate(zip(got, want)):
            if not same(g, w):
                print(f"FAIL {name} row {i}: {g!r}, expected {w!r}")
                bad += 1
                break
        if len(got) != rows:
            print(f"FAIL {name}: {len(got)} rows")
            bad += 1
    return bad


def check_statistics(path, rows, per_group):
    meta, bad = pq.ParquetFile(path).metadata, 0

    def expect(what, got, want):
        nonlocal bad
        if got != want:
            print(f"FAIL {what}: {got!r}, expected {want!r}")
            bad += 1

    for g in range(meta.num_row_groups):
        first, n = g * per_group, min(per_group, rows - g * per_group)
        expect(f"rows of group {g}", meta.row_group(g).num_rows, n)
        for k in range(meta.num_columns):
            c = meta.row_group(g).column(k)
            name, s = c.path_in_schema, c.statistics
            expect(f"{name} column index", c.has_column_index, True)
            expect(f"{name} offset index", c.has_offset_index, True)
            if name in ("i32", "i64", "u32", "str", "wide", "f64", "f32", "i8"):
                v = [x for x in (value(name, i) for i in range(first, first + n)) if x is not None and x == x]
                expect(f"{name} min of group {g}", s.min, min(v))
                expect(f"{name} max of group {g}", s.max, max(v))
                expect(f"{name} nulls of group {g}", s.null_count, sum(value(name, i) is None for i in range(first, first + n)))
            if name == "nulls":
                expect("nulls has bounds", s.has_min_max, False)
            if name == "wide" and per_group > 5000 and n == per_group:
                expect("wide falls back to PLAIN", set(c.encodings), {"PLAIN", "RLE", "RLE_DICTIONARY"})
            if name in ("ts", "seq", "i32"):
                expect(f"{name} encodings", set(c.encodings), {"DELTA_BINARY_PACKED", "RLE"})
    expect("version", meta.format_version, "1.0")
    expect("created by", meta.created_by, "regiond test")
    expect("key-value metadata", meta.metadata[b"greptime:metadata"], b'{"made":"by a test"}')
    return bad


def check_duckdb(path, rows):
    bad = 0
    con = duckdb.connect()
    for name in ("i32", "i64", "u32", "f64", "str", "wide", "bool", "dec9", "dec38", "list", "struct", "late"):
        got = [r[0] for r in con.execute(f'select "{name}" from read_parquet(?, file_row_number = true) order by file_row_number', [path]).fetchall()]
        want = [value(name, i) for i in range(rows)]
        if not all(same(g, w) for g, w in zip(got, want)) or len(got) != rows:
            i = next((i for i, (g, w) in enumerate(zip(got, want)) if not same(g, w)), None)
            print(f"FAIL DuckDB {name} row {i}")
            bad += 1
    # Filters make DuckDB use statistics: a wrong bound would lose rows.
    for name, x in (("i64", 17), ("f64", 0.0), ("u32", 3000)):
        got = con.execute(f'select count(*) from read_parquet(?) where "{name}" = {x}', [path]).fetchone()[0]
        if got != sum(value(name, i) == x for i in range(rows)):
            print(f"FAIL DuckDB filter on {name}")
            bad += 1
    return bad


def main():
    tool, bad, n = sys.argv[1], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        runs = [(20000, 8192, c, 1700) for c in CODECS] + [(1, 1024, 6, 1), (0, 1024, 6, 1), (1024, 1024, 6, 5000), (1025, 1024, 6, 100), (9000, 100000, 6, 9000)]
        for rows, per_group, codec, step in runs:
            path = os.path.join(folder, f"{rows}-{per_group}-{codec}-{step}.parquet")
            subprocess.run([tool, path, str(rows), str(per_group), str(codec), str(step)], check=True, stdout=subprocess.DEVNULL)
            table = pq.ParquetFile(path).read()
            bad += check_values(table, rows, step) if rows else table.num_rows != 0
            bad += check_statistics(path, rows, per_group) + check_duckdb(path, rows)
            n += 1
    print(f"{n} files written and read by pyarrow and DuckDB, {bad} failures")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
