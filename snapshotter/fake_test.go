package snapshotter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/meta"
)

// image is the content of every page of every shard: the plain model.
type image map[meta.ShardID][][]byte

func (im image) clone() image {
	c := image{}
	for s, pages := range im {
		for _, p := range pages {
			c[s] = append(c[s], bytes.Clone(p))
		}
	}
	return c
}

// fakeStore is a store as simple as can be: pages, a mask per page, one cut at a time.
type fakeStore struct {
	op     meta.OperatorNo
	pages  image
	dirty  map[meta.ShardID][]meta.LineMask
	base   meta.Base
	whole  bool
	cut    *fakeCut
	groups int
	asked  map[meta.ShardID]map[meta.PageNo]meta.LineMask // what the next cut is to carry
}

func newFakeStore(op meta.OperatorNo) *fakeStore {
	return &fakeStore{op: op, pages: image{}, dirty: map[meta.ShardID][]meta.LineMask{}, groups: 8}
}

// openFakeStore restores through the Loader contract only.
func openFakeStore(op meta.OperatorNo, l meta.Loader) (*fakeStore, error) {
	s := newFakeStore(op)
	s.base = l.Base()
	if w, ok := l.(meta.WholeWanter); ok {
		s.whole = w.WantsWhole()
	}
	for _, sh := range l.Shards(op) {
		all := make([]byte, int(sh.Pages)*meta.PageSize)
		if err := l.Load(context.Background(), sh.ID, 0, all); err != nil {
			return nil, err
		}
		for p := range int(sh.Pages) {
			s.pages[sh.ID] = append(s.pages[sh.ID], all[p*meta.PageSize:][:meta.PageSize])
			s.dirty[sh.ID] = append(s.dirty[sh.ID], 0)
		}
	}
	return s, nil
}

func (s *fakeStore) shard(g int) meta.ShardID { return meta.MakeShardID(s.op, meta.KeyGroup(g)) }

// grow adds a page, which is dirty in all lines.
func (s *fakeStore) grow(sh meta.ShardID, fill byte) {
	s.pages[sh] = append(s.pages[sh], bytes.Repeat([]byte{fill}, meta.PageSize))
	s.dirty[sh] = append(s.dirty[sh], meta.AllLines)
}

func (s *fakeStore) set(sh meta.ShardID, page, line int, b byte) {
	copy(s.pages[sh][page][line*meta.LineSize:], bytes.Repeat([]byte{b}, meta.LineSize))
	s.dirty[sh][page] |= 1 << line
}

// scribble makes n random changes.
func (s *fakeStore) scribble(r *rand.Rand, n int) {
	for range n {
		sh := s.shard(r.IntN(3))
		if len(s.pages[sh]) == 0 || len(s.pages[sh]) < 4 && r.IntN(4) == 0 {
			s.grow(sh, byte(r.Uint32()))
			continue
		}
		s.set(sh, r.IntN(len(s.pages[sh])), r.IntN(meta.PageLines), byte(r.Uint32()))
	}
}

func (s *fakeStore) Freeze() (meta.Cut, error) { return s.freeze(), nil }

func (s *fakeStore) freeze() *fakeCut {
	c := &fakeCut{s: s, base: s.base, verdict: make(chan meta.Verdict, 1), frozen: map[meta.ShardID][]meta.LineMask{}}
	if s.whole {
		c.base = meta.Base{}
	}
	for _, sh := range slices.Sorted(maps.Keys(s.pages)) {
		chunk := &meta.Chunk{}
		for p, page := range s.pages[sh] {
			mask := s.dirty[sh][p]
			c.frozen[sh] = append(c.frozen[sh], mask)
			s.dirty[sh][p] = 0
			if c.base == (meta.Base{}) {
				mask = meta.AllLines
			}
			if mask |= s.asked[sh][meta.PageNo(p)]; mask == 0 {
				continue
			}
			chunk.Heads = append(chunk.Heads, meta.Head{Shard: sh, Page: meta.PageNo(p), Mask: mask})
			for i := range meta.PageLines {
				if mask>>i&1 == 1 {
					chunk.Lines = append(chunk.Lines, page[i*meta.LineSize:][:meta.LineSize]...)
				}
			}
		}
		if len(chunk.Heads) > 0 {
			c.chunks = append(c.chunks, chunk)
		}
		c.shards = append(c.shards, meta.Shard{ID: sh, Pages: uint32(len(s.pages[sh])), States: []meta.ShardState{{No: 0, Entries: 7}}})
	}
	s.cut = c
	return c
}

// ask takes the wishes of a commit in; they outlive the cuts that abort.
func (s *fakeStore) ask(v meta.Verdict) {
	s.asked = map[meta.ShardID]map[meta.PageNo]meta.LineMask{}
	add := func(sh meta.ShardID, p meta.PageNo, lines meta.LineMask) {
		if s.asked[sh] == nil {
			s.asked[sh] = map[meta.PageNo]meta.LineMask{}
		}
		s.asked[sh][p] |= lines
	}
	for _, st := range v.Pages {
		for i := range st.Count {
			add(st.Shard, st.First+meta.PageNo(i), meta.AllLines)
		}
	}
	for _, h := range v.Lines {
		add(h.Shard, h.Page, h.Mask)
	}
}

// fakeCut is a frozen set that was gathered at once.
type fakeCut struct {
	s       *fakeStore
	base    meta.Base
	chunks  []*meta.Chunk
	shards  []meta.Shard
	frozen  map[meta.ShardID][]meta.LineMask
	held    int
	hang    bool // Next waits for ctx
	verdict chan meta.Verdict
}

func (c *fakeCut) Base() meta.Base           { return c.base }
func (c *fakeCut) Operator() meta.OperatorNo { return c.s.op }
func (c *fakeCut) States() []meta.State {
	return []meta.State{{No: 0, Kind: meta.KindCell, Name: "n", Key: "u64", Type: "i64"}}
}
func (c *fakeCut) Hash() (string, uint64, int) { return "xxh64", 42, c.s.groups }
func (c *fakeCut) Shards() []meta.Shard        { return c.shards }
func (c *fakeCut) Done(v meta.Verdict)         { c.verdict <- v }

func (c *fakeCut) Next(ctx context.Context) (*meta.Chunk, error) {
	if c.hang {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(c.chunks) == 0 {
		if c.held != 0 {
			panic("a chunk was not released")
		}
		return nil, io.EOF
	}
	c.held++
	chunk := c.chunks[0]
	c.chunks = c.chunks[1:]
	return chunk, nil
}

func (c *fakeCut) Release(chunk *meta.Chunk) {
	clear(chunk.Lines) // whoever keeps them sees it
	c.held--
}

func (c *fakeCut) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case v := <-c.verdict:
		return c.take(v)
	}
}

// take is what an owner does with a verdict.
func (c *fakeCut) take(v meta.Verdict) error {
	if v.Err == nil {
		c.s.base, c.s.whole = v.Base, v.Whole
		c.s.ask(v)
		return nil
	}
	for sh, masks := range c.frozen {
		for p, m := range masks {
			c.s.dirty[sh][p] |= m
		}
	}
	return v.Err
}

// diff says where two images differ, or nothing.
func diff(got, want image) string {
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		return fmt.Sprintf("shards %v, want %v", g, w)
	}
	for s := range want {
		if len(got[s]) != len(want[s]) {
			return fmt.Sprintf("shard %s has %d pages, want %d", s, len(got[s]), len(want[s]))
		}
		for p := range want[s] {
			if !bytes.Equal(got[s][p], want[s][p]) {
				return fmt.Sprintf("shard %s page %d differs", s, p)
			}
		}
	}
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
