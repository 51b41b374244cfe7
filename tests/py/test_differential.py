"""Scalar functions against DataFusion 53: every expression of differential/cases.py, on regiond and on DataFusion.

    test_differential.py [GROUP or text that an expression contains ...]
"""
import sys

from differential.cases import DIFFERENT, GROUPS
from differential.engine import Failed, Pair, quiet_native_code
from differential.table import batch

ROWS = 64


def differences(pair, expression, ulps):
    """Compares the whole column; when DataFusion fails on some row, each row by itself."""
    sql = f'SELECT k, {expression} AS v FROM t'
    found = pair.compare(sql, ulps)
    if found or not pair.fails(sql):
        return found
    for row in range(ROWS):
        found = pair.compare(f'{sql} WHERE k = {row}', ulps)
        if found:
            return f'{found} (k = {row})'
    return None


def main():
    quiet_native_code()
    wanted = sys.argv[1:]
    pair = Pair(batch(ROWS))
    checked = refused = 0
    wrong, healed = [], []
    for group, cases in GROUPS.items():
        for case in cases:
            expression, ulps = case if isinstance(case, tuple) else (case, 0)
            if wanted and group not in wanted and not any(w in expression for w in wanted):
                continue
            try:
                found = differences(pair, expression, ulps)
            except Failed as e:
                refused += 1
                print(f'{group}: DataFusion does not plan {expression}: {str(e)[:150]}')
                continue
            checked += 1
            if found and expression not in DIFFERENT:
                wrong.append(expression)
                print(f'{group}: {expression}: {found}', flush=True)
            elif not found and expression in DIFFERENT:
                healed.append(expression)
    for expression in healed:
        print(f'listed as different, but equal: {expression}')
    print(f'{checked} expressions compared, {len(wrong)} differ, {len(DIFFERENT)} known to, {refused} not planned')
    sys.exit(1 if wrong or healed else 0)


if __name__ == '__main__':
    main()
