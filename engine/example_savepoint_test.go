package engine_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pagetide/pagetide/engine"
)

// A running job is copied into a folder of one's own; the folder is moved, and another directory of checkpoints starts
// from it.
func ExampleRunning_Savepoint() {
	dir, err := os.MkdirTemp("", "tally")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	in := func(name string) engine.Checkpoints { return engine.Checkpoints{Dir: filepath.Join(dir, name)} }

	printed := make(chan bool, 10)
	words := newFeed[string](1)
	running, err := tally(words, printed).Start(ctx, engine.Options{Checkpoints: in("one")})
	if err != nil {
		fmt.Println(err)
		return
	}
	words.add(0, "tide", "page", "tide")
	for range 3 {
		<-printed
	}
	if _, err := running.Savepoint(ctx, filepath.Join(dir, "savepoint")); err != nil {
		fmt.Println(err)
	}
	running.Cancel()

	moved := filepath.Join(dir, "moved")
	if err := os.Rename(filepath.Join(dir, "savepoint"), moved); err != nil {
		fmt.Println(err)
	}
	words.add(0, "tide")
	words.end()
	again := tally(words, printed)
	err = again.Run(ctx, engine.Options{Checkpoints: in("two"), Restore: engine.Restore{Path: moved}})
	fmt.Println(err)
	// Output:
	// tide 1
	// page 1
	// tide 2
	// tide 3
	// <nil>
}
