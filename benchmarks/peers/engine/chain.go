package main

import (
	"context"

	"github.com/pagetide/pagetide/engine"
)

// spend is what the chain makes of a click.
type spend struct {
	User  uint64
	Cents int64
	At    engine.Time
}

// chainFuncs are the user's functions of the chain, the same for all: a fourth of the records is left out. They are called
// through these values everywhere, so that the compiler inlines none of them anywhere.
type chainFuncs struct {
	at    func(int64) click
	price func(click) spend
	keep  func(spend) bool
	write func([]spend) error
}

func newChain() chainFuncs {
	sum := int64(0)
	return chainFuncs{
		at:    clicks(1000),
		price: func(c click) spend { return spend{c.User, int64(c.User*7 + 1), c.At} },
		keep:  func(s spend) bool { return s.Cents&3 != 0 },
		write: func(rows []spend) error {
			for i := range rows {
				sum += rows[i].Cents
			}
			return nil
		},
	}
}

// chain measures source, map, filter and sink, without state.
func (b *bench) chain() {
	f := newChain()
	all := []*contender{
		run(b, "engine", guarantee, newSource(f.at, 1), 0, b.every, f.graph),
		loop("loop", "none: a loop calling the same functions through the same values, rows in batches of 256", 0, f.loop()),
	}
	if b.peers {
		all = append(all, goStreamsChain(f), b.benthosChain(f))
	}
	r := b.rotate("chain", all...)
	b.ratio("engine.chain.ratio_to_loop", 1/r["engine"].PerCore, 1/r["loop"].PerCore)
	b.result("engine.chain.records_per_s_core", r["engine"].PerCore, "")
}

func (f chainFuncs) graph(job *engine.Job, in engine.Source[click]) {
	spends := engine.Map(engine.From(job, "clicks", in), f.price)
	engine.To(engine.Filter(spends, f.keep), "out", engine.SinkFunc(func(_ context.Context, rows []spend) error { return f.write(rows) }))
}

func (f chainFuncs) loop() func(i, end int64) {
	rows := make([]spend, 0, 256)
	return func(i, end int64) {
		for ; i < end; i++ {
			s := f.price(f.at(i))
			if !f.keep(s) {
				continue
			}
			if rows = append(rows, s); len(rows) == cap(rows) {
				check(f.write(rows))
				rows = rows[:0]
			}
		}
	}
}

// ratio notes a over b, if both were measured.
func (b *bench) ratio(name string, of, to float64) {
	if of/to > 0 && of/to < 1e9 {
		b.result(name, of/to, "x")
	}
}
