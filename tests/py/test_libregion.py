#!/usr/bin/env python3
"""libregion: a folder read from Python and from C without a server gives the rows that the server gives, changes nothing, and says what is wrong."""
import ctypes
import gc
import hashlib
import os
import subprocess
import sys

import pyarrow as pa

import harness
from harness import FIELD, FLOAT64, HANDLE, INT64, ROOT, STRING, TAG, TIME, TS_MS, Server, blob, create_region, flush_request, insert, num, scan_all

sys.path.insert(0, os.path.join(ROOT, 'examples'))
os.environ.setdefault('LIBREGION', os.path.join(harness.BUILD, 'libregion.so'))
from libregion import Folder  # noqa: E402

REGION, APPEND, LATER, PHYSICAL, LOGICAL = 1 << 32, 2 << 32, 3 << 32, 4 << 32, 5 << 32
COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('load', FLOAT64, FIELD), ('n', INT64, FIELD), ('note', STRING, FIELD)]


def handle(request):
    server.channel().unary_unary(HANDLE)(request, timeout=300)


def metric_region(region_id, labels, option):
    columns = [('ts', TS_MS, TIME), ('val', FLOAT64, FIELD)] + [(l, STRING, TAG) for l in labels]
    body = num(1, region_id) + blob(2, 'metric')
    for i, (name, datatype, semantic) in enumerate(columns):
        body += blob(3, blob(1, blob(1, name) + num(2, datatype) + (num(3, 1) if semantic != TIME else b'') + num(5, semantic)) + num(2, i))
    body += b''.join(num(4, i) for i, c in enumerate(columns) if c[2] == TAG) + blob(5, 'greptime/public')
    return blob(1, b'') + blob(5, body + blob(6, blob(1, option[0]) + blob(2, option[1])))


def footprint(home):
    """Every file and folder below `home`: size, time of change, contents."""
    out = {}
    for path, folders, files in os.walk(home):
        for name in folders:
            out[os.path.join(path, name)] = os.stat(os.path.join(path, name)).st_mtime_ns
        for name in files:
            full = os.path.join(path, name)
            if not full.endswith('.reserve') and not full.endswith('stdout.log'):
                out[full] = (os.stat(full).st_mtime_ns, hashlib.sha1(open(full, 'rb').read()).hexdigest())
    return out


def table(folder, region, **scan):
    """The rows in an order of their own, as dicts."""
    rows = folder.scan(region, **scan).read_all().to_pylist()
    return sorted(rows, key=lambda r: [str(v) for v in r.values()])


def refuses(wanted, code, call, *args, **kwargs):
    try:
        got = call(*args, **kwargs)
        if isinstance(got, pa.RecordBatchReader):
            got.read_all()
    except (OSError, pa.ArrowException, MemoryError) as e:
        assert wanted in str(e), e
        assert code is None or e.args[0] == code, e.args
        return
    raise AssertionError(f'{wanted!r} expected, nothing failed')


def values(first, n, hosts=7):
    return [(f'h{i % hosts}' if i % hosts else None, 1000 * i, i / 3, None if i % 5 == 0 else i, f'note {i}' if i % 2 else None) for i in range(first, first + n)]


server = Server()
handle(create_region(REGION, COLUMNS))
handle(create_region(APPEND, COLUMNS, options=[('append_mode', 'true')]))
handle(create_region(LATER, COLUMNS))
handle(metric_region(PHYSICAL, [], ('physical_metric_table', '')))
handle(metric_region(LOGICAL, ['job'], ('on_physical_table', str(PHYSICAL))))
for region in (REGION, APPEND):
    handle(insert(region, COLUMNS, values(0, 5000)))
    handle(flush_request(region))
    handle(insert(region, COLUMNS, values(2500, 5000)))  # half of it once more
    handle(flush_request(region))
    handle(insert(region, COLUMNS, values(7500, 500)))
    handle(flush_request(region))
    handle(blob(1, b'') + blob(11, num(1, region)))  # what is to be merged is merged now, not while we read
logical = [('ts', TS_MS, TIME), ('val', FLOAT64, FIELD), ('job', STRING, TAG)]
handle(insert(LOGICAL, logical, [(i, i / 2, f'j{i % 3}') for i in range(100)]))
handle(flush_request(PHYSICAL))
handle(insert(REGION, COLUMNS, [('unflushed', 1, 1.0, 1, 'x')]))
want = {r: scan_all(server.channel(), r, COLUMNS).to_pylist() for r in (REGION, APPEND)}


def as_served(rows):
    """Of the server's rows those that are in files, in the order of table()."""
    rows = [r for r in rows if r['host'] != 'unflushed']
    return sorted(rows, key=lambda r: [str(v) for v in r.values()])


def check(folder):
    regions = {r[0]: r for r in folder.regions()}
    assert sorted(regions) == [REGION, APPEND, LATER, PHYSICAL, LOGICAL], regions
    assert regions[REGION][1:] == ('mito', 'greptime/public', None, 8000, regions[REGION][5]), regions[REGION]
    assert regions[LOGICAL][1] == 'metric' and not regions[LOGICAL][3], regions[LOGICAL]
    assert len(as_served(want[REGION])) == 8000 and len(want[APPEND]) == 10500
    for region in (REGION, APPEND):
        assert table(folder, region) == as_served(want[region]), region
    assert table(folder, LATER) == []
    got = table(folder, LOGICAL, columns=['val', 'job'])
    assert got == sorted(({'val': i / 2, 'job': f'j{i % 3}'} for i in range(100)), key=lambda r: [str(v) for v in r.values()]), got[:3]

    schema = folder.describe(REGION)
    assert schema.names == [c[0] for c in COLUMNS], schema
    assert [f.metadata[b'regiond:role'] for f in schema] == [b'tag', b'time', b'field', b'field', b'field'], schema
    assert schema.field('ts').type == pa.timestamp('ms') and not schema.field('ts').nullable and schema.field('note').type == pa.string(), schema

    rows = as_served(want[REGION])
    assert table(folder, REGION, filter="host = 'h3' AND load > 500 AND note IS NOT NULL", columns=['note', 'load']) == \
        sorted(({'note': r['note'], 'load': r['load']} for r in rows if r['host'] == 'h3' and r['load'] > 500 and r['note']), key=lambda r: [str(v) for v in r.values()])
    middle = folder.scan(REGION, columns=['ts', 'n'], time_min=100_000, time_max=200_000).read_all()
    assert sorted(middle['ts'].cast('int64').to_pylist()) == list(range(100_000, 200_000, 1000)), middle
    assert folder.scan(REGION, limit=10).read_all().num_rows == 10
    assert folder.scan(REGION, limit=0).read_all().num_rows == 0
    assert folder.scan(REGION, filter='host IS NULL', time_min=0, columns=['host']).read_all().num_rows == sum(r['host'] is None for r in rows)


# A folder that a node has open: what its manifests say. Of the files those of one region are watched, to which the node does nothing by itself.
watched = os.path.join(server.home, 'data', 'greptime', 'public', str(REGION >> 32))
before = footprint(watched)
assert before
with Folder(server.home) as folder:
    check(folder)
assert footprint(watched) == before
assert server.stop() == 0
print('running node: ok')

# A folder that nobody has open.
before = footprint(server.home)
for threads in (1, 3):
    with Folder(server.home, threads=threads) as folder:
        check(folder)
        refuses('no column', 22, folder.scan, REGION, columns=['nonsense'])
        refuses('nonsense', 22, folder.scan, REGION, filter='nonsense = 1')
        refuses('not a value', 22, folder.scan, REGION, filter="load = 'high'")
        refuses('not found', 2, folder.scan, 77 << 32)
        refuses('not found', 2, folder.describe, 77 << 32)
        refuses('a scan of 0 columns', 22, folder.scan, REGION, columns=[])

# What was handed out outlives the stream and the folder.
folder = Folder(server.home)
reader = folder.scan(REGION)
batch = reader.read_next_batch()
half = folder.scan(APPEND)
half.read_next_batch()
folder.close()
del half, reader
gc.collect()
assert batch.num_rows and batch.validate(full=True) is None
column = batch.column('note')
del batch
gc.collect()
assert column[0].as_py() is None or column[0].as_py().startswith('note')
del column
gc.collect()
print('read: ok')

# Where memory is short, a scan says so and the folder goes on.
with Folder(server.home, memory_limit=300 << 10) as folder:
    refuses('memory_limit_bytes', None, folder.scan, REGION)
    assert len(folder.regions()) == 5
refuses('regions.json', None, lambda: Folder(os.path.join(server.home, 'regions.json')))
refuses('nowhere', 2, lambda: Folder('/nowhere'))

# The C example.
example = os.path.join(harness.BUILD, 'libregion_example')
run = subprocess.run([example, server.home], capture_output=True, text=True, check=True, timeout=300)
assert f'{REGION} mito greptime/public rows=8000 files=' in run.stdout, run.stdout
run = subprocess.run([example, server.home, str(REGION), 'load < 100'], capture_output=True, text=True, check=True, timeout=300)
assert 'host u\nts tsm:\n' in run.stdout and run.stdout.endswith('\n300 rows\n'), run.stdout
run = subprocess.run([example, server.home, '77'], capture_output=True, text=True, timeout=300)
assert run.returncode == 1 and 'not found' in run.stderr, run
assert footprint(server.home) == before
print('C: ok')

# Only the names of the header can be seen.
names = subprocess.run(['nm', '-D', '--defined-only', os.environ['LIBREGION']], capture_output=True, text=True, check=True).stdout
names = [line.split()[-1].split('@')[0] for line in names.splitlines()]
assert names and all(n.startswith('libregion_') for n in names), names

# A damaged manifest is one region's problem.
manifests = [os.path.join(p, f) for p, _, fs in os.walk(os.path.join(server.home, 'data')) for f in fs if f'/{APPEND >> 32}_' in p and '/manifest' in p]
for path in manifests:
    open(path, 'wb').write(b'{"actions":[nonsense')
with Folder(server.home) as folder:
    problems = {r[0]: r[3] for r in folder.regions()}
    assert problems[APPEND] and not problems[REGION], problems
    refuses('could not be opened', None, folder.scan, APPEND)
    assert table(folder, REGION) == as_served(want[REGION])
print('damage: ok')
