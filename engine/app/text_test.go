package app

import (
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"": "''", "a/b_c-1.x=2": "a/b_c-1.x=2", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'",
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for in, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := grouped(in); got != want {
			t.Errorf("grouped(%d) = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[int64]string{1023: "1023 B", 1536: "1.5 KiB", 5 << 40: "5.0 TiB", 5 << 50: "5120.0 TiB"} {
		if got := bytesText(in); got != want {
			t.Errorf("bytesText(%d) = %s, want %s", in, got, want)
		}
	}
}

func TestInvokedAs(t *testing.T) {
	for in, want := range map[string]string{
		"pagetide": "pagetide", "./pagetide": "./pagetide", "/opt/my jobs": "'/opt/my jobs'",
		"/x/go-build12/b001/exe/pagetide": "pagetide", "": "pagetide", "pagetide.exe": "pagetide",
	} {
		if got := invokedAs(in); got != want {
			t.Errorf("invokedAs(%q) = %s, want %s", in, got, want)
		}
	}
}

// The live line never reaches the last column, and text that is written meanwhile stands on lines of its own.
func TestLiveLine(t *testing.T) {
	stats := engine.Stats{RecordsIn: 1234567, Late: 3, Skipped: 1, Watermark: engine.TimeOf(time.Date(2001, 1, 2, 3, 4, 5, 0, time.UTC)),
		Last: engine.Checkpoint{ID: 42, Duration: 3 * time.Millisecond, Bytes: 2048, FullBytes: 1 << 20}}
	for width := 1; width < 200; width++ {
		if got := fit(liveParts(stats, 1000), width); len(got) > width {
			t.Fatalf("width %d: %q", width, got)
		}
	}
	want := "1,000 records/s  1,234,567 in  watermark 2001-01-02T03:04:05Z  checkpoint 42: 3ms, 2.0 KiB of 1.0 MiB  late 3  skipped 1  restarts 0"
	if got := fit(liveParts(stats, 1000), 200); got != want {
		t.Errorf("live line %q, want %q", got, want)
	}

	stats.Loading, stats.Resident, stats.Pages = true, 437, 1000
	if got := fit(liveParts(stats, 1000), 60); got != "1,000 records/s  1,234,567 in  state 43 % loaded" {
		t.Errorf("live line %q does not tell of the state", got)
	}

	var out strings.Builder
	s := &screen{stderr: &out, width: func() (int, bool) { return 20, true }}
	s.tick(time.Now(), stats)
	live := s.line
	s.say("hello")
	s.clear()
	wiped := "\r" + strings.Repeat(" ", len(live)) + "\r"
	if want := "\r" + live + wiped + "hello\n\r" + live + wiped; out.String() != want {
		t.Errorf("terminal got %q, want %q", out.String(), want)
	}
}

func TestPlainProgress(t *testing.T) {
	var out strings.Builder
	start := time.Now()
	s := &screen{stderr: &out, width: noTerminal, shownAt: start}
	for i := range 41 { // ten seconds
		s.tick(start.Add(time.Duration(i)*tickEvery), engine.Stats{RecordsIn: int64(i), Watermark: engine.MinTime})
	}
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines in ten seconds:\n%s", got, &out)
	}
}
