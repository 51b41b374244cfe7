#!/usr/bin/env python3
"""The HTTP service of a running node: liveness, status, metrics, configuration, the page, /debug, methods and limits."""
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request

from harness import FIELD, HANDLE, INT64, TIME, TS_MS, Server, create_region, fields, flush_request, insert, scan_all


def main():
    server = Server()
    columns = [('ts', TS_MS, TIME), ('v', INT64, FIELD)]
    call = server.channel().unary_unary(HANDLE)
    call(create_region(1 << 32, columns))
    call(insert(1 << 32, columns, [(i, i) for i in range(10)]))

    def ask(path, method='GET', body=None, headers={}):
        request = urllib.request.Request(f'http://{server.http}{path}', method=method, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as r:
                return r.status, r.read().decode(), dict(r.headers)
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode(), dict(e.headers)

    for path in ('/health', '/v1/health', '/ready'):
        assert ask(path)[:2] == (200, '{}') and ask(path, 'POST', b'')[:2] == (200, '{}')
    status = json.loads(ask('/status')[1])
    assert status['version'] == '1.0.2' and status['regions'][0]['rows'] == 10, status
    code, text, headers = ask('/metrics')
    assert headers['content-type'].startswith('text/plain')
    names = re.findall(r'^# TYPE (\S+)', text, re.M)
    ours = [n for n in names if not n.startswith('process_')]
    assert ours == sorted(ours) and len(names) == len(set(names))
    for name in ('greptime_app_version', 'greptime_servers_grpc_requests_total', 'greptime_servers_grpc_requests_elapsed', 'process_resident_memory_bytes'):
        assert name in names, name
    count = re.search(r'greptime_servers_grpc_requests_elapsed_count\{[^}]*Region/Handle"[^}]*\} (\d+)', text)
    assert count and int(count.group(1)) == 2, count
    assert 'bind_addr' in ask('/config')[1]
    assert '<html' in ask('/')[1]
    print('pages: ok')

    assert ask('/nope')[0] == 404 and ask('/status', 'POST', b'')[0] == 405
    assert ask('/health')[2]['access-control-allow-origin'] == '*' and ask('/nope', 'OPTIONS')[0] == 200
    assert 'access-control-allow-origin' not in ask('/debug/prof/mem/status')[2]
    assert ask('/debug/log_level', 'POST', b'x' * (3 << 20))[0] == 413
    assert ask('/debug/log_level', 'POST', b'debug')[1] == 'Log Level changed from info to debug'
    assert ask('/debug/log_level', 'POST', b'info')[1] == 'Log Level changed from debug to info'
    assert ask('/debug/prof/mem/status')[1] == '{"active": false}' and ask('/debug/prof/mem/gdump')[1] == '{"active": false}'
    code, text, _ = ask('/debug/prof/mem', 'POST', b'')
    assert code == 400 and json.loads(text)['error'] == 'Memory profiling is not enabled', text
    assert ask('/debug/enable_trace', 'POST', b'true')[0] == 503
    assert ask('/debug/prof/mem/gdump', 'POST', b'{}', {'content-type': 'application/json'})[0] == 415
    assert ask('/debug/prof/mem/symbol', 'POST', b'no dump')[:2] == (500, '{"error":"Internal error: 1003"}')
    print('methods, limits, /debug: ok')
    dashboards(server, call, columns, lambda: ask('/metrics')[1])
    heap_profiles()
    cpu_profiles(server, call, columns, ask)
    check_stop(server)


def dashboards(server, call, columns, metrics):
    """The figures that the panels of GreptimeDB's dashboard show of a datanode's Mito engine follow the work."""
    def value(sample):
        found = re.search('^' + re.escape(sample) + r' (\S+)$', metrics(), re.M)
        return float(found.group(1)) if found else None

    assert value('greptime_mito_write_rows_total{type="put"}') == 10 and value('greptime_mito_write_buffer_bytes') > 0
    call(flush_request(1 << 32))
    assert value('greptime_mito_write_buffer_bytes') == 0 and value('greptime_mito_inflight_flush_count') == 0
    assert value('greptime_mito_flush_elapsed_count{type="total"}') == 1
    for kind in ('Create', 'Put', 'Flush'):
        assert value('greptime_mito_handle_request_elapsed_count{type="%s"}' % kind) == 1, kind
    assert len(scan_all(server.channel(), 1 << 32, columns)) == 10
    while value('greptime_mito_read_stage_elapsed_count{stage="total"}') != 1: # counted when the server lets go of the scan, behind its last message
        time.sleep(0.01)
    print('dashboards: ok')


def heap_profiles():
    """Of a server that was told to take them, in every form."""
    os.environ['MALLOC_CONF'] = 'prof:true,lg_prof_sample:12'
    server = Server()
    del os.environ['MALLOC_CONF']
    call = server.channel().unary_unary(HANDLE)
    columns = [('ts', TS_MS, TIME), ('v', INT64, FIELD)]
    call(create_region(1 << 32, columns))
    call(insert(1 << 32, columns, [(i, i) for i in range(5000)]))
    text = raw(server, '/debug/prof/mem')
    assert text.startswith(b'heap_v2/'), text[:100]
    svg, proto = raw(server, '/debug/prof/mem?output=flamegraph'), raw(server, '/debug/prof/mem?output=proto')
    assert svg.startswith(b'<svg ') and b'region_server_handle' in svg, svg[:300]
    strings = [v for n, v in fields(proto) if n == 6]
    assert strings[:3] == [b'', b'inuse_space', b'bytes'] and b'region_server_handle' in strings, strings[:10]
    assert b'region_server_handle' in raw(server, '/debug/prof/mem/symbol', text)
    assert server.stop() == 0
    print('heap profiles: ok')


def cpu_profiles(server, call, columns, ask):
    """Under load, in every form; pages are answered meanwhile; one at a time."""
    for bad in ('seconds=x', 'frequency=0', 'frequency=-1', 'seconds=99999999999', 'output=png', 'seconds='):
        assert ask('/debug/prof/cpu?' + bad, 'POST', b'')[0] == 400, bad
    assert ask('/debug/prof/cpu')[0] == 405
    done = threading.Event()

    def load():
        batch = insert(1 << 32, columns, [(i, i) for i in range(500)])
        while not done.is_set():
            call(batch)
    threading.Thread(target=load).start()
    busy = b'region_server_handle' # what the load makes the server do
    try:
        for form in ('proto', 'text', 'flamegraph'):
            for _ in range(30): # a starved server may have had no CPU to be seen using
                answer = profile_while_asking(server, ask, form)
                if busy in answer:
                    break
            if form == 'proto':
                strings = [v for n, v in fields(answer) if n == 6]
                assert strings[0] == b'' and busy in strings and b'nanoseconds' in strings, strings[:10]
            elif form == 'text':
                assert re.search(r'^FRAME: .*region_server_handle -> .*THREAD: \S* \d+$', answer.decode(), re.M), answer[:2000]
            else:
                assert answer.startswith(b'<svg ') and busy in answer, answer[:300]
    finally:
        done.set()
    print('CPU profiles: ok')


def profile_while_asking(server, ask, form):
    """However long a profile is asked for, nobody else waits."""
    answer = []
    taker = threading.Thread(target=lambda: answer.append(raw(server, f'/debug/prof/cpu?seconds=1&frequency=500&output={form}')))
    taker.start()
    while taker.is_alive():
        assert ask('/health')[0] == 200
        code, text, _ = ask('/debug/prof/cpu?seconds=0&output=text', 'POST', b'')
        assert code == 200 or (code == 503 and 'already' in json.loads(text)['error']), (code, text)
        time.sleep(0.1)
    return answer[0]


def raw(server, path, body=b''):
    for _ in range(6000): # another profile may be under way
        try:
            return urllib.request.urlopen(urllib.request.Request(f'http://{server.http}{path}', method='POST', data=body), timeout=300).read()
        except urllib.error.HTTPError as e:
            assert e.code == 503, e
        time.sleep(0.02)
    raise AssertionError('no profile')


def check_stop(server):
    """A stop does not wait for a profile that is being taken."""
    threading.Thread(target=lambda: raw_or_nothing(server, '/debug/prof/cpu?seconds=500'), daemon=True).start()
    time.sleep(0.3)
    assert server.stop() == 0
    print('stop: ok')


def raw_or_nothing(server, path):
    try:
        raw(server, path)
    except (OSError, AssertionError):
        pass # the server has gone


if __name__ == '__main__':
    main()
