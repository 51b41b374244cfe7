"""Schemas and batches both ways, streams in and files out, against pyarrow and arrow-testing. Usage: test_ipc.py [path of arrow_ipc_tool]"""
import os
import pathlib
import struct
import subprocess
import sys

import pyarrow as pa

root = pathlib.Path(__file__).resolve().parents[2]
shared = pathlib.Path(os.environ.get("REGIOND_SHARED") or root.parent / "shared")
tool = sys.argv[1] if len(sys.argv) > 1 else str(root / "build/release/tests/arrow_ipc_tool")


def pieces(data):
    at, out = 0, []
    while at < len(data):
        n = struct.unpack_from("<I", data, at)[0]
        out.append(data[at + 4:at + 4 + n])
        at += 4 + n
    return out


def framed(header, body=b""):
    header += bytes(-len(header) % 8)
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(header)) + header + body


def expected(rows, start, schema):
    text = [("a longer value, number %d" if i % 3 == 0 else "v%d") % i for i in range(rows)]
    made = [list(range(rows)), [i % 2 == 0 for i in range(rows)], text, text, text, list(range(rows)),
            [[i] * (i % 4) for i in range(rows)], [[i] * (i % 4) for i in range(rows)], [None] * rows]
    arrays = [pa.array([None if i % 5 == 4 else v for i, v in enumerate(values)][start:], f.type) for values, f in zip(made, schema)]
    return pa.record_batch(arrays, schema=schema)


checks = 0
for how in ("none", "lz4", "zstd"):
    for rows, start in ((0, 0), (1, 0), (7, 7), (100, 0), (100, 13), (20000, 0), (20000, 4099)):
        out = subprocess.run([tool, "encode", how, str(rows), str(start)], capture_output=True, check=True).stdout
        header, batch_header, body = pieces(out)
        assert len(batch_header) % 8 == 0 and len(body) % 64 == 0
        table = pa.ipc.open_stream(framed(header) + framed(batch_header, body)).read_all()
        table.validate(full=True)
        assert table.schema.metadata == {b"greptime:version": b"0"}
        assert table.num_rows == rows - start
        want = pa.Table.from_batches([expected(rows, start, table.schema)])
        assert table.equals(want), (how, rows, start)
        checks += 1

i = pa.field("item", pa.int32())
types = [pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.string_view(),
         pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(7), pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"),
         pa.time64("ns"), pa.duration("s"), pa.duration("ns"), pa.timestamp("s"), pa.timestamp("us", "Europe/Paris"), pa.month_day_nano_interval(),
         pa.decimal128(38, -3), pa.decimal256(76, 9), pa.list_(i), pa.large_list(i), pa.list_(i, 3), pa.struct([i, pa.field("n", pa.string(), False)]),
         pa.map_(pa.string(), pa.int64()), pa.dictionary(pa.int64(), pa.float64()), pa.list_(pa.dictionary(pa.uint8(), pa.string()))]
schema = pa.schema([pa.field(f"f{n}", t, n % 2 == 0, {"k": str(n)}) for n, t in enumerate(types)], {"a": "b"})
message = schema.serialize().to_pybytes()[8:]
back = subprocess.run([tool, "schema"], input=message, capture_output=True, check=True).stdout
assert pa.ipc.read_schema(pa.py_buffer(framed(back))).equals(schema, check_metadata=True)
for cut in range(0, len(message), 5):
    assert subprocess.run([tool, "schema"], input=message[:cut], capture_output=True).returncode == 1, cut
print(f"{checks} batches, {len(types)} types, {len(range(0, len(message), 5))} truncated schemas: good")


def same(got, want):
    if got.type.equals(want.type):
        return got.equals(want)
    return repr(got.to_pylist()) == repr(want.to_pylist())


def through(stream, how, name):
    """A stream decoded by us, written as a file by us, read by pyarrow, must be what pyarrow reads in the stream itself."""
    want = pa.ipc.open_stream(stream).read_all()
    out = subprocess.run([tool, "file", how], input=stream, capture_output=True)
    assert out.returncode == 0, (name, out.stderr)
    got = pa.ipc.open_file(pa.BufferReader(out.stdout)).read_all()
    try:
        want.validate(full=True)
    except pa.ArrowInvalid:  # some test files hold date64 values that are no whole days
        got.validate()
    else:
        got.validate(full=True)
    assert got.num_rows == want.num_rows and got.schema.names == want.schema.names, name
    for n in range(want.num_columns):
        assert same(got.column(n), want.column(n)), (name, want.schema.field(n))


def sample(t, rows):
    """Values of a type, with nulls, by way of the types that pyarrow builds from Python."""
    if pa.types.is_dictionary(t):
        keys = pa.array([None if i % 7 == 6 else i % 5 for i in range(rows)], t.index_type)
        return pa.DictionaryArray.from_arrays(keys, sample(t.value_type, 9))
    if pa.types.is_struct(t):
        return pa.StructArray.from_arrays([sample(f.type, rows) for f in t], fields=list(t), mask=pa.array([i % 11 == 10 for i in range(rows)], pa.bool_()))
    if pa.types.is_map(t):
        return pa.array([None if i % 6 == 5 else [(f"k{j}", j * i) for j in range(i % 3)] for i in range(rows)], t)
    if pa.types.is_fixed_size_list(t):
        return pa.FixedSizeListArray.from_arrays(sample(t.value_type, rows * t.list_size), type=t)
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        offsets, kind = pa.array([i * 2 for i in range(rows + 1)]), pa.ListArray if pa.types.is_list(t) else pa.LargeListArray
        return kind.from_arrays(offsets.cast(pa.int32() if pa.types.is_list(t) else pa.int64()), sample(t.value_type, rows * 2), type=t)
    if pa.types.is_fixed_size_binary(t):
        return pa.array([None if i % 4 == 3 else bytes([i % 251]) * t.byte_width for i in range(rows)], t)
    text = [None if i % 5 == 4 else f"é{i}" if i % 2 else f"a value that is not inline, {i}" for i in range(rows)]
    if t in (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()):
        return pa.array(text, pa.string()).cast(pa.string() if "string" in str(t) else pa.binary()).cast(t)
    if pa.types.is_null(t) or t == pa.month_day_nano_interval():
        return pa.array([None if i % 5 == 4 or pa.types.is_null(t) else (i, i, i) for i in range(rows)], t)
    ints = pa.array([None if i % 5 == 4 else i % 100 for i in range(rows)], pa.int64())
    if pa.types.is_decimal(t):
        return pa.nulls(rows, t) if t.scale < 0 else ints.cast(pa.decimal256(50, 0)).cast(t)
    if pa.types.is_date64(t):
        return ints.cast(pa.int32()).cast(pa.date32()).cast(t)
    if pa.types.is_temporal(t):
        return ints.cast(pa.int32() if t.bit_width == 32 else pa.int64()).cast(t)
    return ints.cast(pa.float32()).cast(t) if pa.types.is_floating(t) else ints.cast(t)


streams = 0
for rows in (0, 1, 100, 3000):
    table = pa.table([sample(t, rows) for t in types], schema=pa.schema([pa.field(f"f{n}", t) for n, t in enumerate(types)]))
    for how, packed in (("none", None), ("lz4", "lz4"), ("zstd", "zstd")):
        for batch in table.slice(rows // 7).to_batches() or table.schema.empty_table().to_batches():
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=packed)) as w:
                w.write_batch(batch)
                w.write_batch(batch.slice(batch.num_rows // 3))
            through(sink.getvalue().to_pybytes(), how, f"pyarrow, {rows} rows")
            streams += 1

schema = pa.schema([pa.field("d", pa.dictionary(pa.int16(), pa.string()))])
sink = pa.BufferOutputStream()
with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as w:
    for words, keys in ((["a", "b"], [0, 1, None]), (["a", "b", None, "c"], [3, 2, 1, 0]), (["x"], [0, 0])):
        w.write_batch(pa.record_batch([pa.DictionaryArray.from_arrays(pa.array(keys, pa.int16()), pa.array(words, pa.string()))], schema=schema))
through(sink.getvalue().to_pybytes(), "none", "dictionary deltas")

refused = 0
for path in sorted((shared / "data/arrow-testing/data/arrow-ipc-stream/integration").glob("*/*.stream")):
    data = path.read_bytes()
    if any(word in path.name for word in ("decimal32", "decimal64", "list_view", "run_end", "union")):
        out = subprocess.run([tool, "file", "none"], input=data, capture_output=True)
        assert out.returncode == 1 and b"unsupported" in out.stderr.lower(), (path, out.stderr)
        refused += 1
        continue
    through(data, "zstd" if streams % 2 else "none", str(path))
    for cut in range(0, len(data), max(1, len(data) // 15)):
        assert subprocess.run([tool, "file", "none"], input=data[:cut], capture_output=True).returncode in (0, 1), (path, cut)
    streams += 1
print(f"{streams} streams decoded and written as files, {refused} of unsupported types refused: good")
