"""Schema messages both ways and encoded batches against pyarrow. Usage: test_ipc.py <path of arrow_ipc_tool>"""
import struct
import subprocess
import sys

import pyarrow as pa

tool = sys.argv[1]


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
