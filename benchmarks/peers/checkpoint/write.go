package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"time"
)

// write compares one large checkpoint of an idle job with writing as many bytes from end to end and syncing them.
func (b *bench) write(label string) {
	size, ok := b.parse("write", label, 2048)
	if !ok {
		return
	}
	folder, remove := b.space("write")
	defer remove()
	var ratios []float64
	for range b.rounds {
		w := newWorker[wide](folder)
		w.fill(size)
		disk := writeFile(filepath.Join(folder, "floor"), w.store.Stats().Bytes)
		start := time.Now()
		info := w.save()
		took := time.Since(start)
		ratios = append(ratios, float64(info.Written)/took.Seconds()/disk)
		b.progress("write %s: %.0f MB/s, the disk %.0f MB/s", label, float64(info.Written)/took.Seconds()/1e6, disk/1e6)
		w.close()
		check(os.RemoveAll(filepath.Join(folder, "job")))
	}
	b.result("checkpoint.write.ratio_to_disk", median(ratios), "x")
}

// writeFile writes n bytes and syncs them; it returns bytes per second. The file is removed.
func writeFile(path string, n int64) float64 {
	piece := make([]byte, 1<<20)
	rand.Read(piece)
	start := time.Now()
	f, err := os.Create(path)
	check(err)
	for done := int64(0); done < n; done += int64(len(piece)) {
		_, err := f.Write(piece)
		check(err)
	}
	check(f.Sync())
	check(f.Close())
	took := time.Since(start)
	check(os.Remove(path))
	return float64(n) / took.Seconds()
}

// commit times checkpoints of a small state from the barrier to the commit point.
func (b *bench) commit() {
	folder, remove := b.space("commit")
	defer remove()
	w := newWorker[narrow](folder)
	defer w.close()
	w.insert(10_000)
	w.draw()
	var took []time.Duration
	for range 500 {
		w.update()
		took = append(took, w.save().Took)
	}
	b.result("checkpoint.commit.p50", ms(quantile(took, 0.5)), "ms")
	b.result("checkpoint.commit.p99", ms(quantile(took, 0.99)), "ms")
}

func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
