package main

import (
	"runtime"
	"slices"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

// contender runs a pipeline in its own way. Between its turns it rests.
type contender struct {
	name, version, text string
	fill                func()                      // brings its state to full size
	turn                func(d time.Duration) int64 // works for about so long, and tells on how many records
	state               func() int64                // bytes; nil if it is not known
	close               func()
}

// rotate gives each contender its turns: one to warm up and then those that count.
func (b *bench) rotate(pipeline string, all ...*contender) map[string]result.Rate {
	all = slices.DeleteFunc(all, func(c *contender) bool { return b.only != nil && !slices.Contains(b.only, c.name) })
	for _, c := range all {
		start := time.Now()
		c.fill()
		b.progress("%s: %s filled in %.1fs", pipeline, c.name, time.Since(start).Seconds())
	}
	turns := make([][]turn, len(all))
	for round := range b.rounds + 1 {
		for i, c := range all {
			runtime.GC()
			var t turn
			if round == 0 {
				t = take(c, b.turn/4)
			} else if round == 1 {
				b.profiled(pipeline+" "+c.name, func() { t = take(c, b.turn) })
			} else {
				t = take(c, b.turn)
			}
			if round > 0 {
				turns[i] = append(turns[i], t)
			}
		}
	}
	rates := map[string]result.Rate{}
	for i, c := range all {
		r := rate(turns[i])
		if c.state != nil {
			r.State = c.state()
		}
		c.close()
		r.Pipeline, r.Name, r.Version, r.Text = pipeline, c.name, c.version, c.text
		b.progress("%s: %s %s records/s/core, %.1f ns of CPU and %.1f ns per record, %.4f allocations", pipeline, c.name,
			number(r.PerCore), 1e9/r.PerCore, 1e9/r.PerSecond, r.Allocs)
		rates[c.name] = r
		b.run.Rates = append(b.run.Rates, r)
	}
	runtime.GC()
	return rates
}

// turn is what a contender did in one.
type turn struct {
	records   int64
	wall, cpu time.Duration
	allocs    uint64
}

func take(c *contender, d time.Duration) turn {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, cpu := time.Now(), host.CPUTime()
	n := c.turn(d)
	t := turn{records: n, wall: time.Since(start), cpu: host.CPUTime() - cpu}
	runtime.ReadMemStats(&after)
	t.allocs = after.Mallocs - before.Mallocs
	return t
}

func rate(turns []turn) (r result.Rate) {
	var perSecond, cores, allocs []float64
	for _, t := range turns {
		n := float64(t.records)
		r.Rounds = append(r.Rounds, n/t.cpu.Seconds())
		perSecond = append(perSecond, n/t.wall.Seconds())
		cores = append(cores, t.cpu.Seconds()/t.wall.Seconds())
		allocs = append(allocs, float64(t.allocs)/n)
		r.Records += t.records
	}
	r.PerCore, r.PerSecond, r.Cores, r.Allocs = median(r.Rounds), median(perSecond), median(cores), median(allocs)
	return r
}

// loop is a contender that is a hand-written loop: work goes from record i to record end. Between chunks it looks at the
// clock.
func loop(name, text string, fill int64, work func(i, end int64)) *contender {
	const chunk = 16384
	at := int64(0)
	return &contender{
		name: name, version: runtime.Version(), text: text,
		fill: func() { work(0, fill); at = fill },
		turn: func(d time.Duration) int64 {
			from := at
			for start := time.Now(); time.Since(start) < d; at += chunk {
				work(at, at+chunk)
			}
			return at - from
		},
		close: func() {},
	}
}
