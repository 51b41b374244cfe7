#!/usr/bin/env python3
"""The file engine: external tables over CSV, JSON and Parquet files, plain and compressed. What pyarrow wrote must come back, fitted to the region's columns;
what is refused is refused with the peer's status; the manifest alone brings a region back."""
import bz2
import gzip
import json
import lzma
import os
import shutil
import subprocess
import tempfile
import urllib.request

import grpc
import pyarrow as pa
import pyarrow.parquet
import zstandard

from harness import BUILD, FIELD, FLOAT64, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, flush_request, insert, num, scan_all

COMPRESS = {'': lambda b: b, 'gzip': lambda b: gzip.compress(b[:len(b) // 2]) + gzip.compress(b[len(b) // 2:]), 'bz2': bz2.compress, 'xz': lzma.compress,
            'zst': zstandard.compress}
TYPES = {STRING: {'String': {'size_type': 'Utf8'}}, INT64: {'Int64': {}}, FLOAT64: {'Float64': {}}, TS_MS: {'Timestamp': {'Millisecond': None}}}
COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD), ('f', FLOAT64, FIELD)]


def column_schema(name, datatype):
    return {'name': name, 'data_type': TYPES[datatype], 'is_nullable': True, 'is_time_index': False, 'default_constraint': None, 'metadata': {}}


def create(region, columns, options, defaults={}):
    body = num(1, region) + blob(2, 'file')
    for i, (name, datatype, semantic) in enumerate(columns):
        definition = blob(1, name) + num(2, datatype) + (num(3, 1) if semantic != TIME else b'') + num(5, semantic)
        if name in defaults:
            definition += blob(4, json.dumps(defaults[name]))
        body += blob(3, blob(1, definition) + num(2, i))
    body += b''.join(num(4, i) for i, c in enumerate(columns) if c[2] == TAG)
    body += blob(5, 'greptime/public') + b''.join(blob(6, blob(1, k) + blob(2, v)) for k, v in options.items())
    return blob(1, b'') + blob(5, body)


def options(folder, files, columns, **more):
    meta = json.dumps({'files': files, 'file_column_schemas': [column_schema(n, t) for n, t in columns]})
    return {'location': folder + '/', '__private.file_table_meta': meta, **more}


def refused(code, call, *args):
    try:
        call(*args)
    except grpc.RpcError as e:
        assert dict(e.trailing_metadata())['x-greptime-err-code'] == str(code), e
        return
    raise AssertionError('not refused')


def rows(server, region, columns=COLUMNS):
    t = scan_all(server.channel(), region, columns)
    return [tuple(r.values()) for r in t.cast(pa.schema([(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in t.schema])).to_pylist()]


def main():
    server, data = Server(), tempfile.mkdtemp(prefix='regiond-files-')
    call = server.channel().unary_unary(HANDLE)
    table = [('a,"b"\n', 1700000000000, 1, 1.5), (None, 0, -5, None), ('ü', 86400000, None, -0.25)] + [(f'h{i % 7}', i, i, i / 4) for i in range(20000)]
    text = lambda v: '' if v is None else '"' + v.replace('"', '""') + '"' if isinstance(v, str) else repr(v)
    stamp = lambda ms: f'1970-01-01T00:00:{ms / 1000:06.3f}' if ms < 60000 else {1700000000000: '2023-11-14 22:13:20', 86400000: '1970-01-02T00:00:00Z'}[ms]
    csv = 'when;host;v;f\r\n' + ''.join(f'{stamp(ts)};{text(h)};{text(v)};{text(f)}\r\n' for h, ts, v, f in table)
    ndjson = ''.join(json.dumps({'host': h, 'extra': [1], 'v': v, **({} if f is None else {'f': f}), 'ts': stamp(ts)}) + '\n' for h, ts, v, f in table)
    in_file = [('ts', TS_MS), ('host', STRING), ('v', INT64), ('f', FLOAT64)]
    region = 3000 << 32
    made = {}
    for kind, content in (('csv', csv), ('json', ndjson)):
        for compression, pack in COMPRESS.items():
            name = f'{kind}-{compression}'
            with open(os.path.join(data, name), 'wb') as f:
                f.write(pack(content.encode()))
            region += 1 << 32
            call(create(region, COLUMNS, options(data, [name], in_file, format=kind.upper(), compression_type=compression, delimiter='59')))
            made[region] = table
    arrow = pa.table({'v': pa.array([r[2] for r in table], pa.int32()), 'host': [r[0] for r in table], 'ts': pa.array([r[1] for r in table], pa.timestamp('us')),
                      'f': [r[3] for r in table]})
    pa.parquet.write_table(arrow.slice(0, 9000), os.path.join(data, 'p1'), row_group_size=4000)
    pa.parquet.write_table(arrow.slice(9000).drop(['f']), os.path.join(data, 'p2'))
    region += 1 << 32
    call(create(region, COLUMNS, options(data, ['p1', 'p2'], in_file)))
    made[region] = [r if i < 9000 else (*r[:3], None) for i, r in enumerate(table)]
    made[region] = [(h, ts // 1000, v, f) for h, ts, v, f in made[region]] # the numbers were written as microseconds

    def check():
        for r, want in made.items():
            got = rows(server, r)
            assert got == want, (r >> 32, next((g, w) for g, w in zip(got, want) if g != w) if len(got) == len(want) else len(got))
    check()
    print(f'{len(made)} tables of {len(table)} rows: equal')

    # A column that no file has: its default, null, or refused.
    other = COLUMNS + [('extra', INT64, FIELD)]
    region += 1 << 32
    call(create(region, other, options(data, ['csv-'], in_file, format='csv', delimiter='59'), {'extra': {'Value': {'Int64': 7}}}))
    assert rows(server, region, other)[:2] == [(*table[0], 7), (*table[1], 7)]
    with_default = region

    # Filters are exact, limits span files.
    ctl = [os.path.join(BUILD, 'regionctl'), '--addr', server.addr, '--http', server.http, 'scan', str(with_default), '--format', 'json']
    out = subprocess.run([*ctl, '--filter', 'v >= 19998'], capture_output=True, text=True, check=True).stdout.strip().splitlines()
    assert len(out) == 2, out
    out = subprocess.run([*ctl, '--limit', '8500'], capture_output=True, text=True, check=True).stdout.strip().splitlines()
    assert len(out) == 8500, len(out)

    # What is refused.
    some = next(iter(made))
    call(create(some, COLUMNS, {})) # open: a no-op whatever it says
    refused(1004, call, insert(some, COLUMNS[:3], [('x', 1, 2)]))
    refused(1004, call, flush_request(some))
    refused(1004, call, create(9000 << 32, COLUMNS, {'location': data + '/'}))
    refused(1004, call, create(9000 << 32, COLUMNS, options(data, ['x'], in_file, format='docx')))
    refused(1004, call, create(9000 << 32, COLUMNS, options(data, ['../x'], in_file)))
    refused(1004, call, create(9000 << 32, COLUMNS, {**options(data, ['x'], in_file), 'location': 'file://' + data}))
    for bad, content in (('wrong count', '1970-01-01T00:00:00;a;1\n'), ('no number', '1970-01-01T00:00:00;a;x;1\n'), ('open quote', '1970-01-01T00:00:00;"a;1;1\n')):
        region += 1 << 32
        with open(os.path.join(data, bad), 'w') as f:
            f.write('h\n' if bad == 'never' else 'a;b;c;d\n' + content)
        call(create(region, COLUMNS, options(data, [bad], in_file, format='csv', delimiter='59')))
        refused(3001, rows, server, region)
    region += 1 << 32
    call(create(region, COLUMNS, options(data, ['nothing'], in_file)))
    refused(3001, rows, server, region)

    # The manifest is what is left.
    server.restart()
    call = server.channel().unary_unary(HANDLE)
    check()
    call(blob(1, b'') + blob(8, num(1, some)))                       # close
    refused(1002, call, create(some, COLUMNS, options(data, ['csv-'], in_file)))
    call(blob(1, b'') + blob(7, num(1, some) + blob(2, 'file') + blob(3, 'greptime/public'))) # open without options
    check()
    call(blob(1, b'') + blob(6, num(1, some)))                       # drop
    del made[some]
    server.restart()
    check()
    refused(4005, rows, server, some)
    assert os.path.exists(os.path.join(data, 'csv-'))
    states = {r['id']: r for r in json.load(urllib.request.urlopen(f'http://{server.http}/status'))['regions']}
    assert all(states[r]['engine'] == 'file' and states[r]['role'] == 'leader' for r in made)
    server.remove()
    shutil.rmtree(data)
    print('defaults, filters, refusals, restarts: ok')


if __name__ == '__main__':
    main()
