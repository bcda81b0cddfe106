package snapshotter

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// meetingFS lets no block of a data file be read before so many reads are under way.
type meetingFS struct {
	vfs.FS
	want  int64
	under atomic.Int64
	met   chan struct{}
	late  atomic.Bool
}

func (f *meetingFS) Open(name string) (vfs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".delta") {
		return file, err
	}
	return meetingFile{file, f}, nil
}

type meetingFile struct {
	vfs.File
	fs *meetingFS
}

func (f meetingFile) ReadAt(b []byte, off int64) (int, error) {
	if off == dataHeaderSize { // each file has one block
		if f.fs.under.Add(1) == f.fs.want {
			close(f.fs.met)
		}
		select {
		case <-f.fs.met:
		case <-time.After(20 * time.Second):
			f.fs.late.Store(true)
		}
	}
	return f.File.ReadAt(b, off)
}

// chainOf makes a directory whose newest checkpoint has n files, with lines of two pages in each.
func chainOf(t *testing.T, fsys vfs.FS, n int) *fakeStore {
	t.Helper()
	d, err := Open("/job", Options{FS: fsys})
	must(t, err)
	defer d.Close()
	s := newFakeStore(1)
	s.grow(s.shard(0), 'a')
	s.grow(s.shard(0), 'b')
	for i := range n {
		if i > 0 {
			s.set(s.shard(0), 0, i, byte(i))
			s.set(s.shard(0), 1, i, byte(i))
		}
		must(t, d.Save(ctx, s, nil))
	}
	return s
}

func TestBlocksAreReadTogether(t *testing.T) {
	mem := vfs.NewMem()
	s := chainOf(t, mem, fetchWorkers)
	fsys := &meetingFS{FS: mem, want: fetchWorkers, met: make(chan struct{})}
	c, err := Load("/job", LoadOptions{FS: fsys})
	must(t, err)
	defer c.Close()
	c.blocks.note(time.Second) // storage is slow
	page := make([]byte, meta.PageSize)
	must(t, c.Load(ctx, s.shard(0), 0, page))
	if fsys.late.Load() {
		t.Errorf("%d blocks were read one after the other, want all at a time", fsys.under.Load())
	}
	if !bytes.Equal(page, s.pages[s.shard(0)][0]) {
		t.Error("the page is not what it was")
	}
	must(t, c.Load(ctx, s.shard(0), 0, page))
	if n := fsys.under.Load(); n != fetchWorkers {
		t.Errorf("%d reads of %d blocks: what was read last is at hand", n, fetchWorkers)
	}
}

// What is damaged and was written anew since does not matter to a load, however it reads.
func TestFetchOnlyGuesses(t *testing.T) {
	fsys := vfs.NewMem()
	s := chainOf(t, fsys, 5)
	d, err := Open("/job", Options{FS: fsys})
	must(t, err)
	s.base = meta.Base{Job: d.Job(), Checkpoint: 5}
	for i := range meta.PageLines {
		s.set(s.shard(0), 0, i, byte(100+i))
	}
	must(t, d.Save(ctx, s, nil))
	must(t, d.Close())
	files := dump(t, fsys, "/job")
	for name, b := range files {
		if h, ok := parseDataName(strings.TrimPrefix(name, "/job/")); ok && h.checkpoint < 6 {
			b[dataHeaderSize+recordHead+1] ^= 1
		}
	}
	for _, took := range []time.Duration{0, time.Second} {
		c, err := Load("/job", LoadOptions{FS: lay(t, files)})
		must(t, err)
		c.blocks.note(took)
		page := make([]byte, meta.PageSize)
		if err := c.Load(ctx, s.shard(0), 0, page); err != nil || !bytes.Equal(page, s.pages[s.shard(0)][0]) {
			t.Errorf("reads take %s: %v", took, err)
		}
		wantErr(t, "Verify", c.Verify(ctx, nil), meta.ErrDamaged)
		must(t, c.Close())
	}
}

func TestBlockCacheIsBounded(t *testing.T) {
	c := newBlockCache()
	key := func(i int64) blockKey { return blockKey{at: extent{offset: i}} }
	const n = 3 * cachedBytes / (64 << 10)
	for i := range int64(n) {
		c.put(key(i), make([]byte, 64<<10))
		c.put(key(i), make([]byte, 64<<10)) // two may have read it
	}
	if c.bytes != cachedBytes || len(c.held) != n/3 || len(c.order) != n/3 {
		t.Errorf("%d bytes in %d blocks, %d in order", c.bytes, len(c.held), len(c.order))
	}
	if c.get(key(0)) != nil || c.get(key(n-1)) == nil {
		t.Error("the oldest should go first")
	}
}
