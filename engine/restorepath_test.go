package engine_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// TestNotNewestByLink gives an old checkpoint another name: it is still not the newest of its job.
func TestNotNewestByLink(t *testing.T) {
	from, home := t.TempDir(), t.TempDir()
	paths := stopped(t, from)
	chk := filepath.Dir(paths[0])
	for _, link := range []string{filepath.Join(filepath.Dir(chk), "old"), filepath.Join(home, "old")} {
		if err := os.Symlink(chk, link); err != nil {
			t.Fatal(err)
		}
		_, err := variant{}.job().Start(t.Context(), variant{}.options(home, engine.Restore{Path: link}))
		if !errors.Is(err, meta.ErrNotNewest) {
			t.Errorf("Start from %s = %v, want %v", link, err, meta.ErrNotNewest)
		}
		contains(t, err, filepath.Base(chk), filepath.Base(filepath.Dir(last(paths))))
	}
}
