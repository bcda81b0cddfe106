package engine

import (
	"math"
	"time"
)

// Time is an instant, in event time or processing time: nanoseconds since 1970-01-01 UTC. It is flat, so it can stand in a [Cell]'s type
// where a time.Time cannot. It covers the years 1678 to 2261.
type Time int64

// The ends of event time. A watermark of MinTime has not started; one of MaxTime says that no record follows.
const (
	MinTime Time = math.MinInt64
	MaxTime Time = math.MaxInt64
)

// TimeOf converts a time.Time. Instants outside of Time's range become MinTime or MaxTime, which no record may carry.
func TimeOf(t time.Time) Time {
	switch s := t.Unix(); {
	case s <= math.MinInt64/int64(time.Second):
		return MinTime
	case s >= math.MaxInt64/int64(time.Second):
		return MaxTime
	}
	return Time(t.UnixNano())
}

// Add returns the time d later. It stops at the ends of the range instead of wrapping around.
func (t Time) Add(d time.Duration) Time {
	s := t + Time(d)
	switch {
	case d > 0 && s < t:
		return MaxTime
	case d < 0 && s > t:
		return MinTime
	}
	return s
}

// Sub returns how much later t is than u, limited to the range of a time.Duration.
func (t Time) Sub(u Time) time.Duration {
	d := t - u
	switch {
	case t > u && d < 0:
		return math.MaxInt64
	case t < u && d > 0:
		return math.MinInt64
	}
	return time.Duration(d)
}

// UTC converts to a time.Time.
func (t Time) UTC() time.Time { return time.Unix(0, int64(t)).UTC() }

// String is RFC 3339 with as many digits as needed; the ends of the range read "min" and "max".
func (t Time) String() string {
	switch t {
	case MinTime:
		return "min"
	case MaxTime:
		return "max"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// Span is a half-open stretch of event time: Start belongs to it, End does not.
type Span struct{ Start, End Time }

// String reads "[start, end)".
func (s Span) String() string { return "[" + s.Start.String() + ", " + s.End.String() + ")" }
