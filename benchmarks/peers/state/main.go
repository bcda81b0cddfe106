// Command state measures keyed state beside its peers, all in one run of one process, because ratios between runs of a
// busy machine mean little. Progress goes to stderr, tables and RESULT lines to stdout, everything to a JSON file.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

func main() {
	keys := flag.String("keys", "100k,1M,10M", "numbers of keys, separated by commas")
	what := flag.String("what", "ops,freeze,memory", "parts to run")
	stores := flag.String("stores", "all", "stores to run, separated by commas")
	shapes := flag.String("shapes", "word,string", "shapes of keys and values: word, string")
	sizes := flag.String("sizes", "1MiB,64MiB,1GiB,8GiB", "sizes of state to freeze")
	rounds := flag.Int("rounds", 5, "rounds of each cell; the stores take turns")
	round := flag.Duration("round", 200*time.Millisecond, "length of a round of one store")
	freezes := flag.Int("freezes", 500_000, "freezes to time at each size of state")
	out := flag.String("out", "", "JSON file to write")
	keep := flag.Bool("keep", false, "keep what -out has of parts that are not run; every ratio is within one part")
	dir := flag.String("dir", os.TempDir(), "folder for the files of stores that have files")
	flag.Parse()
	counts, err := parseCounts(*keys)
	check(err)
	b := &bench{rounds: *rounds, round: *round, freezes: *freezes, dir: *dir, out: *out, stores: strings.Split(*stores, ","), started: time.Now()}
	b.run.Machine = host.Describe()
	fmt.Printf("%+v\n", b.run.Machine)
	parts := strings.Split(*what, ",")
	if *keep {
		b.keep(*out, parts)
	}
	if slices.Contains(parts, "freeze") { // first, while the Go heap is small
		for _, size := range strings.Split(*sizes, ",") {
			b.freeze(size)
		}
	}
	if slices.Contains(parts, "memory") {
		memory[uint64, [16]byte](b, words)
		memory[string, [100]byte](b, strings24)
	}
	if slices.Contains(parts, "ops") {
		b.settings()
		if strings.Contains(*shapes, words.name) {
			for _, n := range counts {
				measure(b, words, n, func() []store[uint64] {
					return append(newPagetides[uint64, [16]byte](), wordMap{})
				})
				b.save()
			}
		}
		if strings.Contains(*shapes, strings24.name) {
			for _, n := range counts {
				measure(b, strings24, n, func() []store[string] {
					return append(newPagetides[string, [100]byte](), stringMap{})
				})
				b.save()
			}
		}
	}
	b.save()
	b.report(os.Stdout)
}

// bench is a run under way.
type bench struct {
	run     result.Run
	rounds  int
	round   time.Duration
	freezes int
	dir     string
	out     string
	stores  []string
	started time.Time
}

// keep takes over the parts of an earlier run that this one leaves out.
func (b *bench) keep(path string, parts []string) {
	old, err := result.Read(path)
	check(err)
	if !slices.Contains(parts, "freeze") {
		b.run.Freezes = old.Freezes
	}
	if !slices.Contains(parts, "memory") {
		b.run.Memory = old.Memory
	}
	if !slices.Contains(parts, "ops") {
		b.run.Cells, b.run.Settings = old.Cells, old.Settings
	}
}

// save writes what there is, so that a run that is cut short leaves something.
func (b *bench) save() {
	if b.out == "" {
		return
	}
	check(os.MkdirAll(filepath.Dir(b.out), 0o755))
	check(b.run.Write(b.out))
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

func (b *bench) wants(store string) bool {
	return slices.Contains(b.stores, "all") || slices.Contains(b.stores, store)
}

func parseCounts(s string) (counts []int, err error) {
	for _, part := range strings.Split(s, ",") {
		number, unit := strings.TrimRight(part, "kM"), 1
		switch part[len(number):] {
		case "k":
			unit = 1e3
		case "M":
			unit = 1e6
		}
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("number of keys %q: want one like 100k or 10M", part)
		}
		counts = append(counts, n*unit)
	}
	return counts, nil
}

func (b *bench) settings() {
	for _, s := range []result.Setting{
		{Store: "pagetide", Text: pagetideSettings},
		{Store: "gomap", Version: runtime.Version(), Text: gomapSettings},
		{Store: "pebble", Version: host.Version("github.com/cockroachdb/pebble/v2"), Text: pebbleSettings},
		{Store: "badger", Version: host.Version("github.com/dgraph-io/badger/v4"), Text: badgerSettings},
		{Store: "bbolt", Version: host.Version("go.etcd.io/bbolt"), Text: bboltSettings},
		{Store: "rocksdb", Version: "librocksdb, grocksdb " + host.Version("github.com/linxGnu/grocksdb"), Text: rocksdbSettings},
	} {
		if s.Text != "" {
			b.run.Settings = append(b.run.Settings, s)
		}
	}
	if rocksdbMissing != "" && b.wants("rocksdb") {
		b.skip("%s", rocksdbMissing)
	}
}
