package engine_test

import (
	"errors"
	"net/url"
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

// TestRestoreByPathWithDataURI finds the data files where it has written them.
func TestRestoreByPathWithDataURI(t *testing.T) {
	home := t.TempDir()
	data := url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(home, "da ta"))}
	o := variant{}.options(filepath.Join(home, "meta"), engine.Restore{})
	o.Checkpoints.DataDir = data.String()
	in := newFeed[event](2)
	in.add(0, events(20)...)
	r := start(t, sumJob(in, newLog()), o)
	cp, err := r.Stop(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o.Restore.Path = cp.Path
	start(t, sumJob(newFeed[event](2), newLog()), o)
	names, err := os.ReadDir(home)
	if err != nil || len(names) != 2 {
		t.Errorf("%v, %v: want the two directories", names, err)
	}
}
