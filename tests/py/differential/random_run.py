"""Random expressions, sorts and aggregations on both sides, many in a query, and the search for the one that differs.

Every round has its own seed and stands alone: `--seed S --count 1` runs that round again.
"""
import collections
import math
import random
import re

import duckdb
import pyarrow as pa

from .aggregates import random_query
from .engine import Failed, plain_type, same_value, values
from .grammar import ROOTS, expression, random_expression

EXPRESSIONS, AGGREGATES = 40, 12
ANSWERS = 300  # characters of DuckDB's answer that are shown


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


def same_type(a, b):
    """The peer pins a DataFusion that keeps views where 52.3 makes strings of them."""
    a, b = (pa.string() if t in (pa.string(), pa.string_view(), pa.large_string()) else t for t in (plain_type(a), plain_type(b)))
    return a == b


def column_difference(a, b, order, tolerance):
    """What differs between two columns, row by row; None = nothing."""
    if not same_type(a.type, b.type) and len(a):  # DataFusion types a CASE over decimals only when it runs
        return f'DataFusion has type {a.type}, regiond {b.type}'
    if order[0] == order[1] and a.type == b.type and a.equals(b):
        return None
    left, right = values(a), values(b)
    for row, (i, j) in enumerate(zip(*order)):
        x, y = left[i], right[j]
        if not same_close(x, y, tolerance):
            return f'row {row}: DataFusion has {x!r}, regiond {y!r}'
    return None


def is_bug(failure):
    """DataFusion's own word for failing where it should not."""
    return any(text in str(failure) for text in ('Internal error', 'bug in DataFusion', 'column types must match schema types', 'is declared as non-nullable', 'panic', 'Option::unwrap', 'assertion', 'SanityCheckPlan',
                                              'This feature is not implemented'))


class Outcome:
    """Counts of a run, and its findings: (seed, query, difference)."""

    def __init__(self):
        self.compared = self.failing = self.refused = 0
        self.missing = collections.Counter()  # functions that regiond does not have
        self.findings = []


class RandomRun:
    def __init__(self, pair, batch):
        self.pair, self.outcome = pair, Outcome()
        self.duck = duckdb.connect()
        self.duck.register('t', pa.Table.from_batches([batch]))

    def both(self, sql):
        """DataFusion's plan and result; Failed for a query that it does not plan, a Failed object for one that it cannot run."""
        try:
            frame = self.pair.session.sql(sql)
            plan = self.pair.encode(frame)
        except BaseException as e:
            raise Failed(str(e)) from None
        try:
            return plan, frame.to_arrow_table()
        except BaseException as e:
            return plan, Failed(str(e))

    def ours(self, plan):
        try:
            return self.pair.ours(plan)
        except Failed as e:
            return e

    def second_opinion(self, sql):
        try:
            return str(self.duck.sql(sql).fetchall())[:ANSWERS]
        except Exception as e:
            return f'cannot: {str(e)[:80]}'

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
        try:
            plan, theirs = self.both(sql)
        except Failed as e:
            if len(items) == 1:
                self.outcome.refused += 1
                return
            return self.split(seed, items, tail)
        if isinstance(theirs, Failed) and len(items) > 1:
            return self.split(seed, items, tail)
        ours = self.ours(plan)
        if isinstance(theirs, Failed):
            if is_bug(theirs):
                self.outcome.refused += 1
                return
            self.outcome.failing += 1
            if not isinstance(ours, Failed) and not tail and 'CASE' not in sql:  # which rows are computed is the optimizer's choice
                self.report(seed, sql, f'DataFusion fails: {str(theirs)[:150]}; regiond does not')
            return
        if isinstance(ours, Failed):
            if len(items) > 1:
                return self.split(seed, items, tail)
            self.outcome.compared += 1
            return self.report(seed, sql, f'regiond fails: {str(ours)[:250]}')
        if theirs.num_rows != ours.num_rows:
            return self.report(seed, sql, f'DataFusion has {theirs.num_rows} rows, regiond {ours.num_rows}')
        order = by_k(theirs), by_k(ours)
        for i, (item, tolerance) in enumerate(items):
            self.outcome.compared += 1
            found = column_difference(theirs.column(i + 1), ours.column(i + 1), order, tolerance)
            if found:
                self.report(seed, f'SELECT k, {item} FROM t{tail}', found)

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
        self.columns(seed, items, tail)

    # ---- rows in order ----

    def sort_round(self, seed):
        rng = random.Random(seed)
        kinds = [r for r in ROOTS if r not in ('bytes', 'ints')]  # decode() of a constant fails, and DataFusion does not compute constant keys
        keys = [f'{expression(rng, rng.choice(kinds), 1)} {rng.choice(["ASC", "DESC"])} NULLS {rng.choice(["FIRST", "LAST"])}' for _ in range(rng.choice([1, 2, 3]))]
        limit = rng.choice(['', '', ' LIMIT 10', ' LIMIT 3 OFFSET 2', ' LIMIT 0'])
        sql = f'SELECT k FROM t ORDER BY {", ".join(keys)}, k{limit}'
        found = self.whole(seed, sql, 0, [0])
        self.outcome.compared += found is not True
        if found and found is not True:
            self.report(seed, sql, found)

    def whole(self, seed, sql, n_keys, tolerances):
        """Compares a query's rows: in order when there are no keys, else as a set, by their first n_keys columns."""
        try:
            plan, theirs = self.both(sql)
        except Failed:
            self.outcome.refused += 1
            return True
        ours = self.ours(plan)
        if isinstance(theirs, Failed) and is_bug(theirs):
            self.outcome.refused += 1
            return True
        if isinstance(theirs, Failed) or isinstance(ours, Failed):
            if isinstance(theirs, Failed):
                self.outcome.failing += 1
            if isinstance(theirs, Failed) and isinstance(ours, Failed):
                return True
            return f'DataFusion: {str(theirs)[:150] if isinstance(theirs, Failed) else "ok"}; regiond: {str(ours)[:250] if isinstance(ours, Failed) else "ok"}'
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
        before = self.outcome.refused, self.outcome.failing
        found = self.whole(seed, sql, len(keys), [t for _, t in items])
        if found is None:
            self.outcome.compared += len(items)
        elif len(items) > 1:
            self.outcome.refused, self.outcome.failing = before
            half = len(items) // 2
            self.aggregates(seed, keys, items[:half], tail)
            self.aggregates(seed, keys, items[half:], tail)
        elif found is not True:
            self.outcome.compared += 1
            self.report(seed, sql, found)
