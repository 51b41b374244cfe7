"""Random aggregations over the columns of t: functions, DISTINCT, FILTER, ORDER BY, grouping sets.

Sums of floats depend on the order of the rows, so they get arguments for which rounding is all that can differ; what is compared is (aggregate,
    tolerance).
"""
from .grammar import RULES, expression

EXACT, CLOSE, LOOSE = 0, 1e-9, 1e-6
TAME = ['cast(n AS double) * 1.25', 'cast(i16 AS double) / 8', 'cast(m AS double)', 'cast(k AS double) / 3', 'cast(n * m AS double)']
TAME_INTS = ['n', 'm', 'i8', 'i16', 'i32', 'u8', 'u16', 'k', 'n * m', 'i64 % 1000']
KEYS = ['b', 'n', 'm % 4', 'q', 'u8 % 3', "date_part('dow', d)", 'd', 's', 'dec', 'x', 't_s', 'k % 7', 'length(s)', 'f64', 'i64 > 0',
        "date_trunc('day', t_ms)", "case when n > 0 then 'p' else q end"]
# DataFusion's min and max of groups of floats depend on the order of the rows when one is NaN, and never give an infinity.
ORDERED = ['int', 'text', 'bool', 'date', 'time', 'decimal', 'bytes']
ANY = ['int', 'float', 'text', 'bool', 'date', 'time', 'decimal']

# aggregate, tolerance, may be DISTINCT. {kind} as in the grammar; [..] stands for a choice of ours.
AGGREGATES = [
    ('count(*)', EXACT, False), ('count({any})', EXACT, True), ('count({text}, {int})', EXACT, False), ('sum([ints])', EXACT, True), ('sum([tame])',
        CLOSE, False), ('sum(dec)', EXACT, True),
    ('avg([ints])', CLOSE, True), ('avg([tame])', CLOSE, False), ('avg(dec)', EXACT, False), ('min({ordered})', EXACT, True), ('max({ordered})',
        EXACT, False), ('min([tame])', EXACT, False), ('max([tame])', EXACT, False), ('bool_and({bool})', EXACT, False),
    ('bool_or({bool})', EXACT, False), ('bit_and({int})', EXACT, False), ('bit_or({int})', EXACT, True), ('bit_xor({int})', EXACT, False),
    ('var_samp([tame])', LOOSE, False),
    ('var_pop([tame])', LOOSE, False), ('stddev([tame])', LOOSE, False), ('stddev_pop([ints])', LOOSE, False), ('covar_samp([tame], [tame])', LOOSE,
        False),
    ('covar_pop([tame], [ints])', LOOSE, False), ('corr([tame], [tame])', LOOSE, False), ('regr_slope([tame], [tame])', LOOSE, False),
    ('regr_count([tame], {float})', EXACT, False),
    ('regr_avgx([tame], [tame])', LOOSE, False), ('regr_sxx([tame], [tame])', LOOSE, False), ('regr_intercept([tame], [tame])', LOOSE, False),
    ('regr_r2([tame], [tame])', LOOSE, False),
    ('median([ints])', EXACT, True), ('median([tame])', EXACT, False), ('array_agg({any} ORDER BY k)', EXACT, False),
    ('array_agg({any} ORDER BY {any}, k DESC)', EXACT, False),
    ("string_agg({text}, ',' ORDER BY k)", EXACT, False), ('first_value({any} ORDER BY k)', EXACT, False),
    ('first_value({any} ORDER BY {any} DESC NULLS LAST, k)', EXACT, False),
    ('last_value({any} ORDER BY k)', EXACT, False), ('last_value({any} ORDER BY {any} NULLS FIRST, k)', EXACT, False),
    ('nth_value({any}, 2 ORDER BY k)', EXACT, False),
    ('percentile_cont(0.25) WITHIN GROUP (ORDER BY [tame])', CLOSE, False),
]


def plain(rng, kind):
    """An argument: mostly a column or a shallow expression."""
    kind = rng.choice(ANY if kind == 'any' else ORDERED) if kind in ('any', 'ordered') else kind
    return expression(rng, kind, rng.choice([0, 0, 1, 1, 2]))


def fill(rng, pattern):
    for kind in list(RULES) + ['ordered']:
        while '{' + kind + '}' in pattern:
            pattern = pattern.replace('{' + kind + '}', plain(rng, kind), 1)
    for name, pool in (('[ints]', TAME_INTS), ('[tame]', TAME)):
        while name in pattern:
            pattern = pattern.replace(name, rng.choice(pool), 1)
    return pattern


def aggregate(rng):
    pattern, tolerance, distinct = rng.choice(AGGREGATES)
    text = fill(rng, pattern)
    if distinct and rng.random() < 0.3:
        text = text.replace('(', '(DISTINCT ', 1)
    if rng.random() < 0.2:
        text += f' FILTER (WHERE coalesce({plain(rng, "bool")}, false))'  # DataFusion counts rows whose condition is NULL
    return text, tolerance


def random_query(rng, n_aggregates):
    """(keys, aggregates with tolerances, tail of the query)"""
    keys = rng.sample(KEYS, rng.choice([0, 0, 1, 1, 1, 2, 2, 3]))
    where = f' WHERE {plain(rng, "bool")}' if rng.random() < 0.3 else ' WHERE k < 0' if rng.random() < 0.05 else ''
    shape = rng.random()
    if not keys:
        group = ''
    elif shape < 0.75 or len(keys) < 2:
        group = ' GROUP BY ' + ', '.join(keys)
    elif shape < 0.85:
        group = f' GROUP BY ROLLUP ({", ".join(keys)})'
    elif shape < 0.92:
        group = f' GROUP BY CUBE ({", ".join(keys)})'
    else:
        group = f' GROUP BY GROUPING SETS (({keys[0]}), ({", ".join(keys[1:])}), ())'
    if shape >= 0.75 and len(keys) > 1:
        keys = keys + [f'grouping({k})' for k in keys]  # tells a subtotal from a group of NULL
    return keys, [aggregate(rng) for _ in range(n_aggregates)], where + group
