package engine_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// Names are looked up in a directory that is slow, and busy now and then.
func ExampleAsync() {
	names := map[int]string{1: "ann", 2: "bob", 3: "cid"}
	busy, asked := errors.New("busy"), make(chan int, 1)
	asked <- 0
	look := func(ctx context.Context, id int) (string, error) {
		n := <-asked
		asked <- n + 1
		if n == 0 {
			return "", busy // the first time
		}
		return names[id], ctx.Err()
	}
	unknown := func(id int) (string, error) { return fmt.Sprint("user ", id), nil }

	job := engine.NewJob("names")
	ids := engine.From(job, "ids", engine.SliceSource(1, 2, 3))
	o := engine.AsyncOptions{
		Capacity: 10,
		Timeout:  time.Minute,
		Retry:    engine.AsyncRetry{Attempts: 3, Delay: time.Millisecond, If: func(err error) bool { return errors.Is(err, busy) }},
	}
	engine.To(engine.Async(ids, "look", o, look, unknown), "out", Print[string]())
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ann
	// bob
	// cid
}
