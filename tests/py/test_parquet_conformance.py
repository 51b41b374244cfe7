"""Reads every Parquet file of apache/parquet-testing and every golden SST with our reader and with pyarrow, and compares all values.

usage: test_parquet_conformance.py CAT_TOOL [FILE...]     (shared data: $REGIOND_SHARED or ../shared beside the repository)
"""
import glob
import json
import os
import struct
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("REGIOND_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))

# Files on which the two readers may differ, and why.
DIFFER = {
    "incorrect_map_schema.parquet": ("ours only", "pyarrow insists that map keys are REQUIRED; we read OPTIONAL keys"),
    "large_string_map.brotli.parquet": ("neither", "more than 2 GiB of strings in one chunk: pyarrow has no chunked nested output, we refuse past int32"),
}
BOTH_FAIL = {"datapage_v1-corrupt-checksum.parquet", "rle-dict-uncompressed-corrupt-checksum.parquet"}


def canon(a):
    """A pyarrow array as the list of values that the tool would print."""
    t = a.type
    if isinstance(a, pa.ExtensionArray):
        return canon(a.storage)
    if pa.types.is_dictionary(t):
        return canon(a.dictionary_decode())
    if pa.types.is_struct(t):
        fields = [canon(a.field(i)) for i in range(t.num_fields)]
        return [[f[i] for f in fields] if v else None for i, v in enumerate(a.is_valid().to_pylist())]
    if pa.types.is_list(t) or pa.types.is_large_list(t) or pa.types.is_map(t):
        offsets = a.offsets.to_pylist()
        if pa.types.is_map(t):
            items = [list(x) for x in zip(canon(a.keys), canon(a.items))]
            base = offsets[0] if len(a.keys) != offsets[-1] else 0
        else:
            items, base = canon(a.values), 0
        return [items[offsets[i] - base:offsets[i + 1] - base] if v else None for i, v in enumerate(a.is_valid().to_pylist())]
    if pa.types.is_temporal(t) and not pa.types.is_interval(t):
        return a.view(pa.int32() if t.bit_width == 32 else pa.int64()).to_pylist()
    if pa.types.is_floating(t):
        code = {16: ("<e", "<H", "04x"), 32: ("<f", "<I", "08x"), 64: ("<d", "<Q", "016x")}[t.bit_width]
        return [None if v is None else "fnan" if v != v else "f" + format(struct.unpack(code[1], struct.pack(code[0], v))[0], code[2]) for v in a.to_pylist()]
    if pa.types.is_decimal(t):
        width = t.bit_width // 8 if t.bit_width >= 128 else 16
        unscaled = lambda v: int("".join(map(str, v.as_tuple().digits))) * (-1 if v.as_tuple().sign else 1) * 10 ** (v.as_tuple().exponent + t.scale)
        return [None if v is None else "d" + unscaled(v).to_bytes(width, "little", signed=True).hex() for v in a.to_pylist()]
    if pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t):
        a = a.cast(pa.binary())
    values = a.to_pylist()
    return [None if v is None else "x" + v.hex() if isinstance(v, bytes) else v for v in values]


def theirs(path):
    table = pq.ParquetFile(path, page_checksum_verification=True).read()
    columns = [[v for chunk in c.chunks for v in canon(chunk)] for c in table.columns]
    return table.schema.names, [list(row) for row in zip(*columns)] if columns else []


def ours(tool, path, *args):
    run = subprocess.run([tool, path, *args], capture_output=True)
    if run.returncode not in (0, 1):
        sys.exit(f"{path}: the tool died with {run.returncode}: {run.stderr.decode()[-3000:]}")
    if run.returncode:
        raise ValueError(run.stderr.decode().strip())
    lines = run.stdout.decode().splitlines()
    return [p.split(": ")[0] for p in lines[0].split("; ")], [json.loads(line) for line in lines[1:]]


def attempt(fn, *args):
    try:
        return fn(*args), None
    except Exception as e:
        return None, str(e).split("\n")[0]


def compare(tool, path):
    name = os.path.basename(path)
    (a, a_error), (b, b_error) = attempt(ours, tool, path), attempt(theirs, path)
    expected = DIFFER.get(name, ("neither" if name in BOTH_FAIL else "both", ""))[0]
    got = "both" if a and b else "ours only" if a else "theirs only" if b else "neither"
    if got != expected:
        return f"read by {got}, expected {expected}: ours: {a_error}, pyarrow: {b_error}"
    if got != "both":
        return None
    if len(a[1]) != len(b[1]):
        return f"{len(a[1])} rows, pyarrow {len(b[1])}"
    for i, (x, y) in enumerate(zip(a[1], b[1])):
        if x != y:
            k = next(k for k in range(len(y)) if x[k] != y[k])
            return f"row {i}, column {b[0][k]}: {str(x[k])[:200]}, pyarrow {str(y[k])[:200]}"
    # The same through dictionaries, and a few rows picked out of each row group.
    if ours(tool, path, "dict")[1] != a[1]:
        return "other values when read as dictionaries"
    meta = pq.ParquetFile(path).metadata
    if meta.num_row_groups == 1 and len(a[1]) > 3:
        n = len(a[1])
        ranges = [(0, 1), (n // 3, n // 3 + 2), (n - 1, n)] if n > 8 else [(1, 2), (n - 1, n)]
        picked = ours(tool, path, "rows=" + ",".join(f"{s}:{e}" for s, e in ranges))[1]
        if picked != [r for s, e in ranges for r in a[1][s:e]]:
            return "other values when rows are selected"
    return None


def main():
    tool, files = sys.argv[1], sys.argv[2:]
    if not files:
        data = os.path.join(SHARED, "data", "parquet-testing", "data")
        files = sorted(glob.glob(data + "/*.parquet") + glob.glob(data + "/geospatial/*.parquet"))
        files += sorted(glob.glob(os.path.join(SHARED, "golden", "takeover", "data_home", "data", "**", "*.parquet"), recursive=True))
        if not files:
            print("no files: the shared data is not there; nothing compared")
            return
    bad = 0
    for path in files:
        why = compare(tool, path)
        bad += why is not None
        if why:
            print(f"FAIL {os.path.basename(path)}: {why}")
    print(f"{len(files)} files compared, {bad} failed")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
