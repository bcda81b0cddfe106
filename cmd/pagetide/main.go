// Pagetide runs the built-in jobs and looks at checkpoints. A program with jobs of one's own is the same with those.
package main

import (
	"github.com/pagetide/pagetide/cmd/pagetide/flights"
	"github.com/pagetide/pagetide/engine/app"
)

func main() { app.Main(flights.Job) }
