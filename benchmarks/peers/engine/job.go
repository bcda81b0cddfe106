package main

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/meta"
)

// guarantee is what a job of the engine has, in all parts.
const guarantee = "exactly-once state, checkpoints on local disk each second"

// work is a job of the engine whose source is stopped between turns.
type work[T any] struct {
	src     *source[T]
	running *engine.Running
	users   int64
	dir     string
}

// start runs a graph over records of the given source.
func start[T any](b *bench, name string, src *source[T], users int64, every time.Duration, build func(*engine.Job, engine.Source[T])) *work[T] {
	job := engine.NewJob(name)
	build(job, src)
	dir, err := os.MkdirTemp(b.folder, name+"-")
	check(err)
	o := engine.Options{Parallelism: len(src.gates), Restart: engine.Restart{None: true}}
	if every > 0 {
		o.Checkpoints = engine.Checkpoints{Dir: filepath.Join(dir, "checkpoints"), Interval: every}
	}
	r, err := job.Start(context.Background(), o)
	check(err)
	return &work[T]{src: src, running: r, users: users, dir: dir}
}

// run is a contender that runs a graph.
func run[T any](b *bench, name, text string, src *source[T], users int64, every time.Duration, build func(*engine.Job, engine.Source[T])) *contender {
	w := start(b, "bench", src, users, every, build)
	return &contender{name: name, text: text, fill: w.fill, turn: w.turn, state: w.state, close: w.close}
}

// fill reads each user once.
func (w *work[T]) fill() { w.stand(w.users) }

// turn lets the source run for a while, and waits until it stands.
func (w *work[T]) turn(d time.Duration) int64 {
	from := w.stand(0)
	for _, g := range w.src.gates {
		g.open(math.MaxInt64)
	}
	time.Sleep(d)
	return w.stand(0) - from
}

// stand lets the source go up to a limit, waits until it stands, and tells how many records it has read.
func (w *work[T]) stand(limit int64) (records int64) {
	for _, g := range w.src.gates {
		g.open(limit)
	}
	for no, g := range w.src.gates {
		select {
		case i := <-g.parked:
			records += (i - int64(no)) / int64(len(w.src.gates))
		case <-w.running.Done():
			check(w.running.Wait())
		}
	}
	return records
}

// state is how large the pages of the job's state are.
func (w *work[T]) state() int64 { return w.running.Stats().Pages * meta.PageSize }

func (w *work[T]) close() {
	check(w.running.Cancel())
	check(os.RemoveAll(w.dir))
}
