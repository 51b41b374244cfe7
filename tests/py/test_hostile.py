#!/usr/bin/env python3
"""What no well-behaved frontend sends: texts that are none, deadlines of centuries, calls that are given up at once. The node answers, keeps what it has acknowledged and stays well."""
import base64
import json
import os
import socket
import struct
import tempfile
import time
import urllib.request

import grpc

import test_metric
from harness import DO_GET, FIELD, FLOAT64, HANDLE, INT64, STRING, TAG, TIME, TS_MS, Server, blob, count_rel, create_region, fields, flush_request, insert, num, read_rel, ticket

COLUMNS = [('k', STRING, TAG), ('ts', TS_MS, TIME), ('v', INT64, FIELD)]
REGION = 1024 << 32


def refused(call, request):
    """The error's code and text; None when there is no error."""
    try:
        call(request, timeout=300)
    except grpc.RpcError as e:
        return dict(e.trailing_metadata()).get('x-greptime-err-code'), e.details()
    return None


def texts(server, call):
    """Protobuf strings are UTF-8. What becomes a part of the node's list must be, or the region would be gone after a restart; so must error texts, or a frontend knows neither
    text nor code."""
    call(create_region(REGION, COLUMNS), timeout=300)
    for broken in (create_region(REGION + 1, COLUMNS, path=b'a\xffb'), create_region(REGION + 1, COLUMNS, [(b'x\xff', '1')]), create_region(REGION + 1, COLUMNS, [('ttl', b'1\0d')])):
        assert refused(call, broken)[0] == '1004', broken
    assert refused(call, create_region(REGION + 1, COLUMNS, [('wal_options', '{"wal.provider":"raft_engine"}'), ('wal_options', 'flat')]))[0] == '1004' # a key's last
    assert [r['id'] for r in json.load(open(os.path.join(server.home, 'regions.json')))['regions']] == [REGION]
    name = 'é' * 40 # 63 bytes of an engine's name are kept: half a character
    code, text = refused(call, blob(1, b'') + blob(5, num(1, REGION + 1) + blob(2, name) + blob(5, 'greptime/public')))
    assert text == 'Unknown engine: ' + 'é' * 31 + '?', text
    assert refused(call, insert(REGION, [(b'\xff\xfe', STRING, TAG)] + COLUMNS[1:], [('a', 1, 1)]))[1].endswith('unknown column ??')
    code, text = refused(call, blob(1, b'') + blob(16, num(1, REGION) + blob(2, blob(1, b'\1\2') + blob(2, b'\1'))))
    assert (code, text.count('cannot be decoded')) == ('1004', 1) and 'malformed Arrow IPC message' in text, text


def long_path(call):
    """A path is short enough for the files below it, or refused: what could not be flushed would stay in memory and in the log for ever."""
    at, over = '/'.join(['a' * 191] * 4) + 'a', '/'.join(['a' * 191] * 4) + 'aa'
    assert refused(call, create_region(REGION + 2, COLUMNS, path=over))[0] == '1004'
    for request in (create_region(REGION + 2, COLUMNS, path=at), insert(REGION + 2, COLUMNS, [('a', 1, 1)]), flush_request(REGION + 2)):
        call(request, timeout=300)


def parts_of_regions(call):
    """An id with the bits that number parts is none that a client may use: its folder would be another region's."""
    assert refused(call, create_region(REGION | 1 << 24, COLUMNS))[0] == '1004'
    assert refused(call, create_region(0xffffffff, COLUMNS))[0] == '1004'


def mixed_batch(call):
    """One engine makes all regions of a request; one that belongs to another would be registered where it is not."""
    physical = 1100 << 32
    call(blob(1, b'') + blob(5, test_metric.create(physical, [])), timeout=300)
    columns = [('ts', TS_MS, TIME), ('val', FLOAT64, FIELD), ('host', STRING, TAG)]
    member = [dict(fields(create_region(i << 32, columns, [('on_physical_table', str(physical))])))[5] for i in (1101, 1102)]
    as_metric = [m.replace(blob(2, 'mito'), blob(2, 'metric'), 1) for m in member]
    assert refused(call, blob(1, b'') + blob(13, blob(1, as_metric[0]) + blob(1, member[1])))[0] == '1004'
    call(blob(1, b'') + blob(13, blob(1, as_metric[0]) + blob(1, as_metric[1])), timeout=300)
    call(create_region(1103 << 32, COLUMNS), timeout=300)
    alter = [num(1, i << 32) + blob(2, blob(1, blob(1, blob(1, blob(1, 'w') + num(2, STRING) + num(3, 1) + num(5, TAG))))) for i in (1101, 1103)]
    assert refused(call, blob(1, b'') + blob(15, blob(1, alter[0]) + blob(1, alter[1])))[0] == '1004'
    for region in (1101, 1102):
        call(insert(region << 32, columns, [(1, 1.5, 'a')]), timeout=300)


def http_labels(server):
    """Methods are the client's words; /metrics has to stay readable."""
    for method in (b'G\xff', b'FO"O'):
        with socket.create_connection(('127.0.0.1', server.http_port), timeout=300) as s:
            s.sendall(method + b' /status HTTP/1.1\r\nHost: x\r\n\r\n')
            assert s.recv(100).startswith(b'HTTP/1.1 405')
    page = urllib.request.urlopen(f'http://{server.http}/metrics').read().decode()
    assert 'FO' not in page and 'greptime_servers_http_requests_total{code="405",db="public",method="other",path="/status"} 2' in page


def frame(kind, flags, stream, payload):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def header(name, value):
    return b'\0' + bytes([len(name)]) + name + bytes([len(value)]) + value # literal, not indexed; below 127 bytes


def distant_deadline(server, call):
    """The longest timeout that a header can hold is no deadline in the past."""
    call(insert(REGION, COLUMNS, [('a', 1, 1)]), timeout=300)
    request = ticket(REGION, read_rel(COLUMNS), ['k', 'ts', 'v'])
    head = b''.join(header(*h) for h in ((b':method', b'POST'), (b':scheme', b'http'), (b':path', DO_GET.encode()), (b':authority', b'x'), (b'te', b'trailers'),
                                         (b'content-type', b'application/grpc'), (b'grpc-timeout', b'99999999H')))
    with socket.create_connection(('127.0.0.1', server.grpc_port), timeout=300) as s:
        s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'') + frame(1, 4, 1, head) + frame(0, 1, 1, b'\0' + struct.pack('>I', len(request)) + request))
        received, answer, ended = b'', b'', False
        while not ended:
            more = s.recv(65536)
            assert more, 'the server closed the connection'
            received += more
            while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3], 'big'):
                size, kind, flags = int.from_bytes(received[:3], 'big'), received[3], received[4]
                answer += received[9:9 + size] if kind == 0 else b''
                ended |= kind in (0, 1) and flags & 1
                received = received[9 + size:]
    assert b'elapsed_compute' in answer, answer # the metrics, which come last


def silent_client():
    """A client whose machine is gone answers no pings: where the operator wants them its calls end."""
    config = os.path.join(tempfile.mkdtemp(prefix='regiond-test-'), 'node.toml')
    with open(config, 'w') as f:
        f.write('[grpc]\nhttp2_keep_alive_interval = "1s"\nhttp2_keep_alive_timeout = "1s"\n')
    server = Server('-c', config)
    head = b''.join(header(*h) for h in ((b':method', b'POST'), (b':scheme', b'http'), (b':path', b'/grpc.health.v1.Health/Watch'), (b':authority', b'x'), (b'te', b'trailers'),
                                         (b'content-type', b'application/grpc')))
    with socket.create_connection(('127.0.0.1', server.grpc_port), timeout=300) as s:
        s.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(4, 0, 0, b'') + frame(1, 4, 1, head) + frame(0, 1, 1, b'\0' * 5))
        received = b''
        try:
            while more := s.recv(65536):
                received += more
        except ConnectionResetError:
            pass
    assert b'\0\0\0\0\2\x08\1' in received, received # it was watching
    assert server.stop() == 0


def broken(request, step):
    """The request cut off at every place, and with a bit turned at every place."""
    for i in range(0, len(request), step):
        yield request[:i]
        yield request[:i] + bytes([request[i] ^ 1 << i % 8]) + request[i + 1:]


def accounts(server):
    """Whatever failed has given back what it was charged: with the regions gone, nothing is left on any account."""
    channel = server.channel()
    call, stream = channel.unary_unary(HANDLE), channel.unary_stream(DO_GET)
    region = 1200 << 32
    call(create_region(region, COLUMNS), timeout=300)
    call(insert(region, COLUMNS, [(f'k{i % 7}', i, i) for i in range(3000)]), timeout=300)
    call(flush_request(region), timeout=300)
    query, write = ticket(region, count_rel(read_rel(COLUMNS)), ['n'], ['count']), insert(region, COLUMNS, [('a', 1, 1), ('b', None, 2)])
    for request in broken(query, 1):
        answer = stream(request, timeout=300)
        try:
            next(answer)
            answer.cancel()
        except (grpc.RpcError, StopIteration):
            pass
    for request in broken(write, 1):
        refused(call, request)
    for known in json.load(urllib.request.urlopen(f'http://{server.http}/status'))['regions'][::-1]:
        refused(call, blob(1, b'') + blob(6, num(1, known['id'])))
    for known in json.load(urllib.request.urlopen(f'http://{server.http}/status'))['regions']: # physical ones, now empty
        call(blob(1, b'') + blob(6, num(1, known['id'])), timeout=300)
    end = time.time() + 60 # the last calls may still be on their way out
    while True:
        used = json.load(urllib.request.urlopen(f'http://{server.http}/status'))['memory']['accounted_bytes']
        if not used:
            return
        assert time.time() < end, f'{used} bytes are still accounted for'
        time.sleep(0.1)


def long_rows():
    """A batch that no message may hold is not refused but goes out in pieces."""
    config = os.path.join(tempfile.mkdtemp(prefix='regiond-test-'), 'node.toml')
    with open(config, 'w') as f:
        f.write('[grpc]\nmax_send_message_size = "4MB"\n')
    server = Server('-c', config)
    columns = [('ts', TS_MS, TIME), ('s', STRING, FIELD)]
    call = server.channel().unary_unary(HANDLE)
    call(create_region(REGION, columns), timeout=300)
    call(insert(REGION, columns, [(i, base64.b64encode(os.urandom(192 << 10)).decode()) for i in range(40)]), timeout=300)
    answer = list(server.channel().unary_stream(DO_GET)(ticket(REGION, read_rel(columns), ['ts', 's']), timeout=300))
    assert max(map(len, answer)) <= 4 << 20 and sum(map(len, answer)) > 6 << 20, [len(m) for m in answer]
    assert server.stop() == 0


def main():
    long_rows()
    silent_client()
    server = Server()
    call = server.channel().unary_unary(HANDLE)
    texts(server, call)
    long_path(call)
    parts_of_regions(call)
    mixed_batch(call)
    http_labels(server)
    distant_deadline(server, call)
    server.restart()
    server.channel().unary_unary(HANDLE)(flush_request(REGION), timeout=300)
    accounts(server)
    assert server.stop() == 0
    print('hostile requests: ok')


if __name__ == '__main__':
    main()
