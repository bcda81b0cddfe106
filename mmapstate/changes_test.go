package mmapstate_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

// model fills a state of two kinds, and is what is in it.
func model(rnd *rand.Rand) map[string]int64 {
	m := map[string]int64{}
	for range 200 {
		m[fmt.Sprint("k", rnd.IntN(300))] = rnd.Int64N(3)
	}
	return m
}

func holding(t *testing.T, m map[string]int64, seed uint64) *mmapstate.View {
	return must(mmapstate.OpenView(saved(t, mmapstate.Options{KeyGroups: 16, HashSeed: seed}, func(s *mmapstate.Store) {
		cells := must(mmapstate.NewCellMap[string, int64](s, "cells"))
		keyer := must(mmapstate.NewKeyer[string](s.HashSeed(), s.KeyGroups()))
		times := must(s.Index("times", keyer.Shape()))
		for k, v := range m {
			*cells.Ref(k) = v
			times.Insert(keyer.Key(&k), v)
		}
		must(mmapstate.NewCellMap[int64, int64](s, fmt.Sprint("of seed ", seed)))
	}), 0))
}

func TestChanges(t *testing.T) {
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		before, after := model(rnd), model(rnd)
		a, b := holding(t, before, 7), holding(t, after, 7)
		var want []string
		for _, k := range slices.Collect(maps.Keys(before)) {
			switch v, ok := after[k]; {
			case !ok:
				want = append(want, fmt.Sprintf("- %s %d", k, before[k]))
			case v != before[k]:
				want = append(want, fmt.Sprintf("~ %s %d %d", k, before[k], v))
			}
		}
		for k, v := range after {
			if _, ok := before[k]; !ok {
				want = append(want, fmt.Sprintf("+ %s %d", k, v))
			}
		}
		var got []string
		for c, err := range mmapstate.Changes(t.Context(), a.State("cells"), b.State("cells"), nil, nil) {
			switch {
			case err != nil:
				t.Fatal(err)
			case c.After == nil:
				got = append(got, fmt.Sprintf("- %s %s", c.Before.Key[1:len(c.Before.Key)-1], c.Before.Value))
			case c.Before == nil:
				got = append(got, fmt.Sprintf("+ %s %s", c.After.Key[1:len(c.After.Key)-1], c.After.Value))
			default:
				got = append(got, fmt.Sprintf("~ %s %s %s", c.After.Key[1:len(c.After.Key)-1], c.Before.Value, c.After.Value))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %q, want %q", seed, got, want)
		}
		lost := 0
		for c := range mmapstate.Changes(t.Context(), a.State("times"), b.State("times"), nil, nil) {
			if c.Before != nil && c.After != nil {
				t.Errorf("an entry of an index is %s before and %s after", c.Before.Append(nil), c.After.Append(nil))
			}
			lost++
		}
		if all := missing(before, after) + missing(after, before); lost != all {
			t.Errorf("%d entries of the index have changed, want %d", lost, all)
		}
		for c := range mmapstate.Changes(t.Context(), a.State("cells"), a.State("cells"), nil, nil) {
			t.Errorf("a state differs from itself: %v", c)
		}
		for c := range mmapstate.Changes(t.Context(), a.State("cells"), b.State("cells"), func(meta.KeyGroup) bool { return true }, nil) {
			t.Errorf("what is skipped differs: %v", c)
		}
	}
}

// missing counts what a has and b has not, or with another value.
func missing(a, b map[string]int64) (n int) {
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			n++
		}
	}
	return n
}

func TestChangesRefuses(t *testing.T) {
	a, b := holding(t, nil, 7), holding(t, nil, 8)
	for _, pair := range [][2]*mmapstate.StateView{{a.State("cells"), b.State("cells")}, {a.State("cells"), a.State("times")}, {a.State("cells"), a.State("of seed 7")}} {
		n := 0
		for _, err := range mmapstate.Changes(t.Context(), pair[0], pair[1], nil, nil) {
			if n++; !errors.Is(err, meta.ErrIncompatible) {
				t.Errorf("%s and %s: %v", pair[0].Name, pair[1].Name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s and %s: %d steps", pair[0].Name, pair[1].Name, n)
		}
	}
}
