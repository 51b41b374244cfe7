#!/usr/bin/env python3
"""PromQL's plans through the server: an instant and a rate query, a range vector as the result in the peer's layout, snapshots of the memtable, and the
numbers of EXPLAIN ANALYZE."""
import json
import struct

import grpc
import pyarrow as pa

from differential.engine import flight_table
from harness import DO_GET, FIELD, FLOAT64, HANDLE, STRING, TAG, TIME, TS_MS, Server, blob, bulk_insert, create_region, flush_request, message, num

REGION = 2100 << 32
COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', FLOAT64, FIELD)]
HOST, TS, V, TS_RANGE = 0, 1, 2, 3
FUNCTIONS = ['prom_rate']


def field(i):
    return blob(2, blob(1, blob(2, num(1, i) if i else b'')) + blob(4, b''))


def read():
    types = [blob(12, num(2, 1)), blob(33, num(1, 3) + num(3, 2)), blob(11, num(2, 1))]
    schema = b''.join(blob(1, n) for n, _, _ in COLUMNS) + blob(2, b''.join(blob(1, t) for t in types))
    return blob(1, blob(2, schema) + blob(7, blob(1, 't')))


def sort(rel, *columns):
    return blob(5, blob(2, rel) + b''.join(blob(3, blob(1, field(c)) + num(2, 1)) for c in columns))


def extension(name, payload, rel):
    return blob(9, blob(2, rel) + blob(3, blob(1, name) + blob(2, payload)))


def series():
    return extension('SeriesDivide', blob(3, bytes([HOST])) + num(4, TS), sort(read(), HOST, TS))


def grid(start, end, interval, span):
    return num(1, start) + num(2, end) + num(3, interval) + num(4, span)


def ranges(start, end, interval, span):
    return extension('RangeManipulate', grid(start, end, interval, span) + num(7, TS) + blob(8, bytes([V])), series())


def rate(window):
    arguments = [field(TS_RANGE), field(V), field(TS), blob(1, num(7, window))]
    call = blob(3, b''.join(blob(4, blob(3, a)) for a in arguments))  # function anchor 0
    return blob(7, blob(1, blob(2, blob(1, bytes([4, 5, 6])))) + blob(2, ranges(0, 100000, 10000, window)) + b''.join(blob(3, e) for e in (field(HOST), field(TS), call)))


def plan(rel, names):
    functions = b''.join(blob(2, blob(3, (num(2, i) if i else b'') + blob(3, f))) for i, f in enumerate(FUNCTIONS))
    return functions + blob(3, blob(2, blob(1, rel) + b''.join(blob(2, n) for n in names)))


def query(server, rel, names, context=b''):
    ticket = blob(1, blob(1, blob(6, context)) + num(2, REGION) + blob(3, plan(rel, names)))
    return list(server.channel().unary_stream(DO_GET)(ticket, timeout=300))


def kinds(messages):
    """Header types of the messages: 0 metadata only, 1 schema, 2 dictionary, 3 record batch."""
    out = []
    for data in messages:
        header = message(data).get(2, b'')
        root = struct.unpack_from('<I', header)[0]
        vtable = root - struct.unpack_from('<i', header, root)[0]
        slot = struct.unpack_from('<H', header, vtable + 6)[0] if struct.unpack_from('<H', header, vtable)[0] > 6 else 0
        out.append(header[root + slot] if slot else 0)
    return out


def metrics(data):
    return json.loads(message(message(message(data)[3])[2])[1])


def rows(messages):
    columns = [c.cast('int64') if 'timestamp' in str(c.type) else c for c in flight_table(messages).columns]
    return sorted(zip(*(c.to_pylist() for c in columns)), key=repr)


def main():
    server = Server()
    call = server.channel().unary_unary(HANDLE)
    call(create_region(REGION, COLUMNS))
    samples = [(h, t * 1000, float(t * (1 if h == 'a' else 3))) for h in ('a', 'b') for t in range(0, 101, 5)]
    for part in (samples[::2], samples[1::2]):
        columns = [pa.array(c, t) for c, t in zip(zip(*part), (pa.string(), pa.timestamp('ms'), pa.float64()))]
        call(bulk_insert(REGION, pa.record_batch(columns, [n for n, _, _ in COLUMNS])))
        if part == samples[::2]:
            call(flush_request(REGION))

    instant = extension('InstantManipulate', grid(0, 20000, 10000, 7000) + num(7, TS) + num(8, V), series())
    got = rows(query(server, instant, ['host', 'ts', 'v']))
    assert got == sorted(((h, t * 1000, float(t * f)) for h, f in (('a', 1), ('b', 3)) for t in (0, 10, 20)), key=repr), got

    got = rows(query(server, rate(20000), ['host', 'ts', 'rate']))
    assert [r for r in got if r[1] == 50000] == [('a', 50000, 1.0), ('b', 50000, 3.0)], got
    print('instant and rate: ok')

    answer = query(server, ranges(20000, 40000, 10000, 10000), ['host', 'ts', 'v', 'ts_range'])
    table = flight_table(answer)
    assert str(table.schema.field('v').type).startswith('dictionary<values=double, indices=int64'), table.schema
    assert str(table.schema.field('ts_range').type).startswith('dictionary<values=timestamp[ms], indices=int64'), table.schema
    sent = kinds(answer)
    assert sent[0] == 1 and sent[1:3] == [2, 2] and sent.count(3) >= 1 and sent[-1] == 0, sent
    windows = []
    for chunk in table.column('v').chunks:
        for key in chunk.indices.to_pylist():
            offset, length = key & 0xffffffff, key >> 32
            windows.append(chunk.dictionary.slice(offset, length).to_pylist())
    assert windows[:2] == [[15.0, 20.0], [25.0, 30.0]] and len(windows) == 6, windows
    answer = query(server, ranges(500000, 600000, 10000, 10000), ['host', 'ts', 'v', 'ts_range'])
    assert kinds(answer) == [1, 0]
    print('range vectors as a result: ok')

    texts = [m['plan'].split(':')[0] for m in metrics(answer[-1])['plan_metrics']]
    assert texts == ['PromRangeManipulateExec', 'PromSeriesDivideExec', 'SortExec', 'SeqScan'] or texts[0].startswith('ProjectionExec'), texts
    verbose = query(server, instant, ['host', 'ts', 'v'], blob(8, num(1, 1)))
    sent = kinds(verbose)
    assert sent == [1] + [3, 0] * sent.count(3) + [0], sent  # numbers behind every batch and at the end
    scanned = metrics(verbose[-1])
    assert set(scanned) == {'elapsed_compute', 'memory_usage', 'plan_metrics'} and scanned['memory_usage'] > 0
    assert [m['level'] for m in scanned['plan_metrics']] == list(range(len(scanned['plan_metrics'])))
    assert any(['num_series', 2] in m['metrics'] for m in scanned['plan_metrics'])
    print('metrics: ok')

    # Memtable rows above the snapshot's sequence are not read; those of SSTs are.
    entry = lambda sequence: blob(7, blob(7, num(1, REGION) + num(2, sequence)))
    everything, nothing = rows(query(server, read(), ['host', 'ts', 'v'], entry(10 ** 6))), rows(query(server, read(), ['host', 'ts', 'v'], entry(0)))
    assert len(everything) == len(samples) and len(nothing) == len(samples[::2]), (len(everything), len(nothing))
    skipped = rows(query(server, read(), ['host', 'ts', 'v'], blob(7, blob(1, num(1, REGION) + num(2, 10 ** 6)))))
    assert len(skipped) == len(samples[1::2]), len(skipped)
    print('snapshots: ok')

    for bad, text in ((extension('EmptyMetric', b'', read()), 'EmptyMetric'), (extension('RangeManipulate', num(3, 0), read()), 'interval'),
                      (extension('SeriesDivide', b'\xff', read()), 'SeriesDivide')):
        try:
            query(server, bad, ['host', 'ts', 'v'])
            raise AssertionError(text)
        except grpc.RpcError as e:
            assert text in e.details(), e.details()
    print('bad nodes: ok')


if __name__ == '__main__':
    main()
