package benchmarks

import (
	"math/rand/v2"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// TestChainStaysBounded updates 1000 counters in 8 MB of real pages between checkpoints until the sweep has gone round some
// times, and holds the chain to its bounds after the first third. The clock has no part in it.
func TestChainStaysBounded(t *testing.T) {
	const keys, updates, checkpoints = 200_000, 1000, 400
	dir, err := snapshotter.Open("/job", snapshotter.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	store := mmapstate.New(mmapstate.Options{HashSeed: 1, KeyGroups: 8})
	defer store.Close()
	counters, err := mmapstate.NewCellMap[uint64, [3]uint64](store, "counters")
	if err != nil {
		t.Fatal(err)
	}
	for k := range uint64(keys) {
		counters.Ref(k)[0] = k
	}
	r := rand.New(rand.NewPCG(1, 2))
	files, space, fresh, written := 0, 0.0, int64(0), int64(0)
	for i := range checkpoints {
		for range updates {
			counters.Ref(r.Uint64N(keys))[1]++
		}
		info := checkpoint(t, dir, store)
		if i < checkpoints/3 {
			continue
		}
		if info.Asked != "" {
			t.Fatalf("checkpoint %d asks for a whole one: %s", i, info.Asked)
		}
		files, space = max(files, info.Files), max(space, float64(info.Stored)/float64(info.Live))
		fresh, written = fresh+info.Fresh, written+info.Written
	}
	ratio := float64(written) / float64(fresh)
	t.Logf("%d bytes of state, %d files, %.2f of the live bytes, %.2f written for each fresh byte", store.Stats().Bytes, files, space, ratio)
	if files > 32 || space > 2 || ratio > 4 {
		t.Error("out of bounds")
	}
}

func checkpoint(t *testing.T, dir *snapshotter.Dir, store *mmapstate.Store) snapshotter.Info {
	t.Helper()
	p, err := dir.Begin()
	if err != nil {
		t.Fatal(err)
	}
	cut, err := store.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	p.Add(cut)
	done := make(chan error, 1)
	var info snapshotter.Info
	go func() {
		var err error
		info, err = p.Publish(t.Context(), &meta.Metadata{})
		done <- err
	}()
	if err := cut.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	return info
}
