#!/usr/bin/env python3
"""Reads a checkpoint as FORMAT.md describes it and prints what "pagetide export" does, for every state.

    python3 reader.py PATH/_metadata [DATADIR...]

Each state is headed by a line {"operator":UID,"state":NAME}. Data files are looked for beside _metadata, in its parent
and in the directories given. Only the standard library is used, and nothing of the Go code: this is the proof that
FORMAT.md is enough. It checks every hash on its way and stops at the first thing that is not as it must be.
"""

import base64
import json
import os
import struct
import sys
from datetime import datetime, timedelta

VERSION = 1  # of _metadata and of data files
PAGE, LINE = 4096, 64
M64 = (1 << 64) - 1


# The hash.

P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def rotl(x, n):
    return (x << n | x >> (64 - n)) & M64


def lane(acc, word):
    return rotl((acc + word * P2) & M64, 31) * P1 & M64


def xxh64(b, seed=0):
    n, at = len(b), 0
    if n >= 32:
        v1, v2, v3, v4 = (seed + P1 + P2) & M64, (seed + P2) & M64, seed, (seed - P1) & M64
        for w1, w2, w3, w4 in struct.iter_unpack("<4Q", b[: n - n % 32]):
            v1, v2, v3, v4 = lane(v1, w1), lane(v2, w2), lane(v3, w3), lane(v4, w4)
        at = n - n % 32
        h = (rotl(v1, 1) + rotl(v2, 7) + rotl(v3, 12) + rotl(v4, 18)) & M64
        for v in (v1, v2, v3, v4):
            h = ((h ^ lane(0, v)) * P1 + P4) & M64
    else:
        h = (seed + P5) & M64
    h = (h + n) & M64
    while at + 8 <= n:
        h = (rotl(h ^ lane(0, u64(b, at)), 27) * P1 + P4) & M64
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ u32(b, at) * P1 & M64, 23) * P2 + P3) & M64
        at += 4
    for c in b[at:]:
        h = rotl(h ^ c * P5 & M64, 11) * P1 & M64
    h = (h ^ h >> 33) * P2 & M64
    h = (h ^ h >> 29) * P3 & M64
    return h ^ h >> 32


def u16(b, at):
    return struct.unpack_from("<H", b, at)[0]


def u32(b, at):
    return struct.unpack_from("<I", b, at)[0]


def u64(b, at):
    return struct.unpack_from("<Q", b, at)[0]


def i64(b, at):
    return struct.unpack_from("<q", b, at)[0]


class Damaged(Exception):
    pass


def need(ok, what):
    if not ok:
        raise Damaged(what)


# _metadata

class Cursor:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, n):
        need(self.at + n <= len(self.b), "a section ends early")
        self.at += n
        return self.b[self.at - n : self.at]

    def num(self, format):
        return struct.unpack("<" + format, self.take(struct.calcsize("<" + format)))[0]

    def bytes(self):
        return self.take(self.num("I"))

    def text(self):
        return self.bytes().decode("utf-8", "surrogateescape")

    def list(self, item):
        return [item() for _ in range(self.num("I"))]

    def hand(self):
        return self.num("I"), self.num("I"), self.num("I")


class Metadata:
    def __init__(self, b):
        need(b[:8] == b"PTMETA\r\n", "not a metadata file")
        need(u64(b, 12) == len(b), "metadata has another size than it says")
        need(xxh64(b[:-8]) == u64(b, len(b) - 8), "checksum of the metadata")
        need(u32(b, 8) == VERSION, "metadata of version %d" % u32(b, 8))
        self.sections, c = {}, Cursor(b[20:-8])
        while c.at < len(c.b):
            tag = c.num("H")
            self.sections[tag] = Cursor(c.bytes())
        c = self.sections[4]
        self.hash, self.seed, self.groups = c.text(), c.num("Q"), c.num("H")
        c = self.sections[5]
        self.files = c.list(lambda: (c.text(), c.num("Q"), c.num("q"), c.num("q"), c.num("q"), c.num("Q"), c.hand()))
        self.pages = self.sections[9].b  # the bytes of a data file, or none
        self.operators = self.sections[6].list(lambda: Operator(self.sections[6]))


class Operator:
    def __init__(self, c):
        self.no, self.uid, self.kind, self.fingerprint = c.num("H"), c.text(), c.text(), c.text()
        self.parallelism, self.watermark = c.num("H"), c.num("q")
        self.states = {s.no: s for s in c.list(lambda: State(c))}
        self.shards = c.list(lambda: Shard(c))
        self.watermarks = c.list(lambda: (c.num("H"), c.num("q")))  # by first key group, if subtasks differ

    def named(self, name):
        return next((s for s in self.states.values() if s.name == name), None)


class State:
    def __init__(self, c):
        self.no, self.kind, self.name, self.key, self.type = c.num("H"), c.num("B"), c.text(), c.text(), c.text()


CELL, BYTES, INDEX = 1, 2, 3


class Shard:
    def __init__(self, c):
        self.id, self.pages = c.num("I"), c.num("I")
        self.entries = {no: n for no, n, _ in c.list(lambda: (c.num("H"), c.num("Q"), c.num("q")))}


# Delta files

class Delta:
    """An open data file: where each page's record lies, by shard."""

    def __init__(self, b, size, root_at, root_size, root_hash):
        need(len(b) == size and root_at + root_size == size, "size of a data file")
        self.b, root = b, b[root_at:]
        need(xxh64(root) == root_hash, "root of a data file")
        need(xxh64(b[:32]) == u64(root, 0), "header of a data file")
        need(b[:8] == b"PTDATA\r\n" and u32(b, 8) == VERSION, "magic or version of a data file")
        self.shards, self.checked = {}, {}
        for i in range(u32(root, 8)):
            shard, at, hash, n = struct.unpack_from("<IQQQ", root, 12 + 28 * i)
            self.shards[shard] = (at, hash, n)
        self.indexes = {}

    def index(self, shard):
        """{page: (offset of its record, its block)}"""
        if shard not in self.indexes:
            self.indexes[shard] = self.read_index(shard) if shard in self.shards else {}
        return self.indexes[shard]

    def read_index(self, shard):
        at, hash, n = self.shards[shard]
        b = self.b[at : at + n]
        need(xxh64(b) == hash, "index of a shard")
        number, width, pages, blocks, bitmap = struct.unpack_from("<5I", b)
        need(number == shard, "index of another shard")
        at, places = 20, []
        for _ in range(blocks):
            places.append(struct.unpack_from("<QQI", b, at))
            at += 20
        offsets = [8 * v for v, in struct.iter_unpack("<I" if width == 4 else "<Q", b[at : at + width * pages])]
        numbers = roaring(b[at + width * pages :])
        need(len(numbers) == pages, "index bitmap")
        return {p: (o, max(x for x in places if x[0] <= o)) for p, o in zip(numbers, offsets)}

    def record(self, shard, page):
        """The mask and the lines of a page, None if the file has none."""
        if page not in self.index(shard):
            return None
        at, block = self.index(shard)[page]
        b, at = self.block(block), at - block[0]
        need(u32(b, at) == shard and u32(b, at + 4) == page, "record of another page")
        mask = u64(b, at + 8)
        return mask, b[at + 16 : at + 16 + LINE * bin(mask).count("1")]

    def block(self, place):
        if place not in self.checked:
            at, hash, n = place
            need(xxh64(self.b[at : at + n]) == hash, "block at %d" % at)
            self.checked[place] = self.b[at : at + n]
        return self.checked[place]


def roaring(b):
    """The numbers of a roaring bitmap in the portable format."""
    cookie = u32(b, 0)
    runs, count, at = b"", 0, 4
    if cookie & 0xFFFF == 12347:
        count = (cookie >> 16) + 1
        runs, at = b[4 : 4 + (count + 7) // 8], 4 + (count + 7) // 8
    else:
        need(cookie == 12346, "cookie of a bitmap")
        count, at = u32(b, 4), 8
    heads = [(u16(b, at + 4 * i), u16(b, at + 4 * i + 2) + 1) for i in range(count)]
    at += 4 * count
    if not runs or count >= 4:
        at += 4 * count  # offsets, which follow from the sizes
    numbers = []
    for i, (high, n) in enumerate(heads):
        high <<= 16
        if runs and runs[i // 8] >> i % 8 & 1:
            for k in range(u16(b, at)):
                start, more = u16(b, at + 2 + 4 * k), u16(b, at + 4 + 4 * k)
                numbers += range(high + start, high + start + more + 1)
            at += 2 + 4 * u16(b, at)
        elif n <= 4096:
            numbers += [high + v for v, in struct.iter_unpack("<H", b[at : at + 2 * n])]
            at += 2 * n
        else:
            numbers += [high + 8 * k + j for k, c in enumerate(b[at : at + 8192]) for j in range(8) if c >> j & 1]
            at += 8192
    return numbers


class Checkpoint:
    def __init__(self, path, places):
        with open(path, "rb") as f:
            self.meta = Metadata(f.read())
        folder = os.path.dirname(os.path.abspath(path))
        self.places = [folder, os.path.dirname(folder)] + places
        self.files = [Delta(self.find(name), size, at, n, hash) for name, _, size, at, n, hash, _ in self.meta.files]
        self.pages = {}

    def find(self, name):
        if name == "":
            return self.meta.pages
        for place in self.places:
            if os.path.exists(os.path.join(place, name)):
                with open(os.path.join(place, name), "rb") as f:
                    return f.read()
        raise Damaged("%s is in none of %s" % (name, ", ".join(self.places)))

    def page(self, shard, page):
        if (shard, page) not in self.pages:
            self.pages[shard, page] = self.compose(shard, page)
        return self.pages[shard, page]

    def compose(self, shard, page):
        image, missing = bytearray(PAGE), M64
        for f in reversed(self.files):
            mask, lines = f.record(shard, page) or (0, b"")
            at = 0
            for i in range(64):
                if mask >> i & 1:
                    if missing >> i & 1:
                        image[LINE * i : LINE * i + LINE] = lines[at : at + LINE]
                    at += LINE
            missing &= ~mask
        need(missing == 0, "lines %x of shard %d page %d are in no file" % (missing, shard, page))
        return bytes(image)


# Pages

SHARD, TABLE, DIRECTORY, BUCKET, SLAB, RUN, ROOT, LEAF, INNER, FREE = range(1, 11)
CLASSES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1008, 1344, 2024)
NOTIME = -(1 << 63)


def align8(n):
    return n + 7 & ~7


def alignment(n):
    return min(n & -n, 8) or 1


class Group:
    """One key group of one operator: its tables and indexes."""

    def __init__(self, checkpoint, shard):
        self.checkpoint, self.shard = checkpoint, shard

    def page(self, number, kind, state):
        need(number < self.shard.pages, "reference beyond the shard's pages")
        b = self.checkpoint.page(self.shard.id, number)
        need(b[0] == kind and u16(b, 4) == state, "page %d is of kind %d, not %d" % (number, b[0], kind))
        return b

    def root(self, state):
        return u32(self.page(0, SHARD, 0), 64 + 4 * state)

    def slots(self, state):
        """Every used slot of a table: its page and offset."""
        if not self.root(state):
            return
        root, seen = self.page(self.root(state), TABLE, state), 0
        for first in self.directory(root, state):
            page = first
            while page:
                b = self.page(page, BUCKET, state)
                size, lanes, groups = u16(b, 6), b[12], b[13]
                for group in range(groups):
                    base = 16 + group * align8(8 + lanes * size)
                    for lane in range(8):
                        if b[base + lane] & 0x80:
                            seen += 1
                            yield b, base + 8 + lane * size
                page = u32(b, 8)
        need(seen == u64(root, 16) == self.shard.entries.get(state, 0), "number of entries")

    def directory(self, root, state):
        """The buckets, each once."""
        n = 1 << root[1]
        if root[1] <= 9:
            numbers = struct.unpack_from("<%dI" % n, root, 64)
        else:
            numbers = ()
            for i in range((n + 1019) // 1020):
                numbers += struct.unpack_from("<1020I", self.page(u32(root, 64 + 4 * i), DIRECTORY, state), 16)
        return sorted(set(numbers[:n]))

    def string(self, b, at, state):
        """The byte string that a reference stands for."""
        n = u32(b, at)
        if n <= 12:
            return b[at + 4 : at + 4 + n]
        page, slot = u32(b, at + 8), u32(b, at + 12)
        if n <= 2024:
            cls = next(i for i, size in enumerate(CLASSES) if size >= n)
            slab = self.page(page, SLAB, state)
            need(slab[1] == cls and slab[16 + slot // 8] >> slot % 8 & 1, "slot of a slab")
            return slab[48 + slot * CLASSES[cls] :][:n]
        found = b""
        while len(found) < n:
            run = self.page(page, RUN, state)
            found, page = found + run[16 : 16 + u16(run, 2)], u32(run, 8)
        need(len(found) == n, "length of a run")
        return found

    def key(self, b, at, state):
        """The key of varying length in a slot."""
        if b[at] > 31:
            return self.string(b, at + 16, state)
        return b[at + 1 : at + 1 + b[at]]

    def table(self, state, key, value, numbered=False):
        """(key, value, time) of each entry. The sizes are None where they vary, and are given for cells."""
        mark = state.type.startswith("ttl ")
        n = 16 if value is None else value
        align = alignment(align8(n) + 8 if numbered else n)
        for b, at in self.slots(state.no):
            k = self.key(b, at, state.no) if key is None else b[at : at + key]
            off = at + (32 if key is None else -(-key // align) * align)
            v = self.string(b, off, state.no) if value is None else b[off : off + n]
            time = i64(b, at + u16(b, 6) - 8) if mark else NOTIME
            yield k, v, time

    def index(self, state, key):
        """(time, key) of each entry, in order."""
        if not self.root(state.no):
            return
        root = self.page(self.root(state.no), ROOT, state.no)
        size = u16(root, 6)
        capacity = min(4080 // (size + 1), 255)
        while align8(16 + capacity) + capacity * size > PAGE:
            capacity -= 1
        last, seen = (NOTIME, 0, -1), 0
        for b in self.leaves(u32(root, 8), root[1], state.no):
            for i in range(u16(b, 2)):
                at = align8(16 + capacity) + b[16 + i] * size
                rank = i64(b, at), u64(b, at + 8), u32(b, at + 16)
                need(rank > last, "order of an index")
                last, seen = rank, seen + 1
                k = self.string(b, at + 24, state.no) if key is None else b[at + 24 : at + 24 + key]
                yield rank[0], k
        need(seen == u64(root, 16) == self.shard.entries.get(state.no, 0), "number of entries")

    def leaves(self, page, height, state):
        if height == 0:
            yield self.page(page, LEAF, state)
            return
        b = self.page(page, INNER, state)
        need(b[1] == height, "height of an inner page")
        for i in range(u16(b, 2)):
            yield from self.leaves(u32(b, 16 + 24 * i + 20), height - 1, state)


# Types. A type is (size, how to show its bytes); the size is None if it varies.

def parse_type(text, codecs):
    if text.startswith("le:"):
        kind, rest = parse_flat(text[3:])
        need(rest == "", "type %s" % text)
        return kind
    if text == "string":
        return None, show_string
    if text == "bytes":
        return None, show_base64
    if codecs and text.startswith("cbor "):
        return None, show_cbor
    if codecs:
        return None, lambda b: '{"codec":%s,"base64":%s}' % (quote(text), show_base64(b))
    raise Damaged("type %s" % text)


def parse_flat(text):
    if text[0] == "[":
        n, rest = text[1:].split("]", 1)
        (size, show), rest = parse_flat(rest)
        parts = [(i * size, size) for i in range(int(n))]
        return (int(n) * size, lambda b: "[%s]" % ",".join(show(b[at : at + n]) for at, n in parts)), rest
    if text[0] == "{":
        return parse_struct(text[1:])
    end = min([len(text)] + [text.index(c) for c in ";}" if c in text])
    return PLAIN[text[:end]], text[end:]


def parse_struct(text):
    digits = 0
    while text[digits].isdigit():
        digits += 1
    size, rest, fields = int(text[:digits]), text[digits:], []
    while rest[0] == ";":
        name, rest = rest[1:].split("@", 1)
        offset, rest = rest.split("+", 1)
        _, rest = rest.split(":", 1)
        (n, show), rest = parse_flat(rest)
        if name != "_":
            fields.append((name, int(offset), n, show))
    need(rest[0] == "}", "struct type")
    return (size, lambda b: "{%s}" % ",".join(quote(name) + ":" + show(b[at : at + n]) for name, at, n, show in fields)), rest[1:]


def number(format):
    return struct.calcsize(format), lambda b: str(struct.unpack("<" + format, b)[0])


def show_float32(b):
    v, = struct.unpack("<f", b)
    for digits in range(1, 10):
        text = "%.*e" % (digits - 1, v)
        if v == v and struct.pack("<f", float(text)) == b:
            break
    return show_number(v, text, *struct.unpack("<ff", struct.pack("<ff", 1e-6, 1e21)))


def show_float64(b):
    v, = struct.unpack("<d", b)
    return show_number(v, repr(v))


def show_number(v, text, small=1e-6, large=1e21):
    """A float as encoding/json writes it, of the shortest digits that tell it."""
    if v != v:
        return '"NaN"'
    if abs(v) == float("inf"):
        return '"Infinity"' if v > 0 else '"-Infinity"'
    sign = "-" if text[0] == "-" else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + part) - len(digits))  # digits stand behind 0., times 10**point
    digits = digits.rstrip("0") or "0"
    if v == 0:
        return sign + "0"
    if small <= abs(v) < large:
        if point <= 0:
            return sign + "0." + "0" * -point + digits
        if point >= len(digits):
            return sign + digits + "0" * (point - len(digits))
        return sign + digits[:point] + "." + digits[point:]
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return "%s%s%se%s%d" % (sign, digits[0], fraction, "+" if point > 0 else "-", abs(point - 1))


def pair(size, show):
    return 2 * size, lambda b: "[%s,%s]" % (show(b[:size]), show(b[size:]))


PLAIN = {
    "bool": (1, lambda b: "true" if b[0] else "false"),
    "int8": number("b"), "int16": number("h"), "int32": number("i"), "int64": number("q"),
    "uint8": number("B"), "uint16": number("H"), "uint32": number("I"), "uint64": number("Q"),
    "float32": (4, show_float32), "float64": (8, show_float64),
    "complex64": pair(4, show_float32), "complex128": pair(8, show_float64),
}


def quote(text):
    return json.dumps(text, ensure_ascii=False)


def show_base64(b):
    return '"%s"' % base64.b64encode(b).decode()


def show_string(b):
    try:
        return quote(b.decode("utf-8"))
    except UnicodeDecodeError:
        return '{"base64":%s}' % show_base64(b)


def member(key):
    """The JSON of a key as the name of an object's member."""
    return key if key[0] == '"' else quote(key)


def show_cbor(b):
    text, rest = cbor(b)
    need(rest == b"", "CBOR with something behind it")
    return text


def cbor(b):
    """One item as JSON, and what is behind it."""
    major, info, at = b[0] >> 5, b[0] & 31, 1
    need(info <= 27, "CBOR of undefined length")
    arg = info
    if info >= 24:
        at += 1 << info - 24
        arg = int.from_bytes(b[1:at], "big")
    rest = b[at:]
    if major == 0:
        return str(arg), rest
    if major == 1:
        return str(-1 - arg), rest
    if major == 2:
        return show_base64(rest[:arg]), rest[arg:]
    if major == 3:
        return show_string(rest[:arg]), rest[arg:]
    if major == 4:
        items = []
        for _ in range(arg):
            item, rest = cbor(rest)
            items.append(item)
        return "[%s]" % ",".join(items), rest
    if major == 5:
        items = []
        for _ in range(arg):
            key, rest = cbor(rest)
            value, rest = cbor(rest)
            items.append(member(key) + ":" + value)
        return "{%s}" % ",".join(items), rest
    if major == 6:
        if arg in (2, 3):  # big numbers
            n = int.from_bytes(base64.b64decode(cbor(rest)[0]), "big")
            return str(n if arg == 2 else -1 - n), cbor(rest)[1]
        return cbor(rest)
    if info in (25, 26, 27):
        size = at - 1
        if size == 4:
            return show_float32(b[4:0:-1]), rest
        return show_float64(struct.pack("<d", struct.unpack(">" + {2: "e", 8: "d"}[size], b[1:at])[0])), rest
    return {20: "false", 21: "true", 22: "null", 23: "null"}.get(info, str(arg)), rest


def show_time(ns):
    at = datetime(1970, 1, 1) + timedelta(seconds=ns // 10**9)
    fraction = ("%09d" % (ns % 10**9)).rstrip("0")
    return '"%s%sZ"' % (at.isoformat(), "." + fraction if fraction else "")


# States, as export prints them

def cut_mark(text):
    for mark in ("ttl event: ", "ttl processing: "):
        if text.startswith(mark):
            return text[len(mark) :]
    return text


def states_of(operator):
    """Each state with its other tables, items and order, if it has some."""
    parts, found = set(), []
    for s in operator.states.values():
        items = order = None
        if s.kind == CELL and cut_mark(s.type).startswith("list of "):
            items = operator.named(s.name + ".items")
        elif s.kind == CELL and cut_mark(s.type).startswith("map of "):
            items, order = operator.named(s.name + ".items"), operator.named(s.name + ".order")
        parts.update(p.name for p in (items, order) if p)
        found.append((s, items, order))
    return [f for f in found if f[0].name not in parts]


def lines_of(group, state, items, order):
    numbered = state.kind != INDEX and state.key.endswith("+u64")
    size, show_key = parse_type(state.key[:-4] if numbered else state.key, False)
    if state.kind == INDEX:
        for time, key in sorted(group.index(state, size)):
            yield '{"time":%s,"key":%s}' % (show_time(time), show_key(key))
    elif order:
        yield from map_lines(group, state, items, order, size, show_key)
    elif items:
        yield from list_lines(group, state, items, size, show_key)
    else:
        value, show = parse_type(cut_mark(state.type), state.kind == BYTES)
        entries = list(group.table(state, size and size + 8 * numbered, value))
        if numbered:
            entries = [(k[:-8], v, time, i64(k, len(k) - 8)) for k, v, time in entries]
            entries.sort(key=lambda e: (e[0], e[3]))
        else:
            entries.sort()
        for e in entries:
            start = ',"start":' + show_time(e[3]) if numbered else ""
            yield '{"key":%s%s,"value":%s%s}' % (show_key(e[0]), start, show(e[1]), show_stamp(e[2]))


def show_stamp(time):
    return "" if time == NOTIME else ',"time":' + show_time(time)


def show_times(times, brackets, marked):
    if not marked:
        return ""
    shown = [name + ("null" if t == NOTIME else show_time(t)) for name, t in times]
    return ',"times":%s%s%s' % (brackets[0], ",".join(shown), brackets[1])


def list_lines(group, state, items, size, show_key):
    value, show = parse_type(cut_mark(items.type), items.kind == BYTES)
    elements = {k: (v, time) for k, v, time in group.table(items, size and size + 8, value)}
    for key, span, time in sorted(group.table(state, size, 16)):
        first, end = struct.unpack("<QQ", span)
        found = [elements.pop(key + struct.pack("<Q", n)) for n in range(first, end)]
        times = show_times([("", t) for _, t in found], "[]", items.type.startswith("ttl "))
        yield '{"key":%s,"value":[%s]%s%s}' % (show_key(key), ",".join(show(v) for v, _ in found), show_stamp(time), times)
    need(not elements, "elements of no list")


def map_lines(group, state, items, order, size, show_key):
    field_size, show_field = parse_type(order.type, False)
    value, show = parse_type(cut_mark(items.type), items.kind == BYTES)
    both = size + field_size if size and field_size else None
    values = {k: (v, time) for k, v, time in group.table(items, both, value, True)}
    fields = {k: f for k, f, _ in group.table(order, size and size + 8, field_size)}
    for key, count, _ in sorted(group.table(state, size, 8)):
        names = sorted(fields.pop(key + struct.pack("<Q", n)) for n in range(u64(count, 0)))
        ends = struct.pack("<I", len(key)) if not size and not field_size else b""
        found = [(member(show_field(f)) + ":", values.pop(key + f + ends)) for f in names]
        times = show_times([(name, t) for name, (_, t) in found], "{}", items.type.startswith("ttl "))
        yield '{"key":%s,"value":{%s}%s}' % (show_key(key), ",".join(name + show(v) for name, (v, _) in found), times)
    need(not values and not fields, "entries of no map")


def main(path, *places):
    checkpoint = Checkpoint(path, list(places))
    for operator in checkpoint.meta.operators:
        for state, items, order in states_of(operator):
            print('{"operator":%s,"state":%s}' % (quote(operator.uid), quote(state.name)))
            for shard in operator.shards:
                for line in lines_of(Group(checkpoint, shard), state, items, order):
                    print(line)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    main(*sys.argv[1:])
