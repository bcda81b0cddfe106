package main

import (
	"context"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
	"github.com/pagetide/pagetide/engine"
)

// count measures counting records by key. Nothing is emitted: all of it is lookups and updates.
func (b *bench) count(users int64) {
	size := result.Label(int(users))
	at := clicks(users)
	all := []*contender{
		run(b, "engine", guarantee, newSource(at, 1), users, b.every, countGraph),
		loop("gomap", "none: a loop counting in a Go map", users, countLoop(at)),
	}
	if users == b.large {
		all = append(all, run(b, "engine without checkpoints", "exactly-once in memory: none is taken", newSource(at, 1), users, 0, countGraph))
		if b.peers {
			all = append(all, goStreamsCount(at, users), gokaCount(at), b.benthosCount(at, users))
		}
	}
	r := b.rotate("keyed count, "+size+" keys", all...)
	b.ratio("engine.keyed_count."+size+"_keys.ratio_to_gomap", r["engine"].PerCore, r["gomap"].PerCore)
	b.result("engine.keyed_count."+size+"_keys.records_per_s_core", r["engine"].PerCore, "")
	if users == b.large {
		b.ratio("engine.checkpoint.cost."+size, r["engine"].PerSecond, r["engine without checkpoints"].PerSecond)
		b.ratio("engine.checkpoint.cost_in_cpu."+size, r["engine"].PerCore, r["engine without checkpoints"].PerCore)
		b.result("engine.allocs_per_record", r["engine"].Allocs, "")
	}
}

// countGraph counts by key in a cell.
func countGraph(job *engine.Job, in engine.Source[click]) {
	byUser := engine.KeyBy(engine.From(job, "clicks", in), func(c click) uint64 { return c.User })
	counts := engine.Process(byUser, "count", func(s *engine.Setup) engine.Func[uint64, click, uint64] {
		n := engine.NewCell[int64](s, "n")
		return func(ctx *engine.Context, user uint64, _ click, out engine.Out[uint64]) error {
			p := n.Ref(ctx)
			if *p++; *p < 0 { // never
				out.Emit(user)
			}
			return nil
		}
	})
	engine.To(counts, "out", engine.SinkFunc(func(context.Context, []uint64) error { return nil }))
}

func countLoop(at func(int64) click) func(i, end int64) {
	counts := map[uint64]int64{}
	return func(i, end int64) {
		for ; i < end; i++ {
			counts[at(i).User]++
		}
	}
}
