package mmapstate

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A split computes hashes again: from the bytes of every key that can lie in a slot, whatever it is made of.
func TestRehashIsTheHash(t *testing.T) {
	const seed = 77
	text, word, wide := KeyShape{Fingerprint: "string"}, KeyShape{Fixed: 4, Fingerprint: "u32"}, KeyShape{Fixed: 12, Fingerprint: "wide"}
	shapes := []KeyShape{text, word, wide}
	make := func(shape KeyShape, n int) Key {
		if shape.Fixed > 0 {
			n = shape.Fixed
		}
		b := bytes.Repeat([]byte{byte(n + 1)}, n)
		return Key{Hash: hashKey(b, shape.Fixed > 0, seed), Bytes: b}
	}
	var scratch []byte
	for _, shape := range shapes {
		for n := range 33 {
			k := make(shape, n)
			if got := shape.rehash(k.Bytes, seed); got != k.Hash {
				t.Errorf("%s of %d bytes: hash %x, again %x", shape.Fingerprint, n, k.Hash, got)
			}
			if e := k.With(uint64(n), &scratch); shape.With().rehash(e.Bytes, seed) != e.Hash {
				t.Errorf("%s of %d bytes with a number", shape.Fingerprint, n)
			}
			if e := k.WithPair(uint64(n), 7, &scratch); shape.WithPair().rehash(e.Bytes, seed) != e.Hash {
				t.Errorf("%s of %d bytes with two numbers", shape.Fingerprint, n)
			}
			for _, field := range shapes {
				for m := range 20 {
					e, joined := k.join(make(field, m).Bytes, shape, field, &scratch), shape.join(field)
					key, suffix, ok := joined.cut(e.Bytes)
					if joined.rehash(e.Bytes, seed) != e.Hash || !ok || !bytes.Equal(key, k.Bytes) || !bytes.Equal(suffix, make(field, m).Bytes) {
						t.Errorf("%s of %d bytes with %s of %d: hash %x, again %x", shape.Fingerprint, n, field.Fingerprint, m, e.Hash, joined.rehash(e.Bytes, seed))
					}
				}
			}
		}
	}
}

// Keys of all lengths around the one that still fits, and those that begin alike, are told apart, through splits.
func TestKeysOfAllLengths(t *testing.T) {
	for _, value := range []int{0, 1, 2, 4, 100} {
		s := New(Options{KeyGroups: 1, HashSeed: 3})
		defer s.Close()
		keyer := must(NewKeyer[string](3, 1))
		c := must(s.Cells("c", keyer.Shape(), value, "value"))
		want := map[string]byte{}
		for i := range 40 {
			for n := range 70 {
				k := strings.Repeat(string(rune('a'+i%26)), n/2) + strings.Repeat(string(rune('a'+i/26)), n-n/2)
				p := bytesOf(c.Ref(keyer.Key(&k)), value)
				for j := range p {
					p[j] = byte(i + n)
				}
				want[k] = byte(i + n)
			}
		}
		for k := range want {
			if r := len(k); r%5 == 0 {
				c.Delete(keyer.Key(&k))
				delete(want, k)
			}
		}
		got := map[string]byte{}
		for k, p := range c.All() {
			got[string(k.Bytes)] = want[string(k.Bytes)]
			if b := bytesOf(p, value); !bytes.Equal(b, bytes.Repeat([]byte{want[string(k.Bytes)]}, value)) {
				t.Fatalf("%q has %v, want %d", k.Bytes, b, want[string(k.Bytes)])
			}
			text := string(k.Bytes)
			if k.Hash != keyer.Key(&text).Hash {
				t.Fatalf("%q has another hash", k.Bytes)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("values of %d bytes: %d entries, want %d", value, len(got), len(want))
		}
		for k := range want { // as typed states look up
			if c.Peek(keyer.Key(&k)) == nil {
				t.Fatalf("%q is not found", k)
			}
			for _, other := range []string{k + "\x00", k + "x", strings.ToUpper(k) + "!"} {
				if c.Peek(keyer.Key(&other)) != nil {
					t.Fatalf("%q is found", other)
				}
			}
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
}

// Values lie where their types can be used in place.
func TestValuesAreAligned(t *testing.T) {
	s := New(Options{KeyGroups: 1, HashSeed: 3})
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 1))
	for range 500 {
		typ := randomFlat(r, 2)
		if typ.Size() == 0 || typ.Size() > maxInline {
			continue
		}
		for _, key := range []KeyShape{{}, {Fixed: 8}, {Fixed: 5}, {Fixed: 12}} {
			for _, ttl := range []*lifetime{nil, {}} {
				tab := newTable(s, 0, key, int(typ.Size()), false, ttl)
				if align := uint32(typ.Align()); tab.slot%align != 0 || tab.value%align != 0 || tab.stride%8 != 0 {
					t.Errorf("%s behind %d: value at %d of slots of %d, groups of %d", typ, key.Fixed, tab.value, tab.slot, tab.stride)
				}
				if tab.value < tab.keyBytes() || tab.stride < 8+tab.lanes*tab.slot || tab.end > pageSize || ttl != nil && (tab.stamp < tab.value+tab.size || tab.stamp+8 > tab.slot) {
					t.Errorf("%s behind %d: %+v", typ, key.Fixed, tab)
				}
			}
		}
	}
}

// What a page holds at most: a change here changes what state costs.
func TestEntriesOfAPage(t *testing.T) {
	s := New(Options{KeyGroups: 1, HashSeed: 3})
	defer s.Close()
	var got []string
	for _, l := range [][2]int{{0, 100}, {0, 8}, {0, 1}, {8, 16}, {8, 8}, {4, 4}, {12, 4}, {8, 4}, {1, 0}, {20, 512}} {
		tab := newTable(s, 0, KeyShape{Fixed: l[0]}, l[1], false, nil)
		got = append(got, fmt.Sprintf("%d+%d: %d of %d", l[0], l[1], tab.capacity(), tab.slot))
	}
	want := []string{"0+100: 30 of 132", "0+8: 98 of 40", "0+1: 120 of 33", "8+16: 161 of 24", "8+8: 240 of 16", "4+4: 448 of 8",
		"12+4: 240 of 16", "8+4: 240 of 16", "1+0: 448 of 8", "20+512: 7 of 536"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A slot's bytes may be anything: its key's length leads nowhere else.
func TestHostileSlots(t *testing.T) {
	for _, shape := range []KeyShape{{}, KeyShape{}.With(), KeyShape{}.join(KeyShape{}), KeyShape{Fixed: 12}.join(KeyShape{}), KeyShape{}.join(KeyShape{Fixed: 12})} {
		s := New(Options{KeyGroups: 1, HashSeed: 3})
		defer s.Close()
		shape.Fingerprint = "key"
		c := must(s.Cells("c", shape, 8, "value"))
		k := Key{Hash: 5, Bytes: bytes.Repeat([]byte("k"), 40)}
		c.Ref(k)
		sh := s.shard(0)
		pg, _, off := c.table.find(sh, k)
		r := rand.New(rand.NewPCG(2, 2))
		for first := range 256 {
			for i := range pg[off:][:varKey] {
				pg[off+uint32(i)] = byte(r.Uint32() >> r.IntN(9))
			}
			pg[off] = byte(first)
			store32(pg, off+offVarRef, 5) // a short one, if the slot is believed to have a reference
			want, hash := first, load64(pg, off+offVarHash)
			if first > varShort {
				want = 5
			}
			if b := c.table.keyAt(sh, pg, off, nil); len(b) != want || first > varShort && c.table.slotHash(pg, off) != hash {
				t.Fatalf("%+v, first byte %d: a key of %d bytes", shape, first, len(b))
			}
			c.table.slotHash(pg, off)
		}
	}
}

// A short key may look like the reference to a long one.
func TestShortKeyIsNoReference(t *testing.T) {
	s := New(Options{KeyGroups: 1, HashSeed: 3})
	defer s.Close()
	c := must(s.Cells("c", KeyShape{Fingerprint: "key"}, 8, "value"))
	long := Key{Hash: 5, Bytes: bytes.Repeat([]byte("k"), 40)}
	c.Ref(long)
	pg, _, off := c.table.find(s.shard(0), long)
	like := Key{Hash: 5, Bytes: bytes.Clone(pg[off+1 : off+varKey])}
	c.Delete(long)
	c.Ref(like)
	if c.Peek(long) != nil {
		t.Error("a key was found that is not there")
	}
	*(*uint64)(c.Ref(long)) = 1
	if *(*uint64)(c.Peek(like)) != 0 || *(*uint64)(c.Peek(long)) != 1 {
		t.Error("two keys have one value")
	}
	c.Ref(Key{Hash: 9, Bytes: []byte("abc")})
	for _, b := range []string{"", "ab", "abd", "abcd"} {
		if c.Peek(Key{Hash: 9, Bytes: []byte(b)}) != nil {
			t.Errorf("%q is found where abc is", b)
		}
	}
}

// A table whose values nobody knows has the layout of the one that wrote it, as far as copying needs it.
func TestLayoutFromTheSlot(t *testing.T) {
	s := New(Options{KeyGroups: 1, HashSeed: 3})
	defer s.Close()
	must(s.Cells("cells", KeyShape{Fingerprint: "key"}, 8, "value"))
	must(s.Bytes("bytes", KeyShape{Fingerprint: "key"}, "value"))
	for no, blob := range []bool{false, true} {
		for key := range 42 {
			for size := range 42 {
				for _, ttl := range []*lifetime{nil, {}} {
					if blob {
						size = refSize + size/8*8 // of a map, a number is behind the reference
					}
					was := newTable(s, uint16(no), KeyShape{Fixed: key}, size, blob, ttl)
					raw := slotTable(s.shard(0), 1, was.slot, uint16(no), KeyShape{Fixed: key})
					if raw.slot != was.slot || raw.lanes != was.lanes || raw.groups != was.groups || raw.stride != was.stride ||
						raw.value < was.keyBytes() || raw.value > was.value || blob && raw.value != was.value || raw.value+raw.size != was.slot {
						t.Fatalf("key of %d, value of %d: %+v, from its slots %+v", key, size, was, raw)
					}
				}
			}
		}
	}
}
