package main

import (
	"runtime"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/snapshotter"
)

// updatesEach is how many random updates lie between two checkpoints.
const updatesEach = 100_000

// bytes counts what checkpoints write in steady state: the fresh lines, and what cleaning adds to them until every page
// has had its turn.
func (b *bench) bytes(label string) {
	size, ok := b.parse("bytes", label, 2048)
	if !ok {
		return
	}
	folder, remove := b.space("bytes")
	defer remove()
	w := newWorker[narrow](folder) // an update dirties all lines of its value
	defer w.close()
	w.fill(size)
	first := w.save()
	b.progress("bytes %s: first checkpoint wrote %d MiB", label, first.Written>>20)

	var t turn
	for turns := 0; turns < b.turns; {
		w.updates(updatesEach)
		info := w.save()
		runtime.GC() // between checkpoints, not in them
		t.add(info)
		b.run.Chain = append(b.run.Chain, result.Link{Written: info.Written, Fresh: info.Fresh, Stored: info.Stored, Live: info.Live, Files: info.Files})
		if t.fresh < size { // the sweep carries as much as is fresh
			continue
		}
		turns++
		b.progress("bytes: turn %d: %d checkpoints, written/fresh %.2f, at most %d files, %.2fx the live bytes",
			turns, t.checkpoints, t.ratio(), t.files, t.space)
		if turns < b.turns {
			t = turn{}
		}
	}
	b.result("checkpoint.bytes.100k_updates_1GiB", float64(t.fresh/t.checkpoints), "bytes")
	b.result("checkpoint.bytes.steady_ratio", t.ratio(), "x")
	b.result("checkpoint.files.steady", float64(t.files), "files")
	b.result("checkpoint.space.steady_ratio", t.space, "x")
}

// turn adds up the checkpoints of one turn of the sweep.
type turn struct {
	checkpoints, written, fresh int64
	files                       int
	space                       float64
}

func (t *turn) add(info snapshotter.Info) {
	t.checkpoints++
	t.written += info.Written
	t.fresh += info.Fresh
	t.files = max(t.files, info.Files)
	t.space = max(t.space, float64(info.Stored)/float64(info.Live))
}

func (t *turn) ratio() float64 { return float64(t.written) / float64(t.fresh) }
