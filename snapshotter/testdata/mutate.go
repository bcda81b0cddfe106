//go:build ignore

// Command mutate proves that the tests see every guard: it deletes each line marked "// guard: name" in turn, runs the
// crash, fault and damage tests over the change and prints KILLED or SURVIVED. It exits 1 if any survived. Run it from
// the module's root:
//
//	go run ./snapshotter/testdata/mutate.go [name...]
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// roots are where guards stand. The tests of a root must see what its guards do.
var roots = []string{"meta", "snapshotter", "engine/connect/file"}

// guard is one marked line. An if statement loses its condition's call; a call loses its effect.
type guard struct {
	root string
	name string
	file string
	line int
}

var (
	mark    = regexp.MustCompile(`\s*// guard: ([a-z-]+)$`)
	ifCheck = regexp.MustCompile(`^(\s*)if err := .*Sync.*; (.*) \{$`)
	ifBoth  = regexp.MustCompile(`^(\s*)if (.*); .* \{$`)
	ret     = regexp.MustCompile(`^(\s*)return .*$`)
	assign  = regexp.MustCompile(`^(\s*)err = .*$`)
)

func main() {
	var guards []guard
	for _, root := range roots {
		found, err := find(root)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		guards = append(guards, found...)
	}
	survived := 0
	for _, g := range guards {
		if len(os.Args) > 1 && !slices.Contains(os.Args[1:], g.name) {
			continue
		}
		start := time.Now()
		killer, err := try(g)
		if err != nil {
			fmt.Fprintln(os.Stderr, g.name, err)
			os.Exit(2)
		}
		verdict := "KILLED by " + killer
		if killer == "" {
			verdict = "SURVIVED"
			survived++
		}
		fmt.Printf("%-22s %-34s %5.1fs  %s\n", g.name, fmt.Sprintf("%s:%d", g.file, g.line+1), time.Since(start).Seconds(), verdict)
	}
	if survived > 0 {
		os.Exit(1)
	}
}

func find(root string) (guards []guard, err error) {
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
			return err
		}
		b, err := os.ReadFile(path)
		for i, line := range strings.Split(string(b), "\n") {
			if m := mark.FindStringSubmatch(line); m != nil {
				guards = append(guards, guard{root, m[1], path, i})
			}
		}
		return err
	})
	return guards, err
}

// mutate deletes what the line does and leaves code that compiles.
func mutate(line string) (string, error) {
	line = mark.ReplaceAllString(line, "")
	switch {
	case ifCheck.MatchString(line):
		return ifCheck.ReplaceAllString(line, "${1}if err := error(nil); $2 {"), nil
	case ifBoth.MatchString(line):
		return ifBoth.ReplaceAllString(line, "${1}if $2; false {"), nil
	case assign.MatchString(line):
		return assign.ReplaceAllString(line, "${1}err = nil"), nil
	case ret.MatchString(line):
		return ret.ReplaceAllString(line, "${1}return nil"), nil
	}
	return "", fmt.Errorf("cannot mutate %q", line)
}

// try runs the tests without the guard and names the first that failed.
func try(g guard) (killer string, err error) {
	b, err := os.ReadFile(g.file)
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(b), "\n")
	if lines[g.line], err = mutate(lines[g.line]); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(g.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {abs: changed}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	for _, size := range []string{"-short", "-short=false"} { // most die early
		out, err := exec.Command("go", "test", size, "-failfast", "-timeout=120s", "-vet=off", "-overlay="+file, "./"+g.root+"/...").CombinedOutput()
		if err != nil {
			return killedBy(out)
		}
	}
	return "", nil
}

// killedBy finds the test that failed; a mutant that does not compile proves nothing.
func killedBy(out []byte) (string, error) {
	failed := regexp.MustCompile(`--- FAIL: (\S+)`).FindAllSubmatch(out, -1)
	if failed == nil {
		return "", fmt.Errorf("no test failed: %s", out)
	}
	return string(failed[len(failed)-1][1]), nil
}
