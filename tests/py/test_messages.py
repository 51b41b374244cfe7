#!/usr/bin/env python3
"""Errors whose text a frontend shows to its user: those of the peer, word for word (the region ids in them, too)."""
import sys

import grpc

import test_metric
from harness import FIELD, FLOAT64, HANDLE, INT64, STRING, TAG, TIME, TS_MS, UINT32, UINT64, Server, blob, create_region, insert, num, rows

COLUMNS = [('k', INT64, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
passed = failed = 0


def says(call, request, text, code='1004'):
    global passed, failed
    try:
        call(request, timeout=300)
        got = (None, 'no error')
    except grpc.RpcError as e:
        got = (dict(e.trailing_metadata()).get('x-greptime-err-code'), e.details())
    good = got == (code, text)
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f'FAILED: {got} instead of {(code, text)}')


def alter_option(region, key, value):
    return blob(1, b'') + blob(9, num(1, region) + blob(6, blob(1, blob(1, key) + blob(2, value))))


def metric(region, columns, options):
    body = num(1, region) + blob(2, 'metric')
    for i, (name, datatype, semantic, *own_id) in enumerate(columns):
        nullable = num(3, 1) if semantic != TIME and not own_id else b''
        body += blob(3, blob(1, blob(1, name) + num(2, datatype) + nullable + num(5, semantic)) + num(2, own_id[0] if own_id else i))
    body += b''.join(num(4, c[3] if len(c) > 3 else i) for i, c in enumerate(columns) if c[2] == TAG) + blob(5, 'greptime/public')
    return blob(1, b'') + blob(5, body + b''.join(blob(6, blob(1, k) + blob(2, v)) for k, v in options))


def mito(call):
    region = 1024 << 32
    call(create_region(region, COLUMNS, [('append_mode', 'true')]), timeout=300)
    name = f'{region}(1024, 0)'
    says(call, blob(1, b'') + blob(4, blob(1, num(1, region) + blob(2, rows(COLUMNS[:2], [(1, 1)])))),
         f'Invalid request to region {name}, reason: DELETE is not allowed under append mode')
    says(call, insert(region, COLUMNS, [(1, None, 1)]), f'Invalid request to region {name}, reason: column ts is not null but input has null')
    says(call, alter_option(region, 'append_mode', 'false'), f'Invalid region request, region_id: {name}, err: Only allow changing append_mode from false to true')
    says(call, create_region(1025 << 32, COLUMNS, [('append_mode', 'true'), ('merge_mode', 'last_non_null')]),
         'Invalid region options, merge_mode is not allowed when append_mode is enabled')
    says(call, create_region(1025 << 32, COLUMNS, [('storage', 'S3')]), 'Object store not found: S3')
    says(call, create_region(1025 << 32, COLUMNS, [('wal_options', '{"wal.provider":"kafka","wal.kafka.topic":"t"}')]),
         'Incompatible WAL provider change. This is typically caused by changing WAL provider in database config file without completely cleaning existing files. '
         'Global provider: `raft_engine`, region provider: `kafka`')
    call(create_region(1026 << 32, COLUMNS, [('storage', 'File')]), timeout=300)


def metric_tables(call):
    region = 1100 << 32
    logical = [('on_physical_table', str(region))]
    columns = [('ts', TS_MS, TIME), ('val', FLOAT64, FIELD), ('host', STRING, TAG)]
    call(blob(1, b'') + blob(5, test_metric.create(region, [])), timeout=300)
    call(metric(1101 << 32, columns, logical), timeout=300)
    name = f'{region}(1100, 0)'
    says(call, blob(1, b'') + blob(6, num(1, region)), f'Physical region {name} is busy, there are still some logical regions using it')
    says(call, metric(1102 << 32, columns[:2] + [('host', FLOAT64, TAG)], logical),
         'Column type mismatch. Expect String(StringType { size_type: Utf8 }), got Float64(Float64Type)')
    says(call, metric(1102 << 32, [columns[0], ('val', STRING, FIELD), columns[2]], logical),
         'Column type mismatch. Expect Float64(Float64Type), got String(StringType { size_type: Utf8 })')
    says(call, metric(1102 << 32, [columns[0], ('valval', FLOAT64, FIELD), columns[2]], logical), 'Adding field column valval to physical table')
    says(call, metric(1102 << 32, [('ts', 17, TIME)] + columns[1:], logical), # microseconds
         'Unexpected request: Metric has differenttime unit (Microsecond) than the physical region (Millisecond)')
    # a repartition creates physical regions with the columns that the first ones have by themselves
    table_id, tsid, physical = ('__table_id', UINT32, TAG, 0x80000004), ('__tsid', UINT64, TAG, 0x80000003), [('physical_metric_table', '')]
    says(call, metric(1150 << 32, columns + [('__table_id', UINT32, TAG), tsid], physical), 'Internal column __table_id is reserved')
    says(call, metric(1150 << 32, columns + [table_id, ('__tsid', INT64, TAG, 0x80000003)], physical), 'Internal column __tsid is reserved')
    call(metric(1150 << 32, columns + [table_id, tsid], physical), timeout=300)
    call(metric(1151 << 32, columns, [('on_physical_table', str(1150 << 32))]), timeout=300)
    call(test_metric.insert([(1151 << 32, [(1, 1.0, {'host': 'a'})])]), timeout=300)
    says(call, metric(1200 << 32, columns[:2], [('physical_metric_table', ''), ('index.type', 'hihi')]), 'Failed to parse region options: Invalid index type: hihi')
    body = blob(1, blob(1, 'val') + num(2, FLOAT64) + num(3, FIELD)) + blob(1, blob(1, 'host') + num(2, STRING)) + blob(2, blob(1, test_metric.double(1.0)) + blob(1, blob(13, 'h')))
    says(call, blob(1, b'') + blob(3, blob(1, num(1, 1101 << 32) + blob(2, body))),
         f'Invalid request for region {1101 << 32}(1101, 0), reason: missing required time index column ts')


def main():
    server = Server()
    call = server.channel().unary_unary(HANDLE)
    mito(call)
    metric_tables(call)
    server.remove()
    print(f'{passed} messages, {failed} failed')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
