"""Random expressions, sorts and aggregations on both sides, many in a query, and the search for the one that differs.

Every round has its own seed and stands alone: `--seed S --count 1` runs that round again.
"""
import collections
import math
import random
import re

import duckdb
import pyarrow as pa

from . import explained
from . import states
from .aggregates import random_query
from .engine import Failed, plain_type, same_value, values
from .grammar import ROOTS, expression, random_expression

EXPRESSIONS, AGGREGATES = 40, 12
TOGETHER = 10  # expressions in a query: one that fails takes the others with it, and they are run again
ANSWERS = 300  # characters of DuckDB's answer that are shown
LAZY = re.compile(' FILTER | WHERE |CASE')  # queries that need not compute every expression for every row


class Skipped(str):
    """Why nothing was compared."""


NOT_PLANNED, BOTH_FAIL = Skipped('not planned by DataFusion'), Skipped('fail on both sides')
OTHER_ROWS = Skipped('fail in DataFusion, perhaps on rows that need not be computed')
NAN_SIGNS = Skipped('differ where two NaNs of different sign meet')
ARITHMETIC = re.compile(' [-+*/%] ')  # which of its NaNs survives is the compiler's choice


def same_close(a, b, tolerance):
    """As same_value(), floats as near as that relatively, or absolutely below 1."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same_close(x, y, tolerance) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, float) and not (math.isnan(a) or math.isnan(b)) and a != b:
        return tolerance > 0 and math.isfinite(a) and math.isfinite(b) and abs(a - b) <= max(tolerance * max(abs(a), abs(b)), tolerance)
    return same_value(a, b, 0) or (tolerance > 0 and a == b)


def by_k(table):
    """The rows' numbers in the order of k."""
    keys = table.column(0).to_pylist()
    return sorted(range(len(keys)), key=keys.__getitem__)


def without_views(kind):
    """The peer pins a DataFusion that keeps views where 53.0.0 makes strings of them; dictionaries are a matter of transport."""
    kind = plain_type(kind)
    if kind in (pa.string_view(), pa.large_string()):
        return pa.string()
    return pa.list_(without_views(kind.value_type)) if pa.types.is_list(kind) else kind


def same_type(a, b):
    return without_views(a) == without_views(b)


def column_difference(a, b, order, tolerance, nans=()):
    """What differs between two columns, row by row; None = nothing. NAN_SIGNS when only rows of `nans` (k) differ, which have NaN in a column."""
    if not same_type(a.type, b.type) and len(a):  # DataFusion types a CASE over decimals only when it runs
        return f'DataFusion has type {a.type}, regiond {b.type}'
    if order[0] == order[1] and a.type == b.type and a.equals(b):
        return None
    left, right = values(a), values(b)
    odd = False
    for row, (i, j) in enumerate(zip(*order)):
        x, y = left[i], right[j]
        if not same_close(x, y, tolerance):
            if row not in nans:
                return f'row {row}: DataFusion has {x!r}, regiond {y!r}'
            odd = True
    return NAN_SIGNS if odd else None


class ServerGone(Exception):
    """regiond ended: a finding that no other follows."""


class Outcome:
    """Counts of a run, and its findings: (seed, query, difference)."""

    def __init__(self):
        self.compared = 0
        self.skipped = collections.Counter()
        self.missing = collections.Counter()  # functions that regiond does not have
        self.findings = []


class RandomRun:
    def __init__(self, pair, batch):
        self.pair, self.outcome = pair, Outcome()
        self.duck = duckdb.connect()
        self.duck.register('t', pa.Table.from_batches([batch]))
        floats = zip(batch.column('k').to_pylist(), batch.column('f32').to_pylist(), batch.column('f64').to_pylist())
        self.nan_keys = {k for k, *values in floats if any(v is not None and math.isnan(v) for v in values)}

    def theirs(self, sql):
        """DataFusion's plan (None when it does not plan the query) and result or Failed."""
        plan = None
        try:
            frame = self.pair.session.sql(sql)
            plan = self.pair.encode(frame)
            return plan, frame.to_arrow_table()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as e:  # panics as well
            return plan, Failed(str(e))

    def ours(self, plan):
        try:
            return self.pair.ours(plan)
        except Failed as e:
            if self.pair.server.process.poll() is not None:
                raise ServerGone(e) from None
            return e

    def second_opinion(self, sql):
        try:
            return str(self.duck.sql(sql).fetchall())[:ANSWERS]
        except Exception as e:
            return f'cannot: {str(e)[:80]}'

    @staticmethod
    def verdict_of_failure(plan, theirs, ours, lazily=False):
        """Of two results of which one is a Failed at least: Skipped, or the difference. `lazily`: the optimizer chooses which rows are computed."""
        if not plan:
            return NOT_PLANNED
        if not isinstance(theirs, Failed):
            return f'regiond fails: {str(ours)[:250]}'
        if explained.of_failure(theirs):
            return Skipped(explained.of_failure(theirs))
        if isinstance(ours, Failed):
            return BOTH_FAIL
        return OTHER_ROWS if lazily else f'DataFusion fails: {str(theirs)[:150]}; regiond does not'

    def conclude(self, seed, sql, verdict, n):
        """Counts what came of n expressions: None, Skipped or a difference."""
        if isinstance(verdict, Skipped):
            self.outcome.skipped[verdict] += n
            return
        self.outcome.compared += n
        if verdict:
            self.report(seed, sql, verdict)

    def report(self, seed, sql, difference):
        missing = re.search('does not have the function (\\w+)', difference)
        if missing:
            self.outcome.missing[missing[1]] += 1
            return
        self.outcome.findings.append((seed, sql, difference))
        print(f'seed {seed}: {sql}\n    {difference}\n    DuckDB: {self.second_opinion(sql)}', flush=True)

    # ---- columns of independent values ----

    def columns(self, seed, items, tail):
        """Compares SELECT k, items FROM t; `items` are (expression, tolerance). Splits where something fails."""
        sql = f'SELECT k, {", ".join(f"{e} AS c{i}" for i, (e, _) in enumerate(items))} FROM t{tail}'
        plan, theirs = self.theirs(sql)
        if isinstance(theirs, Failed) and len(items) > 1:
            return self.split(seed, items, tail)
        ours = self.ours(plan) if plan else None
        if isinstance(ours, Failed) and len(items) > 1:
            return self.split(seed, items, tail)
        if isinstance(theirs, Failed) or isinstance(ours, Failed):
            return self.conclude(seed, sql, self.verdict_of_failure(plan, theirs, ours, LAZY.search(sql)), 1)
        if theirs.num_rows != ours.num_rows:
            return self.report(seed, sql, f'DataFusion has {theirs.num_rows} rows, regiond {ours.num_rows}')
        order = by_k(theirs), by_k(ours)
        nans = {row for row, k in enumerate(sorted(theirs.column(0).to_pylist())) if k in self.nan_keys}
        for i, (item, tolerance) in enumerate(items):
            found = column_difference(theirs.column(i + 1), ours.column(i + 1), order, tolerance, nans if ARITHMETIC.search(item) else ())
            self.conclude(seed, f'SELECT k, {item} FROM t{tail}', found, 1)

    def split(self, seed, items, tail):
        half = len(items) // 2
        self.columns(seed, items[:half], tail)
        self.columns(seed, items[half:], tail)

    def expression_round(self, seed):
        rng = random.Random(seed)
        items = [(random_expression(rng), 1e-9) for _ in range(EXPRESSIONS)]
        tail = ''
        if rng.random() < 0.25:
            tail = f' WHERE {expression(rng, "bool", 2)}'
        elif rng.random() < 0.05:
            tail = ' WHERE k < 0'
        for at in range(0, EXPRESSIONS, TOGETHER):
            self.columns(seed, items[at:at + TOGETHER], tail)

    # ---- rows in order ----

    def sort_round(self, seed):
        rng = random.Random(seed)
        kinds = [r for r in ROOTS if r not in ('bytes', 'ints')]  # decode() of a constant fails, and DataFusion does not compute constant keys
        keys = [f'{expression(rng, rng.choice(kinds), 1)} {rng.choice(["ASC", "DESC"])} NULLS {rng.choice(["FIRST", "LAST"])}'
                for _ in range(rng.choice([1, 2, 3]))]
        limit = rng.choice(['', '', ' LIMIT 10', ' LIMIT 3 OFFSET 2', ' LIMIT 0'])
        sql = f'SELECT k FROM t ORDER BY {", ".join(keys)}, k{limit}'
        self.conclude(seed, sql, self.whole(sql, 0, [0]), 1)

    def whole(self, sql, n_keys, tolerances):
        """Compares a query's rows: in order when there are no keys, else as a set, by their first n_keys columns. Returns a verdict."""
        plan, theirs = self.theirs(sql)
        ours = self.ours(plan) if plan else None
        if isinstance(theirs, Failed) or isinstance(ours, Failed):
            return self.verdict_of_failure(plan, theirs, ours, LAZY.search(sql))
        if theirs.num_rows != ours.num_rows:
            return f'DataFusion has {theirs.num_rows} rows, regiond {ours.num_rows}'
        for a, b in zip(theirs.schema, ours.schema):
            if not same_type(a.type, b.type) and theirs.num_rows:
                return f'column {a.name}: DataFusion has type {a.type}, regiond {b.type}'
        rows = [list(zip(*map(values, t.columns))) if t.num_columns else [] for t in (theirs, ours)]
        if n_keys:
            rows = [sorted(r, key=lambda row: repr(row[:n_keys])) for r in rows]
        for x, y in zip(*rows):
            for i, (a, b) in enumerate(zip(x, y)):
                if not same_close(a, b, 0 if i < n_keys else tolerances[i - n_keys]):
                    return f'column {i} of group {x[:n_keys]}: DataFusion has {a!r}, regiond {b!r}'
        return None

    def aggregate_round(self, seed):
        rng = random.Random(seed)
        keys, items, tail = random_query(rng, AGGREGATES)
        self.aggregates(seed, keys, items, tail)

    def aggregates(self, seed, keys, items, tail):
        names = [f'{k} AS g{i}' for i, k in enumerate(keys)] + [f'{a} AS a{i}' for i, (a, _) in enumerate(items)]
        sql = f'SELECT {", ".join(names)} FROM t{tail}'
        verdict = self.whole(sql, len(keys), [t for _, t in items])
        if verdict is None or len(items) == 1:
            self.conclude(seed, sql, verdict, len(items))
        else:
            half = len(items) // 2
            self.aggregates(seed, keys, items[:half], tail)
            self.aggregates(seed, keys, items[half:], tail)

    # ---- states ----

    def state_round(self, seed):
        keys, calls, where = states.state_query(random.Random(seed), AGGREGATES)
        self.states(seed, keys, calls, where)

    def states(self, seed, keys, calls, where):
        """What the states of parts merge to against DataFusion's aggregates."""
        names = [f'{k} AS g{i}' for i, k in enumerate(keys)]
        tail = [f'{call} AS a{i}' for i, (call, _) in enumerate(calls)]
        sql = f'SELECT {", ".join(names + tail)} FROM t{where}' + (f' GROUP BY {", ".join(keys)}' if keys else '')
        parts = f'SELECT {", ".join(names + [f"{states.PART} AS part"] + tail)} FROM t{where} GROUP BY {", ".join(keys + [states.PART])}'
        verdict = self.state_verdict(sql, parts, keys, calls)
        if verdict is None or len(calls) == 1:
            self.conclude(seed, f'states of {sql}', verdict, len(calls))
        else:
            half = len(calls) // 2
            self.states(seed, keys, calls[:half], where)
            self.states(seed, keys, calls[half:], where)

    def state_verdict(self, sql, parts, keys, calls):
        plan, theirs = self.theirs(sql)
        try:
            ours = self.ours(states.as_states(self.pair.plan(parts))) if plan else None
        except Failed:
            return NOT_PLANNED
        if isinstance(theirs, Failed) or isinstance(ours, Failed):
            return self.verdict_of_failure(plan, theirs, ours, LAZY.search(sql))
        kinds = theirs.schema.types[len(keys):]
        for i, (call, _) in enumerate(calls):
            wrong = ours.num_rows and states.wrong_layout(call, ours.schema.types[len(keys) + 1 + i], kinds[i], same_type)
            if wrong:
                return wrong
        found = states.merged(ours, len(keys), calls, kinds)
        rows = list(zip(*map(values, theirs.columns)))
        if len(found) != len(rows):
            return f'DataFusion has {len(rows)} groups, regiond {len(found)}'
        for row in rows:
            key, wanted = repr(row[:len(keys)]), row[len(keys):]
            for (call, tolerance), a, b in zip(calls, wanted, found.get(key, [None] * len(calls))):
                if not same_close(a, b, tolerance):
                    return f'{call} of group {key}: DataFusion has {a!r}, the states of regiond merge to {b!r}'
        return None


# ---- the comparison itself under test ----

class PlantedRun(RandomRun):
    """A run in which regiond's answers are spoilt: every comparison has to find that."""

    def __init__(self, run, spoil):
        self.pair, self.duck, self.nan_keys, self.outcome, self.spoil = run.pair, run.duck, run.nan_keys, Outcome(), spoil

    def ours(self, plan):
        return self.spoil(super().ours(plan))

    def report(self, seed, sql, difference):
        self.outcome.findings.append((seed, sql, difference))


def last_value_other(table):
    """The last value of the last column, in regiond's order, becomes another of that column's."""
    at, column = table.num_columns - 1, table.column(table.num_columns - 1).combine_chunks()
    shown = [repr(v) for v in values(column)]
    other = next(i for i, v in enumerate(shown) if v != shown[-1])
    return table.set_column(at, table.schema.field(at), pa.concat_arrays([column[:-1], column[other:other + 1]]))


def other_type(table):
    return table.set_column(table.num_columns - 1, 'other', pa.nulls(table.num_rows, pa.duration('s')))


SPOILS = [last_value_other, other_type, lambda table: table.slice(1),
          lambda table: Failed('UNKNOWN: Internal error: column types must match schema types')]
PLANTS = ['i64 + 1', 'f64', 'f32 * 2', "s || 'x'", 'd', 't_ns', 'b', 'dec', 'x', '[n, m]', "coalesce(s, 'none')"]


def missed_plants(run):
    """The spoilt answers that a comparison takes for right; none, or the test is worth nothing."""
    missed = []
    for spoil in SPOILS:
        planted = PlantedRun(run, spoil)
        planted.states(0, ['m % 4'], [('sum(n)', 0)], '')
        if len(planted.outcome.findings) != 1:
            missed.append(f'a state, {getattr(spoil, "__name__", "other")}: {planted.outcome.findings}')
        for plant in PLANTS:
            planted = PlantedRun(run, spoil)
            planted.columns(0, [(plant, 1e-9)], '')
            planted.aggregates(0, ['m % 4'], [(f'first_value({plant} ORDER BY k)', 1e-9)], ' GROUP BY m % 4')
            if len(planted.outcome.findings) != 2:
                missed.append(f'{plant}, {getattr(spoil, "__name__", "other")}: {planted.outcome.findings}')
    return missed
