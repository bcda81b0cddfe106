//go:build ignore

// Command mutate proves that the simulations see what holds a job together: it makes each change below in turn, runs
// simulated jobs over it, and prints the seed that failed or SURVIVED. It exits 1 if any survived. Run it from the module's
// root:
//
//	go run ./engine/testdata/mutate.go [name...]
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

// mutant is one mistake. The old text must stand in the file once.
type mutant struct{ name, file, old, new string }

var mutants = []mutant{
	{"held inputs are read on", "engine/inbox.go",
		"if i.held || len(i.queue) == 0 {", "if len(i.queue) == 0 {"},
	{"one subtask leaves its state out of the cut", "engine/setup.go",
		"\ta.cuts = append(a.cuts, nodeCut{op.node, cut})\n",
		"\tif op.st.index != 1 {\n\t\ta.cuts = append(a.cuts, nodeCut{op.node, cut})\n\t}\n"},
	{"barriers overtake records", "engine/inbox.go",
		"\t\ti.queue = append(i.queue, m)\n",
		"\t\tif m.kind == msgBarrier {\n\t\t\ti.queue = append([]message{m}, i.queue...)\n\t\t} else {\n\t\t\ti.queue = append(i.queue, m)\n\t\t}\n"},
	{"the last acknowledgement is not waited for", "engine/coordinator.go",
		"missing: len(c.a.subtasks)", "missing: max(1, len(c.a.subtasks)-1)"},
	{"sinks commit before the checkpoint is durable", "engine/coordinator.go",
		"\tctx, r.cancel = context.WithCancelCause(ctx)\n",
		"\tc.durable = slices.Clone(c.open)\n\tc.commit(ctx)\n\tctx, r.cancel = context.WithCancelCause(ctx)\n"},
	{"transactions of a checkpoint that was given up are forgotten", "engine/coordinator.go",
		"\tfor _, n := range c.a.job.nodes {\n\t\tfor _, t := range k.txns[n] {",
		"\tfor _, n := range c.a.job.nodes {\n\t\tif c.round == nil || c.round.id != k.id {\n\t\t\tbreak\n\t\t}\n\t\tfor _, t := range k.txns[n] {"},
	{"handles leave the next checkpoint before they are committed", "engine/coordinator.go",
		"\tc.commit(ctx)\n\treturn nil\n", "\tc.commit(ctx)\n\tc.open = nil\n\treturn nil\n"},
	{"positions are those of the reader, a batch ahead", "engine/splitreader.go",
		"\t\terr := r.Read(ctx, b)\n", "\t\terr := r.Read(ctx, b)\n\t\tp.pos = r.Position()\n"},
	{"watermarks start over at a restore", "engine/watermarks.go",
		"\treturn a.restored.watermark(n.uid, first, end, a.keyGroups)\n",
		"\tif first < end {\n\t\treturn MinTime\n\t}\n\treturn a.restored.watermark(n.uid, first, end, a.keyGroups)\n"},
	{"the watermark overtakes what has fired", "engine/task.go",
		"\tfor _, op := range st.ops {\n\t\tst.flush()\n\t\top.advance(w)\n\t}\n",
		"\tfor _, s := range st.senders {\n\t\ts.send(message{kind: msgWatermark, time: w})\n\t}\n\tfor _, op := range st.ops {\n\t\tst.flush()\n\t\top.advance(w)\n\t}\n"},
	{"time is that of the fastest input", "engine/inputtime.go",
		"\t\t\tleast = min(least, m)\n", "\t\t\tleast = greatest\n"},
	{"prepared transactions are not committed at a restore", "engine/attempt.go",
		"n.sink.recover(a.ctx, t, a.restored.txns(n.uid))", "n.sink.recover(a.ctx, t, nil)"},
	{"what a checkpoint that was given up held is clean", "mmapstate/freeze.go",
		"\t\ts.shards[i].thaw()\n", "\t\t_ = i\n"},
	{"a write saves no frozen lines before it", "mmapstate/guard.go",
		"\t\tsh.save(p) // rule: gather-before-write\n", ""},
	{"a job finishes without its last checkpoint", "engine/coordinator.go",
		"\tif c.finishing() {\n\t\treturn c.begin(final, now)\n\t}\n", "\tif c.finishing() {\n\t\tc.ending = true\n\t\treturn nil\n\t}\n"},
	{"metadata is believed", "meta/decode.go",
		"want != got { // guard: hash-meta", "want != got && len(b) == 0 { // guard: hash-meta"},
	{"pages that cannot be read are empty", "mmapstate/preload.go",
		"\tdefault:\n\t\tl.err = err\n", "\tcase true:\n\t\tclear(block)\n\tdefault:\n\t\tl.err = err\n"},
	{"a checkpoint that cannot be opened is passed over", "snapshotter/load.go",
		"\t\tif errors.Is(err, fs.ErrNotExist) {\n\t\t\tcontinue // an abandoned folder", "\t\tif err != nil {\n\t\t\tcontinue // an abandoned folder"},
	{"the savepoint of a stop is of the oldest checkpoint", "engine/savepoint.go",
		"\tfrom, err := r.dir.Read(last.ID)\n", "\tids, _ := r.dir.List()\n\tfrom, err := r.dir.Read(ids[0])\n"},
	{"a job that comes from a savepoint keeps the ids of its files", "snapshotter/import.go",
		"\tm.Job, m.Attempt = d.job, d.attempt\n", "\tm.Attempt = d.attempt\n"},
	{"a job that is put back leaves newer checkpoints", "snapshotter/discard.go",
		"\t\tif newer <= id {\n", "\t\tif newer > 0 {\n"},
	{"a job that is put back stays where it is", "engine/restore.go",
		"\t\treturn dir.Import(ctx, cp, o.Hooks.Importing)\n",
		"\t\tif r.Rewind {\n\t\t\treturn dir.Latest()\n\t\t}\n\t\treturn dir.Import(ctx, cp, o.Hooks.Importing)\n"},
	{"input that was drained is read on after a restart", "engine/splitreader.go",
		"Time(r.MaxTime), r.Done\n", "Time(r.MaxTime), false\n"},
	{"records that are late are forgotten", "engine/window.go",
		"{ t.late.push(r.val, r.at) }", "{}"},
	{"a checkpoint can be given up when its metadata may be there", "snapshotter/pending.go",
		"\treturn p.settle(phaseOpen, meta.Verdict{Err: aborted(p.failure())})\n",
		"\tv := meta.Verdict{Err: aborted(p.failure())}\n\treturn p.settle(phaseOpen, v) || p.settle(phasePublishing, v)\n"},
	{"what has changed since the checkpoint is evicted", "mmapstate/evict.go",
		"\tif sh.mask[p] != 0 { // rule: dirty-stays\n", "\tif sh.mask[p] != 0 && p == 0 { // rule: dirty-stays\n"},
}

func main() {
	names, survived := os.Args[1:], 0
	start := time.Now()
	for _, m := range mutants {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		killer, err := m.try()
		switch {
		case err != nil:
			killer = "ERROR " + err.Error()
			survived++
		case killer == "":
			killer = "SURVIVED"
			survived++
		}
		fmt.Printf("%-64s %s\n", m.name, killer)
	}
	fmt.Printf("%.0f s\n", time.Since(start).Seconds())
	if survived > 0 {
		os.Exit(1)
	}
}

var seed = regexp.MustCompile(`(?i)seed[( ](\d+)`)

// try runs the simulations over the mutant and says which seed has failed.
func (m mutant) try() (killer string, err error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.write(dir)
	if err != nil {
		return "", err
	}
	args := []string{"test", "-vet=off", "-timeout=600s", "-overlay=" + overlay, "-run=TestSimulatedJobs$", "./engine", "-seeds=5000"}
	out, err := exec.Command("go", args...).CombinedOutput()
	if err == nil {
		return "", nil
	}
	if s := seed.FindSubmatch(out); s != nil {
		return "KILLED by seed " + string(s[1]), nil
	}
	return "", fmt.Errorf("no seed failed: %s", out)
}

// write puts the changed file into dir, and a file for go test -overlay whose name it returns.
func (m mutant) write(dir string) (overlay string, err error) {
	b, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(b), m.old); n != 1 {
		return "", fmt.Errorf("the text to change is in %s %d times: %q", m.file, n, m.old)
	}
	changed := filepath.Join(dir, "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(b), m.old, m.new, 1)), 0o600); err != nil {
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
