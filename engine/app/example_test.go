package app_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/app"
)

// squares is a whole job: one flag, and a graph.
var squares = app.Job{
	Name:  "squares",
	About: "squares of the first numbers",
	New: func(args *flag.FlagSet) app.Build {
		n := args.Int("n", 3, "how many")
		return func(job *engine.Job) error {
			var numbers []int
			for i := range *n {
				numbers = append(numbers, i+1)
			}
			in := engine.From(job, "numbers", engine.SliceSource(numbers...))
			engine.To(engine.Map(in, func(i int) int { return i * i }), "out", engine.SinkFunc(print))
			return nil
		}
	},
}

func print(_ context.Context, batch []int) error {
	for _, v := range batch {
		fmt.Println(v)
	}
	return nil
}

func ExampleRun() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	args := []string{"run", "-D", "state.checkpoints.dir=" + dir, "squares", "--n", "4"}
	fmt.Println("exit code", app.Run(context.Background(), args, os.Stdout, io.Discard, squares))
	// Output:
	// 1
	// 4
	// 9
	// 16
	// exit code 0
}

// A program of one's own: go run . run squares --n 10.
func ExampleMain() {
	if len(os.Args) > 1 && os.Args[1] == "run" { // so that the example can be tested
		app.Main(squares)
	}
	// Output:
}

func ExampleJob() {
	args := flag.NewFlagSet(squares.Name, flag.ContinueOnError)
	build := squares.New(args)
	if err := args.Parse([]string{"--n", "2"}); err != nil {
		fmt.Println(err)
	}
	job := engine.NewJob("my-squares")
	if err := build(job); err != nil {
		fmt.Println(err)
	}
	fmt.Println(job.Run(context.Background(), engine.Options{}))
	// Output:
	// 1
	// 4
	// <nil>
}

func ExampleBuild() {
	var build app.Build = func(job *engine.Job) error {
		engine.To(engine.From(job, "in", engine.SliceSource(7)), "out", engine.SinkFunc(print))
		return nil
	}
	job := engine.NewJob("seven")
	if err := build(job); err != nil {
		fmt.Println(err)
	}
	fmt.Println(job.Run(context.Background(), engine.Options{}))
	// Output:
	// 7
	// <nil>
}
