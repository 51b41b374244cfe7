#!/usr/bin/env python3
"""Compaction through the server: what wins stays so, tombstones go when they may, ttl, strict windows, the window on record, no file without an owner."""
import glob
import json
import os
import random
import time
import urllib.request

import pyarrow.parquet as pq

from harness import FIELD, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, create_region, flush_request, insert, num, rows, scan_all

COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
HOUR = 3600 * 1000
START = 1700000000000 // (24 * HOUR) * 24 * HOUR


def delete(region_id, keys):
    columns = COLUMNS[:2]
    return blob(1, blob(3, 'public')) + blob(4, blob(1, num(1, region_id) + blob(2, rows(columns, keys))))


def compact(region_id, window_seconds=None):
    kind = blob(2, b'') if window_seconds is None else blob(3, num(1, window_seconds))
    return blob(1, b'') + blob(11, num(1, region_id) + kind)


def set_option(region_id, key, value):
    return blob(1, b'') + blob(9, num(1, region_id) + blob(6, blob(1, blob(1, key) + blob(2, value))))


class Region:
    def __init__(self, server, number, *options):
        self.server, self.id, self.path = server, (2048 << 32) + number, f'test/c{number}'
        self.call(create_region(self.id, COLUMNS, options, path=self.path))

    def call(self, request):
        return self.server.channel().unary_unary(HANDLE)(request, timeout=120)

    def write(self, values):
        self.call(insert(self.id, COLUMNS, values))

    def flush(self):
        self.call(flush_request(self.id))

    def files(self):
        return sorted(glob.glob(os.path.join(self.server.home, 'data', self.path, '**', '*.parquet'), recursive=True))

    def manifest(self):
        """Files and window, folded from the manifest."""
        files, window, at = {}, None, -1
        folder = os.path.dirname(glob.glob(os.path.join(self.server.home, 'data', self.path, '**', 'manifest', '*.json'), recursive=True)[0])
        names = sorted(os.listdir(folder))
        for name in [n for n in names if n.endswith('.checkpoint')][-1:]:
            saved = json.load(open(os.path.join(folder, name)))
            at, files, window = saved['last_version'], saved['checkpoint']['files'], saved['checkpoint']['compaction_time_window']
        for name in (n for n in names if n.endswith('.json') and int(n[:20]) > at):
            for action in json.load(open(os.path.join(folder, name)))['actions']:
                edit = action.get('Edit')
                if not edit:
                    continue
                window = edit['compaction_time_window'] or window
                for f in edit['files_to_remove']:
                    files.pop(f['file_id'])
                files.update((f['file_id'], f) for f in edit['files_to_add'])
        return files, window

    def settle(self):
        """Until the compactions that flushes have started are done."""
        self.call(compact(self.id))
        self.check_files()

    def check_files(self):
        end = time.time() + 300
        while time.time() < end and {os.path.basename(p)[:36] for p in self.files()} != set(self.manifest()[0]):
            time.sleep(0.05)
        assert {os.path.basename(p)[:36] for p in self.files()} == set(self.manifest()[0]), 'files without an owner'

    def rows(self):
        t = scan_all(self.server.channel(), self.id, COLUMNS)
        return sorted(zip(map(str, t['host'].to_pylist()), t['ts'].cast('int64').to_pylist(), t['v'].to_pylist()))


def test_what_wins(server):
    """Random writes and deletes that overlap in time, a flush after each few: the region holds what a dict holds, during and after."""
    rng = random.Random(5)
    for number, options in ((1, ()), (2, (('compaction.type', 'twcs'), ('compaction.twcs.time_window', '1h'), ('compaction.twcs.trigger_file_num', '2'))),
                            (3, (('compaction.type', 'twcs'), ('compaction.twcs.max_output_file_size', '4KB')))):
        r, model = Region(server, number, *options), {}
        for step in range(60):
            low = START + rng.randrange(6) * HOUR
            keys = {(f'h{rng.randrange(5)}', low + 60000 * rng.randrange(150)) for _ in range(200)}
            if rng.random() < 0.3:
                gone = [k for k in keys if k in model] or list(keys)[:3]
                r.call(delete(r.id, gone))
                for k in gone:
                    model.pop(k, None)
            else:
                r.write([(h, t, step) for h, t in keys])
                model.update({k: step for k in keys})
            if rng.random() < 0.7:
                r.flush()
            if step % 15 == 14:
                assert r.rows() == sorted((h, t, v) for (h, t), v in model.items()), (number, step)
        r.flush()
        r.settle()
        assert r.rows() == sorted((h, t, v) for (h, t), v in model.items()), number
        before = len(r.files())
        r.call(compact(r.id, 3600))
        r.check_files()
        files, window = r.manifest()
        assert window == '3600s', window
        for f in files.values():
            low, high = (x['value'] for x in f['time_range'])
            assert low // HOUR == high // HOUR, f
        assert r.rows() == sorted((h, t, v) for (h, t), v in model.items()), number
        print(f'{number}: {before} files after 60 steps, {len(r.files())} of an hour each')


def test_tombstones(server):
    """A delete leaves the files once nothing older can be under it, and not before."""
    r = Region(server, 10)
    r.write([('a', START + i * 1000, i) for i in range(100)])
    r.flush()
    r.call(delete(r.id, [('a', START + i * 1000) for i in range(50)]))
    r.flush()
    r.settle()
    assert len(r.files()) == 1 and pq.read_metadata(r.files()[0]).num_rows == 50
    assert [v for *_, v in r.rows()] == list(range(50, 100))


def test_window(server):
    """The window comes from the data of the first compaction and stays on record, over a restart."""
    r = Region(server, 20)
    for i in range(2):
        r.write([('a', START + j * 60000, i) for j in range(100)])
        r.flush()
    r.settle()
    assert r.manifest()[1] == '7200s', r.manifest()[1]
    server.restart()
    for i in range(2):
        r.write([('a', START + j * HOUR, i) for j in range(10)])
        r.flush()
    r.settle()
    assert r.manifest()[1] == '7200s', r.manifest()[1]
    for f in r.manifest()[0].values():
        if f['level'] == 0:
            low, high = (x['value'] for x in f['time_range'])
            assert low // (2 * HOUR) == high // (2 * HOUR), f


def test_append(server):
    r = Region(server, 30, ('append_mode', 'true'))
    for i in range(6):
        r.write([('a', START + j, i) for j in range(50)])
        r.flush()
    r.settle()
    assert len(r.files()) == 1, r.files()
    assert len(r.rows()) == 300


def test_ttl(server):
    now = int(time.time() * 1000)
    r = Region(server, 40, ('ttl', '1h'))
    r.write([('old', now - 5 * HOUR, 1)])
    r.flush()
    r.write([('new', now, 2)])
    r.flush()
    r.settle()
    assert [h for h, *_ in r.rows()] == ['new'] and len(r.files()) == 1
    r.call(set_option(r.id, 'ttl', 'forever'))
    r.write([('old', now - 50 * 24 * HOUR, 3)])
    r.flush()
    r.settle()
    assert [h for h, *_ in r.rows()] == ['new', 'old']
    r.call(set_option(r.id, 'ttl', '30d'))
    r.settle()
    assert [h for h, *_ in r.rows()] == ['new']
    r.call(set_option(r.id, 'ttl', 'instant'))
    r.settle()
    assert r.rows() == [] and r.files() == []
    end = time.time() + 300
    while True: # the counts fall behind the answers
        text = urllib.request.urlopen(f'http://{server.http}/metrics').read().decode()
        status = json.load(urllib.request.urlopen(f'http://{server.http}/status'))['compaction']
        idle = status['running'] == status['debt_bytes'] == 0 and '\ngreptime_mito_inflight_compaction_count 0' in text and '\nregiond_mito_compaction_debt_bytes 0' in text
        if idle or time.time() > end:
            break
        time.sleep(0.05)
    assert idle and status['failed'] == 0 and status['started'] > 0, status
    assert 'regiond_mito_expired_files_total 3' in text, [line for line in text.splitlines() if 'expired' in line]


def test_orphans(server):
    """What a crash has left goes with the first flush or compaction of the next life; what is listed, written since or not ours stays."""
    r = Region(server, 50)
    r.write([('a', START, 1)])
    r.flush()
    r.settle()
    folder = os.path.dirname(r.files()[0])
    os.makedirs(os.path.join(folder, 'index'), exist_ok=True)
    lost = ['0f0e0d0c-0000-4000-8000-00000000000%d.parquet' % i for i in range(3)]
    lost += ['index/0f0e0d0c-0000-4000-8000-000000000000.puffin', 'index/0f0e0d0c-0000-4000-8000-000000000000.1.puffin']
    kept = ['notes.txt', 'zf0e0d0c-0000-4000-8000-000000000000.parquet']
    mine = ['0f0e0d0c-1111-4000-8000-000000000000.parquet']
    server.kill()
    for name in lost + kept:
        open(os.path.join(folder, name), 'w').close()
        os.utime(os.path.join(folder, name), (time.time() - 3600,) * 2)
    server.start()
    assert all(os.path.exists(os.path.join(folder, n)) for n in lost + kept), 'opening deleted something'
    r.write([('a', START, 2)])
    r.flush()
    for name in mine: # as one that a job of this process is writing: whatever its time, it is not looked for any more
        open(os.path.join(folder, name), 'w').close()
        os.utime(os.path.join(folder, name), (time.time() - 3600,) * 2)
    r.call(compact(r.id))
    assert not any(os.path.exists(os.path.join(folder, n)) for n in lost), os.listdir(folder)
    assert all(os.path.exists(os.path.join(folder, n)) for n in kept + mine), os.listdir(folder)
    assert r.rows() == [('a', START, 2)]


def main():
    server = Server()
    test_what_wins(server)
    test_tombstones(server)
    test_append(server)
    test_ttl(server)
    test_window(server)
    test_orphans(server)


if __name__ == '__main__':
    main()
