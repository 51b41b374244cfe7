#!/usr/bin/env python3
"""Two nodes, a metasrv that goes wrong in every way, writers that never stop: never two writers of one region, no acknowledged row lost.

    CLUSTER_SEEDS=1000 test_cluster_sim.py [first seed]      default 12; seeds are printed

Each seed gives a region and a schedule of faults for it: partitions, pauses (SIGSTOP), migrations and rollbacks under load, changes of metasrv's leader, dropped leases,
duplicated and reordered responses. Checked:

  - a write that was sent to a node after another one was told to lead is never acknowledged by the first;
  - a write that was sent to a node when no lease of it could still run is never acknowledged (acknowledge());
  - at the end every acknowledged row is on the leading node, those excepted that were left behind because they were never flushed (their log is local to a node): by a
    failover without the old leader, and by a migration that went back because the answer to its upgrade was lost;
  - and that one takes writes again once nothing goes wrong any more.

None of it depends on how fast the machine is. What must not happen is judged by the order of events alone. What has to happen gets all the time it needs: where leases of a
second keep running out because this process, which is metasrv, does not get to answer in time, metasrv grants longer ones (calm()), and only a region that is not led then either is
a finding. The cluster is not used again after that.
"""
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import grpc

from harness import FIELD, HANDLE, INT64, TAG, TIME, TS_MS, Server, create_region, flush_request, insert, scan_all
from metasrv import DOWNGRADING, FOLLOWER, Metasrv

COLUMNS = [('k', INT64, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
INTERVAL_MS, LEASE_S, VOLLEY = 100, 1, 16
PATIENCE_S, CALM_AFTER_S = 400, 15 # what comes at all has come by then; seconds without a leader after which leases get longer


class Write:
    __slots__ = ('node', 'key', 'sent', 'acked')

    def __init__(self, node, key):
        self.node, self.key, self.sent, self.acked = node, key, time.monotonic(), None


class Cluster:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix='regiond-sim-')
        self.logs = [tempfile.mkdtemp(prefix='regiond-sim-wal-') for _ in range(2)]
        self.m = Metasrv(interval_ms=INTERVAL_MS, lease_seconds=LEASE_S)
        self.m.patient = False
        self.servers = {i + 1: Server('--metasrv-addrs', self.m.addr, '--node-id', str(i + 1), '--wal-dir', self.logs[i], '--log-dir', self.logs[i], home=self.home)
                        for i in range(2)}
        self.calls = {n: s.channel().unary_unary(HANDLE) for n, s in self.servers.items()}
        self.calmed = False

    def calm(self):
        """Twice the time for everything. A node takes the interval over with its next stream."""
        self.calmed = True
        self.m.lease_seconds = min(2 * self.m.lease_seconds, 3600)
        self.m.interval_ms = self.m.retry_ms = min(2 * self.m.interval_ms, 3000)

    def close(self):
        for s in self.servers.values():
            s.process.send_signal(signal.SIGCONT)
            s.kill()
        self.m.stop()
        for d in [self.home, *self.logs]:
            shutil.rmtree(d, ignore_errors=True)


class Seed:
    def __init__(self, cluster, seed):
        self.c, self.m, self.seed, self.r = cluster, cluster.m, seed, random.Random(seed)
        self.region = (10000 + seed) << 32
        self.writes, self.lock, self.done, self.volleyed = [], threading.Lock(), False, 0
        self.created, self.unleased = 0, []
        self.leader = 1
        self.led_since = {}        # node -> when it was told to lead (migrations)
        self.taken_at = {1: None, 2: None}  # node -> when another one was told to lead
        self.abandoned = []        # (node, when, what was flushed by then): leaders that metasrv had to go on without
        self.flushed = set()       # keys acknowledged before a flush of their node that succeeded
        self.events = []

    def note(self, *event):
        self.events.append((round(time.monotonic() - self.begin, 3), *event))

    # ---- load ----

    def acknowledge(self, w):
        """No lease that metasrv has given so far, and not the region's first one either, may have ended before the write was sent."""
        w.acked = time.monotonic()
        end = max(self.m.last_lease.get(w.node, 0), self.created + 4 * INTERVAL_MS / 1000)
        if w.sent > end:
            self.unleased.append(f'node {w.node} acknowledged key {w.key}, sent {w.sent - end:.3f} s after its last lease')

    def writer(self, number):
        key, r = number * 1000000, random.Random(self.seed * 7 + number)
        while not self.done:
            node = self.leader if r.random() < 0.7 else r.choice([1, 2])
            key += 1
            w = Write(node, key)
            with self.lock:
                self.writes.append(w)
            try:
                self.c.calls[node](insert(self.region, COLUMNS, [(key, key, key)]), timeout=3)
                self.acknowledge(w)
            except grpc.RpcError:
                time.sleep(0.002)

    def wake(self, node):
        """Lets a paused node go on, with a volley of writes in front of it, which it may find before its keeper of leases has looked at the clock. No lease is given meanwhile."""
        writes, drop = [], self.m.drop_leases
        self.m.drop_leases = 10**6
        for _ in range(VOLLEY):
            self.volleyed += 1
            w = Write(node, 9000000 + self.volleyed)
            writes.append((w, self.c.calls[node].future(insert(self.region, COLUMNS, [(w.key, w.key, w.key)]), timeout=3)))
        with self.lock:
            self.writes += [w for w, _ in writes]
        time.sleep(0.02) # they are on their way
        self.c.servers[node].process.send_signal(signal.SIGCONT)
        for w, call in writes:
            if call.exception() is None:
                self.acknowledge(w)
        self.m.drop_leases = drop

    # ---- what metasrv does ----

    def migrate(self, force=False):
        """As metasrv's procedure: open, flush, downgrade, upgrade, close; steps that fail roll back, or go on without the old leader (force)."""
        old, new, m = self.leader, 3 - self.leader, self.m
        self.note('migrate', old, new, force)
        ident = {'table_id': self.region >> 32, 'region_number': 0, 'engine': 'mito'}
        m.operating[(self.region, new)] = FOLLOWER
        opened = m.instruct(new, {'OpenRegions': [{'region_ident': ident, 'region_storage_path': 'greptime/public', 'region_options': {}, 'skip_wal_replay': True}]}, timeout=2)
        if not opened or not opened['result']:
            self.note('not opened', opened)
            return
        with self.lock:
            before = {w.key for w in self.writes if w.node == old and w.acked}
        flushed = m.instruct(old, {'FlushRegions': {'region_ids': [self.region], 'error_strategy': 'TryAll'}}, timeout=1)
        if flushed and flushed['overall_success']:
            self.flushed |= before
        m.state[self.region] = DOWNGRADING
        down = m.instruct(old, {'DowngradeRegions': [{'region_id': self.region, 'flush_timeout': {'secs': 5, 'nanos': 0}}]}, timeout=2)
        good = down and down['replies'][0]['exists'] and not down['replies'][0]['error']
        if not good and not force:
            self.note('rolled back', down)
            m.state.pop(self.region, None)
            m.operating.pop((self.region, new), None)
            return
        if not good:
            # The old leader cannot be reached: no lease that it may have got runs any more.
            m.partition(old)
            time.sleep(max(0, m.last_lease.get(old, 0) - time.monotonic()))
        self.taken_at[old] = time.monotonic()
        if not good:
            self.abandoned.append((old, self.taken_at[old], frozenset(self.flushed)))
        self.taken_at[new] = None
        up = m.instruct(new, {'UpgradeRegions': [{'region_id': self.region, 'last_entry_id': down['replies'][0]['last_entry_id'] if good else None,
                                                  'replay_timeout': '5s', 'location_id': old}]}, timeout=8)
        if not up or not up['replies'][0]['ready']:
            self.note('no upgrade', up)
            # As metasrv: the route goes back to the old leader.
            if good:
                closed = m.instruct(new, {'CloseRegions': [dict(ident, datanode_id=new)]}, timeout=3)
                if closed is None:
                    m.partition(new)
                    time.sleep(max(0, m.last_lease.get(new, 0) - time.monotonic()))
                # What it took is left behind: metasrv never learnt that it led. (Frontends write where the route says, and it never named this node; the writers here do.)
                self.taken_at[new] = time.monotonic()
                self.abandoned.append((new, self.taken_at[new], frozenset(self.flushed)))
                self.taken_at[old] = None
                m.state.pop(self.region, None)
                m.operating.pop((self.region, new), None)
                m.route[self.region] = old
                return
            end = time.monotonic() + PATIENCE_S
            while not up or not up['replies'][0]['ready']:
                if time.monotonic() > end:
                    raise AssertionError(f'no leader: {up}')
                m.wait_beats(new, 1, timeout=PATIENCE_S)
                up = m.instruct(new, {'UpgradeRegions': [{'region_id': self.region, 'replay_timeout': '5s', 'location_id': old}]}, timeout=8)
        m.route[self.region] = new
        m.state.pop(self.region, None)
        m.operating.pop((self.region, new), None)
        self.leader = new
        m.push(old, {'CloseRegions': [dict(ident, datanode_id=old)]})
        self.note('moved', new)

    def fault(self):
        m, r = self.m, self.r
        node = r.choice([1, 2])
        kind = r.choice(['partition', 'pause', 'migrate', 'migrate', 'force', 'leader', 'drop', 'duplicate', 'reorder', 'delay', 'silent', 'flush', 'calm'])
        self.note(kind, node)
        if kind == 'partition':
            m.partition(node)
            time.sleep(r.random() * 1.8)
            m.heal(node)
        elif kind == 'pause':
            p = self.c.servers[node].process
            p.send_signal(signal.SIGSTOP)
            if r.random() < 0.3:
                self.during(node, self.migrate, r.random() < 0.5)
            time.sleep(r.random() * 1.8)
            self.wake(node)
        elif kind == 'migrate':
            if r.random() < 0.4:
                threading.Timer(r.random() * 0.02, lambda: m.partition(node)).start()
                threading.Timer(0.5 + r.random(), lambda: m.heal(node)).start()
            self.migrate()
        elif kind == 'force':
            m.partition(self.leader)
            self.migrate(force=True)
        elif kind == 'leader':
            m.leading = False
            time.sleep(r.random() * 0.5)
            m.leading = True
        elif kind == 'drop':
            m.drop_leases = r.randrange(20)
        elif kind in ('duplicate', 'reorder'):
            setattr(m, kind, True)
            time.sleep(r.random() * 0.5)
            setattr(m, kind, False)
        elif kind == 'delay':
            m.delay_s = r.random() * 0.2
            time.sleep(r.random())
            m.delay_s = 0
        elif kind == 'silent':
            m.silent = True
            time.sleep(r.random() * 1.5)
            m.silent = False
        elif kind == 'flush':
            try:
                self.c.calls[self.leader](flush_request(self.region), timeout=3)
            except grpc.RpcError:
                pass
        for n in (1, 2):
            m.heal(n)
        time.sleep(r.random() * 0.1)

    def during(self, paused, body, *arguments):
        failed = []

        def run():
            try:
                body(*arguments)
            except AssertionError as e:
                failed.append(e)
        t = threading.Thread(target=run)
        t.start()
        t.join(0.3 + self.r.random() * 2)
        self.wake(paused)
        t.join()
        if failed:
            raise failed[0]

    # ---- the whole ----

    def wait_leading(self):
        """Until the leader takes writes."""
        calm_at = time.monotonic() + CALM_AFTER_S
        end = calm_at + PATIENCE_S
        while time.monotonic() < end:
            try:
                self.c.calls[self.leader](insert(self.region, COLUMNS, [(0, 0, 0)]), timeout=20)
                return
            except grpc.RpcError as e:
                last = f'{e.code().name}: {e.details()}'
                time.sleep(0.02)
            if time.monotonic() > calm_at:
                self.c.calm()
                self.note('calm', self.m.lease_seconds, last)
                calm_at = time.monotonic() + CALM_AFTER_S
        lines = [line for n in (1, 2) for line in self.c.servers[n].tail().splitlines() if str(self.region) in line]
        raise AssertionError('\n'.join([f'node {self.leader} does not lead: {last}', f'route {self.m.route.get(self.region)}, state {self.m.state.get(self.region)}', *lines]))

    def run(self):
        self.begin = time.monotonic()
        for n in (1, 2):
            self.m.wait_beats(n, 1, timeout=PATIENCE_S)
        self.m.route[self.region] = 1
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.c.calls[1](create_region(self.region, COLUMNS), timeout=20)
                self.created = time.monotonic()
                break
            except grpc.RpcError as e:
                if time.monotonic() > end:
                    raise AssertionError(f'not created: {e.details()}')
                time.sleep(0.05)
        self.wait_leading()
        threads = [threading.Thread(target=self.writer, args=(n + 1,)) for n in range(2)]
        for t in threads:
            t.start()
        try:
            for _ in range(self.r.randrange(1, 5)):
                self.fault()
            self.wait_leading()
        finally:
            self.done = True
            for t in threads:
                t.join()
        self.check()
        self.m.route.pop(self.region, None) # both close it

    def check(self):
        # Two writers: an acknowledgement from a node for a write that was sent after another one was told to lead (and before it led again).
        for w in self.writes:
            taken = self.taken_at[w.node]
            if w.acked and taken is not None and w.sent > taken:
                raise AssertionError(f'node {w.node} acknowledged key {w.key}, sent {w.sent - taken:.3f} s after it had lost the region')
        if self.unleased:
            raise AssertionError('; '.join(self.unleased[:5]))
        table = scan_all(self.c.servers[self.leader].channel(), self.region, COLUMNS, timeout=PATIENCE_S)
        have = set(table['k'].to_pylist())
        acked = {w.key for w in self.writes if w.acked}
        left = {w.key for w in self.writes for n, at, flushed in self.abandoned if w.node == n and w.sent < at and w.key not in flushed}
        lost = acked - have - left
        foreign = have - {w.key for w in self.writes} - {0}
        if lost or foreign:
            raise AssertionError(f'{len(lost)} acknowledged rows lost, {len(foreign)} foreign: {sorted(lost)[:5]}; by node ' +
                                 str({n: sum(w.key in lost and w.node == n for w in self.writes) for n in (1, 2)}))
        self.acked = len(acked)


def main():
    seeds = int(os.environ.get('CLUSTER_SEEDS', '12'))
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    cluster, begin, acked, bad, calmed, codes = Cluster(), time.monotonic(), 0, 0, 0, []

    def replace(cluster):
        codes.extend(s.stop() for s in cluster.servers.values())
        cluster.close()
        return Cluster()
    for n, seed in enumerate(range(first, first + seeds)):
        s = Seed(cluster, seed)
        try:
            s.run()
            acked += s.acked
        except AssertionError as e:
            bad += 1
            print(f'seed {seed}: {e}\n  ' + '\n  '.join(map(str, s.events)), flush=True)
            cluster.close() if os.environ.get('CLUSTER_KEEP') is None else None
            cluster = Cluster()
        if cluster.calmed:
            calmed += 1
            cluster = replace(cluster)
        if n % 20 == 19:
            print(f'{n + 1} seeds, {acked} acknowledged rows, {bad} bad, {time.monotonic() - begin:.0f} s', flush=True)
    codes.extend(s.stop() for s in cluster.servers.values())
    cluster.close()
    print(f'{seeds} seeds from {first}: {acked} acknowledged rows, {bad} bad seeds, {calmed} on a machine too slow for leases of {LEASE_S} s, exit codes {codes}, '
          f'{time.monotonic() - begin:.0f} s')
    sys.exit(bad != 0 or any(codes))


if __name__ == '__main__':
    main()
