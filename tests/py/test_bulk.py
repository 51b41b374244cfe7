#!/usr/bin/env python3
"""Bulk inserts (Arrow record batches) through the server: every compression, dictionary-free strings, nulls, missing and unknown columns, hostile bytes;
kill -9 afterwards. Every answer is held against what was sent."""
import random

import grpc
import pyarrow as pa

from harness import (FIELD, FLOAT64, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, bulk_insert, create_region, flush_request, num, scan_all)

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD), ('f', FLOAT64, FIELD)]
SCHEMA = pa.schema([('host', pa.string()), ('ts', pa.timestamp('ms')), ('v', pa.int64()), ('f', pa.float64())])
REGION, APPEND = 2000 << 32, 2001 << 32


def affected(reply):
    """RegionResponse.affected_rows = 2."""
    return reply[reply.index(b'\x10') + 1] if b'\x10' in reply else 0


def contents(server, region):
    return sorted(map(repr, scan_all(server.channel(), region, COLUMNS).to_pylist()))


def main():
    rng = random.Random(7)
    server = Server()
    call = server.channel().unary_unary(HANDLE)
    call(create_region(REGION, COLUMNS))
    call(create_region(APPEND, COLUMNS, [('append_mode', 'true')]))
    newest, all_rows = {}, []
    for step, compression in enumerate([None, 'lz4', 'zstd'] * 8):
        n = rng.choice([1, 7, 100])
        rows = [{'host': rng.choice(['a', 'bb', 'ü€', '', None]), 'ts': rng.randrange(50), 'v': rng.choice([None, step * 1000 + i]),
                 'f': rng.choice([None, float('inf'), -0.0, 1.5])} for i in range(n)]
        batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
        if step == 5:
            batch = batch.slice(1, max(0, n - 2)) # offsets that do not begin at 0
            rows = rows[1:1 + max(0, n - 2)]
        for region in (REGION, APPEND):
            reply = call(bulk_insert(region, batch, compression))
            assert len(rows) > 127 or affected(reply) == len(rows), reply
        all_rows += rows
        newest.update({(r['host'], r['ts']): r for r in rows})
        if step % 7 == 6:
            call(flush_request(REGION))

    def expect():
        table = pa.Table.from_pylist(list(newest.values()), SCHEMA)
        a, b = contents(server, REGION), sorted(map(repr, table.to_pylist()))
        assert a == b
        assert contents(server, APPEND) == sorted(map(repr, pa.Table.from_pylist(all_rows, SCHEMA).to_pylist()))

    expect()
    server.restart()
    expect()
    call = server.channel().unary_unary(HANDLE)
    print(f'{len(all_rows)} rows, before and after kill -9: ok')

    # A column left out is filled with its default (null); the order of columns does not matter.
    part = pa.RecordBatch.from_pylist([{'v': 5, 'ts': 1000, 'host': 'part'}], pa.schema([('v', pa.int64()), ('ts', pa.timestamp('ms')), ('host', pa.string())]))
    call(bulk_insert(REGION, part))
    row = {'host': 'part', 'ts': 1000, 'v': 5, 'f': None}
    newest['part', 1000] = row
    all_rows.append(row)
    call(bulk_insert(APPEND, part))
    expect()
    assert affected(call(blob(1, b'') + blob(16, num(1, REGION)))) == 0 # no body
    empty = pa.RecordBatch.from_pylist([], SCHEMA)
    assert affected(call(bulk_insert(REGION, empty))) == 0
    print('missing columns, empty batches: ok')

    def refused(body, why):
        try:
            call(body, timeout=300)
        except grpc.RpcError as e:
            code = dict(e.trailing_metadata()).get('x-greptime-err-code')
            assert code == '1004', (why, code, e.details())
            return
        raise AssertionError(f'{why} was accepted')

    refused(bulk_insert(REGION, pa.RecordBatch.from_pylist([{'host': 'x', 'v': 1}], pa.schema([('host', pa.string()), ('v', pa.int64())]))), 'no time index')
    refused(bulk_insert(REGION, pa.RecordBatch.from_pylist([{'ts': 1, 'v': 'x'}], pa.schema([('ts', pa.timestamp('ms')), ('v', pa.string())]))), 'wrong type')
    refused(bulk_insert(REGION, pa.RecordBatch.from_pylist([{'ts': None, 'v': 1}], pa.schema([('ts', pa.timestamp('ms')), ('v', pa.int64())]))), 'null time')
    good = bulk_insert(REGION, pa.RecordBatch.from_pylist([{'host': 'x', 'ts': 1}] * 50, SCHEMA))
    for i in range(300): # hostile bytes: an answer, whichever, and a server that lives
        bad = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            bad[rng.randrange(8, len(bad))] = rng.randrange(256)
        try:
            call(bytes(bad[:rng.choice([len(bad), rng.randrange(8, len(bad))])]), timeout=300)
        except grpc.RpcError as e:
            assert e.code() != grpc.StatusCode.UNAVAILABLE, e.details()
    assert server.process.poll() is None
    print('refusals and hostile bytes: ok')


if __name__ == '__main__':
    main()
