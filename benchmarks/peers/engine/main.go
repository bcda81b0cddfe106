// Command engine measures pipelines on the engine beside hand-written loops and other Go libraries, all in one process that
// gives each its turn, because ratios between runs of a busy machine mean little. Progress goes to stderr, tables and RESULT
// lines to stdout, everything to a JSON file.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

func main() {
	what := flag.String("what", "chain,count,window,scaling,latency,transactional", "parts to run")
	keys := flag.String("keys", "1M,10M", "numbers of keys of the part count")
	peers := flag.Bool("peers", true, "run other libraries, too")
	rounds := flag.Int("rounds", 7, "rounds that count; contenders take turns in each")
	turn := flag.Duration("turn", 2*time.Second, "length of a turn")
	every := flag.Duration("checkpoints", time.Second, "time between checkpoints, but for latencies")
	out := flag.String("out", "", "JSON file to write")
	dir := flag.String("dir", os.TempDir(), "folder for checkpoints")
	smoke := flag.Bool("smoke", false, "see that it runs: 10k keys and single rounds of 100 ms; the numbers mean nothing")
	only := flag.String("only", "", "contenders to run, separated by commas; all if empty")
	profile := flag.String("profile", "", "folder for a CPU profile of each contender")
	flag.Parse()

	folder, err := os.MkdirTemp(*dir, "pagetide-engine-")
	check(err)
	defer os.RemoveAll(folder)
	b := &bench{folder: folder, out: *out, peers: *peers, rounds: *rounds, turn: *turn, every: *every, profile: *profile, started: time.Now()}
	if *only != "" {
		b.only = strings.Split(*only, ",")
	}
	counts := strings.Split(*keys, ",")
	b.large = 1_000_000
	if *smoke {
		b.rounds, b.turn, b.every, b.large, counts = 1, 100*time.Millisecond, 20*time.Millisecond, 10_000, []string{"10k"}
	}
	b.run.Machine = host.Describe()
	fmt.Printf("%+v\n", b.run.Machine)
	parts := map[string]func(){
		"chain": b.chain,
		"count": func() {
			for _, k := range counts {
				n, err := result.ParseLabel(k)
				check(err)
				b.count(n)
			}
		},
		"window":        b.windows,
		"scaling":       b.scaling,
		"latency":       b.latency,
		"transactional": b.transactional,
	}
	for _, name := range strings.Split(*what, ",") {
		part, ok := parts[name]
		if !ok {
			check(fmt.Errorf("part %q: want some of chain, count, window, scaling, latency, transactional", name))
		}
		part()
		b.save()
	}
	b.report(os.Stdout)
}

// bench is a run under way.
type bench struct {
	run     result.Engine
	folder  string // for checkpoints; each job has a folder of its own in it
	out     string
	peers   bool
	rounds  int
	turn    time.Duration
	every   time.Duration
	large   int64 // keys, where a part has one number of them
	only    []string
	profile string
	started time.Time
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

// profiled runs f, with a CPU profile if one is wanted.
func (b *bench) profiled(name string, f func()) {
	if b.profile == "" {
		f()
		return
	}
	file, err := os.Create(filepath.Join(b.profile, strings.NewReplacer(" ", "-", "/", "-").Replace(name)+".prof"))
	check(err)
	check(pprof.StartCPUProfile(file))
	f()
	pprof.StopCPUProfile()
	check(file.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	if n := len(x); n%2 == 0 {
		return (x[n/2-1] + x[n/2]) / 2
	}
	return x[len(x)/2]
}
