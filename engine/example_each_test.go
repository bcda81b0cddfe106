package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pagetide/pagetide/engine"
)

// pairs hands records on two by two. What waits for its partner is part of the checkpoint.
type pairs struct{ waiting engine.OperatorList[string] }

func newPairs(s *engine.Setup) *pairs {
	return &pairs{engine.NewOperatorList[string](s, "waiting")}
}

func (p *pairs) OnRecord(ctx *engine.Context, name string, out engine.Out[string]) error {
	p.waiting.Append(ctx, name)
	if p.waiting.Len(ctx) == 2 {
		out.Emit(fmt.Sprint(slices.Collect(p.waiting.All(ctx))))
		p.waiting.Clear(ctx)
	}
	return nil
}

func ExampleProcessEach() {
	job := engine.NewJob("pairs")
	names := engine.From(job, "names", engine.SliceSource("ann", "bob", "cid", "dan", "eve"))
	engine.To(engine.ProcessEach(names, "pairs", newPairs), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// [ann bob]
	// [cid dan]
}

func ExampleNewOperatorList() {
	job := engine.NewJob("distinct")
	names := engine.From(job, "names", engine.SliceSource("ann", "bob", "ann"))
	first := engine.ProcessEach(names, "first", func(s *engine.Setup) engine.EachFunc[string, string] {
		seen := engine.NewOperatorList[string](s, "seen")
		return func(ctx *engine.Context, name string, out engine.Out[string]) error {
			for other := range seen.All(ctx) {
				if other == name {
					return nil
				}
			}
			seen.Append(ctx, name)
			out.Emit(name)
			return nil
		}
	})
	engine.To(first, "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann
	// bob
}

func ExampleEachFunc() {
	job := engine.NewJob("shout")
	words := engine.From(job, "words", engine.SliceSource("hello", "world"))
	loud := engine.ProcessEach(words, "loud", func(*engine.Setup) engine.EachFunc[string, string] {
		return func(_ *engine.Context, word string, out engine.Out[string]) error {
			out.Emit(word + "!")
			return nil
		}
	})
	engine.To(loud, "out", Print[string]())
	printExplained(job, 1)
	// Output:
	// job "shout"
	//
	// task 1, 1 subtask
	//   1  source "words": no event time
	//   2  process each "loud", of 1
	//   3  sink "out", of 2: at least once
}

// banned holds back names that it has been told of. The list reaches every subtask.
type banned struct {
	names engine.BroadcastState[string, bool]
}

func newBanned(s *engine.Setup) banned {
	return banned{engine.NewBroadcastState[string, bool](s, "names")}
}

func (b banned) OnRecord(ctx *engine.Context, name string, out engine.Out[string]) error {
	if is, _ := b.names.Get(ctx, name); !is {
		out.Emit(name)
	}
	return nil
}

func (b banned) OnBroadcast(ctx *engine.Context, name string, _ engine.Out[string]) error {
	b.names.Put(ctx, name, true)
	return nil
}

func ExampleProcessEachBroadcast() {
	job := engine.NewJob("bans")
	lines := engine.From(job, "lines", engine.SliceSource("hello ann", "hello bob", "ban bob", "hello bob", "hello cid"))
	word := func(first string) engine.Stream[string] {
		return engine.FlatMap(lines, func(line string, out engine.Out[string]) error {
			if name, ok := strings.CutPrefix(line, first+" "); ok {
				out.Emit(name)
			}
			return nil
		})
	}
	engine.To(engine.ProcessEachBroadcast(word("hello"), word("ban"), "banned", newBanned), "out", Print[string]())
	printExplained(job, 2)
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// job "bans"
	//
	// task 1, 2 subtasks
	//   1  source "lines": no event time
	//   2  flatmap, of 1
	//   3  flatmap, of 1
	//
	// task 2, 2 subtasks
	//   4  process each broadcast "banned", of 2 and 3 to all
	//   5  broadcast "banned.broadcast": all of it in each subtask of 4
	//        broadcast state "names": from string to bool
	//   6  sink "out", of 4: at least once
	// ann
	// bob
	// cid
}
