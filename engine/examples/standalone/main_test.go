package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/mmapstate"
	"github.com/pagetide/pagetide/snapshotter"
)

// TestCountGoesOnWhereItEnded counts a log, lets it grow, counts again, and reads the counters back.
func TestCountGoesOnWhereItEnded(t *testing.T) {
	t.Chdir(t.TempDir())
	var lines []string
	for i := range 3_000 {
		lines = append(lines, fmt.Sprintf("user-%d", i%100))
	}
	for _, n := range []int{1_000, 3_000} {
		if err := os.WriteFile("log", []byte(strings.Join(lines[:n], "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := count(t.Context(), "log"); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := snapshotter.Open("counts", snapshotter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	last, err := dir.Latest()
	if err != nil {
		t.Fatal(err)
	}
	store, err := mmapstate.Open(mmapstate.Options{}, last)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	counters, err := mmapstate.NewCellMap[uint64, counter](store, "counters")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		user := fmt.Sprintf("user-%d", i)
		if c, _ := counters.Get(hash([]byte(user))); c.N != 30 || c.Bytes != int64(30*len(user)) {
			t.Errorf("%s: %+v, want 30 of %d bytes", user, c, 30*len(user))
		}
	}
}
