package main

import (
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

// every is how often checkpoints are taken beside the work.
const every = time.Second

// throughput compares how many updates are made with a checkpoint each second and without, in turns.
func (b *bench) throughput() {
	b.saturate("1M", 1_000_000)
	b.paced()
	b.saturate("10M_saturating", 10_000_000)
}

func (b *bench) saturate(label string, keys uint64) {
	folder, remove := b.space("throughput")
	defer remove()
	w := newWorker[narrow](folder)
	defer w.close()
	w.insert(keys)
	w.draw()
	b.compare("checkpoint.throughput.ratio."+label, w, 0)
}

// paced offers 100 k updates a second over 1 GiB.
func (b *bench) paced() {
	size, ok := b.parse("throughput", "1GiB", 2048)
	if !ok {
		return
	}
	folder, remove := b.space("throughput")
	defer remove()
	w := newWorker[wide](folder)
	defer w.close()
	w.fill(size)
	b.compare("checkpoint.throughput.ratio.1GiB_100k_per_s", w, 100_000)
}

func (b *bench) compare(name string, w *worker, perSecond float64) {
	w.save()
	w.run(b.round, true, perSecond) // the first deltas, and what of them is made once
	var with, without []float64
	for range b.rounds {
		without = append(without, w.run(b.round, false, perSecond).rate)
		with = append(with, w.run(b.round, true, perSecond).rate)
	}
	b.progress("%s: %.2f M updates/s with, %.2f M without", name, median(with)/1e6, median(without)/1e6)
	b.result(name, median(with)/median(without), "x")
}

// pause looks at single batches while a checkpoint is under way and without.
func (b *bench) pause(label string) {
	size, ok := b.parse("pause", label, 2048)
	if !ok {
		return
	}
	folder, remove := b.space("pause")
	defer remove()
	w := newWorker[wide](folder)
	defer w.close()
	w.fill(size)
	w.save()
	w.run(b.round, true, 0)
	var with, without []time.Duration
	before := len(w.infos)
	for range b.rounds {
		without = append(without, w.run(b.round, false, 0).quiet...)
		with = append(with, w.run(b.round, true, 0).beside...)
	}
	p := result.Pause{Label: label, StateBytes: w.store.Stats().Bytes, Without: quantiles(without), With: quantiles(with), Checkpoints: len(w.infos) - before}
	p.Ratio = p.With.P99 / p.Without.P99
	b.run.Pauses = append(b.run.Pauses, p)
	b.progress("pause %s: batch p99 %.1f us beside a checkpoint, %.1f us without", label, p.With.P99, p.Without.P99)
	if label == "1GiB" {
		b.result("checkpoint.pause.batch_p99_ratio", p.Ratio, "x")
	}
}

func quantiles(d []time.Duration) result.Quantiles {
	return result.Quantiles{
		P50: us(quantile(d, 0.5)), P99: us(quantile(d, 0.99)), P9999: us(quantile(d, 0.9999)), Most: us(quantile(d, 1)), Batches: len(d),
	}
}

// round is what one round of work did.
type round struct {
	rate   float64         // updates per second
	quiet  []time.Duration // batches with no checkpoint under way
	beside []time.Duration // the others
}

// run works for some time, with checkpoints or without, as fast as it can or at a pace. A batch's time counts from the
// moment it was due.
func (w *worker) run(length time.Duration, checkpoints bool, perSecond float64) (r round) {
	n, start := 0, time.Now()
	due, open := start, false
	for {
		now := time.Now()
		if now.Sub(start) >= length {
			break
		}
		if perSecond > 0 {
			if due = start.Add(time.Duration(float64(n) / perSecond * 1e9)); now.Before(due) {
				w.store.Gather(gatherBudget)
				continue
			}
		} else {
			due = now
		}
		if checkpoints && now.Sub(w.began) >= every {
			w.began = now
			w.begin()
		}
		w.update()
		n += batch
		was := open
		open = w.between()
		if took := time.Since(due); was || open {
			r.beside = append(r.beside, took)
		} else {
			r.quiet = append(r.quiet, took)
		}
	}
	r.rate = float64(n) / time.Since(start).Seconds()
	w.settle()
	return r
}
