#!/usr/bin/env python3
"""Every kind of ALTER on a region that holds rows in files and in memory: old rows read through the new schema, before and after a restart, a flush and a
compaction."""
import datetime
import subprocess
import sys
import time

import grpc
import pyarrow as pa
import pyarrow.ipc

from golden import CTL
from harness import (FIELD, FLOAT64, HANDLE, INT64, MEMBER, STRING, TAG, TIME, TS_MS, Server, blob, create_region, flush_request, insert, num, rows)

BOOL, INT32, BINARY, DATE = 0, 3, 11, 13
MEMBER.update({INT32: 3, BINARY: 12, DATE: 14})
COLUMNS = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('a', INT64, FIELD), ('s', STRING, FIELD)]
T0 = 1700000000000
ADD, DROP, MODIFY, SET_OPTIONS, UNSET_OPTIONS, DROP_DEFAULTS, SET_INDEXES, UNSET_INDEXES, SET_DEFAULTS, SYNC = 2, 3, 5, 6, 9, 12, 13, 14, 15, 16


class Region:
    def __init__(self, server, table, options=()):
        self.server, self.id = server, table << 32
        self.send(create_region(self.id, COLUMNS, options))

    def send(self, request):
        return self.server.channel().unary_unary(HANDLE)(request, timeout=300)

    def write(self, values, columns=COLUMNS):
        self.send(insert(self.id, columns, values))

    def flush(self):
        self.send(flush_request(self.id))

    def compact(self, window_seconds=None):
        kind = b'' if window_seconds is None else blob(3, num(1, window_seconds))
        self.send(blob(1, b'') + blob(11, num(1, self.id) + kind))

    def alter(self, kind, body):
        return self.send(blob(1, b'') + blob(9, num(1, self.id) + blob(kind, body)))

    def rows(self, *names):
        args = [CTL, '--addr', self.server.addr, '--http', self.server.http, 'scan', str(self.id), '--format', 'arrow']
        out = subprocess.run(args + (['--columns', ','.join(names)] if names else []), capture_output=True, timeout=300)
        assert out.returncode == 0, out.stderr
        t = pa.ipc.open_stream(out.stdout).read_all()
        return sorted(zip(*(c.cast(c.type.value_type).to_pylist() if pa.types.is_dictionary(c.type) else c.to_pylist() for c in t.columns)), key=repr)

    def refused(self, kind, body):
        try:
            self.alter(kind, body)
        except grpc.RpcError as e:
            return e.details()
        raise AssertionError('an ALTER that must be refused was not')


def column(name, datatype, column_id, semantic=FIELD, default=None, nullable=True):
    definition = blob(1, name) + num(2, datatype) + (num(3, 1) if nullable else b'') + (blob(4, default) if default else b'') + num(5, semantic)
    return blob(1, definition) + num(2, column_id)


def add(*columns):
    return b''.join(blob(1, blob(1, c)) for c in columns)


def everywhere(region, want, *names):
    """The rows are the same from memory and files, after a restart, a flush and a compaction."""
    for what in (lambda: None, region.server.restart, region.flush, region.compact, region.server.restart):
        what()
        have = region.rows(*names)
        assert have == sorted(want, key=repr), f'{have}\nwanted {want}'


def two_parts(server, table, options=()):
    r = Region(server, table, options)
    r.write([('h1', T0, 1, '10'), ('h2', T0, 2, 'x')])
    r.flush()
    r.write([('h1', T0 + 1, 3, None)])
    return r


def added_columns(server):
    r = two_parts(server, 3000)
    r.alter(ADD, add(column('c', INT64, 4, default='{"Value":{"Int64":7}}'), column('d', FLOAT64, 5)))
    r.write([('h2', T0 + 1, 4, 'y', 70)], COLUMNS + [('c', INT64, FIELD)])
    everywhere(r, [('h1', 1, 7, None), ('h2', 2, 7, None), ('h1', 3, 7, None), ('h2', 4, 70, None)], 'host', 'a', 'c', 'd')
    r.alter(ADD, add(column('c', INT64, 4, default='{"Value":{"Int64":7}}')))  # the same again: nothing
    assert 'exists' in r.refused(ADD, add(column('c', STRING, 9)))
    before = time.time()
    r.alter(ADD, add(column('at', TS_MS, 6, default='{"Function":"current_timestamp()"}')))
    at = [v for v, in r.rows('at')]
    assert all(abs(v.replace(tzinfo=datetime.timezone.utc).timestamp() - before) < 3600 for v in at), at
    print('added columns')


def dropped_and_added_again(server):
    r = two_parts(server, 3001)
    r.alter(DROP, blob(1, blob(1, 'a')))
    r.alter(ADD, add(column('a', INT64, 8)))  # the name is the same, the column is not
    r.write([('h3', T0, 9)], [('host', STRING, TAG), ('ts', TS_MS, TIME), ('a', INT64, FIELD)])
    everywhere(r, [('h1', None), ('h2', None), ('h1', None), ('h3', 9)], 'host', 'a')
    assert 'field' in r.refused(DROP, blob(1, blob(1, 'host')))
    r.alter(DROP, blob(1, blob(1, 'nowhere')))
    print('a column dropped and added again')


def new_tags(server):
    r = two_parts(server, 3002)
    r.alter(ADD, add(column('dc', STRING, 4, TAG), column('rack', STRING, 5, TAG, default='{"Value":{"String":"r0"}}')))
    tags = [('host', STRING, TAG), ('dc', STRING, TAG), ('rack', STRING, TAG), ('ts', TS_MS, TIME), ('a', INT64, FIELD)]
    r.write([('h1', None, 'r0', T0, 100), ('h1', 'd', 'r0', T0, 200)], tags)  # the first is the old series, written again
    everywhere(r, [('h1', None, 'r0', 100), ('h2', None, 'r0', 2), ('h1', None, 'r0', 3), ('h1', 'd', 'r0', 200)], 'host', 'dc', 'rack', 'a')
    print('new tags')


def changed_types(server):
    r = two_parts(server, 3003)
    modify = lambda name, datatype: r.alter(MODIFY, blob(1, blob(1, name) + num(2, datatype)))
    modify('a', STRING)
    modify('s', INT64)
    r.write([('h3', T0, '5', 50)], [('host', STRING, TAG), ('ts', TS_MS, TIME), ('a', STRING, FIELD), ('s', INT64, FIELD)])
    everywhere(r, [('h1', '1', 10), ('h2', '2', None), ('h1', '3', None), ('h3', '5', 50)], 'host', 'a', 's')
    modify('a', FLOAT64)
    everywhere(r, [('h1', 1.0), ('h2', 2.0), ('h1', 3.0), ('h3', 5.0)], 'host', 'a')
    assert r.refused(MODIFY, blob(1, blob(1, 'host') + num(2, INT64)))
    r.alter(ADD, add(column('big', FLOAT64, 6), column('yes', STRING, 7), column('raw', BINARY, 8)))
    r.write([('h5', T0, 1e16, 'on', b'\xff')], [('host', STRING, TAG), ('ts', TS_MS, TIME), ('big', FLOAT64, FIELD), ('yes', STRING, FIELD), ('raw', BINARY, FIELD)])
    r.flush()
    modify('big', STRING)
    modify('yes', BOOL)
    modify('raw', STRING)  # no text: null
    everywhere(r, [('1e16', True, None)] + [(None, None, None)] * 4, 'big', 'yes', 'raw')
    r.alter(ADD, add(column('t', TS_MS, 4), column('d', DATE, 5)))
    times = [('host', STRING, TAG), ('ts', TS_MS, TIME), ('t', TS_MS, FIELD), ('d', DATE, FIELD)]
    r.write([('h4', T0, T0, 19000)], times)
    r.flush()
    modify('t', STRING)
    modify('d', STRING)
    everywhere(r, [('2023-11-14T22:13:20', '2022-01-08')] + [(None, None)] * 5, 't', 'd')
    print('changed types')


def defaults(server):
    r = two_parts(server, 3004)
    r.alter(SET_DEFAULTS, blob(1, blob(1, 'a') + blob(2, '{"Value":{"value":{"Number":["42",false]}}}')))
    r.write([('h9', T0, 'z')], [('host', STRING, TAG), ('ts', TS_MS, TIME), ('s', STRING, FIELD)])
    r.alter(DROP_DEFAULTS, blob(1, blob(1, 'a')))
    r.write([('h9', T0 + 1, 'z')], [('host', STRING, TAG), ('ts', TS_MS, TIME), ('s', STRING, FIELD)])
    everywhere(r, [('h1', 1), ('h2', 2), ('h1', 3), ('h9', 42), ('h9', None)], 'host', 'a')
    r = two_parts(server, 3008)  # a default goes along with its column's type, as the rows do
    r.alter(ADD, add(column('t', TS_MS, 4, default='{"Value":{"Timestamp":{"value":1700000000120,"unit":"Millisecond"}}}'),
                     column('d', DATE, 5, default='{"Value":{"Date":-1}}'), column('y', STRING, 6, default='{"Value":{"String":"yes"}}'),
                     column('n', STRING, 7, default='{"Value":{"String":"none"}}'), column('i', INT32, 9, default='{"Value":{"Int32":1}}')))
    for name, datatype in (('t', STRING), ('d', TS_MS), ('y', BOOL), ('n', INT32), ('i', DATE)):
        r.alter(MODIFY, blob(1, blob(1, name) + num(2, datatype)))
    day = datetime.timedelta(1)
    everywhere(r, [('2023-11-14T22:13:20.120', datetime.datetime(1970, 1, 1) - day, True, None, datetime.date(1970, 1, 1) + day)] * 3, 't', 'd', 'y', 'n', 'i')
    print('defaults set and dropped')


def options(server):
    r = two_parts(server, 3005)
    option = lambda k, v: r.alter(SET_OPTIONS, blob(1, blob(1, k) + blob(2, v)))
    want = [('h1', 1), ('h2', 2), ('h1', 3)]
    for k, v in (('ttl', '10000d'), ('compaction.twcs.time_window', '1h'), ('compaction.twcs.trigger_file_num', '8'), ('sst_format', 'primary_key'), ('sst_format', 'flat')):
        option(k, v)
        r.write([('h1', T0 + 1, 3, None)])
        everywhere(r, want, 'host', 'a')
    for k in ('ttl', 'compaction.twcs.time_window'):
        r.alter(UNSET_OPTIONS, blob(1, k))
    assert r.refused(SET_OPTIONS, blob(1, blob(1, 'nonsense') + blob(2, '1')))
    r.compact(3600) # else rows that were replaced, and are still in some file, come back: append mode shows all that is there
    option('append_mode', 'true')
    r.write([('h1', T0 + 1, 3, None)])
    everywhere(r, want + [('h1', 3)], 'host', 'a')
    assert r.refused(SET_OPTIONS, blob(1, blob(1, 'append_mode') + blob(2, 'false')))
    print('options')


def append_mode_after_deletes(server):
    """Append mode shows all rows that are there, those that were deleted, too; a delete is none."""
    for table, written in ((3009, []), (3010, [('h3', T0 + 2, 4, None)])):
        r = Region(server, table)
        r.write([('h1', T0, 1, '10'), ('h2', T0, 2, 'x')])
        r.flush()
        r.send(blob(1, blob(3, 'public')) + blob(4, blob(1, num(1, r.id) + blob(2, rows(COLUMNS[:2], [('h2', T0)])))))
        if written:
            r.write(written)
        r.alter(SET_OPTIONS, blob(1, blob(1, 'append_mode') + blob(2, 'true')))
        everywhere(r, [('h1', 1), ('h2', 2)] + [w[::2] for w in written], 'host', 'a')
    print('append mode after deletes')


def indexes_and_sync(server):
    r = two_parts(server, 3006)
    r.alter(SET_INDEXES, blob(1, blob(2, blob(1, 'host'))) + blob(1, blob(3, blob(1, 's') + num(2, 1) + num(3, 1024) + b'\x29' + bytes.fromhex('7b14ae47e17a843f'))))
    r.alter(UNSET_INDEXES, blob(1, blob(2, blob(1, 'host'))))
    everywhere(r, [('h1', 1), ('h2', 2), ('h1', 3)], 'host', 'a')
    r.alter(SYNC, b''.join(blob(1, c) for c in (column('host', STRING, 0, TAG), column('ts', TS_MS, 1, TIME, nullable=False), column('a', INT64, 2),
                                                column('z', INT64, 7), column('t', STRING, 8, TAG))))
    everywhere(r, [('h1', 1, None, None), ('h2', 2, None, None), ('h1', 3, None, None)], 'host', 'a', 'z', 't')
    print('indexes and synchronised columns')


def native_type(members):
    """The extension of a native JSON column: members by name, numbers, texts or objects."""
    def struct(members):
        return b''.join(blob(1, blob(1, name) + (num(2, 41) + blob(3, blob(5, struct(kind))) if isinstance(kind, dict) else num(2, kind)))
                        for name, kind in sorted(members.items()))
    return blob(6, num(1, 41) + blob(2, blob(5, struct(members))))


def json_value(v):
    if isinstance(v, dict):
        return blob(7, b''.join(blob(1, blob(1, k) + blob(2, json_value(x))) for k, x in v.items()))
    return blob(5, v) if isinstance(v, str) else num(2, v)


def native_json(server):
    """The type of a native JSON column grows with what is written: older rows have nulls for the members that came later."""
    r, json = Region.__new__(Region), 31
    r.server, r.id = server, 3007 << 32
    kind = b''.join(blob(1, blob(1, k) + blob(2, v)) for k, v in (('ARROW:extension:name', 'greptime.json'),
                                                                 ('ARROW:extension:metadata', '{"json_structure_settings":{"Structured":null}}')))
    body = blob(3, column('ts', TS_MS, 0, TIME, nullable=False)) + blob(3, blob(1, blob(1, 'j') + num(2, json) + num(3, 1) + num(5, FIELD) + blob(8, kind)) + num(2, 1))
    r.send(blob(1, b'') + blob(5, num(1, r.id) + blob(2, 'mito') + body + blob(5, 'greptime/public') + blob(7, b'\x1a\x00')))

    def write(extension, *values):
        schema = blob(1, blob(1, 'ts') + num(2, TS_MS) + num(3, TIME)) + blob(1, blob(1, 'j') + num(2, json) + num(3, FIELD) + blob(4, extension))
        rows = b''.join(blob(2, blob(1, num(17, t)) + blob(1, b'' if v is None else blob(42, json_value(v)))) for t, v in values)
        r.send(blob(1, blob(3, 'public')) + blob(3, blob(1, num(1, r.id) + blob(2, schema + rows))))

    for members, values in (({'b': INT64}, [(1, {'b': 1}), (2, None)]),
                            ({'b': INT64, 'n': {'x': STRING}}, [(3, {'n': {'x': 'three'}})]),
                            ({'a': STRING, 'b': INT64, 'n': {'w': INT64, 'x': STRING}}, [(4, {'a': 'four', 'n': {'w': 4}}), (5, {'b': 5})])):
        extension = native_type(members)
        r.alter(MODIFY, blob(1, blob(1, 'j') + num(2, json) + blob(3, extension)))
        write(extension, *values)
    everywhere(r, [({'a': None, 'b': 1, 'n': None},), (None,), ({'a': None, 'b': None, 'n': {'w': None, 'x': 'three'}},),
                   ({'a': 'four', 'b': None, 'n': {'w': 4, 'x': None}},), ({'a': None, 'b': 5, 'n': None},)], 'j')
    print('native JSON')


def main():
    server = Server()
    for test in (added_columns, dropped_and_added_again, new_tags, changed_types, defaults, options, append_mode_after_deletes, indexes_and_sync, native_json):
        test(server)
    server.remove()


if __name__ == '__main__':
    sys.exit(main())
