package engine

import (
	"fmt"
	"time"
)

// MetricKind says how a metric moves.
type MetricKind string

// The kinds.
const (
	Counter MetricKind = "counter" // never falls but by a restart, which takes it back to its checkpoint
	Gauge   MetricKind = "gauge"
)

// Metric is one measured value under the name that Flink has for it.
type Metric struct {
	Name    string
	Kind    MetricKind
	Unit    string  // of the value: records, timers, bytes, ms, ns; empty for numbers of other things
	UID     string  // of the operator; empty for the job's
	Subtask int     // of the operator: its index, from 0 on; -1: the operator's as a whole, or the job's
	Input   int     // of the operator, from 1 on; 0: not of one input
	Split   string  // of the source, by its id; empty: not of one split
	Value   float64 // times are ms since 1970
	Text    string  // in place of Value, of lastCheckpointExternalPath
}

// Metrics are the counters under Flink's names, where the meaning is the same: the job's first, then each operator's, followed
// by those of its subtasks. Counters of a subtask begin anew with each attempt, as in Flink; an operator's go on over restarts. To
// push them somewhere, ask [Running].Stats as often as is wanted; nothing is measured for it. Watermarks that have not started
// are not told, nor are those of splits that have ended. numLateRecordsDropped are those that are lost: where [Windowed.Late]
// takes them they are counted in OperatorStats.Late alone. currentInput1Watermark is that of the first input, and so on.
//
// busyTimeMsPerSecond, idleTimeMsPerSecond and backPressuredTimeMsPerSecond, in ms, say what became of a second of the task's
// goroutine in the span of [OperatorStats].Recent; they add up to 1000. An operator's are the mean of its subtasks. Where records
// queue up, tasks are back-pressured, and the busy one that they lead to is what holds them up.
func (s Stats) Metrics() []Metric {
	m := metrics{subtask: -1}
	m.checkpoints(s)
	for _, op := range s.Operators {
		m.operator(op)
	}
	return m.all
}

type metrics struct {
	all     []Metric
	subtask int // whose come next
}

func (m *metrics) put(v Metric) {
	v.Subtask = m.subtask
	m.all = append(m.all, v)
}

func (m *metrics) add(kind MetricKind, uid, name, unit string, v float64) {
	m.put(Metric{Name: name, Kind: kind, UID: uid, Unit: unit, Value: v})
}

func (m *metrics) checkpoints(s Stats) {
	m.add(Gauge, "", "numRestarts", "", float64(s.Restarts))
	m.add(Counter, "", "totalNumberOfCheckpoints", "", float64(s.Completed+s.Failed)+float64(s.InProgress))
	m.add(Gauge, "", "numberOfInProgressCheckpoints", "", float64(s.InProgress))
	m.add(Counter, "", "numberOfCompletedCheckpoints", "", float64(s.Completed))
	m.add(Counter, "", "numberOfFailedCheckpoints", "", float64(s.Failed))
	if !s.Restored.IsZero() {
		m.add(Gauge, "", "lastCheckpointRestoreTimestamp", "ms", millis(s.Restored))
	}
	if s.Last.ID == 0 {
		return
	}
	m.add(Gauge, "", "lastCompletedCheckpointId", "", float64(s.Last.ID))
	m.add(Gauge, "", "lastCheckpointDuration", "ms", float64(s.Last.Duration)/float64(time.Millisecond))
	m.add(Gauge, "", "lastCheckpointSize", "bytes", float64(s.Last.Bytes))
	m.add(Gauge, "", "lastCheckpointFullSize", "bytes", float64(s.Last.FullBytes))
	m.add(Gauge, "", "lastCheckpointCompletedTimestamp", "ms", millis(s.Last.Triggered.Add(s.Last.Duration)))
	m.put(Metric{Name: "lastCheckpointExternalPath", Kind: Gauge, Text: s.Last.Path})
}

func (m *metrics) operator(op OperatorStats) {
	m.common(op.UID, SubtaskStats{
		In: op.In, Out: op.Out, Dropped: op.Dropped, Timers: op.Timers, StartDelay: op.StartDelay, Alignment: op.Alignment, Recent: op.Recent,
	})
	for i, in := range op.Inputs {
		if in.Watermark != MinTime {
			m.put(Metric{Name: fmt.Sprintf("currentInput%dWatermark", i+1), Kind: Gauge, UID: op.UID, Unit: "ms", Input: i + 1, Value: eventMillis(in.Watermark)})
		}
	}
	for _, s := range op.Splits {
		if s.Watermark != MinTime && s.State != SplitEnded {
			m.put(Metric{Name: "currentWatermark", Kind: Gauge, UID: op.UID, Unit: "ms", Split: s.ID, Value: eventMillis(s.Watermark)})
		}
	}
	m.watermark(op, op.Watermark)
	for _, t := range op.Subtasks {
		m.subtask = t.Index
		m.common(op.UID, t)
		m.watermark(op, t.Watermark)
	}
	m.subtask = -1
}

// common are those that an operator has, and each of its subtasks.
func (m *metrics) common(uid string, t SubtaskStats) {
	m.add(Counter, uid, "numRecordsIn", "records", float64(t.In))
	m.add(Counter, uid, "numRecordsOut", "records", float64(t.Out))
	m.add(Counter, uid, "numLateRecordsDropped", "records", float64(t.Dropped))
	m.add(Counter, uid, "numFiredTimers", "timers", float64(t.Timers))
	m.add(Gauge, uid, "checkpointStartDelayNanos", "ns", float64(t.StartDelay))
	m.add(Gauge, uid, "checkpointAlignmentTime", "ns", float64(t.Alignment))
	if all := t.Recent.total(); all > 0 {
		m.add(Gauge, uid, "busyTimeMsPerSecond", "ms", 1000*float64(t.Recent.Busy)/float64(all))
		m.add(Gauge, uid, "idleTimeMsPerSecond", "ms", 1000*float64(t.Recent.Idle)/float64(all))
		m.add(Gauge, uid, "backPressuredTimeMsPerSecond", "ms", 1000*float64(t.Recent.BackPressured)/float64(all))
	}
}

// watermark is that of an operator or of one of its subtasks. Sources take none in, and sinks give none out.
func (m *metrics) watermark(op OperatorStats, w Time) {
	if w == MinTime {
		return
	}
	if len(op.Inputs) > 0 {
		m.add(Gauge, op.UID, "currentInputWatermark", "ms", eventMillis(w))
	}
	if op.Kind != "sink" {
		m.add(Gauge, op.UID, "currentOutputWatermark", "ms", eventMillis(w))
	}
}

func millis(t time.Time) float64 { return float64(t.UnixMilli()) }

func eventMillis(t Time) float64 { return float64(t) / float64(time.Millisecond) }
