"""Starts, kills and restarts a regiond for tests, and builds the few protobuf messages that they send."""
import atexit
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import grpc

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
SHARED = os.environ.get('REGIOND_SHARED', os.path.join(ROOT, '..', 'shared'))
BUILD = os.environ.get('REGIOND_BUILD', os.path.join(ROOT, 'build', 'release'))
HANDLE = '/greptime.v1.region.Region/Handle'
DO_GET = '/arrow.flight.protocol.FlightService/DoGet'
claimed = []  # one socket a port, open while this process lives
OPTIONS = [('grpc.max_receive_message_length', -1), ('grpc.max_send_message_length', -1), ('grpc.use_local_subchannel_pool', 1)]


def need_shared(*parts):
    """The path below shared/, or exit 0 with a message where the recordings are not at hand."""
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        print(f'skipped: {path} is not here')
        sys.exit(0)
    return path


def free_port():
    """A port of this process until it ends. Tests run side by side: the name of an abstract socket, which goes with its process, keeps another test from choosing the port
    between this look and the server's bind, or while the server restarts. Below the range that the kernel hands out by itself, so that no client takes it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f'\0regiond-test-port-{port}')
            with socket.socket() as s:
                s.bind(('127.0.0.1', port))
        except OSError:
            claim.close()
            continue
        claimed.append(claim)
        return port


class Server:
    """A regiond on a folder of its own. Killed and removed at exit."""

    def __init__(self, *flags, home=None, binary=None):
        self.home = home or tempfile.mkdtemp(prefix='regiond-test-')
        self.keep = home is not None
        self.grpc_port, self.http_port = free_port(), free_port()
        self.addr, self.http = f'127.0.0.1:{self.grpc_port}', f'127.0.0.1:{self.http_port}'
        self.flags, self.binary, self.process = list(flags), binary or os.path.join(BUILD, 'regiond'), None
        self.log = open(os.path.join(self.home, 'stdout.log'), 'ab')
        atexit.register(self.remove)
        self.start()

    def command(self):
        return [self.binary, '--data-home', self.home, '--rpc-bind-addr', self.addr, '--http-addr', self.http, *self.flags]

    def start(self, wait=300):
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=self.log)
        end, patience = time.time() + wait, 1
        while time.time() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f'regiond ended with {self.process.returncode}: ' + self.tail())
            try:
                grpc.channel_ready_future(self.channel()).result(timeout=patience)
                return
            except grpc.FutureTimeoutError:
                patience = min(2 * patience, 10) # on a busy machine a second may be too short for a connection
        raise RuntimeError('regiond does not listen: ' + self.tail())

    def tail(self):
        return open(os.path.join(self.home, 'stdout.log'), errors='replace').read()[-3000:]

    def channel(self):
        return grpc.insecure_channel(self.addr, options=OPTIONS)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=300)

    def remove(self):
        if self.process and self.process.poll() is None:
            self.kill()
        if not self.keep:
            shutil.rmtree(self.home, ignore_errors=True)


# ---- protobuf, by hand ----

def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v > 0x7f:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    return bytes(out + bytes([v]))


def num(field, value):
    return varint(field << 3) + varint(value)


def fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack('<d', value)


def blob(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def fields(data):
    """Protobuf fields in order as (number, int or bytes)."""
    out, i = [], 0

    def read():
        nonlocal i
        shift = value = 0
        while True:
            byte = data[i]
            i += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while i < len(data):
        key = read()
        if key & 7 == 0:
            out.append((key >> 3, read()))
        elif key & 7 == 2:
            n = read()
            if i + n > len(data):
                raise ValueError('cut off')
            out.append((key >> 3, data[i:i + n]))
            i += n
        else:
            raise ValueError(f'wire type {key & 7}')
    return out


def message(data):
    """The last value of each field."""
    return dict(fields(data))


def lists(data):
    """All values of each field."""
    out = {}
    for number, value in fields(data):
        out.setdefault(number, []).append(value)
    return out


INT32, INT64, UINT32, UINT64, FLOAT64, STRING, TS_MS = 3, 4, 7, 8, 10, 12, 16  # ColumnDataType
TAG, FIELD, TIME = 0, 1, 2                            # SemanticType
MEMBER = {INT32: 3, INT64: 4, FLOAT64: 10, STRING: 13, TS_MS: 17} # member of Value's oneof


def create_region(region_id, columns, options=(), path='greptime/public', partition=b'\x1a\x00'):
    """columns: (name, datatype, semantic) in order; ids count from 0. partition: with an empty expression; b'' = none is known."""
    body = num(1, region_id) + blob(2, 'mito')
    for i, (name, datatype, semantic) in enumerate(columns):
        definition = blob(1, name) + num(2, datatype) + (num(3, 1) if semantic != TIME else b'') + num(5, semantic)
        body += blob(3, blob(1, definition) + num(2, i))
    body += b''.join(num(4, i) for i, c in enumerate(columns) if c[2] == TAG)
    body += blob(5, path) + b''.join(blob(6, blob(1, k) + blob(2, v)) for k, v in options) + (blob(7, partition) if partition else b'')
    return blob(1, b'') + blob(5, body)


def rows(columns, values):
    out = b''.join(blob(1, blob(1, name) + num(2, datatype) + num(3, semantic)) for name, datatype, semantic in columns)
    for row in values:
        cells = b''
        for (_, datatype, _), v in zip(columns, row):
            member = MEMBER[datatype]
            cells += blob(1, b'' if v is None else blob(member, v) if isinstance(v, (str, bytes)) else fixed64(member, v) if isinstance(v, float) else num(member, v))
        out += blob(2, cells)
    return out


def insert(region_id, columns, values):
    return blob(1, blob(3, 'public')) + blob(3, blob(1, num(1, region_id) + blob(2, rows(columns, values))))


def flush_request(region_id):
    return blob(1, b'') + blob(10, num(1, region_id))


def truncate_request(region_id):
    return blob(1, b'') + blob(12, num(1, region_id) + blob(2, b''))


def bulk_insert(region_id, batch, compression=None):
    """A pyarrow RecordBatch as a bulk insert: the flatbuffer messages without IPC framing."""
    import pyarrow as pa

    def header(message):
        return message.metadata.to_pybytes()

    reader = pa.ipc.MessageReader.open_stream(_stream(batch, compression))
    schema, body = reader.read_next_message(), reader.read_next_message()
    return blob(1, b'') + blob(16, num(1, region_id) + blob(2, blob(1, header(schema)) + blob(2, header(body)) + blob(3, body.body.to_pybytes())))


def _stream(batch, compression):
    import pyarrow as pa
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def read_rel(columns):
    """A Substrait relation: all rows of the region."""
    kinds = {INT32: 5, INT64: 7, STRING: 12, TS_MS: 33, FLOAT64: 11}
    types = b''.join(blob(1, blob(kinds[t], num(1, 3) + num(3, 1) if t == TS_MS else num(2, 1))) for _, t, _ in columns)
    return blob(1, blob(2, b''.join(blob(1, n) for n, _, _ in columns) + blob(2, types)) + blob(7, blob(1, 't')))


def count_rel(rel):
    """count(*) over a relation; its plan's only function is 'count'."""
    return blob(4, blob(2, rel) + blob(4, blob(1, num(1, 1) + num(4, 3) + num(6, 1))))


def ticket(region_id, rel, names, functions=()):
    """A DoGet ticket; the relation knows the functions by their places from 1 on."""
    known = b''.join(blob(2, blob(3, num(2, i + 1) + blob(3, name))) for i, name in enumerate(functions))
    return blob(1, num(2, region_id) + blob(3, known + blob(3, blob(2, blob(1, rel) + b''.join(blob(2, n) for n in names)))))


def query(channel, request, timeout=300):
    """The answer to a ticket as an Arrow table."""
    import pyarrow as pa
    sys.path.insert(0, os.path.join(SHARED, 'tools'))
    import replay
    table = replay.table(list(channel.unary_stream(DO_GET)(request, timeout=timeout)))
    return table if table is not None else pa.table({})


def scan_all(channel, region_id, columns, timeout=300, condition=None, functions=()):
    """All rows of a region as an Arrow table; those that satisfy a condition, which knows the functions by their places from 1 on."""
    rel = read_rel(columns)
    rel = blob(2, blob(2, rel) + blob(3, condition)) if condition else rel
    return query(channel, ticket(region_id, rel, [n for n, _, _ in columns], functions), timeout)
