#!/usr/bin/env python3
"""Aggregates against DataFusion 53: each query is planned by DataFusion, and the plan is run by both.

test_differential_aggregates.py [FILTER]   only queries that hold FILTER; prints each difference
"""
import datetime
import decimal
import math
import random
import sys

import pyarrow as pa

from differential.engine import Pair, quiet_native_code

ROWS = 3000


def rows(seed=7):
    """Groups of very different sizes, one of nothing but NULLs; floats with and without the values that break sums."""
    rng = random.Random(seed)

    def column(kind, value, nulls=0.1):
        return pa.array([None if g[i] == 4 or rng.random() < nulls else value() for i in range(ROWS)], kind)

    g = [0 if rng.random() < 0.7 else rng.choice([1, 1, 1, 2, 3, 4]) for _ in range(ROWS)]
    columns = {
        'ts': pa.array([1700000000000 + i * 1000 for i in range(ROWS)], pa.timestamp('ms')),
        'k': pa.array(rng.sample(range(ROWS), ROWS), pa.int64()),
        'g': pa.array(g, pa.int64()),
        'h': pa.array([rng.choice(['x', 'y', None]) for _ in range(ROWS)], pa.string()),
        'b': column(pa.bool_(), lambda: rng.random() < 0.7),
        'i8': column(pa.int8(), lambda: rng.randint(-128, 127)),
        'i16': column(pa.int16(), lambda: rng.randint(-9, 9)),
        'i32': column(pa.int32(), lambda: rng.randint(-2 ** 31, 2 ** 31 - 1)),
        'i64': column(pa.int64(), lambda: rng.randint(-2 ** 63, 2 ** 63 - 1)),
        'u8': column(pa.uint8(), lambda: rng.randint(0, 255)),
        'u32': column(pa.uint32(), lambda: rng.randint(0, 2 ** 32 - 1)),
        'u64': column(pa.uint64(), lambda: rng.randint(0, 2 ** 64 - 1)),
        'f32': column(pa.float32(), lambda: rng.randint(-1000, 1000) / 8),
        'f64': column(pa.float64(), lambda: rng.gauss(100, 30)),
        'few': column(pa.float64(), lambda: rng.choice([0.0, 1.5, -2.0, 7.25])),
        'odd': column(pa.float64(), lambda: rng.choice([1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, 1e308, -1e308])),
        'nan': column(pa.float64(), lambda: math.nan, 0.5),
        's': column(pa.string(), lambda: rng.choice(['', 'a', 'b', 'äö', 'zz', 'a\0b'])),
        'x': column(pa.binary(), lambda: rng.choice([b'', b'\x00', b'\xff\x00', b'abc'])),
        'd': column(pa.date32(), lambda: datetime.date(2024, 1, 1) + datetime.timedelta(rng.randint(-900, 900))),
        't': column(pa.timestamp('ns'), lambda: rng.randint(-2 ** 30, 2 ** 50) * 1000),
        'dec': column(pa.decimal128(20, 4), lambda: decimal.Decimal(rng.randint(-10 ** 9, 10 ** 9)).scaleb(-4)),
    }
    fields = [pa.field(n, c.type, n != 'ts') for n, c in columns.items()]
    return pa.record_batch(list(columns.values()), pa.schema(fields))


INTS, FLOATS = ['i8', 'i16', 'i32', 'i64', 'u8', 'u32', 'u64'], ['f32', 'f64', 'few']
ANY = INTS + FLOATS + ['b', 's', 'x', 'd', 't', 'dec']
PAIRS = ['corr', 'covar_samp', 'covar_pop', 'regr_slope', 'regr_intercept', 'regr_r2', 'regr_avgx', 'regr_avgy', 'regr_sxx', 'regr_syy', 'regr_sxy', 'regr_count']

# Units in the last place that floats may differ by: sums of floats depend on the order of rows and on how many partial sums there are.
SUM = 4000
AGGREGATES = {
    'count': ['count(*)', 'count(s, i8)'] + [f'count({c})' for c in ANY] + [f'count(distinct {c})' for c in ANY + ['odd', 'nan']],
    'sum': [f'sum({c})' for c in INTS + ['dec', 'few']] + [f'sum(distinct {c})' for c in ('i8', 'i16', 'u8', 'few')] +
           [('sum(f64)', SUM), ('sum(f32)', SUM), 'sum(nan)'],
    'avg': [(f'avg({c})', SUM) for c in INTS + FLOATS] + ['avg(dec)', ('avg(distinct i16)', SUM), ('avg(distinct few)', SUM), 'avg(nan)'],
    'minmax': [f'{f}({c})' for f in ('min', 'max') for c in ANY],
    'first': [f'{f}({c} order by k{o})' for f in ('first_value', 'last_value') for c in ANY + ['odd'] for o in ('', ' desc')] +
             ['first_value(i32 order by s, k)', 'last_value(i32 order by s desc nulls first, k)', 'first_value(s order by few nulls first, dec, k)',
              'last_value(k order by odd, k)', 'first_value(k order by odd desc, k)', 'nth_value(i32, 3 order by k)', 'nth_value(s, -2 order by k)', 'nth_value(x, 1000 order by k desc)'],
    'lists': [f'array_agg({c} order by k)' for c in ANY + ['odd']] + ['array_agg(k order by s desc nulls last, k)', "array_agg(k order by t, k) filter (where b)",
              "string_agg(s, ',' order by k)", "string_agg(s, '' order by k desc)", 'array_agg(distinct i16 order by i16)', "string_agg(distinct s, '-' order by s)",
              'array_agg(distinct s order by s desc)', 'array_agg(struct(i8, s) order by k)', 'array_agg(make_array(i8, i16) order by k)'],
    'variance': [(f'{f}({c})', SUM) for f in ('var', 'var_pop', 'stddev', 'stddev_pop') for c in ('f64', 'few', 'i8', 'i16')] +
                ['var(nan)', 'stddev_pop(nan)'],
    'pairs': [(f'{f}(f64, few)', 10 ** 7) for f in PAIRS] + [(f'{f}(i16, i8)', 10 ** 7) for f in PAIRS] + [f'{f}(nan, nan)' for f in ('corr', 'regr_avgx', 'regr_count')],
    'median': [f'median({c})' for c in INTS + FLOATS + ['dec', 'odd', 'nan', 'distinct i16', 'distinct few', 'distinct odd']],
    'percentile': [(f'percentile_cont({p}) within group (order by {c}{o})', 2) for p in (0.25, 0.5, 0.999) for c in FLOATS + ['i16'] for o in ('', ' desc')] +
                  ['percentile_cont(distinct few, 0.3)'],
    'digest': [(f'approx_percentile_cont({c}, {p})', 10 ** 6) for p in (0.01, 0.5, 0.95) for c in ('i8', 'i16', 'few', 'f64')] +
              [f'approx_median({c})' for c in ('i8', 'u8', 'i16')] + ['approx_percentile_cont_with_weight(i16, cast(1 as smallint), 0.5)', 'approx_percentile_cont(i8, 0.5, 20)'],
    'bits': [f'{f}({c})' for f in ('bit_and', 'bit_or', 'bit_xor') for c in INTS] + ['bool_and(b)', 'bool_or(b)'],
}
# What a whole query does around one aggregate.
SHAPES = {
    'all': 'select {0} from t',
    'none': 'select {0} from t where k < 0',
    'by one': 'select g, {0} from t group by g order by g',
    'by two': 'select h, g, {0} from t group by h, g order by h, g',
    'filter': 'select g, {0} filter (where i16 > 0) from t group by g order by g',
    'empty groups': 'select g, {0} filter (where k < 0) from t group by g order by g',
}
QUERIES = {
    'keys': [f'select {c}, count(*) from t group by {c} order by {c}' for c in ANY] +
            ['select distinct g, h, b from t order by g, h, b', 'select distinct dec, x from t order by dec, x', 'select distinct few, s, d from t order by few, s, d',
             'select make_array(i16, g) as l, count(*) from t group by l order by l', 'select struct(h, g) as l, sum(i8) from t group by l order by l',
             'select few, sum(distinct few) from t group by few order by few', 'select make_array(h, s) as l, g, count(distinct make_array(g)) from t group by l, g order by l desc, g', 'select count(distinct struct(h, b)) from t'],
    'sets': ['select h, g, count(*), sum(i8) from t group by rollup(h, g) order by h, g, 3', 'select h, b, min(s) from t group by cube(h, b) order by h, b, 3',
             'select h, g, array_agg(k order by k) from t group by grouping sets ((h), (g), ()) order by h, g',
             'select dec, x, count(*) from t where g > 0 group by grouping sets ((dec), (x)) order by dec, x'],
    # DataFusion's own builds hash differently, and refuse bit_xor(distinct) with a filter.
    'distinct': [f'select g, abs(cast(approx_distinct({c}) as bigint) - count(distinct {c})) * 20 <= 20 + count(distinct {c}) from t group by g order by g'
                 for c in INTS + ['s', 'd', 't', 'x']] + ['select g, bit_xor(distinct i16) from t group by g order by g'],
    # With GROUP BY the peer's answer depends on the order of rows when there are NaNs.
    'minmax': ['select min(odd), max(odd), min(nan), max(nan) from t'],
    'variance': ['select g, var(distinct i16) * 0 from t group by g order by g', 'select round(var_pop(distinct few) * 1000) from t'],
    'many': ['select g, count(*), count(distinct i16), sum(i8) filter (where b), min(s), first_value(k order by ts), median(i16), array_agg(distinct h order by h) '
             'from t group by g order by g'],
}


def all_queries():
    for group, aggregates in AGGREGATES.items():
        for aggregate in aggregates:
            text, ulps = aggregate if isinstance(aggregate, tuple) else (aggregate, 0)
            for shape, sql in SHAPES.items():
                if 'filter' not in text or '{0} filter' not in sql:
                    yield f'{group}, {shape}', sql.format(text), ulps
    for group, queries in QUERIES.items():
        for sql in queries:
            yield group, sql, 0


def main():
    quiet_native_code()
    pair, wanted, total, bad = Pair(rows()), sys.argv[1] if len(sys.argv) > 1 else '', 0, 0
    for group, sql, ulps in all_queries():
        if wanted in sql:
            total += 1
            difference = pair.compare(sql, ulps)
            if difference:
                bad += 1
                print(f'{group}: {sql}\n    {difference}')
    print(f'{total} queries, {bad} differ')
    sys.exit(bool(bad) or not total)


if __name__ == '__main__':
    main()
