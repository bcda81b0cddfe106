package fuzz

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of the corpora anew")

// corpus writes or compares generated entries of a target. What fuzzing found lies beside them under other names.
func corpus(t *testing.T, target string, n int, entry func(r *rand.Rand) []byte) {
	t.Helper()
	dir := filepath.Join("testdata", "fuzz", target)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("generated-%03d", i))
		want := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", entry(rand.New(rand.NewPCG(uint64(i), 21))))
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Fatalf("%s is not what the generator makes: run go test -run TestCorpus -update (%v)", name, err)
		}
	}
}

// corpusOfSpecimen writes generated entries of a target that is about the specimen's bytes. Those change with every layout
// of state, and old entries are as good as new ones, so they need only be there.
func corpusOfSpecimen(t *testing.T, target string, n int, entry func(r *rand.Rand) []byte) {
	t.Helper()
	if *update {
		corpus(t, target, n, entry)
		return
	}
	if found, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "generated-*")); err != nil || len(found) != n {
		t.Fatalf("%d generated entries of %s, want %d: run go test -run TestCorpus -update (%v)", len(found), target, n, err)
	}
}

func TestCorpusOfState(t *testing.T) { corpus(t, "FuzzState", 220, randomScript) }

// randomScript makes a script in the order of a program's life: fill, checkpoint, go on, restore.
func randomScript(r *rand.Rand) []byte {
	var s script
	for i := range s.config {
		s.config[i] = byte(r.Uint32())
	}
	if r.IntN(3) == 0 {
		s.config[5] = 0 // no TTL
	}
	g := generator{r: r, s: &s, keys: 1 + r.IntN(60)}
	for len(s.ops) < 85 {
		g.round()
	}
	return s.bytes()
}

type generator struct {
	r    *rand.Rand
	s    *script
	keys int // few, so that steps meet
}

func (g *generator) byte() byte { return byte(g.r.Uint32()) }

func (g *generator) table() {
	a := byte(g.r.IntN(g.keys))
	action := g.r.IntN(actions)
	if action >= 9 && g.r.IntN(4) > 0 {
		action %= 9 // bulks and walks are seldom
	}
	g.s.ops = append(g.s.ops, useTable(g.r.IntN(tableCount), action, a, g.byte(), g.byte()))
}

func (g *generator) control(c control) {
	b := g.byte()
	if g.r.IntN(3) > 0 {
		b %= 128 // no failing disk, no other TTL
	}
	g.s.ops = append(g.s.ops, useControl(c, g.byte(), b, g.byte()))
}

// round is a checkpoint with what may happen around it.
func (g *generator) round() {
	g.some(8)
	g.control(ctrlFreeze)
	for range g.r.IntN(3) {
		g.some(4)
		g.control(ctrlGather)
	}
	g.some(4)
	switch g.r.IntN(8) {
	case 0:
		g.control(ctrlAbort)
	case 1: // a crash
	default:
		g.control(ctrlCommit)
	}
	g.some(5)
	switch g.r.IntN(5) {
	case 0:
		g.control(ctrlEvict)
	case 1, 2:
		g.control(ctrlRestore)
	case 3:
		g.cleaning()
	}
}

// cleaning is a lazy restore, then a checkpoint that has to carry what is still absent.
func (g *generator) cleaning() {
	const lazy, compared = 4, 2
	g.s.ops = append(g.s.ops,
		useControl(ctrlRestore, lazy, 0, 0),
		useControl(ctrlFreeze, 0, 0, 0),
		useControl(ctrlCarry, g.byte(), 0, 16*g.byte()|byte(g.r.IntN(3))),
		useControl(ctrlCommit, 0, 0, 0),
		useControl(ctrlEvict, g.byte(), 0, 0))
	g.some(3)
	g.s.ops = append(g.s.ops,
		useControl(ctrlFreeze, 0, 0, 0),
		useControl(ctrlCommit, 0, 0, 0),
		useControl(ctrlRestore, lazy*byte(g.r.IntN(2))|compared, 0, 0))
}

func (g *generator) some(n int) {
	for range g.r.IntN(n) {
		if g.table(); g.r.IntN(5) == 0 {
			g.control([]control{ctrlTick, ctrlTick, ctrlTick, ctrlExpire, ctrlExpire, ctrlKeep, ctrlEvict, ctrlCarry, ctrlCheck, ctrlCompare}[g.r.IntN(10)])
		}
	}
}
