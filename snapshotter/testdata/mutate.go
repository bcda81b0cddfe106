//go:build ignore

// Command mutate proves that the tests see every guard and the order of the steps: it deletes each line marked
// "// guard: name" and makes each change of the orders below in turn, runs the crash, fault and damage tests over the change, and
// prints KILLED or SURVIVED. It exits 1 if any survived. Run it from the module's root:
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
	"sync"
	"sync/atomic"
	"time"
)

// roots are where guards stand. The tests of a root must see what its guards do.
var roots = []string{"meta", "snapshotter", "engine/connect/file"}

// mutant is one change that must be noticed.
type mutant struct {
	root   string // whose tests must see it
	name   string
	file   string
	line   int // from 0
	change func(source string) (string, error)
}

// order is a change of what happens when. The old text must stand in the file once.
type order struct{ root, name, file, old, new string }

// orders are the steps of DESIGN's order, swapped or taken out.
var orders = []order{
	{"snapshotter", "order-data-metadata", "snapshotter/publish.go",
		"if err := p.writeData(m); err != nil {\n\t\treturn Info{}, err\n\t}\n\tif err := p.writeMeta(m); err != nil {",
		"if err := p.writeMeta(m); err != nil {\n\t\treturn Info{}, err\n\t}\n\tif err := p.writeData(m); err != nil {"},
	{"snapshotter", "order-rename-sync", "snapshotter/publish.go",
		"if err := d.fs.Rename(filepath.Join(folder, metaTemp), d.metaPath(m.ID)); err != nil {\n\t\treturn fmt.Errorf(\"%w: %w\", ErrUnknownOutcome, err)\n\t}\n" +
			"\t// step 7: THE COMMIT POINT. When this returns, the checkpoint exists for ever; before, it may not.\n\tif err := d.fs.SyncDir(folder); err != nil {",
		"if err := d.fs.SyncDir(folder); err != nil {\n\t\treturn fmt.Errorf(\"%w: %w\", ErrUnknownOutcome, err)\n\t}\n" +
			"\tif err := d.fs.Rename(filepath.Join(folder, metaTemp), d.metaPath(m.ID)); err != nil {"},
	{"snapshotter", "order-publish-retire", "snapshotter/publish.go",
		"\tif err := claim(); err != nil {\n\t\treturn err\n\t}\n\tnames := namesOf(m)",
		"\tif err := claim(); err != nil {\n\t\treturn err\n\t}\n\tif d.current != nil {\n\t\td.removeMeta(d.current.ID)\n\t}\n\tnames := namesOf(m)"},
	{"snapshotter", "order-retire-unlink", "snapshotter/retire.go",
		"\t// step 9: the older metadata is gone, durably\n",
		"\tfor _, id := range removed {\n\t\tnames, _ := d.namedBy(id)\n\t\tfor name := range names {\n\t\t\tif now, _ := d.namedBy(newest); !now[name] {\n\t\t\t\td.fs.Remove(d.dataPath(name))\n\t\t\t}\n\t\t}\n\t}\n"},
	{"snapshotter", "order-discard-savepoint", "snapshotter/discardone.go",
		"\tif err := fsys.Remove(file); err != nil {\n\t\treturn gone, err\n\t}\n\tif err := fsys.SyncDir(folder)",
		"\tfor _, f := range m.Files {\n\t\tfsys.Remove(filepath.Join(folder, f.Name))\n\t}\n\tif err := fsys.Remove(file); err != nil {\n\t\treturn gone, err\n\t}\n\tif err := fsys.SyncDir(folder)"},
	{"snapshotter", "keep-unknown", "snapshotter/publish.go", "\td.unknown[m.ID] = names\n", ""},
	{"snapshotter", "keep-pinned", "snapshotter/retire.go", "d.pinned[id] > 0 || ", ""},
	{"snapshotter", "revoked-attempt", "snapshotter/publish.go", "case a != d.attempt:", "case false:"},
	{"engine/connect/file", "order-sink-rename-sync", "engine/connect/file/sink.go",
		"if err := s.publish(h); err != nil {\n\t\treturn err\n\t}\n\treturn s.syncRenames()",
		"if err := s.syncRenames(); err != nil {\n\t\treturn err\n\t}\n\treturn s.publish(h)"},
	{"engine", "order-publish-commit", "engine/coordinator.go",
		"\tgo func() {\n\t\tc.a.step(r.name(), \"starts\")\n\t\tp := publication{round: r, txns: txns}",
		"\tc.durable = slices.Clone(txns)\n\tc.commit(ctx)\n\tgo func() {\n\t\tc.a.step(r.name(), \"starts\")\n\t\tp := publication{round: r, txns: txns}"},
	{"engine", "handle-until-committed", "engine/coordinator.go", "\tc.commit(ctx)\n\treturn nil\n", "\tc.open = nil\n\tc.commit(ctx)\n\treturn nil\n"},
}

var (
	mark    = regexp.MustCompile(`\s*// guard: ([a-z-]+)$`)
	ifCheck = regexp.MustCompile(`^(\s*)if err := .*Sync.*; (.*) \{$`)
	ifBoth  = regexp.MustCompile(`^(\s*)if (.*); .* \{$`)
	ret     = regexp.MustCompile(`^(\s*)return .*$`)
	assign  = regexp.MustCompile(`^(\s*)err = .*$`)
)

func main() {
	mutants, err := all(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	start := time.Now()
	queue := make(chan mutant)
	var killed atomic.Int64
	var workers sync.WaitGroup
	for range 2 { // one compiles while the other tests
		workers.Go(func() {
			for m := range queue {
				if try(m) {
					killed.Add(1)
				}
			}
		})
	}
	for _, m := range mutants {
		queue <- m
	}
	close(queue)
	workers.Wait()
	fmt.Printf("%.0f s\n", time.Since(start).Seconds())
	fmt.Printf("RESULT mutants.killed %d of %d\n", killed.Load(), len(mutants))
	if int(killed.Load()) < len(mutants) {
		os.Exit(1)
	}
}

// all are the mutants, or those of the names given.
func all(names []string) (mutants []mutant, err error) {
	for _, root := range roots {
		found, err := find(root)
		if err != nil {
			return nil, err
		}
		mutants = append(mutants, found...)
	}
	for _, o := range orders {
		b, err := os.ReadFile(o.file)
		if err != nil {
			return nil, err
		}
		before, _, _ := strings.Cut(string(b), o.old)
		if n := strings.Count(string(b), o.old); n != 1 {
			return nil, fmt.Errorf("%s: the text to change is in %s %d times: %q", o.name, o.file, n, o.old)
		}
		mutants = append(mutants, mutant{o.root, o.name, o.file, strings.Count(before, "\n"), func(source string) (string, error) {
			return strings.Replace(source, o.old, o.new, 1), nil
		}})
	}
	if len(names) > 0 {
		mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return !slices.Contains(names, m.name) })
	}
	return mutants, nil
}

func find(root string) (mutants []mutant, err error) {
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
			return err
		}
		b, err := os.ReadFile(path)
		for i, line := range strings.Split(string(b), "\n") {
			if m := mark.FindStringSubmatch(line); m != nil {
				mutants = append(mutants, mutant{root, m[1], path, i, without(i)})
			}
		}
		return err
	})
	return mutants, err
}

// without deletes what a line does.
func without(i int) func(string) (string, error) {
	return func(source string) (_ string, err error) {
		lines := strings.Split(source, "\n")
		lines[i], err = mutate(lines[i])
		return strings.Join(lines, "\n"), err
	}
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

// try says whether the tests notice the mutant, and prints which did.
func try(m mutant) bool {
	start := time.Now()
	verdict := "SURVIVED"
	killer, err := run(m)
	if err != nil {
		verdict = "NO VERDICT: " + err.Error()
	} else if killer != "" {
		verdict = "KILLED by " + killer
	}
	fmt.Printf("%-24s %-38s %5.1fs  %s\n", m.name, fmt.Sprintf("%s:%d", m.file, m.line+1), time.Since(start).Seconds(), verdict)
	return err == nil && killer != ""
}

// run tests the mutant, with what kills most of its kind first, and names the test that failed.
func run(m mutant) (killer string, err error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.write(dir)
	if err != nil {
		return "", err
	}
	for _, s := range stages(m) {
		args := []string{"test", "-short", "-failfast", "-timeout=300s", "-vet=off", "-overlay=" + overlay, "-run", s.tests}
		cmd := exec.Command("go", append(args, s.packages)...)
		cmd.Env = append(os.Environ(), "PAGETIDE_PROOF="+s.size)
		if out, err := cmd.CombinedOutput(); err != nil {
			return killedBy(out)
		}
	}
	return "", nil
}

// stage is a run of tests.
type stage struct{ tests, size, packages string }

func stages(m mutant) []stage {
	packages := "./" + m.root + "/..."
	switch {
	case m.root == "engine":
		return []stage{{"CrashOf|FailingCommit", "0", "./engine"}, {"CrashOf|Fault|Commit", "1", "./engine"}}
	case m.root == "snapshotter" && strings.HasPrefix(m.name, "hash-"):
		return []stage{{"Corrupt", "0", "./snapshotter"}, {"Corrupt", "1", "./snapshotter"}, {".", "0", packages}}
	case m.root == "snapshotter" && !strings.HasPrefix(m.name, "order-") && !strings.HasPrefix(m.name, "sync-"):
		return []stage{{"Unknown|Pin|Revoke", "0", "./snapshotter"}, {".", "0", packages}}
	case m.root == "snapshotter":
		return []stage{{"CrashAnywhere", "0", "./snapshotter"}, {".", "0", packages}, {"Crash|PowerCut|Fault", "1", packages}}
	}
	return []stage{{".", "0", packages}, {".", "1", packages}}
}

// write puts the changed file into dir, and a file for go test -overlay whose name it returns.
func (m mutant) write(dir string) (overlay string, err error) {
	b, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	source, err := m.change(string(b))
	if err != nil {
		return "", err
	}
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(source), 0o600); err != nil {
		return "", err
	}
	abs, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	b, err = json.Marshal(map[string]map[string]string{"Replace": {abs: changed}})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}

// killedBy finds the test that failed; a mutant that does not compile proves nothing.
func killedBy(out []byte) (string, error) {
	failed := regexp.MustCompile(`--- FAIL: (\S+)`).FindAllSubmatch(out, -1)
	if failed == nil {
		return "", fmt.Errorf("no test failed: %s", out)
	}
	return string(failed[len(failed)-1][1]), nil
}
