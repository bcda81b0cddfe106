package engine_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// feed is a replayable source that a test fills as it goes. It has one split for each list of records.
type feed[T any] struct {
	mu    sync.Mutex    // guards the fields below
	recs  [][]T         // by split
	ended bool          //
	more  chan struct{} // closed at the next change
	open  bool          // further splits may appear: not final
}

func newFeed[T any](splits int) *feed[T] {
	return &feed[T]{recs: make([][]T, splits), more: make(chan struct{})}
}

func (f *feed[T]) add(split int, recs ...T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recs[split] = append(f.recs[split], recs...)
	close(f.more)
	f.more = make(chan struct{})
}

func (f *feed[T]) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	close(f.more)
	f.more = make(chan struct{})
}

func (f *feed[T]) Splits(context.Context) (s []engine.Split, final bool, err error) {
	for i := range f.recs {
		s = append(s, engine.Split{ID: strconv.Itoa(i)})
	}
	return s, !f.open, nil
}

func (f *feed[T]) Open(_ context.Context, s engine.Split, from engine.Position) (engine.Reader[T], error) {
	split, err := strconv.Atoi(s.ID)
	if err != nil {
		return nil, err
	}
	r := &feedReader[T]{feed: f, split: split}
	if from != "" {
		r.at, err = strconv.Atoi(string(from))
	}
	return r, err
}

type feedReader[T any] struct {
	*feed[T]
	split, at int
}

func (r *feedReader[T]) Read(ctx context.Context, b *engine.Batch[T]) error {
	for {
		r.mu.Lock()
		recs, ended, more := r.recs[r.split], r.ended, r.more
		r.mu.Unlock()
		for ; r.at < len(recs); r.at++ {
			rec := b.Next()
			if rec == nil {
				return nil
			}
			*rec = recs[r.at]
		}
		switch {
		case ended:
			return io.EOF
		case b.Len() > 0:
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *feedReader[T]) Position() engine.Position { return engine.Position(strconv.Itoa(r.at)) }
func (r *feedReader[T]) Close() error              { return nil }

// start starts a job and sees to it that nothing of it lives on after the test.
func start(t *testing.T, job *engine.Job, o engine.Options) *engine.Running {
	t.Helper()
	r, err := job.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Cancel()
		noneLeft(t)
	})
	return r
}

// noneLeft fails the test if a goroutine of a run is still there. Goroutines that have said their last word may take a
// moment to go.
func noneLeft(t *testing.T) {
	t.Helper()
	var left string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if left = ownGoroutines(); left == "" {
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", left)
}

func ownGoroutines() (own string) {
	buf := make([]byte, 1<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "pagetide/pagetide/") && !strings.Contains(g, "testing.tRunner") && !strings.Contains(g, "engine_test.Test") {
			own += g + "\n\n"
		}
	}
	return own
}

// tree reads all files below a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// onDisk counts the checkpoints and the data files of a directory.
func onDisk(t *testing.T, dir string) (checkpoints, data int) {
	t.Helper()
	for name := range tree(t, dir) {
		switch {
		case filepath.Base(name) == "_metadata":
			checkpoints++
		case strings.HasSuffix(name, ".delta"):
			data++
		}
	}
	return checkpoints, data
}

// quick restarts at once.
func quick() engine.Restart {
	return engine.Restart{InitialDelay: time.Nanosecond, MaxDelay: time.Nanosecond}
}

// sumJob is the sums of engine_test.go over any source.
func sumJob(in engine.Source[event], out engine.Sink[string]) *engine.Job {
	job := engine.NewJob("sums")
	sumGraph(job, in, out)
	return job
}

// until waits for something that must happen.
func until(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s did not happen\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}

func contains(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", fmt.Sprint(err), p)
		}
	}
}

// nowhere is a sink for what does not matter.
func nowhere[T any]() engine.Sink[T] {
	return engine.SinkFunc(func(context.Context, []T) error { return nil })
}
