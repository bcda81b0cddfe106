package mmapstate

import (
	"errors"
	"testing"

	"github.com/pagetide/pagetide/meta"
)

// interleaving is the guard's model with two pages and a freeze that is gathered page by page.
type interleaving struct {
	*guardSim
	a, b uint32
}

func newInterleaving() *interleaving {
	m := &interleaving{guardSim: newGuardSim(0)}
	m.a, _ = m.s.look(0).alloc(pageRun, 0)
	m.b, _ = m.s.look(0).alloc(pageRun, 0)
	m.live[0][m.a], m.live[0][m.b] = [meta.PageLines]uint64{}, [meta.PageLines]uint64{}
	return m
}

func (m *interleaving) set(p uint32, lines ...uint32) {
	sh, v := m.s.look(0), m.live[0][p]
	m.n++
	for _, l := range lines {
		sh.touch(p, lineBits(l*64+lineMark, 8))
		store64(sh.page(p), l*64+lineMark, m.n)
		v[l] = m.n
	}
	m.live[0][p] = v
}

// moves are what can come between a freeze and its verdict.
var moves = []func(m *interleaving){
	func(m *interleaving) { m.set(m.a, 0) },
	func(m *interleaving) { m.set(m.a, 8, 9) },
	func(m *interleaving) { m.set(m.b, 0) },
	func(m *interleaving) { m.s.cut.step(2, false) }, // one page
	func(m *interleaving) { // b dies, and a page is born, maybe in its place
		sh := m.s.look(0)
		sh.free(m.b)
		delete(m.live[0], m.b)
		m.b, _ = sh.alloc(pageRun, 0)
		m.live[0][m.b] = [meta.PageLines]uint64{}
	},
}

// end aborts the cut or commits it, and tells whether the checkpoint is the state at the barrier.
func (m *interleaving) end(whole, abort bool) error {
	if abort {
		m.s.cut.Done(meta.Verdict{Err: errors.New("disk on fire")})
		_, _ = m.s.Settle()
		return nil
	}
	for !m.s.cut.step(100, false) {
	}
	if err := m.read.drain(); err != nil {
		return err
	}
	v := verdict(m.chain.commit(m.read))
	v.Whole = whole
	m.s.cut.Done(v)
	if done, err := m.s.Settle(); !done || err != nil {
		return err
	}
	m.last = m.snap
	return m.compare()
}

// TestEveryInterleaving goes through every sequence of five moves after a freeze, with a commit or an abort at its end; in
// both cases what the next commit of the sequence holds is the state at its barrier, not later and not earlier.
func TestEveryInterleaving(t *testing.T) {
	m, n := newInterleaving(), len(moves)
	defer func() { m.s.Close() }()
	step := 1
	if raceBuild {
		step = 7
	}
	for seq := 0; seq < n*n*n*n*n*2; seq += step {
		own := uint32(16 + seq%3) // not what the next sequence writes, should this one be aborted
		m.set(m.a, 8, own)
		m.set(m.b, 1, own)
		if err := m.barrier(); err != nil {
			t.Fatal(err)
		}
		for i, rest := 0, seq/2; i < 5; i, rest = i+1, rest/n {
			moves[rest%n](m)
		}
		if err := m.end(seq%16 == 0, seq%2 == 1); err != nil {
			t.Fatalf("sequence %d: %v", seq, err)
		}
	}
}
