"""The rows of the table t: every type that a column can have, with the values that break functions."""
import datetime
import decimal
import random

import pyarrow as pa

TEXTS = ['', 'a', 'abc', 'ABC', ' pad ', 'a,b,,c', 'äöü', 'straße', 'ΑΣ ΟΔΟΣ', 'e\u0301te\u0301', '😀👩‍👩‍👧', 'foo.bar.baz', '100%_\\', '%', 'x' * 300,
         'İstanbul', 'ǅ ﬁ', "it's", '\t\n', 'NaN', '12', '-7', '1.5', 'true', '2024-02-29', '2024-02-29T12:34:56.789', '1969-12-31 23:59:59.5',
         '12:34:56', 'abcabcabc', 'Ab1-cd_2', 'zz\u0000y', '\u202eabc']
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-300, 1e300, -1e300, 5e-324, float('inf'), float('-inf'), float('nan'), 3.14159,
          1e15 + 0.5, 123456.789, 0.1, 100.0, 7.0, -0.999, 2.0 ** 53, 2.0 ** 63]
SECONDS = [0, 1, -1, 59, -59, 86399, 86400, -86400, 951782400, 1709210096, 1711846800, 4102444800, -2208988800, 1000000000, 8000000000, -8000000000]
# beyond what 64 bits of nanoseconds hold, where DataFusion's date_bin and date_trunc wrap
WIDE_SECONDS = [253402300799, -62135596800, 253402300800, -62135596801]


def integers(low, high):
    some = (0, 1, -1, 2, -2, 3, 5, 7, 10, -10, 12, 20, 21, 31, 63, 64, 65, 100, 127, -128, 255, 1000, low, low + 1, high, high - 1)
    return [v for v in some if low <= v <= high]


def batch(rows=64, seed=52):
    rng = random.Random(seed)

    def column(pool, nulls=0.08):
        """Every value of the pool as far as there are rows, then random ones; the first is never null."""
        picked = [pool[i] if i < len(pool) else rng.choice(pool) for i in range(rows)]
        rng.shuffle(picked)
        return [None if i and rng.random() < nulls else v for i, v in enumerate(picked)]

    def times(per_second):
        return [s * per_second for s in SECONDS] + [123456789 * per_second + (per_second - 1), -(per_second // 2) - 1]

    columns = [
        ('ts', pa.timestamp('ms'), [1700000000000 + i * 1000 for i in range(rows)]),
        ('k', pa.int64(), list(range(rows))),
        ('b', pa.bool_(), column([True, False])),
        *((f'i{w}', getattr(pa, f'int{w}')(), column(integers(-(1 << (w - 1)), (1 << (w - 1)) - 1))) for w in (8, 16, 32, 64)),
        *((f'u{w}', getattr(pa, f'uint{w}')(), column(integers(0, (1 << w) - 1))) for w in (8, 16, 32, 64)),
        ('f32', pa.float32(), column([v if abs(v) < 3e38 or v != v else v for v in FLOATS])),
        ('f64', pa.float64(), column(FLOATS)),
        ('n', pa.int64(), column([-5, -3, -2, -1, 0, 1, 2, 3, 4, 5, 9])),
        ('m', pa.int32(), column([-13, -2, -1, 0, 1, 2, 3, 4, 11, 12, 29, 31])),
        ('s', pa.string(), column(TEXTS)),
        ('q', pa.string(), column(['', 'a', 'b', 'bc', ',', '.', 'ü', 'ß', 'abc', 'x', ' ', '%', '\u0301', '😀'])),
        ('x', pa.binary(), column([b'', b'abc', b'\x00\xff', 'ä'.encode(), b'\xff' * 100])),
        ('d', pa.date32(), column([datetime.date(1970, 1, 1), datetime.date(2024, 2, 29), datetime.date(1, 1, 1), datetime.date(9999, 12, 31),
                                   datetime.date(1969, 12, 31), datetime.date(2023, 1, 1), datetime.date(2020, 12, 31), datetime.date(1900, 3, 1)])),
        *((f't_{u}', pa.timestamp(u), column(times(p))) for u, p in (('s', 1), ('ms', 10 ** 3), ('us', 10 ** 6), ('ns', 10 ** 9))),
        ('w_ms', pa.timestamp('ms'), column([v * 1000 for v in SECONDS + WIDE_SECONDS])),
        ('dec', pa.decimal128(20, 4), column([decimal.Decimal(v) for v in (
            '0', '1', '-1', '0.0001', '-0.0001', '12.3456', '-12.3450', '9999999999999999.9999', '-9999999999999999.9999',
            '2.5', '-2.5', '100', '0.05')])),
    ]
    return pa.record_batch([pa.array(v, t) for _, t, v in columns], pa.schema([pa.field(n, t, n not in ('ts',)) for n, t, _ in columns]))
