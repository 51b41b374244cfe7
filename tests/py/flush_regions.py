#!/usr/bin/env python3
"""flush_regions.py GRPC_ADDR HTTP_ADDR: flushes every region that has storage of its own (all but logical ones)."""
import json
import sys
import urllib.request

import grpc

from harness import HANDLE, OPTIONS, flush_request


def main():
    status = json.load(urllib.request.urlopen(f'http://{sys.argv[2]}/status'))
    with grpc.insecure_channel(sys.argv[1], options=OPTIONS) as channel:
        handle = channel.unary_unary(HANDLE)
        for region in status['regions']:
            if 'role' in region:
                handle(flush_request(region['id']), timeout=300)


if __name__ == '__main__':
    main()
