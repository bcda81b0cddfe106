package engine_test

import (
	"fmt"
	"strings"

	"github.com/pagetide/pagetide/engine"
)

// splitWords emits the words of a line.
func splitWords(line string, out engine.Out[string]) error {
	for word := range strings.FieldsSeq(line) {
		out.Emit(word)
	}
	return nil
}

// printExplained shows how a job would run.
func printExplained(job *engine.Job, parallelism int) {
	x, err := job.Explain(engine.Options{Parallelism: parallelism})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print(x)
}

// One subtask reads, two split lines, four count.
func ExampleStream_Parallelism() {
	job := engine.NewJob("words")
	lines := engine.From(job, "lines", engine.SliceSource("a rose is a rose")).Parallelism(1)
	words := engine.FlatMap(lines, splitWords).Parallelism(2)
	byWord := engine.KeyBy(words, func(word string) string { return word })
	counts := engine.Process(byWord, "count", func(s *engine.Setup) engine.Func[string, string, string] {
		n := engine.NewCell[int](s, "n")
		return func(ctx *engine.Context, word string, _ string, out engine.Out[string]) error {
			*n.Ref(ctx)++
			out.Emit(fmt.Sprint(word, " ", *n.Ref(ctx)))
			return nil
		}
	})
	engine.To(counts, "out", Print[string]())
	printExplained(job, 4)
	// Output:
	// job "words"
	//
	// task 1, 1 subtask
	//   1  source "lines": no event time
	//
	// task 2, 2 subtasks
	//   2  flatmap, of 1 in turn
	//
	// task 3, 4 subtasks
	//   3  process "count", of 2 by key string
	//        cell "n": int
	//   4  sink "out", of 3: at least once
}

// A source of one split is read by one subtask. All share what is to be done with its records.
func ExampleRebalance() {
	job := engine.NewJob("words")
	lines := engine.From(job, "lines", engine.SliceSource("a rose", "is a", "rose"))
	words := engine.FlatMap(engine.Rebalance(lines), splitWords)
	engine.To(words, "out", Print[string]())
	printExplained(job, 2)
	// Output:
	// job "words"
	//
	// task 1, 2 subtasks
	//   1  source "lines": no event time
	//
	// task 2, 2 subtasks
	//   2  rebalance, of 1 in turn
	//   3  flatmap, of 2
	//   4  sink "out", of 3: at least once
}
