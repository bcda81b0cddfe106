//go:build ignore

// Command prove runs one of the exhaustive suites with invariants checked, adds up what its workloads tell and prints a
// table and its results. It exits 1 if anything was wrong, if a test failed, or if less was tried than the suite promises.
// Run it from the module's root:
//
//	go run ./snapshotter/testdata/prove.go [-size n] crash|faults|corrupt
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// suite is what is run and how its sums are called.
type suite struct {
	run      string // regexp of test names
	packages []string
	points   string // "" if the suite has none
	tried    string
	wrong    string
	atLeast  int // tried, at size 1 and more
}

var suites = map[string]suite{
	"crash": {
		run: "Crash|PowerCut", packages: []string{"./snapshotter", "./engine/connect/file", "./engine"},
		points: "points", tried: "states", wrong: "violations", atLeast: 200_000,
	},
	"faults": {
		run: "Fault", packages: []string{"./snapshotter", "./engine"},
		tried: "runs", wrong: "wrong", atLeast: 10_000,
	},
	"corrupt": {
		run: "Corrupt", packages: []string{"./snapshotter"},
		tried: "tried", wrong: "undetected", atLeast: 50_000,
	},
}

func main() {
	size := flag.Int("size", 1, "how far to go: n times the random states")
	flag.Parse()
	s, ok := suites[flag.Arg(0)]
	if !ok || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: prove [-size n] crash|faults|corrupt")
		os.Exit(2)
	}
	sum, err := s.prove(flag.Arg(0), *size)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if sum.tried < s.atLeast && *size > 0 {
		fmt.Fprintf(os.Stderr, "%d %s, want at least %d\n", sum.tried, s.tried, s.atLeast)
		os.Exit(1)
	}
}

// counts are those of one workload, or of all.
type counts struct{ points, tried, wrong int }

var line = regexp.MustCompile(`PROOF (\S+) points=(\d+) tried=(\d+) wrong=(\d+) (.*)$`)

// prove prints a line per workload as it ends, and the results.
func (s suite) prove(name string, size int) (sum counts, err error) {
	start := time.Now()
	args := append([]string{"test", "-tags=invariants", "-count=1", "-p=1", "-timeout=60m", "-v", "-run", s.run}, s.packages...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "PAGETIDE_PROOF="+strconv.Itoa(size))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return sum, err
	}
	if err := cmd.Start(); err != nil {
		return sum, err
	}
	s.row("workload", s.points, s.tried, s.wrong)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text := lines.Text()
		m := line.FindStringSubmatch(text)
		switch {
		case m != nil && m[1] == name:
			sum.points += number(m[2])
			sum.tried += number(m[3])
			sum.wrong += number(m[4])
			s.row(m[5], m[2], m[3], m[4])
		case !quiet(text):
			fmt.Println(text)
		}
	}
	err = cmd.Wait()
	fmt.Printf("%.0f s\n", time.Since(start).Seconds())
	if s.points != "" {
		fmt.Printf("RESULT %s.%s %d\n", name, s.points, sum.points)
	}
	fmt.Printf("RESULT %s.%s %d\n", name, s.tried, sum.tried)
	fmt.Printf("RESULT %s.%s %d\n", name, s.wrong, sum.wrong)
	return sum, err
}

func (s suite) row(workload, points, tried, wrong string) {
	if s.points == "" {
		fmt.Printf("%-60s %10s %10s\n", workload, tried, wrong)
		return
	}
	fmt.Printf("%-60s %8s %10s %10s\n", workload, points, tried, wrong)
}

// quiet is what go test says about tests that pass.
func quiet(text string) bool {
	trimmed := strings.TrimLeft(text, " ")
	for _, prefix := range []string{"=== ", "--- PASS", "PASS", "ok ", "?"} {
		if strings.HasPrefix(trimmed, prefix) {
			return true
		}
	}
	return false
}

func number(s string) int {
	n, _ := strconv.Atoi(s) // the pattern has digits only
	return n
}
