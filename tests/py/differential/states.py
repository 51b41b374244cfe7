"""States: what `__<aggregate>_state` says of parts of the rows, merged here as a frontend does it, must be what DataFusion's aggregate says
of all rows.

The plan is DataFusion's with the functions' names changed, and groups by one key more, the part. The layouts of the states stand in
query-plans.md 3.5.2.
"""
import decimal
import functools
import math

import pyarrow as pa

from harness import blob, fields, num

from .aggregates import CLOSE, EXACT, KEYS, LOOSE, fill, plain
from .engine import values

PART = 'k % 3'
decimal.getcontext().prec = 80


def child(states, name, part):
    return [s[f'{name}[{part}]'] for s in states]


def known(values):
    return [v for v in values if v is not None]


def total(name, states, _kind):
    parts = known(child(states, name, name))
    return sum(parts[1:], parts[0]) if parts else 0 if name == 'count' else None


def average(name, states, kind):
    n, parts = sum(child(states, name, 'count')), known(child(states, name, 'sum'))
    if not n:
        return None
    if not pa.types.is_decimal(kind):
        return sum(parts) / n
    scaled = int(sum(parts).scaleb(kind.scale))
    return decimal.Decimal(abs(scaled) // n * (1 if scaled >= 0 else -1)).scaleb(-kind.scale)


def extreme(name, states, _kind):
    parts = known(child(states, name, 'value'))
    return (min if name == 'min' else max)(parts) if parts else None


FOLDS = {'bool_and': lambda a, b: a and b, 'bool_or': lambda a, b: a or b, 'bit_and': lambda a, b: a & b, 'bit_or': lambda a, b: a | b,
         'bit_xor': lambda a, b: a ^ b}


def fold(name, states, _kind):
    parts = known(child(states, name, name))
    return functools.reduce(FOLDS[name], parts) if parts else None


def moments(name, states, names):
    """(n, mean x, mean y, m2 of x, m2 of y, co-moment) of all parts, by Chan's formulas; `names` say what the state calls them."""
    n, mx, my, xx, yy, xy = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for s in states:
        count, (ax, ay, axx, ayy, axy) = s[f'{name}[count]'], (s.get(f'{name}[{p}]', 0.0) for p in names)
        if not count:
            continue
        dx, dy, all_of = ax - mx, ay - my, n + count
        xx += axx + dx * dx * n * count / all_of
        yy += ayy + dy * dy * n * count / all_of
        xy += axy + dx * dy * n * count / all_of
        mx, my, n = mx + dx * count / all_of, my + dy * count / all_of, all_of
    return n, mx, my, xx, yy, xy


def variance(name, states, _kind):
    n, _, _, xx, _, _ = moments(name, states, ('mean', '', 'm2', '', ''))
    below = n if name.endswith('_pop') else n - 1
    if n == 0 or below <= 0:
        return None
    return math.sqrt(xx / below) if name.startswith('stddev') else xx / below


def covariance(name, states, _kind):
    n, _, _, _, _, xy = moments(name, states, ('mean1', 'mean2', '', '', 'algo_const'))
    below = n if name == 'covar_pop' else n - 1
    return xy / below if n and below > 0 else None


def regression(name, states, _kind):
    n, mx, my, xx, yy, xy = moments(name, states, ('mean_x', 'mean_y', 'm2_x', 'm2_y', 'algo_const'))
    if name == 'regr_count':
        return n
    if n == 0:
        return None
    simple = {'regr_avgx': mx, 'regr_avgy': my, 'regr_sxx': xx, 'regr_syy': yy, 'regr_sxy': xy}
    if name in simple:
        return simple[name]
    if n < 2 or xx == 0:
        return None
    if name == 'regr_r2':
        return xy * xy / (xx * yy) if yy else None
    return xy / xx if name == 'regr_slope' else my - xy / xx * mx


def items(name, states):
    return [v for part in child(states, name, name) if part for v in part]


def middle(name, states, kind):
    all_items = sorted(items(name, states))
    if not all_items:
        return None
    a, b = all_items[(len(all_items) - 1) // 2], all_items[len(all_items) // 2]
    if len(all_items) % 2 or pa.types.is_floating(kind):
        return a if len(all_items) % 2 else (a + b) / 2
    return abs(a + b) // 2 * (1 if a + b > 0 else -1)  # towards zero


def quarter(name, states, _kind):
    all_items = sorted(items(name, states))
    if not all_items:
        return None
    at = 0.25 * (len(all_items) - 1)
    low = math.floor(at)
    return all_items[low] + (all_items[math.ceil(at)] - all_items[low]) * (at - low)


def one_of_ordered(name, states, _kind):
    """first_value, last_value by k, which is unique: the parts that have seen a row say so."""
    seen = [s for s in states if s[f'{name}[{name}_is_set]']]
    if not seen:
        return None
    return (min if name == 'first_value' else max)(seen, key=lambda s: s['k'])[f'{name}[{name}]']


def in_order(states, name):
    """The items of list states, by their k."""
    pairs = []
    for s in states:
        listed, orders = s[f'{name}[{name}]'] or [], s[f'{name}[{name}_orderings]'] or []
        if len(listed) != len(orders):
            raise ValueError(f'{name}: {len(listed)} items, {len(orders)} sort keys')
        pairs += [(o['k'], v) for v, o in zip(listed, orders)]
    return [v for _, v in sorted(pairs, key=lambda p: p[0])]


def ordered_list(name, states, _kind):
    return in_order(states, name) or None


def joined(name, states, _kind):
    renamed = [{k.replace('string_agg[', 'array_agg['): v for k, v in s.items()} for s in states]
    texts = known(in_order(renamed, 'array_agg'))
    return ','.join(texts) if texts else None


def second(name, states, _kind):
    listed = in_order(states, name)
    return listed[1] if len(listed) > 1 else None


# What merges the states of a function. `corr` is not here: of groups, the peer's states are not what its merging takes, and regiond's are the peer's.
REGRESSIONS = [f'regr_{f}' for f in ('slope', 'intercept', 'count', 'r2', 'avgx', 'avgy', 'sxx', 'syy', 'sxy')]
MERGES = {'count': total, 'sum': total, 'avg': average, 'min': extreme, 'max': extreme, 'median': middle, 'percentile_cont': quarter,
          'first_value': one_of_ordered, 'last_value': one_of_ordered, 'array_agg': ordered_list, 'string_agg': joined, 'nth_value': second,
          **{f: fold for f in FOLDS}, **{f: variance for f in ('var', 'var_pop', 'stddev', 'stddev_pop')},
          **{f: covariance for f in ('covar_samp', 'covar_pop')}, **{f: regression for f in REGRESSIONS}}

# (call, tolerance)
STATES = [('count(*)', EXACT), ('count({any})', EXACT), ('count({text}, {int})', EXACT), ('sum([ints])', EXACT), ('sum([tame])', CLOSE),
          ('sum(dec)', EXACT), ('avg([ints])', CLOSE), ('avg([tame])', CLOSE), ('avg(dec)', EXACT), ('min({ordered})', EXACT),
          ('max({ordered})', EXACT), ('min([tame])', EXACT), ('bool_and({bool})', EXACT), ('bool_or({bool})', EXACT), ('bit_and({int})', EXACT),
          ('bit_or({int})', EXACT), ('bit_xor({int})', EXACT),
          ('var([tame])', LOOSE), ('var_pop([ints])', LOOSE), ('stddev([ints])', LOOSE), ('stddev_pop([tame])', LOOSE),
          ('covar_samp([tame], [tame])', LOOSE), ('covar_pop([tame], [ints])', LOOSE), *((f'{f}([tame], [tame])', LOOSE) for f in REGRESSIONS),
          ('median([ints])', EXACT), ('median([tame])', EXACT), ('percentile_cont(0.25) WITHIN GROUP (ORDER BY [tame])', CLOSE),
          ('first_value({any} ORDER BY k)', EXACT), ('last_value({any} ORDER BY k)', EXACT), ('array_agg({any} ORDER BY k)', EXACT),
          ("string_agg({text}, ',' ORDER BY k)", EXACT), ('nth_value({any}, 2 ORDER BY k)', EXACT)]


def name_of(call):
    return call.split('(')[0]


def layout(name, kind):
    """The children that a state must have, by the specification; `kind` is the type of the aggregate's value."""
    f64, count = pa.float64(), ('count', pa.uint64())
    keys = pa.list_(pa.struct([('k', pa.int64())]))
    item = kind if name in ('median', 'nth_value') else f64
    if name == 'count':
        return [('count', pa.int64())]
    if name in ('min', 'max'):
        return [('value', kind)]
    if name == 'avg':
        return [count, ('sum', pa.decimal128(20, 4) if pa.types.is_decimal(kind) else f64)]
    if name in ('first_value', 'last_value'):
        return [(name, kind), (None, pa.int64()), (f'{name}_is_set', pa.bool_())]
    if name in ('array_agg', 'string_agg'):
        return [('array_agg', kind if name == 'array_agg' else pa.list_(kind)), ('array_agg_orderings', keys)]
    if name == 'nth_value':
        return [(name, pa.list_(item)), (f'{name}_orderings', keys)]
    if name in ('median', 'percentile_cont'):
        return [(name, pa.list_(item))]
    if name in ('sum', *FOLDS):
        return [(name, kind)]
    if name in REGRESSIONS:
        parts = ('mean_x', 'mean_y', 'm2_x', 'm2_y', 'algo_const')
    else:
        parts = ('mean1', 'mean2', 'algo_const') if 'covar' in name else ('mean', 'm2')
    return [count, *((p, f64) for p in parts)]


def wrong_layout(call, state, kind, same_type):
    """What is wrong with the type of a state; None = nothing."""
    name = name_of(call)
    wanted = [(f'{name}[{part}]' if part else 'k', t) for part, t in layout(name, kind)]
    found = [(f.name, f.type) for f in state] if pa.types.is_struct(state) else [('', state)]
    right = len(found) == len(wanted) and all(a[0] == b[0] and same_type(a[1], b[1]) for a, b in zip(found, wanted))
    return None if right and all(f.nullable for f in state) else f'the state is {state}, not {wanted}'


def state_query(rng, n):
    """(keys, calls with tolerances, WHERE)"""
    keys = rng.sample(KEYS, rng.choice([0, 1, 1, 2]))
    calls = []
    for _ in range(n):
        pattern, tolerance = rng.choice(STATES)
        text = fill(rng, pattern)
        if rng.random() < 0.2:
            text += f' FILTER (WHERE coalesce({plain(rng, "bool")}, false))'
        calls.append((text, tolerance))
    return keys, calls, f' WHERE {plain(rng, "bool")}' if rng.random() < 0.3 else ''


def replaced(message, at, change):
    """The protobuf message with change() applied to its fields `at`."""
    return b''.join((blob(k, change(v) if k == at else v) if isinstance(v, bytes) else num(k, v)) for k, v in fields(message))


def as_states(plan):
    """The plan with its aggregate functions in their state forms: extension declaration, function, name."""
    def renamed(name):
        return b'__%s_state' % name if name.decode() in MERGES else name
    return replaced(plan, 2, lambda declaration: replaced(declaration, 3, lambda function: replaced(function, 3, renamed)))


def state_rows(column):
    """Structs as dictionaries, temporal values as integers."""
    column = column.combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    children = [values(column.field(i)) for i in range(column.type.num_fields)]
    return [dict(zip((f.name for f in column.type), row)) for row in zip(*children)]


def merged(table, n_keys, calls, kinds):
    """Merged values by the text of the keys."""
    keys = list(zip(*(values(table.column(i)) for i in range(n_keys)))) if n_keys else [()] * table.num_rows
    groups = {} if n_keys else {repr(()): []}
    for row, key in enumerate(keys):
        groups.setdefault(repr(key), []).append(row)
    # DataFusion's optimizer leaves no aggregation of what has no rows
    states = [state_rows(table.column(n_keys + 1 + i)) if table.num_rows else [] for i in range(len(calls))]
    return {key: [MERGES[name_of(call)](name_of(call), [states[i][row] for row in rows], kinds[i]) for i, (call, _) in enumerate(calls)]
            for key, rows in groups.items()}
