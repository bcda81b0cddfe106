package snapshotter

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
)

var update = flag.Bool("update", false, "write the golden files of a new version")

func wantErr(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

// sample makes a small job's directory: a whole file, an incremental one, an abandoned folder. Everything in it is fixed.
func sample(t testing.TB, seed byte) (files map[string][]byte, want image) {
	t.Helper()
	return sampleOf(t, seed, 0)
}

func sampleOf(t testing.TB, seed byte, embed int64) (files map[string][]byte, want image) {
	t.Helper()
	fsys := vfs.NewMem()
	d, err := Open("/job", Options{
		FS: fsys, Name: "sample", Embed: embed,
		now:    func() time.Time { return time.Unix(1_700_000_000, 0) },
		newJob: func() meta.JobID { return 0x0123456789abcdef },
	})
	must(t, err)
	defer d.Close()
	s := newFakeStore(1)
	s.grow(s.shard(0), 'a'+seed)
	s.grow(s.shard(0), 'b'+seed)
	s.grow(s.shard(2), 'c'+seed)
	must(t, d.Save(ctx, s, map[string]string{"offset": "1"}))
	s.set(s.shard(0), 1, 7, 'x'+seed)
	s.set(s.shard(2), 0, 63, 'y'+seed)
	s.grow(s.shard(2), 'd'+seed)
	must(t, d.Save(ctx, s, map[string]string{"offset": "2"}))
	return dump(t, fsys, "/job"), s.pages
}

// dump reads all files of a directory, by path.
func dump(t testing.TB, fsys vfs.FS, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	names, err := fsys.List(dir)
	must(t, err)
	for _, name := range names {
		name = dir + "/" + name
		if b, err := readFile(fsys, name, 1<<30); err == nil {
			files[name] = b
			continue
		}
		maps.Copy(files, dump(t, fsys, name))
	}
	return files
}

// lay puts files into a fresh file system.
func lay(t testing.TB, files map[string][]byte) *vfs.Mem {
	t.Helper()
	fsys := vfs.NewMem()
	for name, b := range files {
		must(t, vfs.MkdirAll(fsys, filepath.ToSlash(filepath.Dir(name))))
		must(t, writeFile(fsys, name, b))
	}
	return fsys
}

// with returns the files with one replaced; nil removes it.
func with(files map[string][]byte, name string, b []byte) map[string][]byte {
	changed := maps.Clone(files)
	changed[name] = b
	if b == nil {
		delete(changed, name)
	}
	return changed
}

// verifyAll loads and verifies the newest checkpoint.
func verifyAll(t testing.TB, fsys vfs.FS) error {
	t.Helper()
	c, err := Load("/job", LoadOptions{FS: fsys})
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Verify(ctx, nil)
}

// loadAll restores the newest checkpoint as a job would, without Verify.
func loadAll(fsys vfs.FS) (image, error) {
	c, err := Load("/job", LoadOptions{FS: fsys})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := openFakeStore(1, c)
	if err != nil {
		return nil, err
	}
	return s.pages, nil
}

func TestMissingFileNamesPlaces(t *testing.T) {
	files, _ := sample(t, 0)
	name := "/job/" + dataName(0x0123456789abcdef, 1, 1)
	_, err := Load("/job", LoadOptions{FS: lay(t, with(files, name, nil)), DataDir: "/elsewhere"})
	wantErr(t, "Load", err, meta.ErrNotFound)
	for _, part := range []string{filepath.Base(name), "/job/chk-2", "/job,", "/elsewhere"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
	moved := with(with(files, name, nil), "/elsewhere/"+filepath.Base(name), files[name])
	c, err := Load("file:///job", LoadOptions{FS: lay(t, moved), DataDir: "/elsewhere"})
	must(t, err)
	must(t, c.Verify(ctx, nil))
	must(t, c.Close())
}

func TestNewestIsANumber(t *testing.T) {
	files, _ := sample(t, 0)
	b := files["/job/chk-2/_metadata"]
	m, err := meta.Decode("", b)
	must(t, err)
	m.ID = 10
	files["/job/chk-10/_metadata"] = m.Encode()
	files["/job/chk-9/_metadata"] = b // in the wrong folder, but not the newest
	files["/job/chk-011/_metadata"] = b
	files["/job/chk-12/other"] = nil
	fsys := lay(t, files)
	c, err := Load("/job", LoadOptions{FS: fsys})
	must(t, err)
	if c.Meta.ID != 10 {
		t.Errorf("newest is %d, want 10", c.Meta.ID)
	}
	must(t, c.Close())
	_, err = Load("/job/chk-9", LoadOptions{FS: fsys})
	wantErr(t, "metadata in another's folder", err, meta.ErrDamaged)
	_, err = Load("/job/chk-12", LoadOptions{FS: fsys})
	wantErr(t, "folder without metadata", err, meta.ErrNotFound)
	d, err := Open("/job", Options{FS: fsys})
	must(t, err)
	defer d.Close()
	if d.next != 13 || d.Attempt() != 2 {
		t.Errorf("next is %d in attempt %d, want 13 in 2", d.next, d.Attempt())
	}
	if err := d.SweepOrphans(ctx); err == nil {
		t.Error("SweepOrphans went on though a metadata file could not be read")
	}
}

// A hash vouches for bytes, not for their sense: records that a forger has signed must not pass either.
func TestSignedNonsense(t *testing.T) {
	shard := meta.MakeShardID(1, 0)
	good := shardIndex{shard: shard}
	e := extent{offset: dataHeaderSize, length: 4096 + recordHead}
	good.add(0, meta.AllLines, dataHeaderSize, e)
	b, err := good.encode()
	must(t, err)
	if _, err := decodeIndex(b, shard, 1<<20); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for _, v := range []byte{0, 1, 0x7f, 0xff} {
			c := bytes.Clone(b)
			c[i] = v
			if x, err := decodeIndex(c, shard, 1<<20); err == nil {
				x.find(0)
				x.find(1 << 31)
			}
		}
		decodeIndex(b[:i], shard, 1<<20)
		decodeRoot(b[:i], 1<<20)
	}
}

func TestIndexBeyond32GiB(t *testing.T) {
	x := shardIndex{shard: 5}
	far := int64(40) << 30
	x.add(7, 1, far, extent{offset: far, length: 8192})
	x.add(3, 1, far+4112, extent{offset: far, length: 8192})
	b, err := x.encode()
	must(t, err)
	got, err := decodeIndex(b, 5, far+8192)
	must(t, err)
	for page, want := range map[meta.PageNo]int64{7: far, 3: far + 4112} {
		if _, at, ok := got.find(page); !ok || at != want {
			t.Errorf("page %d at %d, %v, want %d", page, at, ok, want)
		}
	}
	x.add(3, 1, far+8, extent{offset: far, length: 8192})
	_, err = x.encode()
	wantErr(t, "a page given twice", err, meta.ErrIncompatible)
}

// The bytes of this version: a change here is a change of the format, and needs another one.
func TestGolden(t *testing.T) {
	golden := filepath.Join("testdata", fmt.Sprintf("v%d", dataVersion))
	files, want := sample(t, 0)
	for name, b := range files {
		file := filepath.Join(golden, filepath.FromSlash(strings.TrimPrefix(name, "/job/")))
		if *update {
			must(t, os.MkdirAll(filepath.Dir(file), 0o755))
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) // the bytes of a version stay for ever
			must(t, err)
			_, err = f.Write(b)
			must(t, errors.Join(err, f.Close()))
		}
		want, err := os.ReadFile(file)
		must(t, err)
		if !bytes.Equal(want, b) {
			t.Errorf("%s: %d bytes differ from the %d golden ones", file, len(b), len(want))
		}
	}
	c, err := Load(golden, LoadOptions{})
	must(t, err)
	defer c.Close()
	must(t, c.Verify(ctx, nil))
	s, err := openFakeStore(1, c)
	must(t, err)
	if what := diff(s.pages, want); what != "" {
		t.Error(what)
	}
}

// TestVerifyFindsTheSameFirst has all reads of data files fail: whichever comes first is the one each time.
func TestVerifyFindsTheSameFirst(t *testing.T) {
	files, _ := sample(t, 0)
	found := map[string]bool{}
	for range 50 {
		fsys := vfs.NewFault(lay(t, files))
		c, err := Load("/job", LoadOptions{FS: fsys})
		must(t, err)
		var place string
		fsys.Fail(1, func(call vfs.Call) bool {
			if call.Op == "read" && strings.HasSuffix(call.Name, ".delta") && place == "" {
				place = fmt.Sprint(call.Name, " ", call.Offset)
			}
			return call.Op == "read" && place != ""
		}, vfs.Failure{Err: errors.New("disk"), Sticky: true})
		if err := c.Verify(ctx, nil); err == nil {
			t.Fatal("nothing found")
		}
		found[place] = true
		must(t, c.Close())
	}
	if len(found) != 1 {
		t.Errorf("the first is at one of %v", slices.Sorted(maps.Keys(found)))
	}
}
