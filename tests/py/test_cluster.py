#!/usr/bin/env python3
"""A node under a metasrv: what it sends against what a real datanode sent (recordings), the recorded instructions and their replies, leases and their end, a metasrv
that misbehaves, starts from what metasrv has on record, and exit codes."""
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

import grpc
import zstandard

import harness
from harness import (DO_GET, FIELD, HANDLE, INT32, INT64, STRING, TAG, TIME, TS_MS, Server, blob, create_region, fields, free_port, insert, message, need_shared, num,
                     scan_all, varint)
import test_metric
from metasrv import DOWNGRADING, FOLLOWER, LEADER, STAGING, Heartbeat, Metasrv, garbage

COLUMNS = [('device_id', INT64, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
REGION = 1024 << 32
passed = failed = 0


def check(what, good, detail=''):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f'FAILED: {what} {detail}', flush=True)


def rejected(call, request, code='4008'):
    """True when the request is refused with that code."""
    try:
        call(request, timeout=120)
        return False
    except grpc.RpcError as e:
        return dict(e.trailing_metadata()).get('x-greptime-err-code') == code


def until(what, good, seconds=120):
    """Waits until good() is true; a failed check when it never is."""
    end = time.monotonic() + seconds
    while not (fine := good()) and time.monotonic() < end:
        time.sleep(0.02)
    check(what, fine)


def written(call, request):
    """Writes as a frontend does: again while the node says that it does not lead. Only for rows that may be there twice."""
    until('the write is taken', lambda: not rejected(call, request))


def records(name):
    path = os.path.join(need_shared('golden', 'heartbeat'), name + '.jsonl.zst')
    for line in zstandard.ZstdDecompressor().stream_reader(open(path, 'rb')).read().decode().splitlines():
        yield json.loads(line)


def recorded(name):
    """The recorded messages as (record, bytes)."""
    import base64
    for record in records(name):
        if 'msg' in record:
            yield record, base64.b64decode(record['msg'])


def paths(name):
    """(node, connection, stream) -> gRPC path."""
    out = {}
    for r in records(name):
        if ':path' in r.get('headers', {}):
            out[(r['node'], r['conn'], r['stream'])] = r['headers'][':path']
    return out


def node(m, node_id, *flags, home=None, **kw):
    return Server('--metasrv-addrs', m.addr, '--node-id', str(node_id), *flags, home=home, **kw)


def pair(m):
    """Two nodes on one data folder, each with its own log."""
    home = tempfile.mkdtemp(prefix='regiond-test-')
    logs = [tempfile.mkdtemp(prefix='regiond-test-wal-') for _ in range(2)]
    return [node(m, i + 1, '--wal-dir', logs[i], '--log-dir', logs[i], home=home) for i in range(2)]


def led(region=REGION, interval_ms=300, lease_seconds=60):
    """A metasrv, a node under it, the call to that node, which leads a new region."""
    m = Metasrv(interval_ms=interval_ms, lease_seconds=lease_seconds)
    s = node(m, 1)
    m.route[region] = 1
    call_of(s)(create_region(region, COLUMNS), timeout=120)
    m.wait_granted(1, region)
    return m, s, call_of(s)


def call_of(server):
    return server.channel().unary_unary(HANDLE)


def status(server):
    return json.loads(urllib.request.urlopen(f'http://{server.http}/status').read())


def rows_of(server, region):
    t = scan_all(server.channel(), region, COLUMNS)
    return sorted(zip(t['device_id'].to_pylist(), t['v'].to_pylist())) if t.num_rows else []


def part_expr(column, op, value):
    return json.dumps({'Expr': {'lhs': {'Column': column}, 'op': op, 'rhs': {'Value': {'Int64': value}}}}, separators=(',', ':'))


# ---- upstream, against the recordings ----

def shape(h):
    """Which fields a heartbeat has, and of which kind."""
    out = {}
    for n, v in h.fields:
        out.setdefault(n, type(v))
    return out


def test_upstream():
    real = []
    where = paths('restart')
    for r, data in recorded('restart'):
        if r['dir'] == 'up' and where.get((r['node'], r['conn'], r['stream']), '').endswith('/Heartbeat'):
            real.append(Heartbeat(data))
    m = Metasrv(interval_ms=1000, lease_seconds=60)
    s = node(m, 1, '--rpc-server-addr', '10.1.2.3')
    m.route[REGION] = 1
    call = call_of(s)
    call(create_region(REGION, COLUMNS), timeout=120)
    m.wait_granted(1, REGION)
    call(insert(REGION, COLUMNS, [(1, 1, 1)]), timeout=120)
    h = m.wait_beats(1, 2)
    beats = m.heartbeats[1]
    check('handshake is the recorded one', beats[0].raw == real[0].raw, beats[0].raw)
    full = [x for x in real if not x.is_handshake and x.mailbox is None and x.regions][0]
    check('the fields of a full heartbeat', shape(h) == shape(full), f'{shape(h)} {shape(full)}')
    check('order of range reads', [k for k, _, _ in m.ranges][:2] == [b'__switches/recovery', b'__dn_table/1/'], m.ranges)
    check('range read', m.ranges[1] == (b'__dn_table/1/', b'__dn_table/10', 1536), m.ranges)
    check('peer', h.peer == {1: 1, 2: f'10.1.2.3:{s.grpc_port}'.encode()}, h.peer)
    check('node info has the recorded fields', set(full.info) <= set(h.info) and h.info[1] == b'1.0.2' and h.info[3] == h.epoch, h.info)
    check('workloads', h.workloads == full.workloads, h.workloads)
    check('gc statistics', h.extensions == full.extensions, h.extensions)
    mine, theirs = h.regions[REGION], next(iter(full.regions.values()))
    check('fields of a region', set(mine) == set(theirs), f'{set(mine)} {set(theirs)}')
    real_mito = [r for x in real for r in x.regions.values() if r[6] == b'mito'][-1]
    check('keys of the statistic, in order', list(mine['statistic']) == list(real_mito['statistic']) and
          list(mine['statistic']['manifest']['Mito']) == list(real_mito['statistic']['manifest']['Mito']), mine['statistic'])
    st = mine['statistic']
    check('sizes add up', mine[4] == st['wal_size'] + st['sst_size'] + st['manifest_size'] + st['index_size'], mine)
    check('role, rows', h.role(REGION) == LEADER and st['num_rows'] == 1 and st['written_bytes'] > 0, mine)
    gaps = [b.duration - a.duration for a, b in zip(m.full(1), m.full(1)[1:])] # on the node's clock; a busy machine makes them longer, nothing shorter
    check('one a second', gaps and all(g >= 990 for g in gaps), gaps)
    epoch = h.epoch
    s.kill()
    m.kv[b'__dn_table/1/1024'] = json.dumps({'table_id': 1024, 'regions': [0], 'follower_regions': [], 'engine': 'mito', 'region_storage_path': 'greptime/public',
                                             'region_options': {}, 'region_wal_options': {'0': '{"wal.provider":"raft_engine"}'}, 'version': 0}).encode()
    s.start()
    h = m.wait_for(lambda m: (h := m.full(1)[-1]).epoch != epoch and REGION in h.regions and h.role(REGION) == LEADER and h)
    check('the epoch grows', h.epoch > epoch)
    check('the region on record is open, led and has its rows', h.role(REGION) == LEADER and rows_of(s, REGION) == [(1, 1)], h.regions)
    check('replayed rows are not written ones', h.regions[REGION]['statistic']['written_bytes'] == 0, h.regions)
    first = [x for x in m.full(1) if x.epoch == h.epoch][0]
    check('it opened as a follower', first.role(REGION) == FOLLOWER, first.regions)
    check('SIGTERM ends with 0', s.stop() == 0)
    m.stop()


# ---- recorded instructions ----

def normal(reply):
    """A reply without what differs from run to run: ids of files and entries."""
    if isinstance(reply, dict):
        return {k: ('id' if k.endswith('last_entry_id') and v is not None else normal(v)) for k, v in reply.items()}
    if isinstance(reply, list):
        return [normal(x) for x in reply]
    if isinstance(reply, str) and len(reply) == 36 and reply.count('-') == 4:
        return 'uuid'
    return reply


def play(name, m, stop_at=None, only=None):
    """Sends the recorded instructions in order and compares the replies."""
    pending = {}
    for r, data in recorded(name):
        fields_of = message(data)
        field = 2 if r['dir'] == 'down' else 5
        if not isinstance(fields_of.get(field), bytes):
            continue
        try:
            mail = message(fields_of[field])
        except (ValueError, IndexError):
            continue
        if not isinstance(mail.get(6), bytes):
            continue
        text = mail[6].decode()
        if stop_at and stop_at(r, text):
            return
        if only and not (only(text) if r['dir'] == 'down' else (r['node'], mail[1]) in pending):
            continue
        if r['dir'] == 'down' and 'InvalidateCaches' not in text:
            id = m.push(r['node'], text, mail[2].decode())
            pending[(r['node'], mail[1])] = (m.wait_reply(id, 30), text)
        elif r['dir'] == 'down':
            m.push(r['node'], text, mail[2].decode(), id=0)
        else:
            got, asked = pending[(r['node'], mail[1])]
            check('a reply to ' + asked[:80], got is not None)
            if got is None:
                continue
            yield asked, json.loads(text), json.loads(got[0]), got[1], mail


def test_migration():
    m = Metasrv(interval_ms=1000, lease_seconds=60)
    a, b = pair(m)
    m.route[REGION] = 1
    m.operating[(REGION, 2)] = FOLLOWER
    call = call_of(a)
    call(create_region(REGION, COLUMNS), timeout=120)
    m.wait_granted(1, REGION)
    for i in range(44):
        call(insert(REGION, COLUMNS, [(i, i, i)]), timeout=120)
    for asked, real, got, mail, real_mail in play('migration', m):
        check('reply to ' + asked[:60], got == real, f'{got} {real}')
        check('key order', list(got) == list(real), got)
        check('mailbox fields', set(mail) == set(real_mail) and mail[2] == real_mail[2] and mail[4].startswith(b'Metasrv@') and mail[3].startswith(b'Datanode-'), mail)
        if 'UpgradeRegions' in asked:
            m.route[REGION] = 2
    check('all rows on the new node', len(rows_of(b, REGION)) == 44)
    written(call_of(b), insert(REGION, COLUMNS, [(100, 100, 100)])) # a grant from before the route changed may have made it a follower once more
    check('the old node has it no more', rejected(call, insert(REGION, COLUMNS, [(1, 1, 1)]), '4005'))
    check('nor reports it', REGION not in m.wait_beats(1, 2).regions)
    m.wait_role(2, REGION, LEADER)
    a.stop(), b.stop(), m.stop()


def test_split_merge():
    """The recorded repartition, with its expressions on an integer column."""
    m = Metasrv(interval_ms=1000, lease_seconds=60)
    a, b = pair(m)
    other = REGION | 3
    m.route[REGION], m.route[other] = 1, 2
    columns = [('device_id', INT32, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
    call, call_b = call_of(a), call_of(b)
    call(create_region(REGION, columns), timeout=120)
    call_b(create_region(other, columns), timeout=120)
    m.wait_granted(1, REGION), m.wait_granted(2, other)
    call(insert(REGION, columns, [(i, i, i) for i in range(100)]), timeout=120)
    m.state[REGION] = m.state[other] = STAGING # as the route says meanwhile; a lease of plain leadership would end the staging
    seen = 0

    def count(server, region):
        return scan_all(server.channel(), region, columns)['device_id'].to_pylist()
    for asked, real, got, _, _ in play('split_merge_gc', m, stop_at=lambda r, text: 'GetFileRefs' in text):
        check('reply to ' + asked[:60], normal(got) == normal(real), f'{got} {real}')
        seen += 1
        if 'ApplyStagingManifests' in asked and seen < 8:
            first = [r for r in count(a, REGION)] if str(REGION) in asked.split('central')[0] else None
            if first is not None:
                check('after the split the first half is here', sorted(first) == list(range(50)), first)
                check('and the second half there', sorted(count(b, other)) == list(range(50, 100)))
    check('all recorded steps of split and merge', seen == 10, seen)
    check('after the merge all rows are back', sorted(count(a, REGION)) == list(range(100)))
    a.kill(), b.kill()
    # Files in the folders of other regions are there, and nobody's leftovers.
    ctl = subprocess.run([os.path.join(harness.BUILD, 'regionctl'), 'check', '--full', a.home], capture_output=True, text=True)
    check('regionctl finds every shared file', ctl.returncode == 0 and ' 0 bad files, 0 leftovers' in ctl.stdout, ctl.stdout)
    b.remove(), a.remove(), m.stop()


# ---- metric regions ----

LOGICAL = [2001 << 32, 2002 << 32]


def physical_with_tables(server, region):
    """A physical region with two logical ones that have the same region number."""
    call = call_of(server)
    call(blob(1, b'') + blob(5, test_metric.create(region, [])), timeout=120)
    number = region & 0xffffffff
    call(blob(1, b'') + blob(13, b''.join(blob(1, test_metric.create(l | number, ['host', 'job'][:i + 1], region)) for i, l in enumerate(LOGICAL))), timeout=120)
    return call


def points(times):
    return [(t, float(t), {'host': f'h{t % 10}'}) for t in times]


def times_of(server, region):
    return sorted(t for t, _ in test_metric.rows_of(server, region))


def test_metric_migration():
    """The recorded migration of a physical region: its logical regions move along, and what was written through them."""
    m = Metasrv(interval_ms=1000, lease_seconds=60)
    a, b = pair(m)
    region = 1026 << 32
    m.route[region] = 1
    m.operating[(region, 2)] = FOLLOWER
    call = physical_with_tables(a, region)
    m.wait_granted(1, region)
    call(test_metric.insert([(LOGICAL[0], points(range(20))), (LOGICAL[1], points(range(100, 130)))]), timeout=120)
    played = []
    metric_only = lambda text: str(region) in text or '"table_id":1026' in text
    for asked, real, got, _, _ in play('split_merge_gc', m, only=metric_only):
        check('reply to ' + asked[:60], normal(got) == normal(real), f'{got} {real}')
        played.append(next(iter(json.loads(asked))))
        if played[-1] == 'FlushRegions': # between the flush and the downgrade: rows that only the log has
            call(test_metric.insert([(LOGICAL[0], points(range(20, 25)))]), timeout=120)
            m.state[region] = DOWNGRADING
        if played[-1] == 'DowngradeRegions':
            check('the old node takes no more', rejected(call, test_metric.insert([(LOGICAL[0], points([999]))])))
        if played[-1] == 'UpgradeRegions':
            m.route[region] = m.state.pop(region) and 2
    check('the recorded steps', played == ['OpenRegions', 'FlushRegions', 'DowngradeRegions', 'UpgradeRegions', 'CloseRegions'], played)
    check('rows of both tables', (times_of(b, LOGICAL[0]), times_of(b, LOGICAL[1])) == (list(range(25)), list(range(100, 130))))
    written(call_of(b), test_metric.insert([(LOGICAL[0], points([50])), (LOGICAL[1], points([51]))])) # a grant from before the route changed may have made it a follower
    h = m.wait_role(2, region, LEADER)
    check('and the new node takes writes to both', 50 in times_of(b, LOGICAL[0]) and 51 in times_of(b, LOGICAL[1]))
    check('the old node has neither', rejected(call, test_metric.insert([(LOGICAL[0], points([1]))]), '4005'))
    statistic = h.regions[region]['statistic']
    check('the physical region alone is reported, with two manifests', set(h.regions) == {region} and set(statistic['manifest']) == {'Metric'} and
          h.regions[region][6] == b'metric' and h.role(region) == LEADER, h.regions)
    a.stop(), b.stop(), m.stop()


def split_physical(m, central, new, target_node):
    """As metasrv's procedure splits a physical region: flush, sync of the new region, staging, remap, apply."""
    flushed = m.instruct(1, {'FlushRegions': {'region_ids': [central], 'strategy': 'Sync', 'error_strategy': 'FailFast'}})
    check('flush', flushed['overall_success'], flushed)
    sync = {'SyncRegions': [{'region_id': new, 'request': {'FromRegion': {'source_region_id': central, 'parallelism': 3}}}]}
    for _ in range(2): # metasrv repeats it when an answer is lost
        got = m.instruct(target_node, sync)
        check('sync from a region', got == {'type': 'sync_regions', 'replies': [{'region_id': new, 'ready': True, 'exists': True, 'error': None}]}, got)
    m.state[central] = m.state[new] = STAGING
    exprs = {central: host_expr('Lt', 'h5'), new: host_expr('GtEq', 'h5')}
    for node_id, region in ((1, central), (target_node, new)):
        got = m.instruct(node_id, {'EnterStagingRegions': [{'region_id': region, 'partition_directive': exprs[region]}]})
        check('enter staging', got['replies'][0]['ready'], got)
    got = m.instruct(1, {'RemapManifest': {'region_id': central, 'input_regions': [central], 'region_mapping': {},
                                           'new_partition_exprs': {str(r): e for r, e in exprs.items()}}})
    check('no files are forgotten', got['error'] and got['manifest_paths'] == {}, got)
    got = m.instruct(1, {'RemapManifest': {'region_id': central, 'input_regions': [central], 'region_mapping': {str(central): [central, new]},
                                           'new_partition_exprs': {str(r): e for r, e in exprs.items()}}})
    check('remap', got == {'type': 'remap_manifest', 'exists': True, 'manifest_paths': {str(r): f'remap_manifest_{r}' for r in exprs}, 'error': None}, got)
    for node_id, region in ((target_node, new), (1, central)):
        got = m.instruct(node_id, {'ApplyStagingManifests': [{'region_id': region, 'partition_expr': exprs[region], 'central_region_id': central,
                                                              'manifest_path': f'remap_manifest_{region}'}]})
        check('apply', got['replies'][0]['ready'], got)
    m.state.clear()


def host_expr(op, value):
    return json.dumps({'Expr': {'lhs': {'Column': 'host'}, 'op': op, 'rhs': {'Value': {'String': value}}}}, separators=(',', ':'))


def test_metric_repartition():
    """A physical region is split: on the same node, and onto another one, which reads the metadata region of the first from storage."""
    m = Metasrv(interval_ms=1000, lease_seconds=60)
    a, b = pair(m)
    for table, target in ((1030, 1), (1031, 2)):
        central, new = table << 32, table << 32 | 7
        m.route[central], m.route[new] = 1, target
        servers = {1: a, 2: b}
        call = call_of(a)
        call(blob(1, b'') + blob(5, test_metric.create(central, ['host'])), timeout=120)
        m.wait_granted(1, central)
        tables = [(table + n) << 32 for n in (1000, 1100)]
        call(blob(1, b'') + blob(13, b''.join(blob(1, test_metric.create(t, ['host'], central)) for t in tables)), timeout=120)
        call(test_metric.insert([(tables[0], points(range(20))), (tables[1], points(range(100, 120)))]), timeout=120)
        call_of(servers[target])(blob(1, b'') + blob(5, test_metric.create(new, ['host'])), timeout=120)
        m.wait_granted(1, central), m.wait_granted(target, new)
        check('a region of its own table only', m.instruct(target, {'SyncRegions': [{'region_id': new, 'request': {'FromRegion': {
            'source_region_id': 9 << 32, 'parallelism': 3}}}]})['replies'][0]['error'])
        split_physical(m, central, new, target)
        for i, t in enumerate(tables):
            here, there = times_of(a, t), times_of(servers[target], t | 7)
            check(f'both halves of table {t >> 32}', here == [x for x in range(100 * i, 100 * i + 20) if x % 10 < 5] and
                  there == [x for x in range(100 * i, 100 * i + 20) if x % 10 >= 5], (here, there))
        written(call_of(servers[target]), test_metric.insert([(tables[0] | 7, [(500, 1.0, {'host': 'h9'})])]))
        check('a write to the new half', 500 in times_of(servers[target], tables[0] | 7))
    # Everything is there again after a restart of both.
    m.kv[b'__dn_table/1/1031'] = dn_table(1031, [0], {'physical_metric_table': ''}, engine='metric')
    m.kv[b'__dn_table/2/1031'] = dn_table(1031, [7], {'physical_metric_table': ''}, engine='metric')
    a.restart(), b.restart()
    check('and after a restart', (len(times_of(a, 2031 << 32)), len(times_of(b, 2031 << 32 | 7)), len(times_of(b, 2131 << 32 | 7))) == (10, 11, 10))
    a.stop(), b.stop(), m.stop()


def test_gc():
    m = Metasrv(interval_ms=1000, lease_seconds=60)
    config = tempfile.NamedTemporaryFile('w', suffix='.toml', delete=False)
    config.write('[[region_engine]]\n[region_engine.mito.gc]\nenable = true\nlingering_time = "0s"\n')
    config.close()
    s = node(m, 2, '-c', config.name)
    region = 1025 << 32
    m.route[region] = 2
    m.kv[b'__table_info/1025'] = json.dumps({'table_info': {'catalog_name': 'greptime', 'schema_name': 'public', 'meta': {'engine': 'mito'}}}).encode()
    call = call_of(s)
    call(create_region(region, COLUMNS), timeout=120)
    m.wait_granted(2, region)
    for i in range(3):
        call(insert(region, COLUMNS, [(1, i, i)]), timeout=120)
        call(blob(1, b'') + blob(10, num(1, region)), timeout=120)
    call(blob(1, b'') + blob(11, num(1, region) + blob(3, num(1, 3600))), timeout=120) # strict windows: one file
    folder = os.path.join(s.home, 'data/greptime/public/1025/1025_0000000000')
    parquet = lambda: {f[:-8] for f in os.listdir(folder) if f.endswith('.parquet')}
    before = parquet()
    refs = m.instruct(2, {'GetFileRefs': {'query_regions': [region], 'related_regions': {}}})
    version = refs['file_refs_manifest']['manifest_version'][str(region)]
    check('file references', refs == {'type': 'get_file_refs', 'file_refs_manifest': {'file_refs': {}, 'manifest_version': {str(region): version}, 'cross_region_refs': {}},
                                      'success': True, 'error': None}, refs)
    time.sleep(0.01)
    done = m.instruct(2, {'GcRegions': {'regions': [region], 'file_refs_manifest': refs['file_refs_manifest'], 'full_file_listing': False}})
    deleted = set(done['result']['Ok']['deleted_files'][str(region)])
    check('collected what compaction left', deleted and deleted == before - parquet() and len(parquet()) == 1, done)
    check('the form of the report', normal({k: v for k, v in done['result']['Ok'].items() if k != 'deleted_files'}) ==
          {'deleted_indexes': {str(region): []}, 'need_retry_regions': [], 'processed_regions': [region]}, done)
    again = m.instruct(2, {'GcRegions': {'regions': [region], 'file_refs_manifest': refs['file_refs_manifest'], 'full_file_listing': False}})
    check('nothing the second time', again['result']['Ok']['deleted_files'] == {str(region): []}, again)
    check('an empty order', m.instruct(2, {'GcRegions': {'regions': [], 'file_refs_manifest': {}, 'full_file_listing': False}})['result'] ==
          {'Ok': {'deleted_files': {}, 'deleted_indexes': {}, 'need_retry_regions': [], 'processed_regions': []}})
    check('rows are all there', len(rows_of(s, region)) == 3)

    # What a crash left: of these files no manifest knows. The old ones go with a full listing, and only with one.
    left = {name: os.path.join(folder, name) for name in ('11111111-2222-4333-8444-555555555555.parquet', '11111111-2222-4333-8444-666666666666.parquet',
                                                          'index/11111111-2222-4333-8444-555555555555.puffin', 'notes.parquet')}
    os.makedirs(os.path.join(folder, 'index'), exist_ok=True)
    for name, path in left.items():
        with open(path, 'w') as f:
            f.write('x')
        if '6666' not in name:
            os.utime(path, (time.time() - 3700, time.time() - 3700))
    for file in parquet() - {name[:-8] for name in left}:
        os.utime(os.path.join(folder, file + '.parquet'), (time.time() - 3700, time.time() - 3700))
    order = {'regions': [region], 'file_refs_manifest': refs['file_refs_manifest'], 'full_file_listing': False}
    m.instruct(2, {'GcRegions': order})
    check('without a listing they stay', all(map(os.path.exists, left.values())))
    named = {**refs['file_refs_manifest'], 'file_refs': {str(region): [{'region_id': region, 'file_id': '11111111-2222-4333-8444-555555555555', 'index_version': None}]}}
    m.instruct(2, {'GcRegions': {**order, 'file_refs_manifest': named, 'full_file_listing': True}})
    check('nor do files go that a node still needs', all(map(os.path.exists, left.values())))
    done = m.instruct(2, {'GcRegions': {**order, 'full_file_listing': True}})['result']['Ok']
    check('old files of no manifest are collected', [name for name, path in left.items() if not os.path.exists(path)] ==
          ['11111111-2222-4333-8444-555555555555.parquet', 'index/11111111-2222-4333-8444-555555555555.puffin'] and
          done['deleted_files'] == {str(region): ['11111111-2222-4333-8444-555555555555'] * 2} and
          done['deleted_indexes'] == {str(region): [['11111111-2222-4333-8444-555555555555', 0]]}, done)
    check('and the region has its rows', len(rows_of(s, region)) == 3)
    # A region that is not here but on the route, even one without a leader, may have its files in use.
    m.kv[b'__table_route/1025'] = json.dumps({'type': 'physical', 'region_routes': [{'region': {'id': region | 5}, 'leader_peer': None}]}).encode()
    got = m.instruct(2, {'GcRegions': {'regions': [region | 5], 'file_refs_manifest': {}, 'full_file_listing': True}})
    check('nothing is collected of a region on the route', 'Err' in got['result'], got)
    s.stop(), m.stop()


def test_database_options():
    """A table without a ttl of its own has its database's; the options are read once, and again after metasrv says that they have changed."""
    m = Metasrv(interval_ms=300, lease_seconds=60)
    s = node(m, 1)
    region = 1050 << 32
    m.route[region] = 1
    m.kv[b'__table_info/1050'] = json.dumps({'table_info': {'catalog_name': 'greptime', 'schema_name': 'short', 'meta': {'engine': 'mito'}}}).encode()
    database = lambda ttl, **extra: json.dumps({'ttl': ttl, 'extra_options': extra}).encode()
    m.kv[b'__schema_name/greptime/short'] = database('1s')
    call = call_of(s)
    call(create_region(region, COLUMNS, path='greptime/short'), timeout=120)
    m.wait_granted(1, region)

    def write_and_compact():
        now = int(time.time() * 1000)
        call(insert(region, COLUMNS, [(1, now, 1)]), timeout=120)
        call(blob(1, b'') + blob(10, num(1, region)), timeout=120)
        time.sleep(1.2)
        call(blob(1, b'') + blob(11, num(1, region) + blob(2, b'')), timeout=120)
        return rows_of(s, region)
    check('the ttl of the database', write_and_compact() == [])
    m.kv[b'__schema_name/greptime/short'] = database('1day')
    check('is kept', write_and_compact() == [])
    m.push(1, {'InvalidateCaches': [{'TableId': 1050}, {'SchemaName': {'catalog_name': 'greptime', 'schema_name': 'short'}}]}, id=0)
    m.settle(1)
    check('until it is said to have changed', write_and_compact() == [(1, 1)])
    reads = [k for k, _, _ in m.ranges if not k.startswith((b'__dn_table', b'__switches'))]
    check('reads of the store', reads == [b'__table_info/1050', b'__schema_name/greptime/short', b'__schema_name/greptime/short'], reads)
    m.silent_store = True # no answer: the region's own options hold
    m.push(1, {'InvalidateCaches': [{'SchemaName': {'catalog_name': 'greptime', 'schema_name': 'short'}}]}, id=0)
    m.settle(1)
    check('without an answer a compaction goes on', (1, 1) in write_and_compact())
    s.stop(), m.stop()


def test_overtaken():
    """Another node has written to a region's manifest: this one follows, whatever its lease says, until it has caught up."""
    region = 1070 << 32
    m, s, call = led(region, interval_ms=200)
    call(insert(region, COLUMNS, [(1, 1, 1)]), timeout=120)
    call(blob(1, b'') + blob(10, num(1, region)), timeout=120)
    call(insert(region, COLUMNS, [(2, 2, 2)]), timeout=120)
    folder = os.path.join(s.home, 'data/greptime/public/1070/1070_0000000000/manifest')
    first, newest = [os.path.join(folder, sorted(os.listdir(folder))[i]) for i in (0, -1)]
    foreign = os.path.join(folder, '%020d.json' % (int(os.path.basename(newest)[:20]) + 1))
    with open(first) as f, open(foreign, 'w') as to:
        to.write(f.read()) # the schema again: any change will do
    before = sorted(os.listdir(folder))
    check('a flush does not write over it', rejected(call, blob(1, b'') + blob(10, num(1, region))))
    check('nor beside it', rejected(call, blob(1, b'') + blob(10, num(1, region))) and sorted(os.listdir(folder)) == before)
    check('writes are refused', rejected(call, insert(region, COLUMNS, [(3, 3, 3)])))
    h = m.wait_beats(1, 3)
    check('it follows, though metasrv grants leadership', h.role(region) == FOLLOWER and rejected(call, insert(region, COLUMNS, [(3, 3, 3)])), h.regions)
    check('the status says so', any(x.startswith('regions_overtaken') for x in status(s)['degraded']), status(s)['degraded'])
    got = m.instruct(1, {'UpgradeRegions': [{'region_id': region, 'replay_timeout': '5s'}]})
    check('it catches up', got['replies'][0]['ready'], got)
    call(insert(region, COLUMNS, [(4, 4, 4)]), timeout=120)
    call(blob(1, b'') + blob(10, num(1, region)), timeout=120)
    check('and goes on from what storage had', rows_of(s, region) == [(1, 1), (4, 4)] and status(s)['degraded'] == [], rows_of(s, region))
    # Without rows that only it has, it follows the other node's change by itself, and the next grant makes it lead again.
    newest = os.path.join(folder, [f for f in sorted(os.listdir(folder)) if f.endswith('.json')][-1])
    with open(first) as f, open(os.path.join(folder, '%020d.json' % (int(os.path.basename(newest)[:20]) + 1)), 'w') as to:
        to.write(f.read())
    check('a truncate does not write over it', rejected(call, blob(1, b'') + blob(12, num(1, region) + blob(2, b''))))
    written(call, insert(region, COLUMNS, [(5, 5, 5)]))
    check('it leads again', rows_of(s, region) == [(1, 1), (4, 4), (5, 5)] and status(s)['degraded'] == [], rows_of(s, region))
    s.stop(), m.stop()


def test_partition_of_route():
    """A region whose manifest knows no partition expression, as old ones, takes that of its table's route, and records it when it leads."""
    m = Metasrv(interval_ms=300, lease_seconds=60)
    s = node(m, 1)
    for table in (1060, 1061):
        m.route[table << 32] = 1
        call_of(s)(create_region(table << 32, COLUMNS, partition=b''), timeout=120)
        m.kv[f'__dn_table/1/{table}'.encode()] = dn_table(table, [0])
    expr = part_expr('device_id', 'Lt', 5)
    route = lambda table, region: json.dumps({'type': 'physical', 'region_routes': [{'region': dict(region, id=table << 32, name='', attrs={}), 'leader_peer': None}]}).encode()
    m.kv[b'__table_route/1060'] = route(1060, {'partition_expr': expr})
    m.kv[b'__table_route/1061'] = route(1061, {'partition': {'column_list': ['device_id'], 'value_list': [expr]}, 'partition_expr': ''}) # of old
    s.restart()
    listed = json.loads(message(call_of(s)(blob(1, b'') + blob(18, num(1, 1060 << 32) + num(1, 1061 << 32)), timeout=120))[4])
    check('the expression of the route', [x['partition_expr'] for x in listed] == [expr, expr], listed)
    m.wait_beats(1, 2)
    folder = os.path.join(s.home, 'data/greptime/public/1060/1060_0000000000/manifest')
    delta = os.path.join(folder, '00000000000000000001.json')
    until('a delta is written', lambda: os.path.exists(delta))
    check('recorded by the leader', json.loads(open(delta).read())['actions'][0]['Change']['metadata']['partition_expr'] == expr)
    m.kv.pop(b'__table_route/1060')
    s.restart()
    listed = json.loads(message(call_of(s)(blob(1, b'') + blob(18, num(1, 1060 << 32)), timeout=120))[4])
    check('and there after a restart, unasked', listed[0]['partition_expr'] == expr and m.ranges.count((b'__table_route/1060', b'', 0)) == 1, listed)
    s.stop(), m.stop()


def test_instructions():
    """Old names, unknown and broken instructions, absent regions, repeats, wrong roles."""
    m, s, call = led(interval_ms=1000)
    ident = {'datanode_id': 1, 'table_id': 1024, 'region_number': 0, 'engine': 'mito'}
    opening = {'region_ident': ident, 'region_storage_path': 'greptime/public', 'region_options': {}}
    missing = dict(ident, table_id=9999)
    check('open what is open', m.instruct(1, {'OpenRegion': opening}) == {'type': 'open_regions', 'result': True, 'error': None})
    got = m.instruct(1, {'OpenRegions': [opening, dict(opening, region_ident=missing)]})
    check('open one that is not there', got['result'] is False and got['error'], got)
    check('close an absent one', m.instruct(1, {'CloseRegion': missing}) == {'type': 'close_regions', 'result': True, 'error': None})
    got = m.instruct(1, {'DowngradeRegion': {'region_id': 9999 << 32, 'flush_timeout': None}})
    check('downgrade an absent one', got['replies'] == [{'region_id': 9999 << 32, 'last_entry_id': None, 'metadata_last_entry_id': None, 'exists': False, 'error': None}], got)
    got = m.instruct(1, {'UpgradeRegion': {'region_id': 9999 << 32, 'replay_timeout': '1s'}})
    check('upgrade an absent one', got['replies'] == [{'region_id': 9999 << 32, 'ready': False, 'exists': False, 'error': None}], got)
    got = m.instruct(1, {'UpgradeRegion': {'region_id': str(REGION)}})
    check('upgrade a leader; id as a string', got['replies'] == [{'region_id': REGION, 'ready': True, 'exists': True, 'error': None}], got)
    got = m.instruct(1, {'FlushRegions': {'region_ids': [9999 << 32, REGION], 'error_strategy': 'TryAll'}})
    check('flush all', [r[0] for r in got['results']] == [9999 << 32, REGION] and 'Err' in got['results'][0][1] and got['results'][1][1] == {'Ok': None} and
          got['overall_success'] is False, got)
    got = m.instruct(1, {'FlushRegions': {'region_ids': [9999 << 32, REGION]}})
    check('flush until the first failure', len(got['results']) == 1, got)
    check('an async flush is not answered', m.instruct(1, {'FlushRegions': {'region_ids': [REGION], 'strategy': 'Async'}}, timeout=1) is None)
    got = m.instruct(1, {'ApplyStagingManifests': [{'region_id': 9999 << 32, 'partition_expr': 'x', 'central_region_id': 1, 'manifest_path': 'y'}]})
    check('apply to an absent one', got['replies'][0] == {'region_id': 9999 << 32, 'ready': False, 'exists': False, 'error': None}, got)
    got = m.instruct(1, {'RemapManifest': {'region_id': REGION, 'input_regions': [REGION], 'region_mapping': {}, 'new_partition_exprs': {}}})
    check('remap outside of staging', got['exists'] is True and got['error'] and got['manifest_paths'] == {}, got)
    got = m.instruct(1, {'SyncRegions': [{'region_id': REGION, 'request': {'FromManifest': {'Mito': {'manifest_version': 1, 'flushed_entry_id': 0, 'file_removed_cnt': 0}}}}]})
    check('a leader does not follow', got['replies'][0]['ready'] is False and got['replies'][0]['error'], got)
    others = {str(9000 + i << 32): [REGION] for i in range(5)}
    text = m.wait_reply(m.push(1, {'GetFileRefs': {'query_regions': [REGION], 'related_regions': others}}))[0]
    check('the version of a region that many are related to is told once', text.count(f'"{REGION}":') == 1, text)
    for text in ('{"Frobnicate":{}}', '{"OpenRegions":', '7', '{"OpenRegions":[{"region_ident":{}}]}', '{"FlushRegions":{"region_ids":"x"}}', '[' * 500):
        id = m.push(1, text)
        check('no answer to ' + text[:30], m.wait_reply(id, 0.3) is None)
    check('and the stream lives', m.instruct(1, {'CloseRegions': [missing]})['result'] is True and status(s)['metasrv']['reconnects'] == 0)
    check('repeated downgrades', [m.instruct(1, {'DowngradeRegions': [{'region_id': REGION, 'flush_timeout': {'secs': 5, 'nanos': 0}}]})['replies'][0]['exists'] for _ in range(3)] ==
          [True] * 3)
    ids = [m.push(1, {'UpgradeRegions': [{'region_id': REGION, 'replay_timeout': '5s'}]}), m.push(1, {'CloseRegions': [ident]}),
           m.push(1, {'OpenRegions': [opening]}), m.push(1, {'UpgradeRegions': [{'region_id': REGION, 'replay_timeout': '5s'}]})]
    last = [json.loads(m.wait_reply(i)[0]) for i in ids]
    check('instructions for one region keep their order', last[3]['replies'][0]['ready'] and last[1]['result'] and last[2]['result'], last)
    with m.lock:
        m.silent = True # the next response would end it
        m.push(1, '"Suspend"')

    def suspended():
        try:
            return rows_of(s, REGION) is None
        except grpc.RpcError as e:
            return dict(e.trailing_metadata()).get('x-greptime-err-code') == '1009'
    until('suspend stops queries', suspended)
    m.silent = False
    until('and the next response starts them again', lambda: not suspended())
    s.stop(), m.stop()


# ---- leases ----

def test_leases():
    m, s, call = led(interval_ms=200, lease_seconds=1)
    write = insert(REGION, COLUMNS, [(1, 1, 1)])

    def hush():
        """No grants any more; when the last one that was given ends at the latest."""
        with m.lock:
            m.silent = True
            return m.last_lease[1]
    written(call, write)
    end = hush()
    while True:
        sent = time.monotonic()
        if rejected(call, write):
            break
        check('no write that is sent after the lease is acknowledged', sent < end, sent - end)
    until('the status says so', lambda: any(x.startswith('no_lease') for x in status(s)['degraded']) and status(s)['metasrv']['leases_expired'] >= 1)
    check('reads go on', rows_of(s, REGION) == [(1, 1)])
    m.silent = False
    m.wait_for(lambda m: any(h.role(REGION) == FOLLOWER for h in m.full(1) if REGION in h.regions))
    written(call, write)
    until('and comes back', lambda: status(s)['degraded'] == [])
    # A stopped process: time passes all the same.
    s.process.send_signal(19)
    time.sleep(max(0, hush() - time.monotonic()))
    s.process.send_signal(18)
    check('a paused node does not acknowledge', rejected(call, write))
    m.silent = False
    written(call, write)
    # Leases that no heartbeat has asked for.
    m.settle(1)
    grant = blob(1, num(1, REGION))
    with m.lock:
        m.send_raw(1, blob(1, num(1, 1)) + blob(3, grant + num(2, 10 ** 12) + num(3, 3600)))
        end = hush()
    time.sleep(max(0, end - time.monotonic()))
    check('a lease from the future is not believed', rejected(call, write))
    m.silent = False
    m.wait_beats(1, 3)
    # The route goes elsewhere: the region is closed.
    m.route[REGION] = 2
    m.wait_for(lambda m: REGION not in m.full(1)[-1].regions)
    check('a closeable region is closed', rejected(call, write, '4005'))
    s.stop(), m.stop()


def test_stale_leader_grant():
    """A grant that answers a heartbeat from before the downgrade does not undo it."""
    m, s, call = led()
    h = m.wait_beats(1, 2)
    m.operating[(REGION, 1)] = FOLLOWER
    m.route[REGION] = 2
    m.instruct(1, {'DowngradeRegions': [{'region_id': REGION, 'flush_timeout': {'secs': 5, 'nanos': 0}}]})
    m.send_raw(1, blob(1, num(1, 1)) + blob(3, blob(1, num(1, REGION)) + num(2, h.duration) + num(3, 60)))
    m.settle(1)
    check('a stale grant is not believed', rejected(call, insert(REGION, COLUMNS, [(1, 1, 1)])))
    m.route[REGION] = 1
    written(call, insert(REGION, COLUMNS, [(1, 1, 1)])) # a rollback: writable again without a replay
    s.stop(), m.stop()


def test_stale_follower_grant():
    """An answer to a heartbeat from before the upgrade neither demotes the new leader nor closes it; one to a later heartbeat does."""
    m, s, call = led(interval_ms=500, lease_seconds=30)
    write = insert(REGION, COLUMNS, [(1, 1, 1)])
    m.wait_beats(1, 2)
    m.route.pop(REGION)
    m.operating[(REGION, 1)] = FOLLOWER
    m.instruct(1, {'DowngradeRegions': [{'region_id': REGION, 'flush_timeout': {'secs': 5, 'nanos': 0}}]})
    m.held = []
    h = m.wait_beats(1)
    up = m.instruct(1, {'UpgradeRegions': [{'region_id': REGION, 'replay_timeout': '5s'}]})
    check('upgraded', up['replies'][0]['ready'], up)
    echo = num(2, h.duration) + num(3, 30)
    for late in (m.held[0], blob(1, num(1, 1)) + blob(3, blob(1, num(1, REGION) + num(2, DOWNGRADING)) + echo), blob(1, num(1, 1)) + blob(3, blob(4, varint(REGION)) + echo)):
        m.send_raw(1, late)
    check('the answers were taken in', m.instruct(1, {'FlushRegions': {'region_ids': [REGION]}})['overall_success'])
    call(write, timeout=120)
    check('it leads still', m.wait_beats(1).role(REGION) == LEADER)
    m.held = None
    m.wait_for(lambda m: m.full(1)[-1].role(REGION) == FOLLOWER)
    check('a later answer is obeyed', rejected(call, write))
    m.operating.pop((REGION, 1))
    m.wait_for(lambda m: REGION not in m.full(1)[-1].regions)
    s.stop(), m.stop()


def test_demoted_leader():
    """A leader that a lease made a follower has rows that nobody else has: a downgrade does not pass them over."""
    m, s, call = led()
    call(insert(REGION, COLUMNS, [(1, 1, 1)]), timeout=120)
    down = lambda seconds: {'DowngradeRegions': [{'region_id': REGION, 'flush_timeout': {'secs': seconds, 'nanos': 0}}]}

    def demote():
        m.operating[(REGION, 1)] = FOLLOWER
        m.route.pop(REGION)
        until('demoted', lambda: rejected(call, insert(REGION, COLUMNS, [(2, 2, 2)])))
    demote()
    reply = m.instruct(1, down(1))['replies'][0]
    check('not done without the rows', reply['exists'] and 'cannot be flushed' in (reply['error'] or ''), reply)
    m.state[REGION] = DOWNGRADING
    m.route[REGION] = 1
    reply = m.instruct(1, down(100))['replies'][0]
    folder = os.path.join(s.home, f'data/greptime/public/{REGION >> 32}/{REGION >> 32}_0000000000')
    check('done with them', reply['error'] is None and len([f for f in os.listdir(folder) if f.endswith('.parquet')]) == 1, reply)
    m.state.pop(REGION), m.route.pop(REGION)
    m.wait_beats(1, 2)
    check('once it is done it is done', m.instruct(1, down(3600))['replies'][0]['error'] is None)
    s.stop(), m.stop()


def test_downgrade_persists():
    """A downgrade whose flush fails is no answer to metasrv, which would go on without the rows: it is tried again as long as there is time."""
    m, s, call = led()
    call(insert(REGION, COLUMNS, [(1, 1, 1)]), timeout=120)
    m.state[REGION] = DOWNGRADING
    folder = os.path.join(s.home, f'data/greptime/public/{REGION >> 32}/{REGION >> 32}_0000000000')
    os.rename(folder, folder + '.away')
    open(folder, 'w').close()

    def down(seconds):
        return m.push(1, {'DowngradeRegions': [{'region_id': REGION, 'flush_timeout': {'secs': seconds, 'nanos': 0}}]})
    begin = time.monotonic()
    reply = json.loads(m.wait_reply(down(1))[0])['replies'][0]
    check('the failure is told when the time is up', reply['error'] and time.monotonic() - begin >= 1, reply)
    check('and nobody writes meanwhile', rejected(call, insert(REGION, COLUMNS, [(2, 2, 2)])))
    id = down(100)
    check('no answer before', m.wait_reply(id, 0.5) is None)
    os.remove(folder)
    os.rename(folder + '.away', folder)
    reply = json.loads(m.wait_reply(id)[0])['replies'][0]
    check('it is flushed when it can be', reply['error'] is None and [f for f in os.listdir(folder) if f.endswith('.parquet')], reply)
    id = m.push(1, {'DowngradeRegions': [{'region_id': 9999 << 32, 'flush_timeout': {'secs': 3600, 'nanos': 0}}]})
    check('an absent region is answered at once', json.loads(m.wait_reply(id)[0])['replies'][0]['exists'] is False)
    s.stop(), m.stop()


# ---- a metasrv that misbehaves ----

def test_slow_metasrv():
    """One that needs longer than an interval for an answer: heartbeats do not pile up there, else each lease would be over when it comes."""
    m, s, call = led(interval_ms=200)
    m.delay_s = 0.3
    m.wait_beats(1, 2) # the answers to what came before the delay are on their way
    first = len(m.full(1))
    m.wait_beats(1, 12)
    gaps = [b.duration - a.duration for a, b in zip(m.full(1)[first:], m.full(1)[first + 1:])]
    check('none leaves before the answer to the last one can have come', all(g >= 290 for g in gaps), gaps)
    m.delay_s = 0
    s.stop(), m.stop()


def test_faults():
    m, s, call = led(interval_ms=200)
    write = insert(REGION, COLUMNS, [(1, 1, 1)])
    for seed in range(30):
        m.wait_for(lambda m: m.streams.get(1) and m.streams[1].open)
        m.send_raw(1, garbage(seed))
    m.wait_beats(1, 3)
    written(call, write)
    for fault in ('duplicate', 'reorder'):
        setattr(m, fault, True)
        m.wait_beats(1, 5)
        check('alive under ' + fault, m.instruct(1, {'FlushRegions': {'region_ids': [REGION]}})['overall_success'])
        setattr(m, fault, False)
    m.delay_s = 0.3
    m.wait_beats(1, 5)
    written(call, write)
    m.delay_s = 0
    # A change of leader: the old one answers "not leader" and ends the stream.
    other = Metasrv(interval_ms=200, lease_seconds=60)
    other.route[REGION] = 1
    m.leader_addr = other.addr
    m.leading = False
    other.wait_beats(1, 3)
    check('it follows the leader', other.instruct(1, {'FlushRegions': {'region_ids': [REGION]}})['overall_success'])
    written(call, write)
    check('the epoch stays', other.full(1)[-1].epoch == m.full(1)[0].epoch)
    # Away and back, with a reply in between.
    other.restart()
    other.wait_beats(1, 2)
    written(call, write)
    check('reconnects are counted', status(s)['metasrv']['reconnects'] >= 2, status(s)['metasrv'])
    check('SIGTERM ends with 0', s.stop() == 0)
    other.stop(), m.stop()


# ---- starting ----

def start_fails(*flags, timeout=300):
    binary = Server.__new__(Server)
    home = tempfile.mkdtemp(prefix='regiond-test-')
    from harness import BUILD
    begin = time.monotonic()
    p = subprocess.run([os.path.join(BUILD, 'regiond'), 'datanode', 'start', '--data-home', home, '--rpc-bind-addr', f'127.0.0.1:{free_port()}', '--http-addr',
                        f'127.0.0.1:{free_port()}', *flags], capture_output=True, text=True, timeout=timeout)
    del binary
    return p.returncode, p.stderr, time.monotonic() - begin


def dn_table(table, regions, options=None, **more):
    return json.dumps({'table_id': table, 'regions': regions, 'engine': 'mito', 'region_storage_path': 'greptime/public', 'region_options': options or {},
                       'region_wal_options': {}, 'version': 0, **more}).encode()


def test_starts():
    code, text, took = start_fails('--metasrv-addrs', f'127.0.0.1:{free_port()}', '--node-id', '1')
    check('no metasrv: exit 1 after about 9 s', code == 1 and took > 8 and 'Failed to initialize meta client' in text, (code, took, text))
    m = Metasrv(interval_ms=200, lease_seconds=60, compress=True) # as a real metasrv answers those who take gzip
    check('no node id: exit 1', start_fails('--metasrv-addrs', m.addr)[0] == 1)
    m.kv[b'__dn_table/1/1024'] = dn_table(1024, [0])
    code, text, _ = start_fails('--metasrv-addrs', m.addr, '--node-id', '1')
    check('a missing region: exit 1', code == 1 and 'Failed to open batch regions' in text, (code, text))
    m.kv[b'__switches/recovery'] = b''
    s = node(m, 1)
    check('but not in recovery mode', s.stop() == 0)
    m.kv = {b'__dn_table/1/1024': b'{"table_id":'}
    check('a damaged key: exit 1', start_fails('--metasrv-addrs', m.addr, '--node-id', '1')[0] == 1)
    # Many tables: pages; options reach the regions; in the background; a lease first.
    m.kv = {}
    s = node(m, 1)
    call = call_of(s)
    for t in range(40):
        m.route[(2000 + t) << 32] = 1
        call(create_region((2000 + t) << 32, COLUMNS, [('append_mode', 'true')]), timeout=120)
        m.kv[f'__dn_table/1/{2000 + t}'.encode()] = dn_table(2000 + t, [0], {'append_mode': 'true'})
    for t in range(4000, 6000):
        m.kv[f'__dn_table/1/{t}'.encode()] = dn_table(t, [])
    s.kill()
    config = tempfile.NamedTemporaryFile('w', suffix='.toml', delete=False)
    config.write('require_lease_before_startup = true\ninit_regions_in_background = true\nflush_on_shutdown = true\n')
    config.close()
    s.flags += ['-c', config.name]
    s.start()
    h = m.wait_for(lambda m: len(m.full(1)[-1].regions) == 40 and all(r.get(7, 0) == LEADER for r in m.full(1)[-1].regions.values()) and m.full(1)[-1])
    check('forty regions', len(h.regions) == 40)
    call = call_of(s)
    for _ in range(2):
        call(insert(2000 << 32, COLUMNS, [(1, 1, 1)]), timeout=120)
    check('append mode came from the options', len(rows_of(s, 2000 << 32)) == 2)
    check('SIGTERM ends with 0', s.stop() == 0)
    check('flushed before the stop', any(f.endswith('.parquet') for f in os.listdir(os.path.join(s.home, 'data/greptime/public/2000/2000_0000000000'))))
    # A lease is required and does not come: no port opens, and SIGTERM still ends it.
    m.silent = True
    asked = m.asked
    p = subprocess.Popen(s.command(), stdout=s.log, stderr=s.log)
    m.wait_for(lambda m: m.asked > asked)
    p.send_signal(15)
    check('SIGTERM ends a waiting start', p.wait(timeout=120) in (0, 1))
    m.silent = False
    s.remove(), m.stop()


def main():
    tests = [test_upstream, test_migration, test_split_merge, test_metric_migration, test_metric_repartition, test_gc, test_database_options, test_overtaken, test_partition_of_route, test_instructions, test_leases, test_stale_leader_grant, test_stale_follower_grant, test_demoted_leader, test_downgrade_persists, test_faults, test_slow_metasrv, test_starts]
    wanted = sys.argv[1:]
    for t in tests:
        if not wanted or t.__name__ in wanted:
            begin = time.monotonic()
            t()
            print(f'{t.__name__}: {time.monotonic() - begin:.1f} s', flush=True)
    print(f'{passed} checks passed, {failed} failed')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
