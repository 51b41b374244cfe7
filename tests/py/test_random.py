"""Random expressions, sorts and aggregations against DataFusion 53 (differential/grammar.py, differential/aggregates.py).

    test_random.py [--seed N] [--count SEEDS] [--seconds S] [--only expressions|sorts|aggregates|states] [--rows N]

A round is 40 expressions, one sort, a query of 12 aggregations or one of the states of 12 (differential/states.py); round i has seed N + i, and `--seed N+i --count 1` with the same --only runs it
again.
"""
import argparse
import collections
import datetime
import re
import signal
import sys
import time

import pyarrow as pa

from differential.engine import Pair, quiet_native_code
from differential.random_run import RandomRun, ServerGone, missed_plants
from differential.table import batch

PROGRESS_SEEDS = 500  # a line of progress every so many


def near_dates(rows):
    """DataFusion's date_bin and date_trunc wrap around for dates that 64 bits of nanoseconds do not hold."""
    at = rows.schema.get_field_index('d')
    days = [None if d is None else min(max(d, datetime.date(1700, 1, 1)), datetime.date(2200, 12, 31)) for d in rows.column(at).to_pylist()]
    return rows.set_column(at, rows.schema.field(at), pa.array(days, pa.date32()))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--count', type=int, default=sys.maxsize, help='seeds at most')
    p.add_argument('--seconds', type=float, default=20, help='no further seed after so long')
    p.add_argument('--only', choices=['expressions', 'sorts', 'aggregates', 'states'])
    p.add_argument('--rows', type=int, default=150)
    a = p.parse_args()
    quiet_native_code()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server ends with this
    rows = near_dates(batch(a.rows))
    run = RandomRun(Pair(rows, config={'datafusion.execution.target_partitions': '1'}), rows)
    missed = missed_plants(run)
    for plant in missed:
        print(f'a planted wrong answer was not found: {plant}')
    rounds = {'expressions': run.expression_round, 'sorts': run.sort_round, 'aggregates': run.aggregate_round, 'states': run.state_round}
    end, counts, total = time.time() + a.seconds, collections.Counter(), collections.Counter()
    seed = a.seed
    while seed < a.seed + a.count and time.time() < end:
        for name, one in rounds.items():
            if a.only in (None, name):
                before = run.outcome.compared
                try:
                    one(seed)
                except ServerGone as e:
                    print(f'seed {seed}, {name}: regiond ended: {e}\n{run.pair.server.tail()}')
                    sys.exit(1)
                total[name] += run.outcome.compared - before
        seed += 1
        if seed % PROGRESS_SEEDS == 0:
            print(f'... {seed - a.seed} seeds, {dict(total)} compared, {len(run.outcome.findings)} differ', flush=True)
    o = run.outcome
    for _, _, difference in o.findings:
        counts[re.sub(r'[-0-9.e+]{2,}|\'[^\']*\'', '_', difference)[:100]] += 1
    for difference, n in counts.most_common(40):
        print(f'{n:6} {difference}')
    for name, n in o.missing.most_common():
        print(f'{n:6} expressions need the function {name}, which regiond does not have')
    print('not compared: ' + (', '.join(f'{n} {why}' for why, n in o.skipped.most_common()) or 'none'))
    print(f'seeds {a.seed} to {seed - 1}: {dict(total)} compared, {len(o.findings)} differ')
    sys.exit(1 if o.findings or o.missing or missed else 0)


if __name__ == '__main__':
    main()
