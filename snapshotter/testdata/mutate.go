//go:build ignore

// Command mutate proves that the tests see every guard and the order of the steps: it runs the crash, fault and damage tests
// with each line marked "// guard: name" left out, and with each change of the orders below, in turn, and prints KILLED or
// SURVIVED. It exits 1 if any survived. Every test binary is built once, with all the changes in it; the variable
// PAGETIDE_MUTANT says which one is made. Run it from the module's root:
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
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// packages are where guards stand, and whose tests must see what guards do.
var packages = []string{"meta", "snapshotter", "snapshotter/vfs", "engine/connect/file", "engine"}

// order is a change of what happens when. The old text must stand in the file once; the new one asks mutant(name).
type order struct{ name, file, old, new string }

// orders are the steps of DESIGN's order, swapped or taken out.
var orders = []order{
	{"order-data-metadata", "snapshotter/publish.go",
		"\tif err := p.writeData(m); err != nil {\n\t\treturn Info{}, err\n\t}\n\tif err := p.writeMeta(m); err != nil {",
		"\tfirst, second := p.writeData, p.writeMeta\n\tif mutant(name) {\n\t\tfirst, second = second, first\n\t}\n" +
			"\tif err := first(m); err != nil {\n\t\treturn Info{}, err\n\t}\n\tif err := second(m); err != nil {"},
	{"order-rename-sync", "snapshotter/publish.go",
		"\tif err := d.fs.Rename(filepath.Join(folder, metaTemp), d.metaPath(m.ID)); err != nil {\n\t\treturn fmt.Errorf(\"%w: %w\", ErrUnknownOutcome, err)\n\t}\n" +
			"\t// step 7: THE COMMIT POINT. When this returns, the checkpoint exists for ever; before, it may not.\n\tif err := d.fs.SyncDir(folder); err != nil {",
		"\trename := func() error { return d.fs.Rename(filepath.Join(folder, metaTemp), d.metaPath(m.ID)) }\n" +
			"\tsync := func() error { return d.fs.SyncDir(folder) }\n\tif mutant(name) {\n\t\trename, sync = sync, rename\n\t}\n" +
			"\tif err := rename(); err != nil {\n\t\treturn fmt.Errorf(\"%w: %w\", ErrUnknownOutcome, err)\n\t}\n\tif err := sync(); err != nil {"},
	before("order-publish-retire", "snapshotter/publish.go",
		"d.current != nil", "d.removeMeta(d.current.ID)",
		"\tnames := namesOf(m)\n\td.mu.Lock()\n"),
	before("order-retire-unlink", "snapshotter/retire.go", "true",
		"for _, id := range removed {\n\t\tnames, _ := d.namedBy(id)\n\t\tfor name := range names {\n\t\t\tif now, _ := d.namedBy(newest); !now[name] {\n\t\t\t\td.fs.Remove(d.dataPath(name))\n\t\t\t}\n\t\t}\n\t}",
		"\t// step 9: the older metadata is gone, durably\n"),
	before("order-discard-savepoint", "snapshotter/discardone.go", "true",
		"for _, f := range m.Files {\n\t\tfsys.Remove(filepath.Join(folder, f.Name))\n\t}",
		"\tif err := fsys.Remove(file); err != nil {\n\t\treturn gone, err\n\t}\n\tif err := fsys.SyncDir(folder)"),
	{"keep-unknown", "snapshotter/publish.go",
		"\td.unknown[m.ID] = names\n", "\tif !mutant(name) {\n\t\td.unknown[m.ID] = names\n\t}\n"},
	{"import-id", "snapshotter/import.go",
		"\td.next = m.ID + 1\n", "\td.next = m.ID + 1\n\tif mutant(name) {\n\t\td.next = m.ID\n\t}\n"},
	{"keep-pinned", "snapshotter/retire.go", "d.pinned[id] > 0 || ", "!mutant(name) && d.pinned[id] > 0 || "},
	{"revoked-attempt", "snapshotter/publish.go", "case a != d.attempt:", "case a != d.attempt && !mutant(name):"},
	before("order-sink-rename-sync", "engine/connect/file/sink.go", "true",
		"if err := s.syncRenames(); err != nil {\n\t\t\treturn err\n\t\t}\n\t\treturn s.publish(h)",
		"\tif err := s.publish(h); err != nil {\n\t\treturn err\n\t}\n\treturn s.syncRenames()"),
	before("order-publish-commit", "engine/coordinator.go", "true",
		"c.durable = slices.Clone(c.open)\n\t\tc.commit(ctx)",
		"\tctx, r.cancel = context.WithCancelCause(ctx)\n"),
	before("handle-until-committed", "engine/coordinator.go", "true", "c.open = nil", "\tc.commit(ctx)\n\treturn nil\n"),
}

// before is something that happens before the old text, if the condition holds.
func before(name, file, condition, what, old string) order {
	return order{name, file, old, "\tif mutant(name) && " + condition + " {\n\t\t" + what + "\n\t}\n" + old}
}

// killers are tests that have noticed a mutant whose kind others see sooner; they are run first. If one does not notice it
// any more, the others are run.
var killers = map[string]stage{
	"sync-copied":              {"snapshotter", "CrashAnywhere/import,_then", "0"},
	"sync-discarded-newest":    {"snapshotter", "CrashAnywhere/discard_one", "0"},
	"sync-discarded-savepoint": {"snapshotter", "CrashAnywhere/savepoint", "0"},
	"sync-import-dir":          {"snapshotter", "CrashAnywhere/import", "0"},
	"import-id":                {"snapshotter", "CrashAnywhere/import", "0"},
	"sync-linked":              {"snapshotter", "CrashAnywhere/import", "0"},
	"sync-adopted":             {"snapshotter", "KillThenPowerCut/restore", "0"},
	"sync-savepoint":           {"snapshotter", "CrashAnywhere/embedded", "0"},
	"sync-savepoint-files":     {"snapshotter", "CrashAnywhere/embedded", "0"},
	"sync-known-parent":        {"snapshotter/vfs", "CrashStates", "0"},
	"order-retire-unlink":      {"snapshotter", "CrashAnywhere/discard_one", "0"},
	"order-discard-savepoint":  {"snapshotter", "CrashAnywhere/savepoint", "0"},
}

// mutant is one change that must be noticed.
type mutant struct{ name, file string }

var mark = regexp.MustCompile(`\s*// guard: ([a-z-]+)$`)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(names []string) error {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start := time.Now()
	changed, mutants, err := all()
	if err != nil {
		return err
	}
	if err := build(dir, changed); err != nil {
		return err
	}
	if len(names) > 0 {
		mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return !slices.Contains(names, m.name) })
	}
	var killed atomic.Int64
	queue := make(chan mutant)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for m := range queue {
				if try(dir, m) {
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
		return fmt.Errorf("not every mutant was killed")
	}
	return nil
}

// all makes every change in the file that it is for.
func all() (changed map[string]string, mutants []mutant, err error) {
	changed = map[string]string{}
	placed := 0
	for _, p := range packages {
		files, err := filepath.Glob(p + "/*.go")
		if err != nil {
			return nil, nil, err
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, nil, err
			}
			source, inOrder, err := reorder(file, string(b))
			if err != nil {
				return nil, nil, err
			}
			source, guards, err := unguard(file, source)
			if err != nil {
				return nil, nil, err
			}
			if placed += len(inOrder); source != string(b) {
				changed[file] = source
			}
			mutants = append(mutants, slices.Concat(guards, inOrder)...)
		}
	}
	if placed != len(orders) {
		return nil, nil, fmt.Errorf("%d of %d orders are for files that are there", placed, len(orders))
	}
	return changed, mutants, nil
}

// reorder puts the orders into their file.
func reorder(file, source string) (string, []mutant, error) {
	var mutants []mutant
	for _, o := range orders {
		if o.file != file {
			continue
		}
		if n := strings.Count(source, o.old); n != 1 {
			return "", nil, fmt.Errorf("%s: the text to change is in %s %d times: %q", o.name, file, n, o.old)
		}
		source = strings.Replace(source, o.old, strings.ReplaceAll(o.new, "mutant(name)", fmt.Sprintf("mutant(%q)", o.name)), 1)
		mutants = append(mutants, mutant{o.name, file})
	}
	return source, mutants, nil
}

// unguard has every guarded line do nothing where its mutant is asked for.
func unguard(file, source string) (string, []mutant, error) {
	if strings.HasSuffix(file, "_test.go") {
		return source, nil, nil
	}
	var mutants []mutant
	lines := strings.Split(source, "\n")
	for i, line := range lines {
		m := mark.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		without, err := unless(m[1], mark.ReplaceAllString(line, ""))
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", file, err)
		}
		lines[i] = without
		mutants = append(mutants, mutant{m[1], file})
	}
	return strings.Join(lines, "\n"), mutants, nil
}

var (
	call  = regexp.MustCompile(`^(\s*(?:if err := |err = |return ))([^;]*?)(|; .* \{)$`)
	check = regexp.MustCompile(`^(\s*if [^;]*; )([^;]*)( \{)$`)
)

// unless leaves out the call that a line makes, or else the condition that it asks.
func unless(name, line string) (string, error) {
	switch {
	case call.MatchString(line):
		return call.ReplaceAllString(line, fmt.Sprintf("${1}unless(%q, func() error { return $2 })$3", name)), nil
	case check.MatchString(line):
		return check.ReplaceAllString(line, fmt.Sprintf("${1}!mutant(%q) && ($2)$3", name)), nil
	}
	return "", fmt.Errorf("cannot leave out what %q does", line)
}

// asked is what the changes ask.
const asked = `
var asked = os.Getenv("PAGETIDE_MUTANT")

func mutant(name string) bool { return asked == name }

func unless(name string, do func() error) error {
	if mutant(name) {
		return nil
	}
	return do()
}
`

// build makes a test binary of each package in dir, with the changed files in place of those of the tree.
func build(dir string, changed map[string]string) error {
	replace := map[string]string{}
	for file, source := range changed {
		if err := put(replace, dir, file, source); err != nil {
			return err
		}
		folder := filepath.Dir(file)
		clause := "package " + filepath.Base(folder) + "\n\nimport \"os\"\n"
		if err := put(replace, dir, folder+"/asked_mutant.go", clause+asked); err != nil {
			return err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return err
	}
	for _, p := range packages {
		if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay="+overlay, "-o", binary(dir, p), "./"+p).CombinedOutput(); err != nil {
			return fmt.Errorf("%s with all changes: %w\n%s", p, err, out)
		}
	}
	return nil
}

func put(replace map[string]string, dir, file, source string) error {
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	replace[abs] = filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
	return os.WriteFile(replace[abs], []byte(source), 0o600)
}

func binary(dir, of string) string {
	return filepath.Join(dir, strings.ReplaceAll(of, "/", "-")+".test")
}

// try says whether the tests notice the mutant, and prints which did.
func try(dir string, m mutant) bool {
	start := time.Now()
	verdict := "SURVIVED"
	killer, err := m.killer(dir)
	if err != nil {
		verdict = "NO VERDICT: " + err.Error()
	} else if killer != "" {
		verdict = "KILLED by " + killer
	}
	fmt.Printf("%-24s %-32s %5.1fs  %s\n", m.name, m.file, time.Since(start).Seconds(), verdict)
	return err == nil && killer != ""
}

// stage is a run of tests.
type stage struct{ in, tests, size string }

// killer runs stage after stage until a test fails, which it names.
func (m mutant) killer(dir string) (string, error) {
	for _, s := range m.stages() {
		cmd := exec.Command(binary(dir, s.in), "-test.short", "-test.failfast", "-test.timeout=120s", "-test.run", s.tests)
		cmd.Dir = s.in
		cmd.Env = append(os.Environ(), "PAGETIDE_PROOF="+s.size, "PAGETIDE_MUTANT="+m.name)
		if out, err := cmd.CombinedOutput(); err != nil {
			return killedBy(out)
		}
	}
	return "", nil
}

// stages are what kills most of a mutant's kind first.
func (m mutant) stages() []stage {
	if s, ok := killers[m.name]; ok {
		return append([]stage{s}, m.otherStages()...)
	}
	return m.otherStages()
}

func (m mutant) otherStages() []stage {
	all := stage{"snapshotter", ".", "0"}
	switch folder := filepath.Dir(m.file); {
	case folder == "engine":
		return []stage{{"engine", "FailingCommit", "0"}, {"engine", "CrashOf", "0"}, {"engine", "CrashOf|Fault|Commit", "1"}}
	case !strings.HasPrefix(folder, "snapshotter"):
		return []stage{{folder, ".", "0"}, {folder, ".", "1"}}
	case strings.HasPrefix(m.name, "hash-"):
		return []stage{{"snapshotter", "Corrupt", "0"}, {"snapshotter", "Corrupt", "1"}, all}
	case strings.HasPrefix(m.name, "order-"), strings.HasPrefix(m.name, "sync-"):
		return []stage{{"snapshotter", "CrashAnywhere", "0"}, all, {"snapshotter/vfs", ".", "0"}, {"snapshotter", "Crash|PowerCut|Fault", "1"}}
	}
	return []stage{{"snapshotter", "Unknown|Pin|Revoke", "0"}, all}
}

// killedBy finds the test that failed; one that ends in another way proves nothing.
func killedBy(out []byte) (string, error) {
	failed := regexp.MustCompile(`--- FAIL: (\S+)`).FindAllSubmatch(out, -1)
	if failed == nil {
		return "", fmt.Errorf("no test failed: %s", out)
	}
	return string(failed[len(failed)-1][1]), nil
}
