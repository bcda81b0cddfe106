// Package sim is the seam between a running job and a simulator that decides what happens next.
//
// Every goroutine of a job that can be woken by another calls Step before it does anything: the simulator lets one go on at
// a time. Between two steps a goroutine runs alone, and so everything that happens is the simulator's choice.
package sim

import "context"

// World decides for a job. Its methods may be called concurrently.
type World interface {
	// Step returns when the task may go on. Of the tasks that wait in Step no two have the same name.
	Step(task, what string)

	// Risk is Step before something that may fail: an error is what the simulator lets happen instead.
	Risk(task, what string) error

	// Note says what the task that goes on has found.
	Note(task, what string)

	// Number is a random number that only depends on what has happened before. It is for the task that goes on.
	Number() uint64
}

type key struct{}

// With puts a job that is started with the context into a world.
func With(ctx context.Context, w World) context.Context { return context.WithValue(ctx, key{}, w) }

// Of is the world of a context; nil is the real one.
func Of(ctx context.Context) World {
	w, _ := ctx.Value(key{}).(World)
	return w
}
