package engine

import "time"

// MetricKind says how a metric moves.
type MetricKind string

// The kinds.
const (
	Counter MetricKind = "counter" // never falls but by a restart, which takes it back to its checkpoint
	Gauge   MetricKind = "gauge"
)

// Metric is one measured value under the name that Flink has for it.
type Metric struct {
	Name  string
	Kind  MetricKind
	Unit  string  // of the value: records, timers, bytes, ms, ns; empty for numbers of other things
	UID   string  // of the operator; empty for the job's
	Input int     // of the operator, from 1 on; 0: not of one input
	Value float64 // times are ms since 1970
	Text  string  // in place of Value, of lastCheckpointExternalPath
}

// Metrics are the counters under Flink's names, where the meaning is the same, the job's first. To push them somewhere, ask
// [Running].Stats as often as is wanted; nothing is measured for it. Watermarks that have not started are not told.
func (s Stats) Metrics() []Metric {
	m := metrics{}
	m.checkpoints(s)
	for _, op := range s.Operators {
		m.operator(op)
	}
	return m
}

type metrics []Metric

func (m *metrics) add(kind MetricKind, uid, name, unit string, v float64) {
	*m = append(*m, Metric{Name: name, Kind: kind, UID: uid, Unit: unit, Value: v})
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
	*m = append(*m, Metric{Name: "lastCheckpointExternalPath", Kind: Gauge, Text: s.Last.Path})
}

func (m *metrics) operator(op OperatorStats) {
	m.add(Counter, op.UID, "numRecordsIn", "records", float64(op.In))
	m.add(Counter, op.UID, "numRecordsOut", "records", float64(op.Out))
	m.add(Counter, op.UID, "numLateRecordsDropped", "records", float64(op.Late))
	m.add(Gauge, op.UID, "checkpointStartDelayNanos", "ns", float64(op.StartDelay))
	m.add(Gauge, op.UID, "checkpointAlignmentTime", "ns", float64(op.Alignment))
	for i, in := range op.Inputs {
		if in.Watermark != MinTime {
			*m = append(*m, Metric{Name: "currentInputNWatermark", Kind: Gauge, UID: op.UID, Unit: "ms", Input: i + 1, Value: eventMillis(in.Watermark)})
		}
	}
	if op.Watermark == MinTime {
		return
	}
	if len(op.Inputs) > 0 {
		m.add(Gauge, op.UID, "currentInputWatermark", "ms", eventMillis(op.Watermark))
	}
	m.add(Gauge, op.UID, "currentOutputWatermark", "ms", eventMillis(op.Watermark))
}

func millis(t time.Time) float64 { return float64(t.UnixMilli()) }

func eventMillis(t Time) float64 { return float64(t) / float64(time.Millisecond) }
