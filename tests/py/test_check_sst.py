#!/usr/bin/env python3
"""The checker of SSTs and manifests: it passes what a GreptimeDB datanode wrote, finds damage, and passes what regiond writes."""
import glob
import json
import os
import shutil
import sys
import tempfile

import pyarrow as pa
import pyarrow.parquet as pq

from check_sst import Findings, check_folder, check_sst
from golden import Golden
from harness import FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, create_region, flush_request, insert, num

REWRITTEN = os.path.join(tempfile.mkdtemp(prefix='check-sst-'), 'rewritten.parquet')


def need_clean(what, home, orphans=0):
    out, regions, files, lost = check_folder(home)
    assert not out, f'{what}: {len(out)} findings, such as {out[:3]}'
    assert len(lost) == orphans, lost
    assert regions and files
    print(f'{what}: {regions} regions and {files} SSTs are as they must be')


def finds(what, out):
    assert out, f'{what} was not noticed'


def damage(golden):
    """A checker that finds nothing anywhere would pass as well: each of these must be noticed."""
    path, = glob.glob(os.path.join(golden.folder, 'data_home/data/greptime/public/1027/*/*.parquet'))
    table, text = pq.read_table(path), pq.ParquetFile(path).metadata.metadata[b'greptime:metadata']

    def rewritten(t, **options):
        t = t.replace_schema_metadata({'greptime:metadata': text})
        pq.write_table(t, REWRITTEN, **options)
        out = Findings()
        check_sst(out, REWRITTEN)
        return out
    assert all('bounds' not in f and 'order' not in f for f in rewritten(table)), rewritten(table)
    finds('reversed rows', [f for f in rewritten(table.take(list(reversed(range(len(table)))))) if 'out of order' in f])
    finds('a repeated row', [f for f in rewritten(table.take([0, 0, 1])) if 'repeats' in f])
    finds('a missing column', rewritten(table.drop_columns(['cpu'])))
    finds('uneven row groups', [f for f in rewritten_groups(table, text) if 'uniform' in f])
    os.remove(REWRITTEN)
    home = golden.copy()
    delta, = glob.glob(os.path.join(home, 'data/greptime/public/1033/*/manifest/*001.json'))
    body = json.load(open(delta))
    edit = body['actions'][0]['Edit']
    edit['files_to_add'][0]['num_row_groups'] += 1
    del edit['compaction_time_window']
    json.dump(body, open(delta, 'w'))
    out, *_ = check_folder(home)
    assert any('num_row_groups' in f for f in out) and any('compaction_time_window' in f for f in out), out
    shutil.rmtree(home)
    print('damage is noticed')


def rewritten_groups(table, text):
    schema = table.schema.with_metadata({'greptime:metadata': text})
    with pq.ParquetWriter(REWRITTEN, schema) as w:
        for start, n in ((0, 10), (10, 20), (30, 5)):
            w.write_table(table.slice(start, n).cast(schema))
    out = Findings()
    check_sst(out, REWRITTEN)
    return out


def ours(golden):
    """What regiond adds to the golden folder: flushes of every table's unflushed rows and compactions over the peer's files and its own."""
    home = golden.copy()
    server = Server(home=home)
    golden.open_all(server)
    handle = server.channel().unary_unary(HANDLE)
    columns = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
    for table, options in ((2000, ()), (2001, (('sst_format', 'primary_key'),)), (2002, (('append_mode', 'true'),))):
        region = table << 32
        handle(create_region(region, columns, options), timeout=300)
        for n in range(12): # enough versions for checkpoints
            handle(insert(region, columns, [(f'host{i % 7}' if i % 5 else None, 1700000000000 + 1000 * (i * 7 % 50), i * n if i % 3 else None) for i in range(120)]),
                   timeout=300)
            handle(flush_request(region), timeout=300)
    for region, engine, *_ in golden.creates:
        if engine == 'mito':
            handle(flush_request(region), timeout=300)
            handle(blob(1, b'') + blob(11, num(1, region)), timeout=300)
    golden.check(server)
    assert server.stop() == 0
    need_clean('a folder that regiond went on with', home)
    server.remove()
    shutil.rmtree(home)


def main():
    golden = Golden()
    need_clean('the golden folder', os.path.join(golden.folder, 'data_home'))
    damage(golden)
    ours(golden)


if __name__ == '__main__':
    sys.exit(main())
