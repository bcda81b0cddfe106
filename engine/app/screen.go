package app

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pagetide/pagetide/engine"
)

const (
	tickEvery  = 250 * time.Millisecond
	plainEvery = 5 * time.Second // a progress line without a terminal
	jsonEvery  = time.Second     // a progress event
)

// screen shows a run: a live line on a terminal, events as JSON, or plain lines. Whatever else is written goes through
// it too, so that the live line is out of the way.
type screen struct {
	stdout, stderr io.Writer
	json           bool
	width          func() (int, bool) // of the terminal

	mu      sync.Mutex // guards all below, and the order of lines
	line    string     // the live line, now on the terminal
	shownAt time.Time  // of the last progress
	before  engine.Stats
	rate    float64 // records per second
}

func newScreen(p *program, f runFlags) *screen {
	return &screen{stdout: p.stdout, stderr: p.stderr, json: f.json, width: p.terminal, shownAt: time.Now()}
}

// logger passes on what the engine logs.
func (s *screen) logger(verbose int) *slog.Logger {
	level := slog.LevelWarn - slog.Level(4*min(verbose, 2))
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: level}))
}

// Write writes whole lines to stderr.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.line
	s.draw("")
	n, err := s.stderr.Write(b)
	s.draw(line)
	return n, err
}

func (s *screen) say(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// show takes an event. It may be called by any goroutine.
func (s *screen) show(e event) {
	if !s.json {
		if text := e.text(); text != "" {
			s.say("%s", text)
		}
		return
	}
	e.Time = time.Now().UTC()
	b, err := json.Marshal(e)
	if err != nil {
		s.say("event %s: %v", e.Event, err) // no event has such a value
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stdout.Write(append(b, '\n')) // a reader that is gone does not end the job
}

// tick shows progress, as often as the way of showing bears.
func (s *screen) tick(now time.Time, stats engine.Stats) {
	s.mu.Lock()
	since := now.Sub(s.shownAt)
	if since < s.every() {
		s.mu.Unlock()
		return
	}
	_, live := s.width()
	rate := float64(max(0, stats.RecordsIn-s.before.RecordsIn)) / since.Seconds() // a restart counts from before
	if s.rate == 0 {
		s.rate = rate
	}
	s.rate += (rate - s.rate) * min(1, since.Seconds()) // over about a second
	s.before, s.shownAt = stats, now
	if live && !s.json {
		width, _ := s.width()
		s.draw(fit(liveParts(stats, s.rate), width-1))
	}
	s.mu.Unlock()
	switch {
	case s.json:
		s.show(event{Event: "progress", Stats: aboutStats(stats)})
	case !live:
		s.say("%s", strings.Join(liveParts(stats, rate), ", "))
	}
}

// every is how often progress is shown. The caller holds mu.
func (s *screen) every() time.Duration {
	_, live := s.width()
	switch {
	case s.json:
		return jsonEvery
	case live:
		return tickEvery / 2
	}
	return plainEvery
}

// verifying shows how much of a checkpoint was verified before the job begins.
func (s *screen) verifying(done, total int64) {
	s.mu.Lock()
	now := time.Now()
	if now.Sub(s.shownAt) < s.every() {
		s.mu.Unlock()
		return
	}
	s.shownAt = now
	width, live := s.width()
	text := fmt.Sprintf("verifying the checkpoint: %s of %s", bytesText(done), bytesText(total))
	if live && !s.json {
		s.draw(fit([]string{text}, width-1))
	}
	s.mu.Unlock()
	switch {
	case s.json:
		s.show(event{Event: "verifying", Bytes: done, TotalBytes: total})
	case !live:
		s.say("%s", text)
	}
}

// clear takes the live line away for good.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draw("")
}

// draw replaces the live line. The caller holds mu.
func (s *screen) draw(line string) {
	if line == s.line {
		return
	}
	old := utf8.RuneCountInString(s.line)
	pad := strings.Repeat(" ", max(0, old-utf8.RuneCountInString(line)))
	io.WriteString(s.stderr, "\r"+line+pad)
	if line == "" {
		io.WriteString(s.stderr, "\r")
	}
	s.line = line
}

// liveParts are the pieces of the live line, the most important first.
func liveParts(s engine.Stats, rate float64) []string {
	parts := []string{grouped(int64(rate)) + " records/s", grouped(s.RecordsIn) + " in"}
	if s.Loading {
		parts = append(parts, fmt.Sprintf("state %d %% loaded", percent(s.Resident, s.Pages)))
	}
	if w := watermark(s.Watermark); w != "" {
		parts = append(parts, "watermark "+w)
	}
	if c := s.Last; c.ID > 0 {
		parts = append(parts, fmt.Sprintf("checkpoint %d: %s, %s of %s", c.ID, short(c.Duration), bytesText(c.Bytes), bytesText(c.FullBytes)))
	}
	parts = append(parts, fmt.Sprintf("late %s", grouped(s.Late)))
	if s.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("skipped %s", grouped(s.Skipped)))
	}
	if s.Failed > 0 {
		parts = append(parts, fmt.Sprintf("failed checkpoints %d", s.Failed))
	}
	if s.Stalled > 0 {
		parts = append(parts, "stalled "+short(s.Stalled))
	}
	return append(parts, fmt.Sprintf("restarts %d", s.Restarts))
}

// fit joins as many parts as the width takes.
func fit(parts []string, width int) string {
	line := parts[0]
	for _, p := range parts[1:] {
		if len(line)+2+len(p) > width {
			break
		}
		line += "  " + p
	}
	return line[:max(0, min(len(line), width))]
}
