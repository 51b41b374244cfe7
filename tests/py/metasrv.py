"""A metasrv for tests, over grpcio: registers nodes, grants leases by a table of routes, sends instructions, serves a key-value store. It can be told to do worse
than a real one: drop, delay, duplicate, reorder, go silent, lose its leadership, send garbage.

    m = Metasrv(interval_ms=100, lease_seconds=1)
    m.route[region_id] = node_id            # who is granted leadership; others that report the region are told to close it
    reply = m.instruct(node_id, {'CloseRegions': [...]})
"""
import json
import queue
import random
import threading
import time
from concurrent import futures

import grpc

from harness import blob, fields, free_port, message, num, varint

LEADER, FOLLOWER, DOWNGRADING, STAGING = 0, 1, 2, 3


class Heartbeat:
    """One HeartbeatRequest, decoded."""

    def __init__(self, data):
        self.raw, self.at = data, time.monotonic()
        self.fields = fields(data)
        m = dict(self.fields)
        self.member = message(m[1]).get(3, 0)
        self.peer = message(m[2]) if 2 in m else None
        self.duration, self.epoch = m.get(6, 0), m.get(7, 0)
        self.info = message(m[8]) if 8 in m else {}
        self.workloads = m.get(10)
        self.extensions = {}
        for n, v in self.fields:
            if n == 99:
                e = message(v)
                self.extensions[e[1].decode()] = e.get(2, b'')
        self.mailbox = message(m[5]) if 5 in m else None
        self.regions = {}
        for n, v in self.fields:
            if n == 4:
                r = message(v)
                r['statistic'] = json.loads(message(r[99])[2])
                self.regions[r.get(1, 0)] = r

    def role(self, region_id):
        return self.regions[region_id].get(7, LEADER)

    @property
    def is_handshake(self):
        return self.peer is None


class Stream:
    """The open heartbeat stream of a node."""

    def __init__(self, context):
        self.out, self.context, self.open = queue.Queue(), context, True

    def close(self):
        self.open = False
        self.out.put(None)


class Metasrv:
    def __init__(self, interval_ms=1000, lease_seconds=None, retry_ms=None, kv=None, port=None, compress=False):
        self.interval_ms, self.retry_ms = interval_ms, retry_ms or interval_ms
        self.lease_seconds = lease_seconds or 3 * interval_ms // 1000 + 1
        self.lock = threading.RLock()
        self.kv = {} if kv is None else kv
        self.route = {}            # region -> node that leads it
        self.state = {}            # region -> role granted to its leader, when not LEADER
        self.operating = {}        # (region, node) -> role, as of a region under creation or migration
        self.streams, self.heartbeats, self.ranges = {}, {}, []
        self.waiting, self.next_id, self.asked = {}, 1, 0
        self.leading, self.leader_addr, self.silent, self.silent_store, self.cut = True, None, False, False, set()
        self.delay_s, self.duplicate, self.reorder, self.drop_leases = 0, False, False, 0
        self.held = None           # a list: answers to full heartbeats go there instead of to the node
        self.seen = threading.Condition(self.lock)
        self.last_lease = {}       # node -> until when (monotonic) the newest lease that it may have got runs
        self.patient = True        # instruct() waits for a stream, and asks again on the next one when the answer has gone with it
        self.port = port or free_port()
        self.addr = f'127.0.0.1:{self.port}'
        self.server, self.compress = None, compress
        self.start()

    # ---- life ----

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=64), compression=grpc.Compression.Gzip if self.compress else None,
                                  options=[('grpc.max_receive_message_length', 4 << 20), ('grpc.max_send_message_length', -1), ('grpc.so_reuseport', 0)])
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        self.server.add_generic_rpc_handlers((
            grpc.method_handlers_generic_handler('greptime.v1.meta.Heartbeat', {'AskLeader': unary(self.ask_leader), 'Heartbeat': stream(self.heartbeat)}),
            grpc.method_handlers_generic_handler('greptime.v1.meta.Store', {'Range': unary(self.range)})))
        self.server.add_insecure_port(self.addr)
        self.server.start()

    def stop(self):
        with self.lock:
            streams = list(self.streams.values())
        for s in streams:
            s.close()
        self.server.stop(0).wait()

    def restart(self):
        self.stop()
        self.start()

    # ---- service ----

    def ask_leader(self, request, context):
        self.asked += 1
        if self.silent:
            time.sleep(4)
        if self.cut and message(message(request)[1]).get(3, 0) in self.cut:
            context.abort(grpc.StatusCode.UNAVAILABLE, 'cut off')
        return blob(1, num(1, 1)) + blob(2, blob(2, self.leader_addr or self.addr))

    def range(self, request, context):
        m = message(request)
        key, end, limit = m.get(2, b''), m.get(3, b''), m.get(4, 0)
        if self.silent_store:
            context.abort(grpc.StatusCode.UNAVAILABLE, 'the store is away')
        with self.lock:
            self.ranges.append((key, end, limit))
            keys = sorted(k for k in self.kv if (k == key if not end else key <= k < end))
            more = bool(limit) and len(keys) > limit
            out = blob(1, num(1, 1))
            for k in keys[:limit or None]:
                out += blob(2, blob(1, k) + blob(2, self.kv[k]))
        return out + (num(3, 1) if more else b'')

    def heartbeat(self, requests, context):
        s = Stream(context)
        threading.Thread(target=self.read_stream, args=(requests, s), daemon=True).start()
        while True:
            data = s.out.get()
            if data is None:
                if not self.leading:
                    context.abort(grpc.StatusCode.ABORTED, 'not leader')
                return
            if self.delay_s:
                time.sleep(self.delay_s)
            if self.reorder:
                try:
                    later = s.out.get(timeout=0.05)
                    if later is not None:
                        yield later
                except queue.Empty:
                    pass
            yield data
            if self.duplicate:
                yield data

    def read_stream(self, requests, s):
        node = None
        try:
            for data in requests:
                h = Heartbeat(data)
                node = h.member
                with self.lock:
                    if node in self.cut:
                        break
                    self.heartbeats.setdefault(node, []).append(h)
                    self.seen.notify_all()
                    if self.silent:
                        continue
                    if not self.leading:
                        s.out.put(blob(1, num(1, 1) + blob(3, num(1, 2) + blob(2, 'Current server is not leader'))))
                        break
                    if h.is_handshake:
                        self.streams[node] = s
                        s.out.put(blob(1, num(1, 1)) + blob(4, num(1, self.interval_ms) + num(2, self.retry_ms)))
                    elif h.mailbox is not None:
                        self.take_reply(h.mailbox)
                        s.out.put(blob(1, num(1, 1)))
                    else:
                        self.answer(node, h, s)
        except (grpc.RpcError, ValueError):
            pass
        s.close()

    def answer(self, node, h, s):
        if self.drop_leases > 0:
            self.drop_leases -= 1
            s.out.put(blob(1, num(1, 1)))
            return
        lease, closeable = b'', b''
        for region in h.regions:
            role = self.role_for(node, region)
            if role is None:
                closeable += varint(region)
            else:
                lease += blob(1, num(1, region) + (num(2, role) if role else b''))
        lease += num(2, h.duration) + num(3, self.lease_seconds) + (blob(4, closeable) if closeable else b'')
        self.last_lease[node] = max(self.last_lease.get(node, 0), h.at + self.lease_seconds)
        data = blob(1, num(1, 1)) + blob(3, lease)
        if self.held is None:
            s.out.put(data)
        else:
            self.held.append(data)

    def role_for(self, node, region):
        if self.route.get(region) == node:
            return self.state.get(region, LEADER)
        return self.operating.get((region, node))

    # ---- instructions ----

    def push(self, node, text, subject='test', id=None):
        """Sends the instruction, without waiting; returns its id. False when the node has no stream."""
        with self.lock:
            s = self.streams.get(node)
            if id is None:
                id, self.next_id = self.next_id, self.next_id + 1
            m = (num(1, id) if id else b'') + blob(2, subject) + blob(3, f'Metasrv@{self.addr}') + blob(4, f'Datanode-{node}') + num(5, int(time.time() * 1000))
            data = blob(1, num(1, 1)) + blob(2, m + blob(6, text if isinstance(text, str) else json.dumps(text, separators=(',', ':'))) + blob(64, b''))
            if s is None or not s.open or node in self.cut:
                return False
            self.waiting[id] = queue.Queue()
            s.out.put(data)
        return id

    def take_reply(self, mailbox):
        q = self.waiting.get(mailbox.get(1, 0))
        if q is not None:
            q.put((mailbox[6].decode(), mailbox))

    def wait_reply(self, id, timeout=120):
        """(JSON text, mailbox fields); None when it does not come."""
        try:
            return self.waiting[id].get(timeout=max(timeout, 0))
        except queue.Empty:
            return None

    def instruct(self, node, instruction, timeout=120, subject='test'):
        """The reply's JSON, or None."""
        end, reply = time.monotonic() + timeout, None
        while True:
            id, stream = self.push(node, instruction, subject), self.streams.get(node)
            while id and not reply and time.monotonic() < end and (not self.patient or self.streams.get(node) is stream):
                reply = self.wait_reply(id, min(end - time.monotonic(), 5 if self.patient else timeout))
            if reply or not self.patient or time.monotonic() >= end:
                return json.loads(reply[0]) if reply else None
            time.sleep(0.05)

    def send_raw(self, node, data):
        with self.lock:
            self.streams[node].out.put(data)

    # ---- faults ----

    def partition(self, node):
        """Cuts the node off until heal()."""
        with self.lock:
            self.cut.add(node)
            s = self.streams.pop(node, None)
        if s:
            s.close()

    def heal(self, node):
        with self.lock:
            self.cut.discard(node)

    # ---- waiting ----

    def wait_for(self, what, timeout=120):
        """Until what(self) is true; its value."""
        end = time.monotonic() + timeout
        with self.lock:
            while True:
                value = what(self)
                if value:
                    return value
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError('metasrv waited in vain')
                self.seen.wait(min(left, 0.2))

    def full(self, node):
        """Full heartbeats of the node so far."""
        return [h for h in self.heartbeats.get(node, []) if not h.is_handshake and h.mailbox is None]

    def wait_role(self, node, region, role):
        """Until the newest full heartbeat reports that role of the region; that heartbeat."""
        return self.wait_for(lambda m: (h := (m.full(node) or [None])[-1]) and region in h.regions and h.role(region) == role and h)

    def wait_granted(self, node, region):
        """Until a heartbeat that reports the region is answered, and the node has taken the answer in."""
        self.wait_for(lambda m: m.full(node) and region in m.full(node)[-1].regions)
        self.settle(node)

    def settle(self, node):
        """Until the node has taken in all that was sent to it so far: what comes on the stream is handled in order."""
        reply = self.instruct(node, {'CloseRegions': [{'datanode_id': node, 'table_id': 4000000000, 'region_number': 0, 'engine': 'mito'}]})
        assert reply and reply['result'], reply

    def wait_beats(self, node, n=1, timeout=120):
        """Until n more full heartbeats have come; the newest."""
        with self.lock:
            have = len(self.full(node))
        return self.wait_for(lambda m: len(m.full(node)) >= have + n and m.full(node)[-1], timeout)


def garbage(seed):
    r = random.Random(seed)
    return bytes(r.randrange(256) for _ in range(r.randrange(1, 60)))
