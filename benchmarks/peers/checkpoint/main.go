// Command checkpoint measures checkpoints and restores: what they write, what they cost the work beside them, and how
// soon a restored job works again. The disk, Pebble, RocksDB and a map dumped with encoding/gob stand beside them in the
// same run. Progress goes to stderr, tables and RESULT lines to stdout, everything to a JSON file.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

func main() {
	what := flag.String("what", "bytes,write,throughput,pause,commit,restore,peers", "parts to run")
	sizes := flag.String("sizes", "64MiB,1GiB,8GiB", "sizes of state to restore")
	pauses := flag.String("pauses", "64MiB,256MiB,1GiB,4GiB", "sizes of state to measure pauses at")
	size := flag.String("size", "1GiB", "size of state of the parts bytes, write and peers")
	turns := flag.Int("turns", 2, "turns of the sweep in the part bytes; the last is measured")
	seconds := flag.Int("seconds", 5, "length of a round of the parts throughput and pause")
	rounds := flag.Int("rounds", 3, "rounds with and without checkpoints")
	out := flag.String("out", "", "JSON file to write")
	dir := flag.String("dir", os.TempDir(), "folder for the files")
	flag.Parse()

	folder, err := os.MkdirTemp(*dir, "pagetide-checkpoint-")
	check(err)
	defer os.RemoveAll(folder)
	b := &bench{folder: folder, out: *out, turns: *turns, round: time.Duration(*seconds) * time.Second, rounds: *rounds, started: time.Now()}
	b.run.Machine = host.Describe()
	fmt.Printf("%+v\n", b.run.Machine)
	parts := map[string]func(){
		"bytes":      func() { b.bytes(*size) },
		"write":      func() { b.write(*size) },
		"throughput": b.throughput,
		"pause": func() {
			for _, s := range strings.Split(*pauses, ",") {
				b.pause(s)
			}
		},
		"commit": b.commit,
		"restore": func() {
			for _, s := range strings.Split(*sizes, ",") {
				b.restore(s)
			}
		},
		"peers": func() { b.peers(*size) },
	}
	for _, name := range strings.Split(*what, ",") {
		part, ok := parts[name]
		if !ok {
			check(fmt.Errorf("part %q: want some of bytes, write, throughput, pause, commit, restore, peers", name))
		}
		part()
		b.save()
	}
	b.report(os.Stdout)
}

// bench is a run under way.
type bench struct {
	run     result.Checkpoints
	folder  string // for files; each part has one of its own in it
	out     string
	turns   int
	round   time.Duration
	rounds  int
	started time.Time
}

// space makes a folder for one part and returns what removes it again.
func (b *bench) space(name string) (path string, remove func()) {
	path = filepath.Join(b.folder, name)
	check(os.MkdirAll(path, 0o700))
	return path, func() { check(os.RemoveAll(path)) }
}

// save writes what there is, so that a run that is cut short leaves something.
func (b *bench) save() {
	if b.out == "" {
		return
	}
	check(os.MkdirAll(filepath.Dir(b.out), 0o755))
	check(b.run.Write(b.out))
}

// result notes a number under the name by which others find it.
func (b *bench) result(name string, value float64, unit string) {
	b.run.Results = append(b.run.Results, result.Named{Name: name, Value: value, Unit: unit})
	b.progress("%s %s %s", name, number(value), unit)
}

// progress writes a line about what is going on.
func (b *bench) progress(format string, a ...any) {
	fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, a...))
}

// skip leaves something out, by name.
func (b *bench) skip(format string, a ...any) {
	text := fmt.Sprintf(format, a...)
	b.run.Skipped = append(b.run.Skipped, text)
	b.progress("skipped: %s", text)
}

// parse reads a size and tells whether the machine has that much memory for state, and so much more in MiB.
func (b *bench) parse(part, label string, more int) (size int64, ok bool) {
	size, err := host.ParseSize(label)
	check(err)
	if need := int(size>>20)*5/4 + more; !host.Room(need) {
		b.skip("%s %s: needs %d MiB of memory to spare", part, label, need)
		return size, false
	}
	return size, true
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "checkpoint:", err)
		os.Exit(1)
	}
}

func median[T ~int64 | ~float64](x []T) T { return quantile(x, 0.5) }

// quantile sorts x.
func quantile[T ~int64 | ~float64](x []T, q float64) T {
	slices.Sort(x)
	return x[min(int(q*float64(len(x))), len(x)-1)]
}
