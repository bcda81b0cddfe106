// Package host tells what machine a benchmark runs on and what the machine has to spare.
package host

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/pagetide/pagetide/benchmarks/peers/result"
)

// Describe says what machine this is.
func Describe() result.Machine {
	read := func(path string) string {
		b, _ := os.ReadFile(path) // what cannot be read is left empty
		return strings.TrimSpace(string(b))
	}
	m := result.Machine{
		Cores: runtime.NumCPU(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: read("/proc/sys/kernel/osrelease"), HugePages: read("/sys/kernel/mm/transparent_hugepage/enabled"),
		Time: time.Now().UTC().Format(time.RFC3339), MemoryMiB: memory("MemTotal"),
	}
	for _, line := range strings.Split(read("/proc/cpuinfo"), "\n") {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			m.CPU = strings.TrimLeft(name, "\t :")
			break
		}
	}
	return m
}

// memory gives a number of /proc/meminfo in MiB, 0 where there is no such file.
func memory(name string) int {
	b, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kib >> 10
		}
	}
	return 0
}

// Room tells whether the machine has so many MiB to spare.
func Room(mib int) bool {
	runtime.GC()
	debug.FreeOSMemory()
	available := memory("MemAvailable")
	return available == 0 || available >= mib
}

// Version is the version of a module that this program is built from.
func Version(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, dep := range info.Deps {
		if dep.Path == path {
			return dep.Version
		}
	}
	return ""
}

// ParseSize reads a size like 64MiB or 1GiB.
func ParseSize(label string) (int64, error) {
	number, unit := strings.TrimRight(label, "MGiB"), int64(1)
	switch label[len(number):] {
	case "MiB":
		unit = 1 << 20
	case "GiB":
		unit = 1 << 30
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || unit == 1 {
		return 0, fmt.Errorf("size %q: want one like 64MiB or 1GiB", label)
	}
	return n * unit, nil
}
