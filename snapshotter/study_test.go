package snapshotter

import (
	"strings"
	"testing"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// heldFS opens no data file while it is held.
type heldFS struct {
	vfs.FS
	held chan struct{}
}

func (f *heldFS) Open(name string) (vfs.File, error) {
	if strings.HasSuffix(name, ".delta") {
		<-f.held
	}
	return f.FS.Open(name)
}

// TestStudyHoldsUpNoCommit restores a chain of small files, of which nothing is known then: checkpoints commit while the
// files cannot be read, and the fold is planned when all of its files have been.
func TestStudyHoldsUpNoCommit(t *testing.T) {
	r := newChainRun(t, 1, 2048, Options{})
	for range foldFiles {
		r.update(100)
		r.save(t, false)
	}
	must(t, r.d.Close())
	fsys := &heldFS{FS: r.o.FS, held: make(chan struct{})}
	close(fsys.held)
	r.o.FS = fsys
	d, err := Open("/state/job", r.o)
	must(t, err)
	r.d = d
	r.restore(t, 1)
	fsys.held = make(chan struct{})
	for range 2 {
		r.update(100)
		r.save(t, false) // returns
		if n := len(r.d.fold.asked); n > 0 {
			t.Errorf("a fold of unknown files asks for lines of %d shards", n)
		}
	}
	close(fsys.held)
	saves := 0
	for ; len(r.d.fold.asked) == 0 && saves < 3*foldFiles; saves++ {
		r.studied()
		r.update(100)
		r.save(t, false)
	}
	if len(r.d.fold.asked) == 0 {
		t.Errorf("no fold after %d checkpoints", saves)
	}
	t.Logf("a fold after %d checkpoints", saves)
	r.update(100)
	r.save(t, false)
	r.restore(t, 1)
	must(t, r.d.Close())
}
