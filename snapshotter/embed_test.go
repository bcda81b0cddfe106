package snapshotter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// policies are the ways in which a directory can keep pages.
var policies = map[string]Options{
	"incremental": {},
	"whole":       {Whole: true},
	"embedded":    {Embed: 1 << 20},
}

// onDisk counts the data files in either directory.
func onDisk(t *testing.T, fsys vfs.FS) (n int) {
	t.Helper()
	for _, dir := range []string{"/job", "/data/job"} {
		names, _ := fsys.List(dir)
		for _, name := range names {
			if strings.HasSuffix(name, ".delta") {
				n++
			}
		}
	}
	return n
}

// TestChangeOfPolicy takes a job from each policy to each other one, then to a data directory, and back to the first policy
// to see that nothing is left over.
func TestChangeOfPolicy(t *testing.T) {
	for _, from := range slices.Sorted(maps.Keys(policies)) {
		for _, to := range slices.Sorted(maps.Keys(policies)) {
			t.Run(from+" to "+to, func(t *testing.T) {
				fsys := vfs.NewMem()
				want := image{}
				for i, name := range []string{from, to, to, from} {
					o := policies[name]
					if i > 1 {
						o.DataDir = "/data/job"
					}
					want = saveThrice(t, fsys, o, want)
					n := onDisk(t, fsys)
					if full := policies[name].Whole; full && n != 1 {
						t.Errorf("%s: %d data files, want 1", name, n)
					}
					if policies[name].Embed > 0 && n != 0 {
						t.Errorf("%s: %d data files, want none", name, n)
					}
				}
			})
		}
	}
}

// saveThrice goes on from the newest checkpoint of /job, which must hold the image, and gives what it has made of it.
func saveThrice(t *testing.T, fsys vfs.FS, o Options, want image) image {
	t.Helper()
	o.FS = fsys
	d, err := Open("/job", o)
	must(t, err)
	defer d.Close()
	s := newFakeStore(1)
	if c, err := d.Latest(); err == nil {
		must(t, c.Verify(ctx, nil))
		s, err = openFakeStore(1, c)
		must(t, err)
		must(t, c.Close())
	} else {
		wantErr(t, "Latest", err, meta.ErrNotFound)
	}
	if what := diff(s.pages, want); what != "" {
		t.Fatal(what)
	}
	for i := range 3 {
		s.grow(s.shard(i), byte(i))
		s.set(s.shard(0), 0, i, byte(i))
		must(t, d.Save(ctx, s, nil))
		must(t, onlyNamed(d))
	}
	return s.pages.clone()
}

// TestEmbeddedStandsAlone copies nothing but _metadata.
func TestEmbeddedStandsAlone(t *testing.T) {
	fsys := vfs.NewMem()
	want := saveThrice(t, fsys, policies["embedded"], image{})
	b, err := readFile(fsys, "/job/chk-3/_metadata", meta.MaxSize)
	must(t, err)
	alone := lay(t, map[string][]byte{"/mail/_metadata": b})
	c, err := Load("/mail", LoadOptions{FS: alone})
	must(t, err)
	must(t, c.Verify(ctx, nil))
	if s := c.Sizes(); s.Files != 0 || s.Stored == 0 || s.Stored != s.Delta {
		t.Errorf("sizes %+v, want bytes in no file", s)
	}
	for name, o := range policies { // it can be brought into any directory
		into := vfs.NewMem()
		o.FS = into
		d, err := Open("/job", o)
		must(t, err)
		own, err := d.Import(ctx, c, nil)
		must(t, err)
		s, err := openFakeStore(1, own)
		must(t, err)
		if what := diff(s.pages, want); what != "" {
			t.Errorf("%s: %s", name, what)
		}
		must(t, own.Close())
		must(t, d.Close())
		saveThrice(t, into, policies[name], want)
	}
	must(t, c.Close())
}

func TestTooLargeToEmbed(t *testing.T) {
	fsys := vfs.NewMem()
	want := saveThrice(t, fsys, Options{Embed: 1 << 20}, image{})
	d, err := Open("/job", Options{FS: fsys, Embed: 20_000})
	must(t, err)
	c, err := d.Latest()
	must(t, err)
	s, err := openFakeStore(1, c)
	must(t, err)
	s.grow(s.shard(0), 1)
	s.grow(s.shard(0), 2)
	err = d.Save(ctx, s, nil)
	var size *SizeError
	if !errors.As(err, &size) || size.Limit != 20_000 || size.Size < 5*meta.PageSize || !strings.Contains(err.Error(), fmt.Sprint(size.Size)) {
		t.Fatalf("Save of 5 pages into 20000 bytes: %v", err)
	}
	must(t, c.Close())
	must(t, d.Close())
	saveThrice(t, fsys, Options{}, want) // the one before is still there, and of use
}

// TestEmbeddedIsNoBase refuses a difference to pages that lie in _metadata.
func TestEmbeddedIsNoBase(t *testing.T) {
	for _, o := range []Options{{}, {Embed: 1 << 20}} {
		fsys := vfs.NewMem()
		saveThrice(t, fsys, Options{Embed: 1 << 20}, image{})
		o.FS = fsys
		d, err := Open("/job", o)
		must(t, err)
		c, err := d.Latest()
		must(t, err)
		s, err := openFakeStore(1, c)
		must(t, err)
		s.whole = false
		s.grow(s.shard(0), 1)
		wantErr(t, "a difference", d.Save(ctx, s, nil), meta.ErrIncompatible)
		s.whole = true
		must(t, d.Save(ctx, s, nil))
		must(t, d.Close())
	}
}

func TestEmbedOption(t *testing.T) {
	for _, n := range []int64{-1, meta.MaxEmbedded + 1} {
		_, err := Open("/job", Options{FS: vfs.NewMem(), Embed: n})
		wantErr(t, fmt.Sprintf("Embed of %d", n), err, meta.ErrIncompatible)
	}
}
