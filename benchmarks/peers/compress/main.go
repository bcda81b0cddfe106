// Command compress asks whether whole-page blocks of delta files should be compressed: how small blocks of 16 pages of
// real tables become, and how fast a core makes them so, beside hashing them and beside the disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/meta"
	"github.com/pagetide/pagetide/mmapstate"
)

const block = meta.GroupSize

func main() {
	entries := flag.Int("entries", 1_000_000, "entries of each table")
	dir := flag.String("dir", os.TempDir(), "folder on the disk to compare with")
	flag.Parse()
	fmt.Printf("%+v\n", host.Describe())
	zstdEncoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	check(err)
	for _, table := range []struct {
		name  string
		pages []byte
	}{
		{"counters", counters(*entries)},
		{"sessions", sessions(*entries)},
		{"documents", documents(*entries)},
	} {
		disk := written(filepath.Join(*dir, "pagetide-compress"), table.pages)
		hash := each(table.pages, func(b []byte) int { xxhash.Sum64(b); return len(b) })
		fmt.Printf("%s: %d MiB, the disk %.0f MB/s, hashing %.0f MB/s\n", table.name, len(table.pages)>>20, disk, hash.speed)
		var buf []byte
		for _, c := range []struct {
			name   string
			encode func([]byte) int
		}{
			{"s2", func(b []byte) int { buf = s2.Encode(buf[:cap(buf)], b); return len(buf) }},
			{"zstd", func(b []byte) int { buf = zstdEncoder.EncodeAll(b, buf[:0]); return len(buf) }},
		} {
			r := each(table.pages, c.encode)
			fmt.Printf("RESULT compress.%s.%s.ratio %.2f x\n", table.name, c.name, r.ratio)
			fmt.Printf("RESULT compress.%s.%s.speed %.0f MB/s\n", table.name, c.name, r.speed)
			fmt.Printf("RESULT compress.%s.%s.write_ratio %.2f x\n", table.name, c.name, min(r.speed, disk*r.ratio)/disk)
		}
	}
}

type outcome struct{ ratio, speed float64 } // bytes before to after; MB/s of processor time

// each runs f over every block, three times, and takes the fastest.
func each(pages []byte, f func([]byte) int) (best outcome) {
	for range 3 {
		n, start := 0, host.CPUTime()
		for at := 0; at < len(pages); at += block {
			n += f(pages[at:min(at+block, len(pages))])
		}
		took := host.CPUTime() - start
		best = outcome{float64(len(pages)) / float64(n), max(best.speed, float64(len(pages))/1e6/took.Seconds())}
	}
	return best
}

// written is how fast the disk takes the pages, in MB/s with the sync.
func written(path string, pages []byte) float64 {
	start := time.Now()
	f, err := os.Create(path)
	check(err)
	for at := 0; at < len(pages); at += 1 << 20 {
		_, err := f.Write(pages[at:min(at+1<<20, len(pages))])
		check(err)
	}
	check(errors.Join(f.Sync(), f.Close()))
	took := time.Since(start)
	check(os.Remove(path))
	return float64(len(pages)) / 1e6 / took.Seconds()
}

// counters are 8-byte keys with two numbers: small counts and a time.
func counters(n int) []byte {
	s := mmapstate.New(mmapstate.Options{})
	m, err := mmapstate.NewCellMap[uint64, [2]int64](s, "counters")
	check(err)
	r := rand.New(rand.NewPCG(1, 2))
	for range n {
		v := m.Ref(r.Uint64())
		v[0], v[1] = int64(r.IntN(1000)), 1_700_000_000_000_000_000+r.Int64N(1e15)
	}
	return pagesOf(s)
}

// sessions are string keys with a struct of some fields.
func sessions(n int) []byte {
	type session struct {
		Began, Last  int64
		Pages, Bytes uint32
		Country      [2]byte
		Flags        uint16
		Score        float32
		Ids          [8]uint64
	}
	s := mmapstate.New(mmapstate.Options{})
	m, err := mmapstate.NewCellMap[string, session](s, "sessions")
	check(err)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		v := m.Ref(fmt.Sprintf("user-%012d", r.IntN(10*n)))
		v.Began = 1_700_000_000_000_000_000 + int64(i)*1e6
		v.Last, v.Pages, v.Bytes = v.Began+r.Int64N(1e12), uint32(r.IntN(50)), r.Uint32()
		v.Country, v.Score = [2]byte{'d', 'e'}, r.Float32()
		for k := range r.IntN(8) {
			v.Ids[k] = r.Uint64()
		}
	}
	return pagesOf(s)
}

// documents are string keys with structs that go through the codec.
func documents(n int) []byte {
	type document struct {
		Name, Street, City string
		Tags               []string
		Amounts            []float64
	}
	s := mmapstate.New(mmapstate.Options{})
	m, err := mmapstate.NewValueMap[string, document](s, "documents")
	check(err)
	r := rand.New(rand.NewPCG(5, 6))
	for range n / 4 {
		check(m.Set(fmt.Sprintf("customer-%08d", r.IntN(10*n)), document{
			Name: fmt.Sprint("Customer ", r.IntN(1e6)), Street: fmt.Sprint("Street of the Example ", r.IntN(200)), City: "Hamburg",
			Tags: []string{"new", "paying"}, Amounts: []float64{r.Float64() * 100, r.Float64() * 100},
		}))
	}
	return pagesOf(s)
}

// pagesOf takes all pages of a store by way of a cut, as a checkpoint does, and closes it.
func pagesOf(s *mmapstate.Store) (pages []byte) {
	cut, err := s.Freeze()
	check(err)
	go func() {
		for {
			chunk, err := cut.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			check(err)
			pages = append(pages, chunk.Lines...)
			cut.Release(chunk)
		}
		cut.Done(meta.Verdict{Base: meta.Base{Job: 1, Checkpoint: 1}})
	}()
	check(cut.Wait(context.Background()))
	check(s.Close())
	return pages
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compress:", err)
		os.Exit(1)
	}
}
