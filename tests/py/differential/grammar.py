"""A random grammar of SQL expressions over the columns of the table t (differential/table.py).

An expression has a kind, not a type: DataFusion brings the operands to a common type,
and that is one of the things under test. Every production is one line of RULES.
What is left out, and why, is in docs/compatibility.md.
"""

NUMBERS = ['i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64', 'f32', 'f64', 'n', 'm']
COLUMNS = {
    'int': ['i8', 'i16', 'i32', 'i64', 'u8', 'u16', 'u32', 'u64', 'n', 'm', 'k'],
    'small': ['n', 'm'],
    'float': ['f64', 'f64', 'f32'],
    'decimal': ['dec'],
    'text': ['s', 's', 'q'],
    'bytes': ['x'],
    'date': ['d'],
    'time': ['t_s', 't_ms', 't_us', 't_ns', 'ts'],
    'bool': ['b'],
}
LITERALS = {
    'int': ['0', '1', '-1', '2', '3', '7', '10', '-10', '100', '127', '255', '1000', '65535', '2147483647', '-2147483648', '9223372036854775807',
            'NULL::bigint', 'NULL::int',
            'arrow_cast(5, \'Int8\')', 'arrow_cast(200, \'UInt8\')', 'arrow_cast(7, \'UInt64\')', 'arrow_cast(-3, \'Int16\')'],
    'known': ['0', '1', '-1', '2', '3', '7', '255'],
    'small': ['0', '1', '2', '3', '-1', '-2', '5', '12', 'NULL::bigint'],
    'float': ['0.0::double', '1.5::double', '-2.5::double', '0.1::double', '1e10::double', '-1e-5::double', 'NULL::double', '3.25::float',
              "'NaN'::double", "'inf'::double"],
    'decimal': ['1.50::decimal(10,2)', '-3.25::decimal(8,2)', '0.0001::decimal(6,4)', 'NULL::decimal(12,3)', '12345.678::decimal(20,3)'],
    'text': ["''", "'a'", "'abc'", "'ABC'", "' x '", "'ü'", "'😀b'", "'a,b,c'", "'%a_'", "'12'", "'-1.5'", "'2024-02-29'", 'NULL::varchar',
             "'" + 'y' * 120 + "'"],
    'bytes': ["''::bytea", "'abc'::bytea", 'NULL::bytea'],
    'date': ["'1970-01-01'::date", "'2024-02-29'::date", "'1900-03-01'::date", 'NULL::date'],
    'time': ["'2024-02-29T12:34:56'::timestamp", "'1969-12-31T23:59:59.5'::timestamp(3)", "'2000-01-01T00:00:00'::timestamp(0)",
             'NULL::timestamp(3)'],
    'bool': ['true', 'false', 'NULL::boolean'],
    'interval': ["interval '1 second'", "interval '7 minutes'", "interval '1 day'", "interval '1 week'", "interval '3 hours 2 seconds'",
                 "interval '1 month'",
                 "interval '-13 months 4 days'", "interval '1 millisecond'"],
    'bin': ["interval '1 second'", "interval '7 minutes'", "interval '1 day'", "interval '1 week'"],
    'pattern': ["'%a%'", "'a_c'", "'%'", "''", "'_'", "'%b'", "'abc%'", "'a%c'", "'%\\_%'"],
    'regex': ["'a.c'", "'^a'", "'b$'", "'[a-c]+'", "'(a)(b)?'", "'\\d+'", "'x*'", "'^\\w+$'", "'[^a]'", "'(?i)ABC'"],
    'delimiter': ["','", "'.'", "'a'", "' '", "'ab'"],
    'direction': ["'ASC'", "'DESC'"],
    'position': ['1', '2', '-1', '7'],
    'flags': ["'i'", "'g'", "'gi'"],
    'part': [f"'{p}'" for p in ('year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second', 'millisecond', 'microsecond', 'dow', 'doy',
                                'epoch')],
    'unit': [f"'{u}'" for u in ('microsecond', 'millisecond', 'second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year')],
    'format': ["'%Y-%m-%d %H:%M:%S'", "'%a %b %e %j'", "'%I %p %f'", "'%s'", "'%D %T'", "'%V %G %u'", "'%y%C%%'"],
}

# Kind -> productions. {kind} is an expression of that kind, {=kind} a literal of it, {!kind} a literal or a column.
RULES = {
    'bool': ['{int} {cmp} {int}', '{float} {cmp} {int}', '{float} {cmp} {float}', '{text} {cmp} {text}', '{date} {cmp} {time}', '{time} {cmp} {time}',
             '{decimal} {cmp} {int}',
             '{decimal} {cmp} {float}', '{bytes} {cmp} {bytes}', '{bool} {cmp} {bool}', '{bool} AND {bool}', '{bool} OR {bool}', 'NOT {bool}',
             '{int} IS NULL', '{text} IS NOT NULL',
             '{bool} IS TRUE', '{bool} IS NOT FALSE', '{bool} IS UNKNOWN', '{text} LIKE {=pattern}', '{text} NOT LIKE {=pattern}',
             '{text} ILIKE {=pattern}',
             '{text} ~ {=regex}', '{text} !~* {=regex}', '{int} IN ({!int}, {=int}, {=int})', '{text} NOT IN ({=text}, {=text})',
             '{float} BETWEEN {float} AND {float}',
             '{int} NOT BETWEEN {small} AND {int}', '{int} IS DISTINCT FROM {int}', '{text} IS NOT DISTINCT FROM {text}',
             '{float} IS DISTINCT FROM {float}',
             'starts_with({text}, {text})', 'ends_with({text}, {text})', 'contains({text}, {text})', 'regexp_like({text}, {=regex})',
             'isnan({float})', 'iszero({float})',
             'CASE WHEN {bool} THEN {bool} ELSE {bool} END', 'coalesce({bool}, {bool})', 'try_cast({int} AS boolean)', 'array_has({ints}, {=int})',
             'nullif({bool}, {bool})',
             '{text} BETWEEN {text} AND {text}', '{date} BETWEEN {date} AND {date}', '{ints} {cmp} {ints}', '{time} IN ({!time}, {=time})',
             'array_has_any({ints}, {ints})', 'empty({ints})', '{decimal} IN ({!decimal}, {=decimal})'],
    'int': ['({int} + {int})', '({int} - {int})', '({int} * {int})', '({int} / nullif({int}, 0))', '({int} % nullif({int}, 0))', '({int} & {int})',
            '({int} | {int})',
            '(- {signed})', 'abs({small})', 'coalesce({int}, {int})', 'nullif({int}, {int})', 'CASE WHEN {bool} THEN {int} ELSE {int} END',
            'CASE WHEN {bool} THEN {int} END',
            'CASE {small} WHEN 1 THEN {int} WHEN {small} THEN {int} ELSE {int} END', 'greatest({int}, {int})', 'least({int}, {int}, {int})',
            'nvl({int}, {int})',
            'try_cast({float} AS bigint)', 'try_cast({int} AS smallint)', 'try_cast({text} AS int)', 'try_cast({int} AS int unsigned)',
            'try_cast({decimal} AS bigint)',
            'cast({bool} AS int)', 'length({text})', 'octet_length({text})', 'bit_length({text})', 'ascii({text})', 'strpos({text}, {text})',
            'levenshtein({text}, {text})',
            'find_in_set({text}, {text})', 'regexp_count({text}, {=regex})', 'date_part({=part}, {time})', 'date_part({=part}, {date})',
            'signum({small})', 'gcd({small}, {small})',
            'cardinality({ints})', 'array_length({ints})', 'array_position({ints}, {=int})', '{ints}[{=small}]', 'try_cast({time} AS bigint)',
            'arrow_cast(abs({small}) % 100, \'UInt8\') + {small}',
            'nvl2({int}, {int}, {int})',
             'array_max({ints})', 'array_min({ints})', '{ints}[-1]', 'factorial(abs({small}) % 15)', 'lcm({small}, {small})',
             '({int} << abs({small}) % 7)', '({int} >> abs({small}) % 7)', '({int} # {int})', "date_part('day', {time} - {time})",
             "date_part('second', {time} - {time})", "character_length(arrow_cast({text}, 'LargeUtf8'))", 'regexp_instr({text}, {=regex})'],
    'signed': ['{small}', 'try_cast({int} AS bigint)', '{=small}', 'try_cast({int} AS int)'],
    'small': ['({small} + {small})', '({small} % 5)', 'abs({small})', 'length({=text})', 'CASE WHEN {bool} THEN {small} ELSE {small} END',
              'coalesce({small}, {=small})'],
    'float': ['({float} + {float})', '({float} - {int})', '({float} * {float})', '({float} / {float})', '({float} % {float})', '(- {float})',
              'abs({float})', 'ceil({float})', 'floor({float})',
              'round({float})', 'round({float}, {=small})', 'trunc({float})', 'sqrt({float})', 'cbrt({float})', 'exp({float})', 'ln(abs({float}))',
              'log2(abs({float}))', 'log10(abs({float}))', 'sin({float})',
              'cos({float})', 'atan({float})', 'atan2({float}, {float})', 'power({float}, {small})', 'degrees({float})', 'radians({float})',
              'signum({float})', 'nanvl({float}, {float})',
              'coalesce({float}, {float})', 'nullif({float}, {float})', 'CASE WHEN {bool} THEN {float} ELSE {int} END', 'greatest({float}, {float})',
              'least({float}, {int})',
              'try_cast({int} AS double)', 'try_cast({text} AS double)', 'try_cast({float} AS float)', 'try_cast({decimal} AS double)',
              'nvl({float}, {int})', 'pi()',
             'tan({float})', 'asin({float})', 'sinh({float})', 'tanh({float})', 'asinh({float})', 'nullif({float}, {int})',
             'power(abs({float}), 0.5::double)', "date_part('epoch', {time} - {time})", "date_part('epoch', {time})",
             'array_distance(make_array({float}, {float}), make_array({float}, {int}))'],
    'decimal': ['({decimal} + {decimal})', '({decimal} - {int})', '({decimal} * {=decimal})', '(- {decimal})', 'abs({decimal})',
                'coalesce({decimal}, {decimal})',
                'CASE WHEN {bool} THEN {decimal} ELSE {decimal} END', 'try_cast({int} AS decimal(20,2))', 'try_cast({float} AS decimal(18,6))',
                'try_cast({text} AS decimal(10,3))',
                'try_cast({decimal} AS decimal(12,1))', 'nullif({decimal}, {decimal})', '({decimal} / nullif({decimal}, 0))',
                '({decimal} % nullif({decimal}, 0))',
             'ceil({decimal})', 'floor({decimal})', 'greatest({decimal}, {decimal})', 'power({decimal}, 2)', 'nvl({decimal}, {int})'],
    'text': ['({text} || {text})', 'concat({text}, {int}, {text})', 'concat_ws({text}, {text}, {text})', 'upper({text})', 'lower({text})',
             'initcap({text})', 'reverse({text})', 'trim({text})',
             'ltrim({text}, {text})', 'rtrim({text}, {text})', 'btrim({text})', 'substr({text}, {small})', 'substr({text}, {small}, abs({small}))',
             'left({text}, {small})',
             'right({text}, {small})', 'lpad({text}, {=small}, {text})', 'rpad({text}, 9, {text})', 'repeat({text}, {=small})',
             'replace({text}, {text}, {text})',
             'split_part({text}, {=delimiter}, {=position})', 'substr_index({text}, {text}, {small})', 'translate({text}, {text}, {text})',
             'coalesce({text}, {text})', 'nullif({text}, {text})',
             'CASE WHEN {bool} THEN {text} ELSE {text} END', 'greatest({text}, {text})', 'least({text}, {text})', 'cast({int} AS varchar)',
             'cast({float} AS varchar)',
             'cast({bool} AS varchar)', 'cast({date} AS varchar)', 'cast({time} AS varchar)', 'cast({decimal} AS varchar)', 'to_hex({int})',
             'chr(64 + abs({small}))', 'md5({text})',
             'regexp_replace({text}, {=regex}, {=text})', "regexp_replace({text}, {=regex}, '<\\1>', {=flags})", "encode({bytes}, 'hex')",
             "encode({text}, 'base64')",
             'to_char({time}, {=format})', 'to_char({date}, {=format})', "array_to_string({ints}, ',')", 'arrow_typeof({any})', 'nvl({text}, {text})',
             "arrow_cast({text}, 'Utf8View')", "arrow_cast({text}, 'LargeUtf8')", 'regexp_match({text}, {=regex})[1]',
             "array_to_string(string_to_array({text}, {=delimiter}), '+', '-')", 'concat({text}, {decimal}, {bool})',
             "cast({time} - {time} AS varchar)", 'cast({ints} AS varchar)', "cast(arrow_cast({time}, 'Time64(Microsecond)') AS varchar)",
             'nvl2({int}, {text}, {text})', "encode(sha256({text}), 'base64')"],
    'bytes': ['sha256({text})', "decode({text}, 'hex')", 'coalesce({bytes}, {bytes})', 'cast({text} AS bytea)', 'CASE WHEN {bool} THEN {bytes} END',
              'digest({text}, \'md5\')'],
    'date': ['try_cast({time} AS date)', 'try_cast({text} AS date)', 'coalesce({date}, {date})', 'nullif({date}, {date})', 'greatest({date}, {date})',
             '({date} + interval \'3 days\')',
             "({date} - interval '2 months')", 'CASE WHEN {bool} THEN {date} ELSE {date} END', 'to_date({=int} % 100000)',
             'make_date(2000 + abs({small}), 1 + abs({small}) % 12, 1 + abs({small}) % 28)', 'least({date}, {date})',
             "to_date('2024-0' || cast(1 + abs({small}) % 9 AS varchar) || '-15')"],
    'time': ['date_trunc({=unit}, {time})', 'date_bin({=bin}, {time})', '({time} + {=interval})', '({time} - {=interval})',
             'coalesce({time}, {time})', 'nullif({time}, {time})',
             'CASE WHEN {bool} THEN {time} ELSE {time} END', 'greatest({time}, {time})', 'try_cast({date} AS timestamp(3))',
             'try_cast({text} AS timestamp(6))',
             'to_timestamp_millis({small})', 'to_timestamp_seconds({small})', 'try_cast({time} AS timestamp(0))', 'least({time}, {date})',
             'date_trunc({=unit}, {date})', 'to_timestamp({small})', 'to_timestamp_micros({small})', 'nvl({time}, {time})',
             "arrow_cast({time}, 'Timestamp(Microsecond, None)')", 'to_timestamp_nanos({time})', "({time} + arrow_cast({small}, 'Duration(Second)'))",
             'from_unixtime({small})'],
    'ints': ['make_array({int}, {int})', 'make_array({=int}, {int}, {=int})', 'array_append({ints}, {int})', 'array_distinct({ints})',
             'array_sort({ints})', 'array_reverse({ints})',
             'array_concat({ints}, {ints})', 'array_slice({ints}, 1, 2)', 'array_remove({ints}, {=known})', 'range(0, 4)',
             'array_union({ints}, {ints})', 'array_intersect({ints}, {ints})', 'array_except({ints}, {ints})', 'array_remove_all({ints}, {=known})',
             'array_replace({ints}, {=known}, {int})', 'array_prepend({int}, {ints})', 'array_pop_front({ints})', 'array_pop_back({ints})',
             'array_resize({ints}, 3)',
             'array_replace_all({ints}, {=known}, {int})', 'array_positions({ints}, {=known})', 'array_repeat({int}, 2)',
             'array_sort({ints}, {=direction})', 'flatten(make_array({ints}, {ints}))', 'CASE WHEN {bool} THEN {ints} ELSE {ints} END',
             'coalesce({ints}, {ints})', 'array_slice({ints}, coalesce({small}, 1), coalesce({small}, -1))',
             'generate_series(0, abs(coalesce({small}, 2)))'],
    'any': ['{int}', '{float}', '{text}', '{bool}', '{date}', '{time}', '{decimal}', '{bytes}', '{ints}'],
}
COMPARISONS = ['=', '<>', '<', '<=', '>', '>=']
ROOTS = ['bool', 'int', 'int', 'float', 'float', 'decimal', 'text', 'text', 'text', 'date', 'time', 'time', 'bytes', 'ints']


def leaf(rng, kind):
    if kind in ('ints', 'signed'):
        return 'make_array(n, m)' if kind == 'ints' else rng.choice(['n', 'm'])
    if kind == 'any':
        kind = rng.choice(ROOTS[:-1])
    columns, literals = COLUMNS.get(kind, []), LITERALS.get(kind, [])
    return rng.choice(columns) if columns and rng.random() < 0.75 else rng.choice(literals)


def fill(rng, pattern, depth, leaf_of):
    out, at = [], 0
    while at < len(pattern):
        if pattern[at] != '{':
            end = pattern.find('{', at)
            end = len(pattern) if end < 0 else end
            out.append(pattern[at:end])
        else:
            end = pattern.index('}', at) + 1
            what = pattern[at + 1:end - 1]
            if what == 'cmp':
                out.append(rng.choice(COMPARISONS))
            elif what[0] == '=':
                out.append(rng.choice(LITERALS[what[1:]]))
            elif what[0] == '!':
                out.append(leaf_of(rng, what[1:]))
            else:
                out.append(expression(rng, what, depth - 1, leaf_of))
        at = end
    return ''.join(out)


def expression(rng, kind, depth, leaf_of=leaf):
    """A random expression of that kind, at most `depth` productions deep."""
    if depth <= 0 or rng.random() < 0.12:
        return leaf_of(rng, kind)
    text = fill(rng, rng.choice(RULES[kind]), depth, leaf_of)
    return f'({text})' if kind == 'bool' else text


def random_expression(rng):
    return expression(rng, rng.choice(ROOTS), rng.choice([1, 1, 2, 2, 3, 4]))
