"""The folder that a real GreptimeDB datanode left behind, and what each of its tables must hold."""
import base64
import collections
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import pyarrow as pa
import pyarrow.ipc
import zstandard

import harness
from harness import HANDLE, blob, num

sys.path.insert(0, os.path.join(harness.SHARED, 'tools'))
from replay import fields  # noqa: E402

CTL = os.path.join(harness.BUILD, 'regionctl')
GROUP_METADATA = 1 << 24


def read_zst(path):
    return zstandard.ZstdDecompressor().stream_reader(open(path, 'rb')).read()


def jsonb(b):
    """The value that JSONB bytes hold (mito-on-disk.md 3.6)."""
    head = int.from_bytes(b[:4], 'big')
    n, kind = head & 0x1fffffff, head >> 29

    def scalar(entry, payload):
        t = entry >> 28 & 7
        if t == 5:
            return jsonb(payload)
        if t == 1:
            return payload.decode()
        if t == 2:
            tag, rest = payload[0] & 0xf0, payload[1:]
            if tag == 0x00:
                return 0
            if tag == 0x60:
                return struct.unpack('>d', rest)[0]
            return int.from_bytes(rest, 'big', signed=tag == 0x40)
        return {0: None, 3: False, 4: True}[t]
    count = 1 if kind == 1 else n * (2 if kind == 2 else 1)
    entries = [int.from_bytes(b[4 + 4 * i:8 + 4 * i], 'big') for i in range(count)]
    at, values = 4 + 4 * count, []
    for e in entries:
        size = e & 0x0fffffff
        values.append(scalar(e, b[at:at + size]))
        at += size
    if kind == 1:
        return values[0]
    return values if kind == 4 else dict(zip(values[:n], values[n:]))


class Golden:
    def __init__(self):
        self.folder = harness.need_shared('golden', 'takeover')
        self.tables = json.loads(read_zst(os.path.join(self.folder, 'tables.json.zst')))
        self.creates = []  # (region id, engine, path, [(key, value)])
        for line in read_zst(os.path.join(self.folder, 'ddl.jsonl.zst')).decode().splitlines()[1:]:
            request = fields(base64.b64decode(json.loads(line)['req']))
            for body in request[5] + [c for batch in request[13] for c in fields(batch)[1]]:
                f = fields(body)
                options = [(fields(o)[1][0].decode(), (fields(o)[2] or [b''])[0].decode()) for o in f[6]]
                self.creates.append((f[1][0], f[2][0].decode(), f[5][0].decode(), options))

    def copy(self, prefix='takeover-'):
        home = tempfile.mkdtemp(prefix=prefix)
        shutil.copytree(os.path.join(self.folder, 'data_home'), home, dirs_exist_ok=True)
        for root, _, names in os.walk(home):
            os.chmod(root, 0o755)
            for name in names:
                os.chmod(os.path.join(root, name), 0o644)
        return home

    def open_all(self, server, engines=('mito', 'metric')):
        """What a metasrv would send: an open request for every region, with its options."""
        handle = server.channel().unary_unary(HANDLE)
        for region, engine, path, options in self.creates:
            if engine in engines:
                body = num(1, region) + blob(2, engine) + blob(3, path) + b''.join(blob(4, blob(1, k) + blob(2, v)) for k, v in options)
                handle(blob(1, b'') + blob(7, body), timeout=300)

    def regions(self, name):
        table = self.tables[name]['table_id']
        return [r for r, *_ in self.creates if r >> 32 == table]

    def check(self, server, names=None):
        """Every table (or those named) holds what it should; returns the number of rows compared."""
        total = 0
        for name, table in self.tables.items():
            if names is not None and name not in names:
                continue
            got = pa.concat_tables([scan(server, r) for r in self.regions(name)])
            if name == 'g_big':
                got = got.group_by('host').aggregate([('host', 'count'), ('u', 'sum'), ('v', 'sum'), ('ts', 'min'), ('ts', 'max')])
                got = got.select(['host', 'host_count', 'u_sum', 'v_sum', 'ts_min', 'ts_max'])
            want = collections.Counter(map(repr, map(plain, table['records']['rows'])))
            have = collections.Counter(map(repr, table_rows(got, [c['data_type'] for c in table['records']['schema']['column_schemas']])))
            missing, extra = want - have, have - want
            assert not missing and not extra, f'{name}: {sum(missing.values())} rows are missing, {sum(extra.values())} too many; ' \
                f'wanted {list(missing)[:2]}, have {list(extra)[:2]}'
            total += sum(want.values())
        return total


def scan(server, region):
    out = subprocess.run([CTL, '--addr', server.addr, '--http', server.http, 'scan', str(region), '--format', 'arrow'], capture_output=True, timeout=300)
    assert out.returncode == 0, out.stderr
    return pa.ipc.open_stream(out.stdout).read_all()


def plain(v):
    if isinstance(v, float):
        return float(f'{v:.9g}') if math.isfinite(v) else str(v)
    if isinstance(v, dict):
        return {k: plain(x) for k, x in sorted(v.items())}
    return [plain(x) for x in v] if isinstance(v, (list, tuple)) else v


def table_rows(t, types):
    columns = []
    for column, kind in zip(t.columns, types):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        elif pa.types.is_date32(column.type):
            column = column.cast(pa.int32())
        elif pa.types.is_decimal(column.type):
            column = column.cast(pa.string())
        values = column.to_pylist()
        columns.append([None if v is None else jsonb(v) if kind == 'Json' else plain(v) for v in values])
    return [list(r) for r in zip(*map(lambda c: [plain(v) for v in c], columns))]
