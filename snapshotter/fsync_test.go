package snapshotter

import (
	"sync"
	"syscall"
	"testing"

	"github.com/pagetide/pagetide/snapshotter/vfs"
)

// syncLog notes which file's sync has failed, and what is done to that file afterwards. A file that is made under its name
// later is another one.
type syncLog struct {
	vfs.FS
	mu     sync.Mutex // guards the fields below
	failed map[string]bool
	linked int      // failures of files that were made elsewhere: these can be copied instead
	after  []string // what was done to files whose sync had failed
}

func (l *syncLog) did(op, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed[name] {
		l.after = append(l.after, op+" "+name)
	}
}

func (l *syncLog) Create(name string) (vfs.File, error) {
	f, err := l.FS.Create(name)
	if err == nil {
		l.mu.Lock()
		delete(l.failed, name)
		l.mu.Unlock()
	}
	return loggedFile{f, l, name, true}, err
}

func (l *syncLog) Open(name string) (vfs.File, error) {
	f, err := l.FS.Open(name)
	return loggedFile{f, l, name, false}, err
}

func (l *syncLog) Rename(from, to string) error {
	l.did("rename", from)
	return l.FS.Rename(from, to)
}

func (l *syncLog) Link(from, to string) error {
	l.did("link", from)
	return l.FS.Link(from, to)
}

type loggedFile struct {
	vfs.File
	l    *syncLog
	name string
	made bool
}

func (f loggedFile) Write(b []byte) (int, error) {
	f.l.did("write", f.name)
	return f.File.Write(b)
}

func (f loggedFile) Sync() error {
	f.l.did("sync", f.name)
	err := f.File.Sync()
	if err != nil {
		f.l.mu.Lock()
		f.l.failed[f.name] = true
		if !f.made {
			f.l.linked++
		}
		f.l.mu.Unlock()
	}
	return err
}

// A sync that failed is not repeated, because the second one may succeed without the data: the file is given up, never
// published, and the next checkpoint writes another with all that this one had.
func TestFailedSyncIsNotRepeated(t *testing.T) {
	for _, tt := range workloads {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for k := 1; ; k++ {
				mem := vfs.NewMem()
				must(t, start(mem, tt.outside))
				fault := vfs.NewFault(mem)
				struck := 0
				fault.Fail(k, func(c vfs.Call) bool {
					if c.Op == "sync" {
						struck++
					}
					return c.Op == "sync"
				}, vfs.Failure{Err: syscall.EIO, Drop: true})
				log := &syncLog{FS: fault, failed: map[string]bool{}}
				w := newWorld(over(log, tt.noLinks), tt.o, func(string) {})
				failed := 0
				for _, s := range tt.steps {
					if s(w) != nil {
						failed++
					}
				}
				w.close()
				if struck < k {
					break
				}
				for _, what := range log.after {
					t.Errorf("sync %d failed, and then: %s", k, what)
				}
				if failed == 0 && log.linked == 0 {
					t.Errorf("sync %d failed, and nobody was told", k)
				}
			}
		})
	}
}
