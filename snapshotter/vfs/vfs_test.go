package vfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/snapshotter/vfs"
	"github.com/pagetide/pagetide/snapshotter/vfs/vfstest"
)

func TestOS(t *testing.T)    { vfstest.Run(t, vfs.OS(), t.TempDir()) }
func TestMem(t *testing.T)   { vfstest.Run(t, vfs.NewMem(), "/") }
func TestCrash(t *testing.T) { vfstest.Run(t, vfs.NewCrash(), "") }
func TestFault(t *testing.T) { vfstest.Run(t, vfs.NewFault(vfs.NewMem()), "/") }

func TestOSOpenRefusesLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("SKIPPED: links need a privilege")
	}
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.OS().Open(link); err == nil {
		t.Error("Open followed a link")
	}
}

func TestLockNamesPid(t *testing.T) {
	dir := t.TempDir()
	lock, err := vfs.OS().Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	_, err = vfs.OS().Lock(dir)
	if want := fmt.Sprintf("pid %d", os.Getpid()); !errors.Is(err, meta.ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("Lock = %v, want it to name %s", err, want)
	}
	if runtime.GOOS != "windows" {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			os.Remove(filepath.Join(dir, e.Name()))
		}
		if _, err = vfs.OS().Lock(dir); !errors.Is(err, meta.ErrLocked) {
			t.Errorf("Lock after its files were removed = %v, want ErrLocked", err)
		}
	}
}

// left reads every file of a state: its name and content.
func left(t *testing.T, m *vfs.Mem, dir string, into map[string]string) map[string]string {
	t.Helper()
	names, err := m.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = dir + "/" + name
		f, err := m.Open(name)
		if err != nil {
			left(t, m, name, into)
			continue
		}
		size, _ := f.Size()
		b := make([]byte, size)
		f.ReadAt(b, 0)
		into[name] = string(b)
	}
	return into
}

func put(t *testing.T, fsys vfs.FS, name, content string, sync bool) {
	t.Helper()
	f, err := fsys.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, content)
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
}

func TestCrashStates(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, c *vfs.Crash)
		want []string // every state that may be left, each once
	}{
		{"unsynced file", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "xy", false)
		}, []string{"map[]", "map[/a:]", "map[/a:xy]", "map[/a:x]", "map[/a:\x00y]", "map[/a:\x00\x00]"}},
		{"synced file without its name", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "xy", true)
		}, []string{"map[]", "map[/a:xy]"}},
		{"name without content", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "x", false)
			c.SyncDir("/")
		}, []string{"map[/a:]", "map[/a:x]", "map[/a:\x00]"}},
		{"durable", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "x", true)
			c.SyncDir("/")
		}, []string{"map[/a:x]"}},
		{"rename is atomic", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "x", true)
			c.SyncDir("/")
			c.Rename("/a", "/b")
		}, []string{"map[/a:x]", "map[/b:x]"}},
		{"remove may come back", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "x", true)
			c.SyncDir("/")
			c.Remove("/a")
		}, []string{"map[/a:x]", "map[]"}},
		{"lost parent takes all", func(t *testing.T, c *vfs.Crash) {
			c.Mkdir("/d")
			put(t, c, "/d/a", "x", true)
			c.SyncDir("/d")
		}, []string{"map[]", "map[/d/a:x]"}},
		{"MkdirAll keeps", func(t *testing.T, c *vfs.Crash) {
			vfs.MkdirAll(c, "/d/e")
			put(t, c, "/d/e/a", "x", true)
			c.SyncDir("/d/e")
		}, []string{"map[/d/e/a:x]"}},
		{"MkdirAll keeps what a killed process left", func(t *testing.T, c *vfs.Crash) {
			c.Mkdir("/d")
			vfs.MkdirAll(c, "/d")
			put(t, c, "/d/a", "x", true)
			c.SyncDir("/d")
		}, []string{"map[/d/a:x]"}},
		{"link is another name", func(t *testing.T, c *vfs.Crash) {
			put(t, c, "/a", "x", true)
			c.SyncDir("/")
			c.Link("/a", "/b")
		}, []string{"map[/a:x]", "map[/a:x /b:x]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := vfs.NewCrash()
			tt.run(t, c)
			want := map[string]bool{}
			for _, w := range tt.want {
				want[w] = true
			}
			got := map[string]bool{}
			for what, m := range c.States(c.Len(), 1) {
				state := fmt.Sprint(left(t, m, "", map[string]string{}))
				got[state] = true
				if !want[state] {
					t.Errorf("%s: %q", what, state)
				}
			}
			for w := range want {
				if !got[w] {
					t.Errorf("never seen: %q", w)
				}
			}
		})
	}
}

func TestCrashMarks(t *testing.T) {
	c := vfs.NewCrash()
	put(t, c, "/a", "x", true)
	n := c.Len()
	c.Mark("one")
	if got := c.Marked(n); len(got) != 0 {
		t.Errorf("Marked before the mark = %q", got)
	}
	if got := c.Marked(c.Len()); len(got) != 1 || got[0] != "one" {
		t.Errorf("Marked = %q", got)
	}
}

func TestFaultCalls(t *testing.T) {
	writes := func(c vfs.Call) bool { return c.Op == "write" }
	f := vfs.NewFault(vfs.NewMem())
	f.Fail(2, writes, vfs.Failure{Err: syscall.ENOSPC, Short: true})
	file, err := f.Create("/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(file, "1234"); err != nil {
		t.Fatal(err)
	}
	if n, err := io.WriteString(file, "5678"); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("second write = %d, %v, want 2, ENOSPC", n, err)
	}
	if _, err := io.WriteString(file, "9"); err != nil {
		t.Errorf("third write = %v: the fault was to strike once", err)
	}
	f.Fail(1, func(c vfs.Call) bool { return c.Op == "sync" }, vfs.Failure{Err: syscall.EIO, Drop: true, Sticky: true})
	for range 2 {
		if err := file.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Sync = %v, want EIO", err)
		}
	}
	f.Heal()
	if err := file.Sync(); err != nil {
		t.Error(err)
	}
	if size, _ := file.Size(); size != 0 {
		t.Errorf("%d bytes after a sync that dropped them", size)
	}
	if _, err := f.Open("/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open = %v", err)
	}
}

func TestFaultReads(t *testing.T) {
	f := vfs.NewFault(vfs.NewMem())
	file, err := f.Create("/a")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("0123456789", 20)
	if _, err := io.WriteString(file, want); err != nil {
		t.Fatal(err)
	}
	read := func(at int64) (string, error) {
		b := make([]byte, 100)
		n, err := file.ReadAt(b, at)
		return string(b[:n]), err
	}
	f.Fail(1, func(c vfs.Call) bool { return c.Op == "read" && c.Offset == 100 }, vfs.Failure{Flip: true})
	f.Fail(1, func(c vfs.Call) bool { return c.Op == "read" && c.Offset == 50 }, vfs.Failure{Err: io.EOF, Short: true})
	if got, err := read(50); got != want[50:100] || err != io.EOF {
		t.Errorf("a read that is cut short = %q, %v", got, err)
	}
	if got, err := read(50); got != want[50:150] || err != nil {
		t.Errorf("a read = %q, %v", got, err)
	}
	wrong := 0
	got, err := read(100)
	for i := range got {
		if got[i] != want[100+i] {
			wrong++
		}
	}
	if len(got) != 100 || err != nil || wrong != 1 {
		t.Errorf("a read with wrong bits = %q, %v, %d bytes of it wrong", got, err, wrong)
	}
}

// TestFaultHangs has a call wait, without holding up others, and then go on or fail.
func TestFaultHangs(t *testing.T) {
	for _, want := range []error{nil, errors.New("no power")} {
		f := vfs.NewFault(vfs.NewMem())
		hangs, goOn, done := make(chan vfs.Call), make(chan error), make(chan error)
		f.Fail(1, func(c vfs.Call) bool { return c.Op == "mkdir" }, vfs.Failure{Hang: func(c vfs.Call) error {
			hangs <- c
			return <-goOn
		}})
		go func() { done <- f.Mkdir("a") }()
		if c := <-hangs; c.Name != "a" {
			t.Errorf("%q hangs, want a", c.Name)
		}
		if err := f.Mkdir("b"); err != nil { // meanwhile
			t.Error(err)
		}
		goOn <- want
		if err := <-done; !errors.Is(err, want) {
			t.Errorf("Mkdir = %v, want %v", err, want)
		}
		if _, err := f.List("a"); (err == nil) != (want == nil) {
			t.Errorf("after an error %v, List = %v", want, err)
		}
	}
}
