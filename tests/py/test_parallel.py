#!/usr/bin/env python3
"""Queries over many rows: the same answers, to the last bit of a sum of floats, with one thread and with eight, from memtables, SSTs and both merged; what
EXPLAIN ANALYZE, /status and /metrics say of them; and that a stopped client leaves no worker behind.
"""
import json
import os
import random
import re
import tempfile
import time
import urllib.request

import pyarrow as pa

from harness import (DO_GET, FIELD, FLOAT64, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, bulk_insert, create_region, flush_request, num, query,
                     read_rel, scan_all, ticket)

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD), ('f', FLOAT64, FIELD)]
NAMES = [n for n, _, _ in COLUMNS]
REGION, ROWS, HOSTS = 3100 << 32, 300_000, 500
FUNCTIONS = ['count', 'sum', 'avg', 'stddev', 'max', 'last_value']


def field(i):
    return blob(2, blob(1, blob(2, num(1, i) if i else b'')) + blob(4, b''))


def measure(function, *columns):
    return blob(4, blob(1, num(1, FUNCTIONS.index(function) + 1) + num(4, 3) + num(6, 1) + b''.join(blob(7, blob(3, field(c))) for c in columns)))


def grouped(*keys):
    wanted = [('count',), ('sum', 3), ('avg', 3), ('stddev', 3), ('max', 2), ('sum', 2), ('last_value', 2)]
    rel = blob(4, blob(2, read_rel(COLUMNS)) + blob(3, b''.join(blob(1, field(k)) for k in keys)) + b''.join(measure(*w) for w in wanted))
    return ticket(REGION, rel, [NAMES[k] for k in keys] + [f'm{i}' for i in range(len(wanted))], FUNCTIONS)


def put(s, seed, rows, start):
    rng, call = random.Random(seed), s.channel().unary_unary(HANDLE)
    for at in range(0, rows, 50_000):
        n = range(at, min(at + 50_000, rows))
        batch = pa.RecordBatch.from_arrays([pa.array([f'host_{i % HOSTS}' for i in n]), pa.array([start + i // HOSTS for i in n], pa.timestamp('ms')),
                                            pa.array([rng.randrange(1000) for _ in n], pa.int64()), pa.array([rng.random() for _ in n])], names=NAMES)
        call(bulk_insert(REGION, batch))


def answers(s):
    channel = s.channel()
    return {'rows': scan_all(channel, REGION, COLUMNS), 'by host': query(channel, grouped(0)), 'by time': query(channel, grouped(1)),
            'by both': query(channel, grouped(0, 1)), 'in all': query(channel, grouped())}


def ask(s, path):
    return urllib.request.urlopen(f'http://{s.http}{path}').read().decode()


def parts(s):
    found = re.search(r'^regiond_query_parts_total (\d+)', ask(s, '/metrics'), re.M)
    return int(found[1]) if found else 0


def plan(s, request):
    """Operators by name, from the metrics behind the answer."""
    last = list(s.channel().unary_stream(DO_GET)(request, timeout=300))[-1]
    text = last[last.index(b'{"elapsed_compute"'):].decode()
    nodes = json.JSONDecoder().raw_decode(text)[0]['plan_metrics']
    return {n['plan'].split(':')[0]: dict(n['metrics']) for n in nodes}


def same(a, b, where):
    for name in a:
        assert a[name].num_rows and a[name].equals(b[name]), f'{name} differs {where}'


def wait_quiet(s):
    for _ in range(6000):
        q = json.loads(ask(s, '/status'))['queries']
        if q['workers_busy'] == q['tasks_queued'] == 0:
            return q
        time.sleep(0.05)
    raise AssertionError(q)


def main():
    homes = {}
    for threads in (8, 1):
        config = os.path.join(tempfile.mkdtemp(prefix='regiond-test-'), 'node.toml')
        with open(config, 'w') as f:
            f.write(f'[query]\nparallelism = {threads}\n')
        homes[threads] = Server('-c', config)
    got = {}
    for threads, s in homes.items():
        call = s.channel().unary_unary(HANDLE)
        call(create_region(REGION, COLUMNS))
        put(s, 1, ROWS, 0)
        got[threads] = [answers(s)]
        call(flush_request(REGION), timeout=300)
        got[threads].append(answers(s))
        before = parts(s)
        put(s, 2, ROWS // 3, ROWS // HOSTS // 2)
        got[threads].append(answers(s))
        assert parts(s) >= before + 10, (before, parts(s))
        nodes = plan(s, grouped(0))
        rows = got[threads][2]['rows'].num_rows
        assert nodes['SeqScan']['output_rows'] == rows and nodes['AggregateExec']['output_rows'] == HOSTS, nodes
        assert not any('xchange' in n for n in nodes), nodes
        for _ in range(8):      # clients that go away at once
            s.channel().unary_stream(DO_GET)(grouped(0, 1), timeout=300).cancel()
            next(s.channel().unary_stream(DO_GET)(grouped(0, 1), timeout=300))
        assert wait_quiet(s)['workers'] == (8 if threads > 1 else 0)
    for where, one, many in zip(('from a memtable', 'from an SST', 'merged'), got[1], got[8]):
        same(one, many, where)
    for s in homes.values():
        assert s.stop() == 0
    print('ok')


if __name__ == '__main__':
    main()
