#!/usr/bin/env python3
"""The metric engine through the server: kill -9 while many logical tables are written (every acknowledged row is there), dropped tables stay dropped, requests
wait for a start that is still opening, and what 10,000 logical regions cost."""
import os
import random
import struct
import sys
import threading
import time

import grpc
import pyarrow as pa

from harness import FLOAT64, FIELD, HANDLE, STRING, TAG, TIME, TS_MS, Server, blob, bulk_insert, flush_request, num, scan_all, varint

PHYSICAL = 1024 << 32
TABLES = [(2000 + i) << 32 for i in range(20)]
CYCLES = int(os.environ.get('CRASH_CYCLES', '5'))
LABELS = ['host', 'job', 'zone']


def create(region, labels, physical=None):
    """The inside of a CreateRequest of the metric engine."""
    columns = [('ts', TS_MS, TIME), ('val', FLOAT64, FIELD)] + [(l, STRING, TAG) for l in labels]
    body = num(1, region) + blob(2, 'metric')
    for i, (name, datatype, semantic) in enumerate(columns):
        body += blob(3, blob(1, blob(1, name) + num(2, datatype) + (num(3, 1) if semantic != TIME else b'') + num(5, semantic)) + num(2, i))
    body += b''.join(num(4, i) for i, c in enumerate(columns) if c[2] == TAG) + blob(5, 'greptime/public')
    return body + blob(6, blob(1, 'on_physical_table') + blob(2, str(physical)) if physical else blob(1, 'physical_metric_table') + blob(2, ''))


def double(v):
    return varint(10 << 3 | 1) + struct.pack('<d', v)


def insert(writes):
    """One request: [(region, [(time, value, {label: text})])]."""
    out = b''
    for region, rows in writes:
        names = sorted({l for _, _, labels in rows for l in labels})
        body = blob(1, blob(1, 'ts') + num(2, TS_MS) + num(3, TIME)) + blob(1, blob(1, 'val') + num(2, FLOAT64) + num(3, FIELD))
        body += b''.join(blob(1, blob(1, n) + num(2, STRING)) for n in names)
        for t, value, labels in rows:
            cells = blob(1, num(17, t)) + blob(1, double(value)) + b''.join(blob(1, blob(13, labels[n]) if n in labels else b'') for n in names)
            body += blob(2, cells)
        out += blob(1, num(1, region) + blob(2, body))
    return blob(1, b'') + blob(3, out)


def rows_of(server, region):
    t = scan_all(server.channel(), region, [('ts', TS_MS, TIME), ('val', FLOAT64, FIELD)])
    return {(t_, v) for t_, v in zip(t['ts'].cast('int64').to_pylist(), t['val'].to_pylist())} if t.num_columns else set()


class Writer(threading.Thread):
    """Writes to random sets of tables until the server is gone; keeps what was acknowledged and what was in doubt."""

    def __init__(self, server, number, seed):
        super().__init__()
        self.server, self.number, self.rng = server, number, random.Random(seed)
        self.acked, self.doubt = {r: set() for r in TABLES}, {r: set() for r in TABLES}

    def run(self):
        channel = self.server.channel()
        handle, at = channel.unary_unary(HANDLE), self.rng.randrange(1 << 40) * 8 + self.number
        while True:
            writes = []
            for region in self.rng.sample(TABLES, self.rng.randrange(1, 8)):
                rows = []
                for _ in range(self.rng.randrange(1, 5)):
                    at += 8 # writers never share a time
                    rows.append((at, float(at % 1000), {l: f'v{self.rng.randrange(5)}' for l in LABELS if self.rng.random() < 0.7}))
                writes.append((region, rows))
            try:
                handle(insert(writes), timeout=300)
            except grpc.RpcError:
                for region, rows in writes:
                    self.doubt[region] |= {(t, v) for t, v, _ in rows}
                return
            for region, rows in writes:
                self.acked[region] |= {(t, v) for t, v, _ in rows}


def setup(server):
    handle = server.channel().unary_unary(HANDLE)
    handle(blob(1, b'') + blob(5, create(PHYSICAL, [])), timeout=300)
    batch = b''.join(blob(1, create(r, LABELS[:1 + i % 3], PHYSICAL)) for i, r in enumerate(TABLES))
    handle(blob(1, b'') + blob(13, batch), timeout=300)
    return handle


def killed_while_written():
    server = Server()
    setup(server)
    acked, doubt = {r: set() for r in TABLES}, {r: set() for r in TABLES}
    for cycle in range(CYCLES):
        writers = [Writer(server, i, cycle * 10 + i) for i in range(3)]
        for w in writers:
            w.start()
        time.sleep(0.3 + 0.2 * (cycle % 3))
        if cycle % 2:
            server.channel().unary_unary(HANDLE)(flush_request(PHYSICAL), timeout=300)
        server.kill()
        for w in writers:
            w.join()
            for r in TABLES:
                acked[r] |= w.acked[r]
                doubt[r] |= w.doubt[r]
        server.start()
        for r in TABLES: # the first request may come before the physical region is open
            have = rows_of(server, r)
            assert acked[r] <= have, f'cycle {cycle}: {len(acked[r] - have)} acknowledged rows of table {r >> 32} are gone'
            assert have <= acked[r] | doubt[r], f'cycle {cycle}: table {r >> 32} has {len(have - acked[r] - doubt[r])} rows that nobody sent'
    print(f'{CYCLES} kills: {sum(map(len, acked.values()))} acknowledged rows in {len(TABLES)} tables, all there')
    server.remove()


def dropped_stays_dropped():
    server = Server()
    handle = setup(server)
    write = insert([(r, [(1000, 1.0, {'host': 'a'})]) for r in TABLES])
    handle(write, timeout=300)
    handle(blob(1, b'') + blob(6, num(1, TABLES[0])), timeout=300)
    server.restart()
    handle = server.channel().unary_unary(HANDLE)
    try:
        handle(insert([(TABLES[0], [(1, 1.0, {'host': 'a'})])]), timeout=300)
        raise AssertionError('a dropped table takes writes after a restart')
    except grpc.RpcError as e:
        assert dict(e.trailing_metadata())['x-greptime-err-code'] == '4005', e
    assert rows_of(server, TABLES[1]) == {(1000, 1.0)}
    try:
        handle(blob(1, b'') + blob(6, num(1, PHYSICAL)), timeout=300)
        raise AssertionError('a physical region with logical ones was dropped')
    except grpc.RpcError as e:
        assert dict(e.trailing_metadata())['x-greptime-err-code'] == '1004', e
    server.restart() # the refused drop leaves nothing behind
    assert rows_of(server, TABLES[1]) == {(1000, 1.0)}
    server.channel().unary_unary(HANDLE)(blob(1, b'') + blob(6, num(1, PHYSICAL) + num(3, 1)), timeout=300)
    server.restart()
    try:
        rows_of(server, TABLES[1])
        raise AssertionError('a table of a dropped physical region is there again')
    except grpc.RpcError:
        pass
    server.remove()
    print('drops hold over restarts')


def sparse_key(table_id, tsid, labels):
    """labels: (column id, text) in name order, texts shorter than 8 bytes."""
    out = b'\x80\0\0\x04\x01' + table_id.to_bytes(4, 'big') + b'\x80\0\0\x03\x01' + tsid.to_bytes(8, 'big')
    for column, text in labels:
        out += column.to_bytes(4, 'big') + b'\x01\x01' + text.encode().ljust(8, b'\0') + bytes([len(text)])
    return out


def bulk():
    """Arrow batches into a logical region (labels apart) and into the physical one (whole keys): the same series."""
    server = Server()
    handle = setup(server)
    region = TABLES[2] # has host, job, zone
    batch = pa.RecordBatch.from_pydict({'zone': pa.array(['z', None, 'z']), 'ts': pa.array([1, 2, 3], pa.timestamp('ms')), 'val': [1.0, 2.0, None],
                                        'host': pa.array(['tag_0', 'tag_0', None])})
    handle(bulk_insert(region, batch, None))
    whole = pa.RecordBatch.from_pydict({'__primary_key': pa.array([sparse_key(region >> 32, 0x1122334455667788, [(2, 'h')])], pa.binary()),
                                        'ts': pa.array([4], pa.timestamp('ms')), 'val': [4.0]})
    handle(bulk_insert(PHYSICAL, whole, None))

    def check():
        t = scan_all(server.channel(), region, [('host', STRING, TAG), ('ts', TS_MS, TIME), ('val', FLOAT64, FIELD), ('zone', STRING, TAG)])
        got = sorted(zip(t['ts'].cast('int64').to_pylist(), t['val'].to_pylist(), t['host'].to_pylist(), t['zone'].to_pylist()))
        assert got == [(1, 1.0, 'tag_0', 'z'), (2, 2.0, 'tag_0', None), (3, None, None, 'z'), (4, 4.0, 'h', None)], got
    check()
    handle(insert([(region, [(1, 5.0, {'host': 'tag_0', 'zone': 'z'})])])) # the same series and time, as a row
    handle(insert([(region, [(1, 1.0, {'host': 'tag_0', 'zone': 'z'})])]))
    check()
    for bad, target in ((pa.RecordBatch.from_pydict({'nobody': ['x'], 'ts': pa.array([1], pa.timestamp('ms')), 'val': [1.0]}), region),
                        (pa.RecordBatch.from_pydict({'__primary_key': pa.array([b'junk'], pa.binary()), 'ts': pa.array([1], pa.timestamp('ms')), 'val': [1.0]}), PHYSICAL)):
        try:
            handle(bulk_insert(target, bad, None))
            raise AssertionError('a bad batch was taken')
        except grpc.RpcError as e:
            assert dict(e.trailing_metadata())['x-greptime-err-code'] in ('4002', '1004'), e
    server.restart()
    check()
    server.channel().unary_unary(HANDLE)(flush_request(PHYSICAL), timeout=300)
    check()
    server.remove()
    print('bulk inserts: ok')


def resident(server):
    with open(f'/proc/{server.process.pid}/statm') as f:
        return int(f.read().split()[1]) * os.sysconf('SC_PAGESIZE')


def many_regions(n=10000):
    server = Server()
    handle = server.channel().unary_unary(HANDLE)
    handle(blob(1, b'') + blob(5, create(PHYSICAL, [])), timeout=300)
    before = resident(server)
    start = time.time()
    for first in range(0, n, 1000):
        batch = b''.join(blob(1, create((5000 + first + i) << 32, LABELS, PHYSICAL)) for i in range(1000))
        handle(blob(1, b'') + blob(13, batch), timeout=300)
    created, seconds = resident(server), time.time() - start
    handle(flush_request(PHYSICAL), timeout=300)
    server.stop()
    start = time.time()
    server.start()
    handle = server.channel().unary_unary(HANDLE)
    handle(insert([((5000 + n - 1) << 32, [(1, 2.0, {'host': 'x'})])]), timeout=300)
    opened = time.time() - start
    assert rows_of(server, (5000 + n - 1) << 32) == {(1, 2.0)}
    print(f'{n} logical regions: created in {seconds:.2f} s, {(created - before) / n:.0f} resident bytes each before their flush; '
          f'after a restart {(resident(server) - before) / n:.0f} each, first write {opened:.2f} s after the start')
    server.remove()


if __name__ == '__main__':
    killed_while_written()
    dropped_stays_dropped()
    bulk()
    many_regions()
    sys.exit(0)
