package mmapstate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// spread are the options of some stores that share key groups.
func spread(groups int, ends ...int) (opts []mmapstate.Options) {
	from := 0
	for _, end := range append(ends, groups) {
		opts = append(opts, mmapstate.Options{KeyGroups: groups, From: meta.KeyGroup(from), To: meta.KeyGroup(end)})
		from = end
	}
	return opts
}

// savedTogether makes a checkpoint of stores that share an operator.
func savedTogether(t *testing.T, stores []*mmapstate.Store) *snapshotter.Checkpoint {
	t.Helper()
	dir := must(snapshotter.Open("/job", snapshotter.Options{FS: vfs.NewMem()}))
	t.Cleanup(func() { dir.Close() })
	p := must(dir.Begin())
	var cuts []meta.Cut
	for _, s := range stores {
		cut := must(s.Freeze())
		s.Gather(time.Hour)
		cuts = append(cuts, cut)
		p.Add(cut)
	}
	must(p.Publish(t.Context(), &meta.Metadata{}))
	for _, cut := range cuts {
		must(0, cut.Wait(t.Context()))
	}
	return must(dir.Latest())
}

// exported is everything that a view shows, in an order that does not depend on key groups.
func exported(t *testing.T, from meta.Loader) (all []string) {
	t.Helper()
	for _, s := range must(mmapstate.OpenView(from, 0)).States() {
		for _, line := range strings.Split(lines(s.All(t.Context(), nil)), "\n") {
			if line != "" {
				all = append(all, s.Name+" "+line)
			}
		}
	}
	slices.Sort(all)
	return all
}

// TestRehash takes every kind of state from each number of key groups to others and back: nothing is lost, no time of an
// entry changes, and the last numbers are those of the first.
func TestRehash(t *testing.T) {
	first := saved(t, mmapstate.Options{KeyGroups: 16}, fillView)
	want := exported(t, first)
	var from meta.Loader = first
	for _, opts := range [][]mmapstate.Options{spread(1), spread(7, 2, 3), spread(4096, 2048), spread(16)} {
		stores := must(mmapstate.Rehash(t.Context(), opts, from))
		n := int64(0)
		for _, s := range stores {
			must(0, s.Check())
			if s.Base() != (meta.Base{}) {
				t.Error("a rehashed store builds on a checkpoint")
			}
			for _, r := range s.Rewrites() {
				n += r.Entries
			}
		}
		if total := entriesOf(from); n != total {
			t.Errorf("%d key groups: %d entries were told, want %d", opts[0].KeyGroups, n, total)
		}
		next := savedTogether(t, stores)
		for _, s := range stores {
			must(0, s.Close())
		}
		if got := exported(t, next); !slices.Equal(got, want) {
			t.Fatalf("%d key groups:\n%s\nwant\n%s", opts[0].KeyGroups, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		from = next
	}
}

func entriesOf(from meta.Loader) (n int64) {
	for _, sh := range from.Shards(0) {
		for _, st := range sh.States {
			n += int64(st.Entries)
		}
	}
	return n
}

// rehashed is state that fills many pages, beside a model of it.
type rehashed struct {
	cells map[uint64]int64
	texts map[string]string
	lists map[string]int
	ends  int
}

func fillMany(s *mmapstate.Store) *rehashed {
	m := &rehashed{cells: map[uint64]int64{}, texts: map[string]string{}, lists: map[string]int{}}
	cells := must(mmapstate.NewCellMap[uint64, int64](s, "cells"))
	texts := must(mmapstate.NewValueMap[string, string](s, "texts"))
	lists := must(mmapstate.NewListMap[string, string](s, "lists"))
	keyer := must(mmapstate.NewKeyer[string](s.HashSeed(), s.KeyGroups()))
	ends := must(s.Index("ends", keyer.Shape()))
	for i := range 20_000 {
		*cells.Ref(uint64(i)) = int64(i)
		m.cells[uint64(i)] = int64(i)
		k := strings.Repeat("k", i%40) + fmt.Sprint(i)
		if i%4 == 0 {
			v := strings.Repeat("v", i%3000)
			must(0, texts.Set(k, v))
			m.texts[k] = v
		}
		if i%5 == 0 {
			k := fmt.Sprint(i % 300)
			must(0, lists.Append(k, k))
			m.lists[k]++
		}
		ends.Insert(keyer.Key(&k), int64(i%1000))
		m.ends++
	}
	return m
}

// TestRehashLarge opens the rehashed stores as a program does, and goes on with them.
func TestRehashLarge(t *testing.T) {
	var want *rehashed
	from := saved(t, mmapstate.Options{KeyGroups: 8}, func(s *mmapstate.Store) { want = fillMany(s) })
	got := &rehashed{cells: map[uint64]int64{}, texts: map[string]string{}, lists: map[string]int{}}
	for _, s := range must(mmapstate.Rehash(t.Context(), spread(5, 2), from)) {
		defer s.Close()
		cells := must(mmapstate.NewCellMap[uint64, int64](s, "cells"))
		for k, v := range cells.All() {
			got.cells[k] = v
			*cells.Ref(k)++
		}
		for k, v := range must(mmapstate.NewValueMap[string, string](s, "texts")).All() {
			got.texts[k] = v
		}
		lists := must(mmapstate.NewListMap[string, string](s, "lists"))
		for k := range lists.Keys() {
			for v := range lists.All(k) {
				if v != k {
					t.Errorf("list of %s has %s", k, v)
				}
				got.lists[k]++
			}
		}
		keyer := must(mmapstate.NewKeyer[string](s.HashSeed(), s.KeyGroups()))
		ends := must(s.Index("ends", keyer.Shape()))
		last := int64(-1)
		for at, k, ok := ends.Pop(1_000_000, nil); ok; at, k, ok = ends.Pop(1_000_000, nil) {
			if key := keyer.Decode(k.Bytes); at < last || keyer.Key(&key).Group != k.Group {
				t.Fatalf("entry of %s at %d in group %d after %d", key, at, k.Group, last)
			}
			last = at
			got.ends++
		}
		must(0, s.Check())
	}
	if !maps.Equal(got.cells, want.cells) || !maps.Equal(got.texts, want.texts) || !maps.Equal(got.lists, want.lists) || got.ends != want.ends {
		t.Errorf("%d cells, %d texts, %d lists, %d ends, want %d, %d, %d, %d", len(got.cells), len(got.texts), len(got.lists), got.ends,
			len(want.cells), len(want.texts), len(want.lists), want.ends)
	}
}

func TestRehashRefuses(t *testing.T) {
	good := saved(t, mmapstate.Options{KeyGroups: 4}, fillView)
	odd := saved(t, mmapstate.Options{}, func(s *mmapstate.Store) {
		must(s.Bytes("keys", mmapstate.KeyShape{Fingerprint: "own key"}, "string"))
		k := "k"
		must(mmapstate.NewCellMap[string, int64](s, "n")).Ref(k)
	})
	for name, tt := range map[string]struct {
		opts []mmapstate.Options
		from meta.Loader
		want error
	}{
		"another hash":      {spread(2), otherHash{good}, meta.ErrIncompatible},
		"a key of its own":  {spread(2), odd, meta.ErrIncompatible},
		"groups left out":   {spread(8, 4)[:1], good, meta.ErrIncompatible},
		"damaged":           {spread(2), spoilt{good}, meta.ErrDamaged},
		"another seed":      {spread(2), otherSeed{good}, meta.ErrDamaged},
		"another key group": {spread(2), otherGroups{good}, meta.ErrDamaged},
	} {
		if stores, err := mmapstate.Rehash(t.Context(), tt.opts, tt.from); !errors.Is(err, tt.want) || stores != nil {
			t.Errorf("%s: %v, %v", name, stores, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mmapstate.Rehash(ctx, spread(2), good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// otherSeed and otherGroups say what is not so.
type otherSeed struct{ meta.Loader }

func (l otherSeed) Hash() (string, uint64, int) {
	name, seed, groups := l.Loader.Hash()
	return name, seed + 1, groups
}

type otherGroups struct{ meta.Loader }

func (l otherGroups) Hash() (string, uint64, int) {
	name, seed, groups := l.Loader.Hash()
	return name, seed, 2 * groups
}
