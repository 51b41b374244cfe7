#!/usr/bin/env python3
"""Groupings by what the order of a scan keeps together, against DataFusion over the same rows: random tables (keys, merge modes, memtables and SSTs that
overlap or follow each other), random keys, filters and aggregates. Every way to group has to occur: by runs, by runs of some keys, and by hash.

    test_group_order.py [--seed N] [--count TABLES]
"""
import argparse
import collections
import json
import random
import re

import pyarrow as pa
from datafusion import SessionConfig, SessionContext, substrait

from differential.engine import flight_table, plain_type, same_value, values
from harness import DO_GET, FIELD, FLOAT64, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, bulk_insert, create_region, flush_request, num, scan_all

QUERIES, LARGE = 25, 180_000
TAGS = [('host', STRING, TAG), ('n', INT64, TAG), ('zone', STRING, TAG)]
REST = [('ts', TS_MS, TIME), ('v', INT64, FIELD), ('f', FLOAT64, FIELD)]
TYPES = {STRING: pa.string(), INT64: pa.int64(), FLOAT64: pa.float64(), TS_MS: pa.timestamp('ms')}
# Quarters add up without rounding.
AGGREGATES = ['count(*)', 'count(v)', 'sum(v)', 'sum(f)', 'min(f)', 'max(v)', 'avg(f)', 'count(DISTINCT v)', 'sum(v) FILTER (WHERE v > 3)', 'median(v)',
              'last_value(v ORDER BY ts, f, v)', 'array_agg(v ORDER BY ts, v, f)', 'bit_xor(v)', 'max(host)', 'var_pop(f)']
TIMES = ['ts', "date_trunc('minute', ts)", "date_bin(INTERVAL '7 seconds', ts)", "date_bin(INTERVAL '90 seconds', ts, TIMESTAMP '1970-01-01T00:00:07')",
         "date_trunc('minute', date_bin(INTERVAL '7 seconds', ts))", "date_part('second', ts)"]


class Table:
    def __init__(self, s, region, rng, rows):
        self.s, self.region, self.rng = s, region, rng
        self.tags = rng.sample(TAGS, rng.choice([0, 1, 1, 2, 2, 3]))
        self.columns = self.tags + REST
        append = rng.random() < 0.3
        self.call = s.channel().unary_unary(HANDLE)
        self.call(create_region(region, self.columns, [('append_mode', 'true')] if append else []))
        self.hosts, self.span = rng.choice([1, 5, 60]), rng.choice([20, 1000, 100_000])
        pieces, disjoint = rng.choice([1, 1, 2, 4]), rng.random() < 0.5
        for piece in range(pieces):
            self.put(rows // pieces, piece * self.span * 100 if disjoint else 0)
            if rng.random() < 0.6:
                self.call(flush_request(region), timeout=300)
        self.rows = scan_all(s.channel(), region, self.columns)
        self.session = SessionContext(SessionConfig({'datafusion.execution.target_partitions': '1'}))
        self.session.register_record_batches('t', [self.rows.combine_chunks().to_batches()])

    def put(self, rows, start):
        rng = self.rng
        value = {'host': lambda: None if rng.random() < 0.05 else f'h{rng.randrange(self.hosts)}', 'n': lambda: rng.randrange(-3, 3),
                 'zone': lambda: rng.choice(['', 'a', 'a\0', 'b']), 'ts': lambda: start + rng.randrange(self.span) * 100, 'v': lambda: None if
                 rng.random() < 0.1 else rng.randrange(20), 'f': lambda: rng.randrange(400) / 4}
        arrays = [pa.array([value[name]() for _ in range(rows)], TYPES[kind]) for name, kind, _ in self.columns]
        self.call(bulk_insert(self.region, pa.RecordBatch.from_arrays(arrays, names=[c[0] for c in self.columns])))

    def query(self):
        rng, names = self.rng, [c[0] for c in self.tags]
        keys = rng.sample(names, rng.randrange(len(names) + 1)) + rng.sample(TIMES, rng.choice([0, 1, 1, 2])) + rng.choice([[], [], [], ['v % 3']])
        rng.shuffle(keys)
        keys = keys or ['ts']
        wheres = [c for c, likely in (("host = 'h0'", 'host' in names), ('n = 1', 'n' in names), ("zone = 'a'", 'zone' in names), ('v <> 4', True),
                                      (f"ts >= TIMESTAMP '1970-01-01T00:00:{rng.randrange(60):02}'", True)) if likely and rng.random() < 0.3]
        wanted = [a for a in rng.sample(AGGREGATES, rng.randrange(1, 6)) if 'host' in names or 'host' not in a] or ['count(*)']
        shown = ', '.join([f'{k} AS k{i}' for i, k in enumerate(keys)] + [f'{a} AS a{i}' for i, a in enumerate(wanted)])
        return f'SELECT {shown} FROM t{" WHERE " if wheres else ""}{" AND ".join(wheres)} GROUP BY {", ".join(keys)}', len(keys)

    def ask(self, sql):
        """DataFusion's answer, ours, and how ours was grouped."""
        frame = self.session.sql(sql)
        plan = substrait.Producer.to_substrait_plan(frame.optimized_logical_plan(), self.session).encode()
        answer = list(self.s.channel().unary_stream(DO_GET)(blob(1, num(2, self.region) + blob(3, plan)), timeout=300))
        metrics = answer[-1][answer[-1].index(b'{"elapsed_compute"'):].decode()
        text = next(n['plan'] for n in json.JSONDecoder().raw_decode(metrics)[0]['plan_metrics'] if n['plan'].startswith('AggregateExec'))
        mode = re.search(r'ordering_mode=(\w+)', text)
        return frame.to_arrow_table(), flight_table(answer), mode[1] if mode else 'Hash'


def ordered(table, n_keys):
    return sorted(zip(*map(values, table.columns)), key=lambda row: repr(row[:n_keys]))


def difference(theirs, ours, n_keys):
    if theirs.num_rows != ours.num_rows:
        return f'{theirs.num_rows} groups in DataFusion, {ours.num_rows} in regiond'
    if [plain_type(f.type) for f in theirs.schema] != [plain_type(f.type) for f in ours.schema] and theirs.num_rows:
        return f'{theirs.schema.types} in DataFusion, {ours.schema.types} in regiond'
    for x, y in zip(ordered(theirs, n_keys), ordered(ours, n_keys)):
        for i, (a, b) in enumerate(zip(x, y)):
            if not same_value(a, b, 0) and not (isinstance(a, float) and isinstance(b, float) and abs(a - b) <= 1e-9 * max(1, abs(a))):
                return f'column {i} of group {x[:n_keys]}: {a!r} in DataFusion, {b!r} in regiond'
    return None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--count', type=int, default=12)
    a = p.parse_args()
    s, modes = Server(), collections.Counter()
    for seed in range(a.seed, a.seed + a.count):
        rng = random.Random(seed)
        table = Table(s, (4000 + seed - a.seed) << 32, rng, LARGE if seed % 6 == 0 else rng.choice([50, 3000]))
        for _ in range(QUERIES):
            sql, n_keys = table.query()
            theirs, ours, mode = table.ask(sql)
            found = difference(theirs, ours, n_keys)
            assert not found, f'seed {seed}, {mode}, tags {[t[0] for t in table.tags]}: {sql}\n{found}'
            modes[mode] += 1
    print(dict(modes))
    assert len(modes) == 3 and min(modes.values()) > a.count, modes
    assert s.stop() == 0
    print('ok')


if __name__ == '__main__':
    main()
