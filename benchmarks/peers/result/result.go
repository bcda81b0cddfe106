// Package result is what a run of the state benchmark leaves behind.
package result

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Run is one run of the program: everything in it was measured side by side.
type Run struct {
	Machine  Machine
	Settings []Setting // of the stores
	Cells    []Cell
	Freezes  []Freeze
	Memory   []Memory
	Skipped  []string // what was left out, and why
}

// Machine says where it was.
type Machine struct {
	CPU       string
	Cores     int
	MemoryMiB int
	Kernel    string
	HugePages string
	Go        string
	Time      string
}

// Setting is how a store was configured.
type Setting struct{ Store, Version, Text string }

// Cell is one store under one workload.
type Cell struct {
	Workload string // rmw, read, insert, delete
	Dist     string // uniform, zipfian
	Shape    string // word: 8-byte keys, 16-byte values; string: 24-byte string keys, 100-byte values
	Keys     int
	Store    string
	Median   float64 // ns/op over the rounds
	Min      float64
	Rounds   []float64
	Ops      int64 // of all rounds
}

// Freeze is the barrier at one size of state. Quantiles are in nanoseconds.
type Freeze struct {
	Label      string
	StateBytes int64
	Samples    int
	P50        float64
	P99        float64
	P9999      float64
	SpinP9999  float64   // of the same loop, doing nothing for as long as the median freeze takes
	Ratio      float64   // P9999 to SpinP9999
	Rounds     []float64 // Ratio of each round
	TouchP50   float64   // of the first update of a frozen line, gathering its page
	TouchP99   float64
	TouchP9999 float64
	AgainP50   float64 // of an update of the same line after it
	Clock      float64 // what reading the clock twice costs, part of every quantile
}

// Memory is what a table takes.
type Memory struct {
	Shape   string
	Entries int
	Payload int64 // bytes of keys and values
	Bytes   int64 // of pages
	Ratio   float64
}

// Read reads a run from a JSON file.
func Read(path string) (r Run, err error) {
	err = read(path, &r)
	return r, err
}

// Write writes a run to a JSON file.
func (r Run) Write(path string) error { return write(path, r) }

func read(path string, to any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func write(path string, what any) error {
	b, err := json.MarshalIndent(what, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

// Label writes a number of keys or bytes short: 100k, 10M.
func Label(n int) string {
	switch {
	case n >= 1e6 && n%1e6 == 0:
		return fmt.Sprintf("%dM", n/1e6)
	case n >= 1e3 && n%1e3 == 0:
		return fmt.Sprintf("%dk", n/1e3)
	}
	return fmt.Sprint(n)
}

// ParseLabel reads what Label writes.
func ParseLabel(label string) (int64, error) {
	number, unit := strings.TrimRight(label, "kM"), int64(1)
	switch label[len(number):] {
	case "":
	case "k":
		unit = 1e3
	case "M":
		unit = 1e6
	default:
		unit = 0
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n*unit <= 0 {
		return 0, fmt.Errorf("number %q: want one like 100k or 10M", label)
	}
	return n * unit, nil
}
