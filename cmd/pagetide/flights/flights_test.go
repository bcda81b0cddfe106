package flights

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pagetide/pagetide/engine/app"
	"github.com/pagetide/pagetide/engine/connect/file"
)

// run runs the job in the working directory.
func run(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var stdout, text bytes.Buffer
	code = app.Run(t.Context(), append([]string{"run"}, args...), &stdout, &text, Job)
	return code, text.String()
}

// batch computes the job's result in one go.
func batch(t *testing.T, lines []string) []string {
	t.Helper()
	type group struct{ origin, day string }
	delays := map[group][]int32{}
	for _, line := range lines {
		var f struct {
			Date, Origin string
			Delay        int32
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		g := group{f.Origin, strings.ReplaceAll(f.Date[:10], "/", "-")}
		delays[g] = append(delays[g], f.Delay)
	}
	var rows []string
	for g, all := range delays {
		sum, late := 0, 0
		for _, d := range all {
			sum += int(d)
			if d > 15 {
				late++
			}
		}
		n := float64(len(all))
		row, err := json.Marshal(Delays{g.origin, g.day, int64(len(all)), float64(sum) / n, slices.Max(all), float64(late) / n})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(row))
	}
	slices.Sort(rows)
	return rows
}

func committed(t *testing.T, dir string) []string {
	t.Helper()
	parts, err := file.Committed(dir)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, part := range parts {
		b, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	slices.Sort(rows)
	return rows
}

func TestEmbeddedFlights(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, parallelism := range []string{"1", "2"} {
		code, stderr := run(t, "-D", "parallelism.default="+parallelism, "flights", "--output", "out"+parallelism)
		if code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		if !strings.Contains(stderr, "20,000 records in, 6,901 out, 0 late, 0 skipped") {
			t.Errorf("stderr %s", stderr)
		}
		if got, want := committed(t, "out"+parallelism), batch(t, embedded(t)); !slices.Equal(got, want) {
			t.Errorf("parallelism %s: %d rows differ from the batch's %d", parallelism, len(got), len(want))
		}
	}
}

const someRows = `{"date":"2001/01/01 06:55","delay":-19,"distance":1797,"origin":"LAX","destination":"BNA"}
{"date":"2001/01/01 06:20","delay":61,"distance":337,"origin":"SFO","destination":"LAX"}
{"date":"2001/01/02 06:21","delay":9,"distance":337,"origin":"SFO","destination":"LAX"}
`

func TestOutputFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in", []byte(someRows), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if code, stderr := run(t, "flights", "--input", "in"); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	}
	dirs, err := filepath.Glob("pagetide-out/flights-*")
	if err != nil || len(dirs) != 2 {
		t.Fatalf("folders %q, %v, want one for each run", dirs, err)
	}
	for _, dir := range dirs {
		if got := committed(t, dir); !slices.Equal(got, batch(t, strings.Split(strings.TrimSpace(someRows), "\n"))) {
			t.Errorf("%s: %q", dir, got)
		}
	}
	if code, stderr := run(t, "flights", "--input", "in", "--output", dirs[0]); code != 2 || !strings.Contains(stderr, "already holds an earlier run") {
		t.Errorf("exit %d over an earlier run's output, want 2: %s", code, stderr)
	}
}

func TestBadInput(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in", []byte(someRows+"{\"date\":\"2001/01/01 06:55\",\"delay\":1}\nno\n{\"origin\":\"SFO\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	years := `{"date":"1677/12/31 23:59","origin":"SFO"}
{"date":"2261/12/31 23:59","origin":"SFO"}
{"date":"2262/01/01 00:00","origin":"SFO"}
`
	if err := os.WriteFile("years", []byte(years), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"fail", []string{"--input", "in"}, 1, "in line 4, column 1: flight has no origin"},
		{"skip", []string{"--input", "in", "--on-error", "skip"}, 0, "3 records in, 3 out, 0 late, 3 skipped"},
		{"year", []string{"--input", "years"}, 1, "years line 1, column 1: flight's date is outside the years 1678 to 2261"},
		{"years skipped", []string{"--input", "years", "--on-error", "skip"}, 0, "1 records in, 1 out, 0 late, 2 skipped"},
		{"policy", []string{"--on-error", "ignore"}, 2, `want fail or skip, have "ignore"`},
		{"rate", []string{"--rate", "-1"}, 2, "--rate -1: want 0 or more"},
		{"scheme", []string{"--output", "hdfs://host/x"}, 2, `no storage for "hdfs:" yet`},
		{"missing", []string{"--input", "missing"}, -1, "input missing: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stderr := run(t, append([]string{"--fresh", "flights"}, tt.args...)...)
			if code != tt.code && tt.code >= 0 || code == 0 && tt.code != 0 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, want %d with %q: %s", code, tt.code, tt.want, stderr)
			}
		})
	}
}

func TestNewFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	now := time.Date(2026, 11, 23, 10, 15, 2, 0, time.UTC)
	for _, want := range []string{"flights-20261123-101502", "flights-20261123-101502-2", "flights-20261123-101502-3"} {
		dir, err := newFolder(now)
		if err != nil || dir != filepath.Join("pagetide-out", want) {
			t.Errorf("newFolder = %q, %v, want %s", dir, err, want)
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSummary(t *testing.T) {
	dir := t.TempDir()
	parts := map[string]string{
		"part-1.jsonl": `{"origin":"LAX","day":"2001-01-01","flights":3,"mean_delay":0.3333333333333333,"max_delay":20,"late_share":0.3333333333333333}` + "\n" +
			`{"origin":"SFO","day":"2001-01-01","flights":1,"mean_delay":10,"max_delay":10,"late_share":0}` + "\n",
		"part-2.jsonl": `{"origin":"LAX","day":"2001-01-02","flights":1,"mean_delay":3,"max_delay":3,"late_share":0}` + "\n",
		".part-3.tmp":  `{"origin":"BNA","day":"2001-01-02","flights":1,"mean_delay":3,"max_delay":3,"late_share":0}` + "\n",
	}
	for name, content := range parts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := flag.NewFlagSet("flights", flag.ContinueOnError)
	Job.New(args)
	if err := args.Set("output", dir); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Job.Summary(args, &b); err != nil {
		t.Fatal(err)
	}
	want := "3 rows of 2 airports are in " + dir + "; latest on average:\n\n" +
		"   airport   flights   mean delay   max delay   late\n" +
		"       SFO         1    10.00 min      10 min    0 %\n" +
		"       LAX         4     1.00 min      20 min   25 %\n"
	if got := b.String(); got != want {
		t.Errorf("summary\n%s\nwant\n%s", got, want)
	}
}
