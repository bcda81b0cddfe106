package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pagetide/pagetide/engine"
)

// event is something that happened in a run: one line of --json.
type event struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	Job   string    `json:"job,omitempty"`
	Args  []string  `json:"args,omitempty"`

	Checkpoint *checkpointInfo `json:"checkpoint,omitempty"`
	Stats      *statsInfo      `json:"stats,omitempty"`

	Bytes      int64   `json:"bytes,omitempty"`       // verified
	TotalBytes int64   `json:"total_bytes,omitempty"` // to verify
	TookMS     float64 `json:"took_ms,omitempty"`

	Attempt int     `json:"attempt,omitempty"`
	AfterMS float64 `json:"after_ms,omitempty"`

	Kept      *bool  `json:"kept,omitempty"`
	Resume    string `json:"resume,omitempty"`
	Savepoint string `json:"savepoint,omitempty"`
	Error     string `json:"error,omitempty"`
	Stack     string `json:"stack,omitempty"` // of a panic
	Hint      string `json:"hint,omitempty"`
	Exit      int    `json:"exit,omitempty"`
}

type checkpointInfo struct {
	ID         uint64  `json:"id,omitempty"`
	Path       string  `json:"path,omitempty"`
	DurationMS float64 `json:"duration_ms,omitempty"`
	Bytes      int64   `json:"bytes,omitempty"`
	FullBytes  int64   `json:"full_bytes,omitempty"`
	Files      int     `json:"files,omitempty"`
}

type statsInfo struct {
	RecordsIn  int64   `json:"records_in"`
	RecordsOut int64   `json:"records_out"`
	Late       int64   `json:"late"`
	Skipped    int64   `json:"skipped"`
	Watermark  string  `json:"watermark,omitempty"`
	Restarts   int     `json:"restarts"`
	Completed  int64   `json:"checkpoints"`
	Failed     int64   `json:"failed_checkpoints"`
	Expired    int64   `json:"expired_checkpoints"`
	StalledMS  float64 `json:"stalled_ms"`
	Pages      int64   `json:"state_pages"`
	Resident   int64   `json:"resident_pages"`
	Loading    bool    `json:"loading,omitempty"`
}

func aboutCheckpoint(c engine.Checkpoint) *checkpointInfo {
	return &checkpointInfo{uint64(c.ID), c.Path, millis(c.Duration), c.Bytes, c.FullBytes, c.Files}
}

func aboutStats(s engine.Stats) *statsInfo {
	return &statsInfo{s.RecordsIn, s.RecordsOut, s.Late, s.Skipped, watermark(s.Watermark), s.Restarts, s.Completed, s.Failed, s.Expired, millis(s.Stalled),
		s.Pages, s.Resident, s.Loading}
}

// text is the event for people; empty if it is not worth a line.
func (e event) text() string {
	switch e.Event {
	case "started":
		if len(e.Args) > 0 { // some of which the job may have made up, such as where its output goes
			return fmt.Sprintf("%s runs with %s", e.Job, quoteAll(e.Args))
		}
	case "restored":
		return fmt.Sprintf("continuing from checkpoint %d (%s)", e.Checkpoint.ID, e.Checkpoint.Path)
	case "loaded":
		if took := time.Duration(e.TookMS * float64(time.Millisecond)); took >= time.Second { // else nobody has waited for it
			return fmt.Sprintf("all state of checkpoint %d is loaded and verified after %s", e.Checkpoint.ID, short(took))
		}
	case "importing":
		return fmt.Sprintf("bringing in %s from %s", bytesText(e.Checkpoint.FullBytes), e.Checkpoint.Path)
	case "fresh":
		return "there is no checkpoint to resume: starting fresh"
	case "checkpoint_failed":
		why := strings.TrimPrefix(e.Error, fmt.Sprintf("checkpoint %d: ", e.Checkpoint.ID))
		return fmt.Sprintf("checkpoint %d failed, the job goes on: %s", e.Checkpoint.ID, why)
	case "restart":
		return fmt.Sprintf("restart %d in %s: %s", e.Attempt, short(time.Duration(e.AfterMS*float64(time.Millisecond))), e.Error) + indented(e.Stack)
	}
	return ""
}

// percent rounds down: there is no 100 before all is done.
func percent(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return min(part, whole) * 100 / whole
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// watermark is empty before the first, and says so at the end of time.
func watermark(t engine.Time) string {
	switch t {
	case engine.MinTime:
		return ""
	case engine.MaxTime:
		return "end"
	}
	return t.UTC().Format(time.RFC3339)
}

// short rounds a duration to what a reader takes in.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/1024, 0
	for v >= 1024 && unit < 3 {
		v, unit = v/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGT"[unit])
}

// grouped writes 1234567 as 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(s[i])
	}
	return sign + b.String()
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

const safeChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:,+@%"

// quote writes a word so that a shell reads it back as one.
func quote(word string) string {
	if word != "" && strings.Trim(word, safeChars) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
