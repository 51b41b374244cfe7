#!/usr/bin/env python3
"""Compares the H3 grid with the library h3 from PyPI: cells of random places and around all pentagons, centers, disks, children.

    test_h3.py build/asan/tests/h3_cells_tool
"""
import math
import random
import subprocess
import sys

import h3

R = random.Random(7)


def ask(lines):
    out = subprocess.run([sys.argv[1]], input='\n'.join(lines) + '\n', capture_output=True, text=True, check=True).stdout
    answers = out.split('\n')[:-1]
    assert len(answers) == len(lines)
    return answers


def main():
    places = [(R.uniform(-90, 90), R.uniform(-180, 180), R.randint(0, 15)) for _ in range(5000)]
    for pentagon in h3.get_pentagons(5):
        lat, lng = h3.cell_to_latlng(pentagon)
        places += [(max(-90, min(90, lat + R.uniform(-2, 2))), lng + R.uniform(-2, 2), R.randint(0, 10)) for _ in range(100)]
    cells = [h3.latlng_to_cell(*p) for p in places]
    assert ask([f'cell {lat!r} {lng!r} {r}' for lat, lng, r in places]) == cells
    cells += [p for r in range(16) for p in h3.get_pentagons(r)]
    for cell, answer in zip(cells, ask([f'place {c}' for c in cells])):
        (lat, lng), (ours, our_lng) = h3.cell_to_latlng(cell), map(float, answer.split())
        east = abs(lng - our_lng) % 360
        assert abs(lat - ours) < 1e-9 and min(east, 360 - east) * math.cos(math.radians(lat)) < 1e-9, (cell, answer, lat, lng)
    for cell, answer in zip(cells, ask([f'neighbours {c}' for c in cells])):
        assert set(answer.split()) - {cell} == set(h3.grid_disk(cell, 1)) - {cell}, cell
    some = [(c, R.randint(1, 5)) for c in cells[:2000]]
    regular = 0
    for (cell, k), answer in zip(some, ask([f'disk {c} {k}' for c, k in some])):
        ours = answer.split()
        regular += bool(ours)
        if ours:
            assert set(ours) == set(h3.grid_disk(cell, k)) and len(set(ours)) == len(ours) and ours[0] == cell, cell
            for ring in range(1, k + 1):
                inner = 3 * ring * (ring - 1) + 1
                assert set(ours[inner:inner + 6 * ring]) == set(h3.grid_ring(cell, ring)), (cell, ring)
        else:
            assert any(h3.is_pentagon(c) for c in h3.grid_disk(cell, k)), cell
    assert regular > 1000
    pairs = [(c, R.choice(h3.grid_ring(c, R.randint(1, 9)) or [c])) for c in cells[:2000] if not h3.is_pentagon(c)]
    measured = 0
    for (a, b), answer in zip(pairs, ask([f'distance {a} {b}' for a, b in pairs])):
        if int(answer) >= 0: # ours refuses what lies around a pentagon
            assert int(answer) == h3.grid_distance(a, b), (a, b)
            measured += 1
    assert measured > 1500
    assert set(ask([f'distance {c} {c}' for c in cells])) == {'0'}
    close = [(c, R.choice(sorted(h3.grid_disk(c, R.randint(1, 4))))) for c in cells[5000:]]  # around pentagons
    answers = [int(answer) for answer in ask([f'distance {a} {b}' for a, b in close])]
    assert sum(answer >= 0 for answer in answers) > len(answers) / 2
    for (a, b), answer in zip(close, answers):
        assert answer < 0 or answer == h3.grid_distance(a, b), (a, b)
    parents = [c for c in cells if h3.get_resolution(c) < 12][-300:]
    for cell, answer in zip(parents, ask([f'children {c} {h3.get_resolution(c) + 2}' for c in parents])):
        assert answer.split() == list(h3.cell_to_children(cell, h3.get_resolution(cell) + 2)), cell
    indexes = [f'{R.getrandbits(64):x}' for _ in range(500)] + [f'{int(c, 16) ^ 1 << R.randint(0, 63):x}' for c in cells]
    assert ask([f'valid {i}' for i in indexes]) == [str(int(h3.is_valid_cell(i))) for i in indexes]
    print(f'{len(cells)} cells agree')


if __name__ == '__main__':
    main()
