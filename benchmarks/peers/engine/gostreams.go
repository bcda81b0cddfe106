package main

import (
	"time"

	"github.com/reugn/go-streams"
	"github.com/reugn/go-streams/extension"
	"github.com/reugn/go-streams/flow"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
)

const goStreamsModule = "github.com/reugn/go-streams"

// goStreams feeds a flow of go-streams through its channel.
func goStreams(text string, at func(int64) click, fill int64, flows ...streams.Flow) *contender {
	in := make(chan any)
	sink := extension.NewIgnoreSink()
	last := extension.NewChanSource(in).Via(flows[0])
	for _, f := range flows[1:] {
		last = last.Via(f)
	}
	done := make(chan struct{})
	go func() { last.To(sink); close(done) }()
	c := pushed("go-streams", fill, 256, func(i, end int64) {
		for ; i < end; i++ {
			in <- at(i)
		}
	})
	c.version, c.text = host.Version(goStreamsModule), text
	c.close = func() { close(in); <-done }
	return c
}

// pushed is a contender that is given its records by calls that wait for it.
func pushed(name string, fill, chunk int64, push func(i, end int64)) *contender {
	at := int64(0)
	return &contender{
		name: name,
		fill: func() {
			for ; at < fill; at += chunk {
				push(at, at+chunk)
			}
		},
		turn: func(d time.Duration) int64 {
			from := at
			for start := time.Now(); time.Since(start) < d; at += chunk {
				push(at, at+chunk)
			}
			return at - from
		},
	}
}

func goStreamsChain(f chainFuncs) *contender {
	return goStreams("none: records in flight are lost in a crash", f.at, 0, flow.NewMap(flow.MapFunction[click, spend](f.price), 1),
		flow.NewFilter(flow.FilterPredicate[spend](f.keep), 1))
}

// goStreamsCount counts in a filter that lets nothing pass: the library has no state of its own.
func goStreamsCount(at func(int64) click, users int64) *contender {
	counts := map[uint64]int64{}
	return goStreams("none: no keyed state, counts are in a Go map of the program's and lost in a crash", at, users,
		flow.NewFilter(func(c click) bool { counts[c.User]++; return false }, 1))
}
