package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"
	"github.com/lovoo/goka/tester"

	"github.com/pagetide/pagetide/benchmarks/peers/host"
)

// gokaCount counts in goka's group table, by its tester, which stands in for Kafka and keeps all in memory. The table grows
// with the keys that it sees: it is too slow to be filled first.
func gokaCount(at func(int64) click) *contender {
	kafka := tester.New(fatal{})
	p, err := goka.NewProcessor(nil, goka.DefineGroup("count",
		goka.Input("clicks", new(codec.Int64), func(ctx goka.Context, _ any) {
			n, _ := ctx.Value().(int64)
			ctx.SetValue(n + 1)
		}), goka.Persist(new(codec.Int64))), goka.WithTester(kafka))
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	c := pushed("goka", 0, 16, func(i, end int64) {
		for ; i < end; i++ {
			kafka.Consume("clicks", strconv.FormatUint(at(i).User, 10), int64(1))
		}
	})
	c.version, c.text = host.Version("github.com/lovoo/goka"), "in the tester none; with Kafka at least once, every update of the table is a message to its changelog"
	c.close = func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			check(err)
		}
	}
	return c
}

// fatal is what the tester takes for a test.
type fatal struct{}

func (fatal) Errorf(format string, a ...any) { check(fmt.Errorf(format, a...)) }
func (fatal) Fatalf(format string, a ...any) { check(fmt.Errorf(format, a...)) }
func (fatal) Fatal(a ...any)                 { check(errors.New(fmt.Sprint(a...))) }
