package snapshotter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// differences compares two images as Diff compares checkpoints.
func differences(op meta.OperatorNo, a, b image) (all []Difference) {
	for g := range meta.KeyGroup(8) {
		x, y := a[meta.MakeShardID(op, g)], b[meta.MakeShardID(op, g)]
		if x == nil && y == nil {
			continue
		}
		both := min(len(x), len(y))
		d := Difference{UID: fmt.Sprint("op-", op), Group: g, Pages: [2]int64{int64(len(x)), int64(len(y))},
			Added: int64(len(y) - both), Removed: int64(len(x) - both)}
		for p := range both {
			if n := differentLines(x[p], y[p]); n > 0 {
				d.Changed, d.Lines = d.Changed+1, d.Lines+n
			}
		}
		all = append(all, d)
	}
	return all
}

// publishAll takes a checkpoint of several stores.
func publishAll(t *testing.T, d *Dir, stores ...*fakeStore) {
	t.Helper()
	p, err := d.Begin()
	must(t, err)
	m := &meta.Metadata{}
	var cuts []meta.Cut
	for _, s := range stores {
		m.Operators = append(m.Operators, meta.Operator{No: s.op, UID: fmt.Sprint("op-", s.op)})
		cuts = append(cuts, s.freeze())
		p.Add(cuts[len(cuts)-1])
	}
	_, err = p.Publish(ctx, m)
	must(t, err)
	for _, c := range cuts {
		must(t, c.Wait(ctx))
	}
}

// Every two checkpoints of a chain, forwards and backwards, and of another policy.
func TestDiff(t *testing.T) {
	for _, o := range []Options{{Retained: 9}, {Retained: 9, Whole: true}, {Retained: 9, Embed: 1 << 20}} {
		fsys := vfs.NewMem()
		o.FS = fsys
		d := openMem(t, fsys, o)
		rnd := rand.New(rand.NewPCG(1, 2))
		first, second := newFakeStore(0), newFakeStore(3)
		first.whole, second.whole = o.Embed > 0, o.Embed > 0
		var images [][2]image
		for round := range 6 {
			first.scribble(rnd, 40*(round%2))
			second.scribble(rnd, 5)
			if round == 2 {
				first.grow(first.shard(5), 1)
			}
			publishAll(t, d, first, second)
			images = append(images, [2]image{first.pages.clone(), second.pages.clone()})
		}
		ids, err := d.List()
		must(t, err)
		for i := range ids {
			for j := range ids {
				a, b := loadID(t, d, ids[i]), loadID(t, d, ids[j])
				last, total := int64(0), int64(0)
				got, err := Diff(ctx, a, b, func(done, all int64) { last, total = done, all })
				must(t, err)
				want := append(differences(0, images[i][0], images[j][0]), differences(3, images[i][1], images[j][1])...)
				if !slices.Equal(got, want) {
					t.Fatalf("checkpoints %d and %d differ by\n%+v\nwant\n%+v", ids[i], ids[j], got, want)
				}
				if last != total || i == j && total != 0 {
					t.Errorf("checkpoints %d and %d: %d of %d pages read", ids[i], ids[j], last, total)
				}
				if changed := changedPages(want); o.Embed == 0 && !o.Whole && i+1 == j && total > changed {
					t.Errorf("neighbours %d and %d: %d pages read, %d changed", ids[i], ids[j], total, changed)
				}
			}
		}
	}
}

func changedPages(all []Difference) (n int64) {
	for _, d := range all {
		n += d.Changed
	}
	return n
}

func loadID(t *testing.T, d *Dir, id meta.CheckpointID) *Checkpoint {
	t.Helper()
	c, err := Load(d.metaPath(id), LoadOptions{FS: d.fs})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestDiffRefuses(t *testing.T) {
	files, _ := sample(t, 0)
	a := loadSample(t, lay(t, files))
	b := loadSample(t, lay(t, files))
	other := *b.Meta
	other.HashSeed++
	_, err := Diff(ctx, a, newCheckpoint(b.fs, b.Path, &other), nil)
	wantErr(t, "another hash", err, meta.ErrIncompatible)

	files, _ = sample(t, 1)
	b = loadSample(t, lay(t, files))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Diff(gone, a, b, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func loadSample(t *testing.T, fsys vfs.FS) *Checkpoint {
	t.Helper()
	c, err := Load("/job", LoadOptions{FS: fsys})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}
