#!/usr/bin/env python3
"""Reads a data folder without a server: libregion through ctypes, the rows as a pyarrow RecordBatchReader.

    examples/libregion.py FOLDER                   the regions
    examples/libregion.py FOLDER REGION [FILTER]   a region's rows

LIBREGION names the library; build/release/libregion.so by default.
"""
import ctypes
import os
import sys

import pyarrow

SCHEMA_BYTES, STREAM_BYTES = 72, 40  # of struct ArrowSchema and struct ArrowArrayStream


class Options(ctypes.Structure):
    _fields_ = [('memory_limit_bytes', ctypes.c_uint64), ('threads', ctypes.c_uint)]


class Info(ctypes.Structure):
    _fields_ = [('region_id', ctypes.c_uint64), ('engine', ctypes.c_char_p), ('path', ctypes.c_char_p), ('problem', ctypes.c_char_p),
                ('rows', ctypes.c_uint64), ('files', ctypes.c_uint64)]


class Scan(ctypes.Structure):
    _fields_ = [('columns', ctypes.POINTER(ctypes.c_char_p)), ('n_columns', ctypes.c_size_t), ('filter', ctypes.c_char_p),
                ('has_time_min', ctypes.c_bool), ('has_time_max', ctypes.c_bool), ('time_min', ctypes.c_int64), ('time_max', ctypes.c_int64),
                ('has_limit', ctypes.c_bool), ('limit', ctypes.c_uint64)]


class Folder:
    """An open data folder. Readers and what they gave stay valid when it is closed."""

    def __init__(self, path, memory_limit=0, threads=0, library=None):
        default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'build', 'release', 'libregion.so')
        self.lib = ctypes.CDLL(library or os.environ.get('LIBREGION', default))
        self.lib.libregion_close.argtypes = [ctypes.c_void_p]
        self.lib.libregion_count.argtypes = [ctypes.c_void_p]
        self.lib.libregion_count.restype = ctypes.c_size_t
        self.folder = ctypes.c_void_p()
        options = Options(memory_limit, threads)
        self._call(self.lib.libregion_open, os.fsencode(path), ctypes.byref(options), ctypes.byref(self.folder))

    def _call(self, function, *arguments):
        error = ctypes.create_string_buffer(512)
        code = function(*arguments, error, ctypes.c_size_t(512))
        if code:
            raise OSError(code, error.value.decode())

    def close(self):
        self.lib.libregion_close(self.folder)
        self.folder = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def regions(self):
        """[(region id, engine, path, problem or None, rows, files)]"""
        out = []
        for i in range(self.lib.libregion_count(self.folder)):
            r = Info()
            self._call(self.lib.libregion_info, self.folder, ctypes.c_size_t(i), ctypes.byref(r))
            out.append((r.region_id, r.engine.decode(), r.path.decode(), r.problem.decode() if r.problem else None, r.rows, r.files))
        return out

    def describe(self, region):
        """The columns as a pyarrow schema."""
        c = (ctypes.c_uint64 * (SCHEMA_BYTES // 8))()
        self._call(self.lib.libregion_describe, self.folder, ctypes.c_uint64(region), c)
        return pyarrow.Schema._import_from_c(ctypes.addressof(c))

    def scan(self, region, columns=None, filter=None, time_min=None, time_max=None, limit=None):
        """A pyarrow.RecordBatchReader."""
        q = Scan(filter=filter.encode() if filter else None)
        if columns is not None:
            q.columns = (ctypes.c_char_p * len(columns))(*[c.encode() for c in columns])
            q.n_columns = len(columns)
        q.has_time_min, q.time_min = time_min is not None, time_min or 0
        q.has_time_max, q.time_max = time_max is not None, time_max or 0
        q.has_limit, q.limit = limit is not None, limit or 0
        c = (ctypes.c_uint64 * (STREAM_BYTES // 8))()
        self._call(self.lib.libregion_scan, self.folder, ctypes.c_uint64(region), ctypes.byref(q), c)
        return pyarrow.RecordBatchReader._import_from_c(ctypes.addressof(c))


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with Folder(sys.argv[1]) as folder:
        if len(sys.argv) == 2:
            for region in folder.regions():
                print(*region)
        else:
            region = int(sys.argv[2])
            print(folder.describe(region))
            print(folder.scan(region, filter=sys.argv[3] if len(sys.argv) > 3 else None).read_all())


if __name__ == '__main__':
    main()
