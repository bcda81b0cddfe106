package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pagetide/pagetide/engine/app"
	"github.com/pagetide/pagetide/engine/connect/file"
)

const rows = `{"date":"2001/01/01 06:55","delay":-19,"origin":"LAX"}
{"date":"2001/01/01 06:20","delay":61,"origin":"LAX"}
{"date":"2001/01/02 10:00","delay":5,"origin":"LAX"}
{"date":"2001/01/01 23:59","delay":16,"origin":"SFO"}
`

func TestDelays(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("in.jsonl", []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := app.Run(t.Context(), []string{"run", "flights", "-input", "in.jsonl", "-output", "out"}, &stdout, &stderr, flights); code != 0 {
		t.Fatalf("exit %d: %s", code, &stderr)
	}
	parts, err := file.Committed("out")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range parts {
		data, err := os.ReadFile(filepath.Join("out", filepath.Base(p)))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Split(strings.TrimSpace(string(data)), "\n")...)
	}
	slices.Sort(got)
	want := []string{
		`{"origin":"LAX","day":"2001-01-01","flights":2,"mean_delay":21,"max_delay":61,"late_share":0.5}`,
		`{"origin":"LAX","day":"2001-01-02","flights":1,"mean_delay":5,"max_delay":5,"late_share":0}`,
		`{"origin":"SFO","day":"2001-01-01","flights":1,"mean_delay":16,"max_delay":16,"late_share":1}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
