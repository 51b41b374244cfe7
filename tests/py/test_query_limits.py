#!/usr/bin/env python3
"""Queries against the node's limits: cancelled by the client, past their deadline, and far more at once than memory_limit has room for.

A stopped query is recognised by the server's CPU clock, which other work on the machine does not move: after the client has gone, only the steps of the
query that do not look at the cancellation flag may still use any.
"""
import concurrent.futures
import os
import random
import tempfile
import threading
import time

import grpc
import pyarrow as pa

from harness import (FIELD, FLOAT64, HANDLE, INT64, DO_GET, STRING, TAG, TIME, TS_MS, Server, blob, bulk_insert, count_rel, create_region, flush_request, num, read_rel,
                     ticket)

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD), ('f', FLOAT64, FIELD), ('s', STRING, FIELD)]
REGION, ROWS, LIMIT_MIB = 3000 << 32, 600_000, 512
STOP_SECONDS = 0.1
KNOBS = ('memory_limit', 'query.memory_pool_size')


# ---- plans: count(*) over something that has to hold all rows ----

def field(i):
    return blob(2, blob(1, blob(2, num(1, i) if i else b'')) + blob(4, b''))


def sort(rel, *columns):
    return blob(5, blob(2, rel) + b''.join(blob(3, blob(1, field(c)) + num(2, 1)) for c in columns))


def group(rel, *columns):
    keys = b''.join(blob(1, field(c)) for c in columns)
    return blob(4, blob(2, rel) + (blob(3, keys) if columns else b''))


def counted(rel):
    return ticket(REGION, count_rel(rel), ['n'], ['count'])


NAMES = [n for n, _, _ in COLUMNS]
HEAVY = {
    'sort by a string': counted(sort(read_rel(COLUMNS), 4, 1)),
    'sort by numbers': counted(sort(read_rel(COLUMNS), 3, 2)),
    'group by a string': counted(group(read_rel(COLUMNS), 4)),
    'group by two numbers': counted(group(read_rel(COLUMNS), 3, 2)),
    'everything': ticket(REGION, read_rel(COLUMNS), NAMES),
}


def cpu(s):
    return time.clock_gettime(~s.process.pid << 3 | 2)


def resident_mib(s):
    with open(f'/proc/{s.process.pid}/status') as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith('VmRSS'))


def fill(s):
    schema = pa.schema([('host', pa.string()), ('ts', pa.timestamp('ms')), ('v', pa.int64()), ('f', pa.float64()), ('s', pa.string())])
    rng, call = random.Random(3), s.channel().unary_unary(HANDLE)
    call(create_region(REGION, COLUMNS))
    for at in range(0, ROWS, 50_000):
        n = range(at, at + 50_000)
        batch = pa.RecordBatch.from_arrays([pa.array([f'host_{i % 1000}' for i in n]), pa.array([i // 1000 for i in n], pa.timestamp('ms')),
                                            pa.array([rng.randrange(1 << 40) for _ in n]), pa.array([rng.random() for _ in n]),
                                            pa.array([f'{rng.randrange(1 << 64):020d}-{i}' for i in n])], schema=schema)
        call(bulk_insert(REGION, batch))


def wait_idle(s):
    """Until no flush or compaction of the filling runs any more."""
    while True:
        used = cpu(s)
        time.sleep(0.5)
        if cpu(s) - used < 0.02:
            return


def long_query(s, name):
    """How much CPU the query takes when it is left alone."""
    used = cpu(s)
    list(s.channel().unary_stream(DO_GET)(HEAVY[name], timeout=120))
    return cpu(s) - used


def check_stops(s, name, how):
    """Ends the query in the middle; returns the CPU that the server used afterwards."""
    whole = long_query(s, name)
    call = s.channel().unary_stream(DO_GET)
    stream = call(HEAVY[name], timeout=120 if how == 'cancel' else max(whole / 2, 0.05))
    start = cpu(s)
    error = None

    def drain():
        nonlocal error
        try:
            for _ in stream:
                pass
        except grpc.RpcError as e:
            error = e
    reader = threading.Thread(target=drain)
    reader.start()
    if how == 'cancel':
        while cpu(s) - start < whole / 3 and reader.is_alive():
            time.sleep(0.001)
        stream.cancel()
    reader.join()
    after = cpu(s)
    time.sleep(0.5)
    late = cpu(s) - after
    code = error.code() if error else None
    print(f'{how}: {name}, {whole:.2f} s of CPU in all, {late * 1e3:.0f} ms after its end ({code})')
    if error:
        assert code == (grpc.StatusCode.CANCELLED if how == 'cancel' else grpc.StatusCode.DEADLINE_EXCEEDED), error
    assert late < STOP_SECONDS, f'{name} went on for {late:.2f} s of CPU'
    return error is not None


def check_many(s, concurrency):
    peak, stop, outcomes = [0], threading.Event(), {'ok': 0, 'refused': 0}

    def watch():
        while not stop.wait(0.01):
            peak[0] = max(peak[0], resident_mib(s))

    channels = [s.channel() for _ in range(8)]
    names = sorted(HEAVY)

    def one(i):
        name = names[i % len(names)]
        try:
            answer = list(channels[i % 8].unary_stream(DO_GET)(HEAVY[name], timeout=300))
            assert len(answer) >= 2, (name, len(answer))
            return 'ok'
        except grpc.RpcError as e:
            assert any(k in e.details() for k in KNOBS), (name, e.code(), e.details())
            return 'refused'

    watcher = threading.Thread(target=watch)
    watcher.start()
    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        for outcome in pool.map(one, range(concurrency)):
            outcomes[outcome] += 1
    stop.set()
    watcher.join()
    print(f'{concurrency} queries at once under {LIMIT_MIB} MiB: {outcomes["ok"]} ended well, {outcomes["refused"]} failed alone; '
          f'resident at most {peak[0]:.0f} MiB')
    assert s.process.poll() is None, 'the server is gone: ' + s.tail()
    assert outcomes['ok'] > 0
    assert peak[0] <= LIMIT_MIB + 64, f'{peak[0]:.0f} MiB resident'


def main():
    config = os.path.join(tempfile.mkdtemp(prefix='regiond-test-'), 'node.toml')
    with open(config, 'w') as f:
        f.write(f'memory_limit = "{LIMIT_MIB}MB"\n')
    s = Server('-c', config)
    fill(s)
    for where in ('memtables', 'SSTs'):
        stopped = 0
        wait_idle(s)
        for name in sorted(HEAVY):
            for how in ('cancel', 'deadline'):
                stopped += check_stops(s, name, how)
        assert stopped >= len(HEAVY), f'only {stopped} queries were caught in the middle'
        check_many(s, 200)
        for name in HEAVY:
            assert len(list(s.channel().unary_stream(DO_GET)(HEAVY[name], timeout=120))) >= 2, name
        if where == 'memtables':
            s.channel().unary_unary(HANDLE)(flush_request(REGION), timeout=120)
    assert s.stop() == 0
    print('ok')


if __name__ == '__main__':
    main()
