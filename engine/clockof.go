package engine

import "context"

// clockKey finds the job's clock in a context.
type clockKey struct{}

// ClockOf is the clock of the job that ctx comes from: of any context that the engine hands to a source or a sink. It is the
// machine's for any other. A source that waits for a time asks it, so that tests can let time pass.
func ClockOf(ctx context.Context) Clock {
	if c, ok := ctx.Value(clockKey{}).(Clock); ok {
		return c
	}
	return machineClock{}
}

func withClock(ctx context.Context, c Clock) context.Context {
	return context.WithValue(ctx, clockKey{}, c)
}
