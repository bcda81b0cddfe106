// Mutate breaks the guard's rules one at a time and tells which of them the tests miss. Run it in the module's root:
//
//	go run ./mmapstate/testdata/mutate.go [RULE]...
//
// A rule is a line that ends in `// rule: name`. It is dropped, or weakened as the table says. The tree is not touched:
// the broken file is given to the compiler as an overlay.
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
)

// weakened rules are conditions, which cannot be dropped.
var weakened = map[string][2]string{
	"all-lines-of-a-value": {"&lines != lines", "&lines == 0"},
	"birth-marks-all":      {"meta.AllLines", "1"},
	"gather-before-free":   {"sh.touch(p, lineBits(0, headSize))", "sh.mask[p] |= 1"},
	"unswapped-keeps-mask": {"sh.store.epoch {", "sh.store.epoch {\nsh.swap()"},
	"dirty-stays":          {"sh.mask[p] != 0", "false"},
	"in-flight-stays":      {"sh.store.cut == nil || sh.frozen[p] == 0", "true"},

	"new-pages-stay-whole": {"p < sh.chained", "true"},
	"found-may-have-moved": {" || f.moves != c.store.moves", ""},
	"merged-is-found":      {"t.setDirectory(sh, h, i, stays)", "h.dir[i], h.at[i] = stays, nil"},
	"moved-is-found":       {"t.setDirectory(sh, h, i, to)", "h.dir[i], h.at[i] = to, nil"},
	"memory-goes-back":     {"> r.reserve()", "> 1<<30"},

	"resident-before-read":     {"sh.need(p)", "sh.back(p)"},
	"absent-pages-are-carried": {"sh.at(p)", "sh.back(p)"},
	"load-fills":               {"buf[(p-first)*pageSize:]", "buf[:0]"},
	"evict-to-the-newest-base": {" || s.loader.Base() != s.base", ""},
	"carried-was-not-written":  {"sh.frozen[p] == 0", "true"},
	"one-claim":                {"!w.CompareAndSwap(groupAbsent, groupClaimed)", "w.Load() == groupClaimed"},
	"owner-claims":             {"w.CompareAndSwap(groupAbsent, groupTaken)", "true"},
	"claimed-is-waited-for":    {"<-l.news", "return nil, nil"},
	"preload-checks":           {"err != nil", "false"},
	"maintain-tells-a-failure": {"l.failed.Load()", "false"},
	"freeze-tells-a-failure":   {"l.failed.Load()", "false"},
	"late-loader-is-closed":    {"!believed", "false"},
	"old-loader-is-closed":     {"s.closeLoader != nil", "false"},
}

// tests are those that watch a rule, where it is not the guard's model.
var tests = map[string]string{
	"one-claim":                "TestPreload",
	"rehash-copies-the-slot":   "TestRehash",
	"owner-claims":             "TestPreload",
	"claimed-is-waited-for":    "TestOwnerWaits",
	"preload-checks":           "TestPreload",
	"maintain-tells-a-failure": "TestFailedPreload",
	"freeze-tells-a-failure":   "TestFailedPreload",
	"late-loader-is-closed":    "TestLoadersOfVerdicts",
	"old-loader-is-closed":     "TestLoadersOfVerdicts",
	"merged-is-found":          "TestShrunkTable",
	"moved-is-found":           "TestShrunkTable",
	"memory-goes-back":         "TestShrunkTable",
	"evicted-is-forgotten":     "TestTablesAgainstModel",
	"found-may-have-moved":     "TestTablesAgainstModel",
	"evolve-moves":             "TestEvol",
	"evolve-keeps-the-sign":    "TestEvol",
	"evolution-keeps-the-time": "TestEvol",
}

var ruleLine = regexp.MustCompile(`(?m)^(.*)// rule: (\S+)$`)

func main() {
	files, err := filepath.Glob("mmapstate/*.go")
	check(err)
	missed := 0
	for _, f := range files {
		src, err := os.ReadFile(f)
		check(err)
		for _, at := range ruleLine.FindAllSubmatchIndex(src, -1) {
			name := string(src[at[4]:at[5]])
			if len(os.Args) > 1 && !slices.Contains(os.Args[1:], name) {
				continue
			}
			broken := string(src[:at[0]]) + breakLine(name, string(src[at[2]:at[3]])) + string(src[at[1]:])
			if !caught(f, name, broken) {
				missed++
			}
		}
	}
	if missed > 0 {
		os.Exit(1)
	}
}

func breakLine(name, line string) string {
	w, ok := weakened[name]
	if !ok {
		return ""
	}
	if !strings.Contains(line, w[0]) {
		fmt.Printf("rule %s has changed: %s\n", name, line)
		os.Exit(2)
	}
	return strings.Replace(line, w[0], w[1], 1)
}

// caught runs a rule's test, the guard's model if there is no other, against a broken file.
func caught(file, name, broken string) bool {
	dir, err := os.MkdirTemp("", "mutate")
	check(err)
	defer os.RemoveAll(dir)
	abs, err := filepath.Abs(file)
	check(err)
	copyTo := filepath.Join(dir, filepath.Base(file))
	check(os.WriteFile(copyTo, []byte(broken), 0o600))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{abs: copyTo}})
	check(err)
	list := filepath.Join(dir, "overlay.json")
	check(os.WriteFile(list, overlay, 0o600))
	run := tests[name]
	if run == "" {
		run = "TestGuardAgainstModel"
	}
	out, err := exec.Command("go", "test", "-overlay", list, "-timeout", "60s", "-run", run, "./mmapstate").CombinedOutput()
	if strings.Contains(string(out), "[build failed]") {
		fmt.Printf("rule %s cannot be broken like this:\n%s", name, out)
		os.Exit(2)
	}
	how := "MISSED"
	if err != nil {
		how = "caught: " + reason(string(out))
	}
	fmt.Printf("%-26s %s\n", name, how)
	return err != nil
}

// reason is the line that says what went wrong.
func reason(out string) string {
	for line := range strings.Lines(out) {
		if strings.Contains(line, "seed") || strings.Contains(line, "panic") || strings.Contains(line, "mmapstate/") || strings.Contains(line, "_test.go:") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(out)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
