"""What a PNG of a text screen says, read back by the glyphs of SeaVGABIOS's own font.

screen.py text FILE.png           the lines of an 80x25 screen of 9x16 dots
screen.py same FILE.png FILE.png  status 0: pixel by pixel the same but for one cell (the cursor)
screen.py 13|12|lfb FILE.png      status 0: the pictures of screen.asm
"""
import struct
import sys
import zlib

ROM = '/usr/share/seabios/vgabios-stdvga.bin'
# A and B of the 8x16 font that every VGA BIOS has; where they are, the font is.
AB = bytes.fromhex('000010386cc6c6fec6c6c6c600000000' '0000fc6666667c66666666fc00000000')


def png(path):
    data = open(path, 'rb').read()
    assert data[:8] == b'\x89PNG\r\n\x1a\n', path
    at, packed = 8, b''
    while at < len(data):
        n, kind = struct.unpack('>I4s', data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        assert zlib.crc32(kind + body) == struct.unpack('>I', data[at + 8 + n:at + 12 + n])[0]
        if kind == b'IHDR':
            w, h, bits, color = struct.unpack('>IIBB', body[:10])
            assert bits == 8 and color in (2, 6)
            size = 3 if color == 2 else 4
        elif kind == b'IDAT':
            packed += body
        at += 12 + n
    raw, rows, last = zlib.decompress(packed), [], bytes(w * size)
    for y in range(h):
        kind, row = raw[y * (w * size + 1)], bytearray(raw[y * (w * size + 1) + 1:(y + 1) * (w * size + 1)])
        if kind == 2:           # ours
            row = [x + y & 255 for x, y in zip(row, last)]
        for i in range(len(row) if kind != 2 else 0):
            a = row[i - size] if i >= size else 0
            b, c = last[i], last[i - size] if i >= size else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[i] = row[i] + (0, a, b, (a + b) // 2, paeth)[kind] & 255
        last = bytes(row)
        rows.append([last[x:x + 3] for x in range(0, w * size, size)])
    return rows


def glyphs():
    rom = open(ROM, 'rb').read()
    at = rom.index(AB) - 65 * 16
    found = {}
    for ch in range(255, -1, -1):
        found[rom[at + ch * 16:at + ch * 16 + 16]] = chr(ch) if 32 < ch < 127 else ' '
    return found


def text(rows):
    assert len(rows) == 400 and len(rows[0]) == 720, (len(rows[0]), len(rows))
    font, lines = glyphs(), []
    for y in range(25):
        line = ''
        for x in range(80):
            cell = [rows[y * 16 + j][x * 9:x * 9 + 8] for j in range(16)]
            paper = cell[0][0]
            bits = bytes(sum((cell[j][i] != paper) << (7 - i) for i in range(8)) for j in range(16))
            line += font.get(bits, '_' if not any(bits[:13]) else '?')
        lines.append(line.rstrip())
    return '\n'.join(lines).rstrip()


def same(a, b):
    differ = {(x // 9, y // 16) for y in range(len(a)) for x in range(len(a[0])) if a[y][x] != b[y][x]}
    return len(a) == len(b) and len(a[0]) == len(b[0]) and len(differ) <= 1


def mode13(rows):
    colors, known = {}, {0: '000000', 1: '0000aa', 4: 'aa0000', 15: 'ffffff', 40: 'ff0000'}
    return (len(rows) == 400 and len(rows[0]) == 640 and
            all(colors.setdefault((x // 2 + y // 2 * 3) & 255, p) == p for y, row in enumerate(rows) for x, p in enumerate(row)) and
            len(set(colors.values())) > 200 and all(colors[i].hex() == c for i, c in known.items()))


def mode12(rows):
    ega = ['000000', '0000aa', '00aa00', '00aaaa', 'aa0000', 'aa00aa', 'aa5500', 'aaaaaa',
           '555555', '5555ff', '55ff55', '55ffff', 'ff5555', 'ff55ff', 'ffff55', 'ffffff']
    return len(rows) == 480 and len(rows[0]) == 640 and all(
        p.hex() == (ega[x % 16] if x == y else ega[0]) for y, row in enumerate(rows) for x, p in enumerate(row))


def linear(rows):
    return len(rows) == 1080 and len(rows[0]) == 1920 and all(
        p == bytes((x & 255, y & 255, x + y & 255)) for y, row in enumerate(rows) for x, p in enumerate(row))


if sys.argv[1] == 'text':
    print(text(png(sys.argv[2])))
elif sys.argv[1] == 'same':
    sys.exit(not same(png(sys.argv[2]), png(sys.argv[3])))
else:
    sys.exit(not {'13': mode13, '12': mode12, 'lfb': linear}[sys.argv[1]](png(sys.argv[2])))
