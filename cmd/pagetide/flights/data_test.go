package flights

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// embedded is the text of the default input, line by line.
func embedded(t *testing.T) []string {
	t.Helper()
	packed, err := data.ReadFile("data/flights.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	s := bufio.NewScanner(r)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	if s.Err() != nil {
		t.Fatal(s.Err())
	}
	return lines
}

func TestEmbeddedData(t *testing.T) {
	const (
		rows     = 20_000
		multiset = "357e703a413a651f6410eebb149600d9e9952bdbc902fe8622d4cfae28590c94" // SHA-256 of the sorted lines
		airports = 220
		example  = `{"date":"2001/01/01 06:55","delay":-19,"distance":1797,"origin":"LAX","destination":"BNA"}`
	)
	lines := embedded(t)
	if len(lines) != rows {
		t.Errorf("%d rows, want %d", len(lines), rows)
	}
	if !slices.Contains(lines, example) {
		t.Errorf("no row %s", example)
	}
	shape := regexp.MustCompile(`^\{"date":"2001/0[123]/\d\d \d\d:\d\d","delay":-?\d+,"distance":\d+,"origin":"[A-Z]{3}","destination":"[A-Z]{3}"\}$`)
	origins := map[string]bool{}
	var newest time.Time
	var disorder time.Duration
	behind := 0
	for _, line := range lines {
		if !shape.MatchString(line) {
			t.Fatalf("odd row %s", line)
		}
		var f Flight
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		origins[f.Origin] = true
		if f.Time().After(newest) {
			newest = f.Time()
		}
		if late := newest.Sub(f.Time()); late > 0 {
			behind++
			disorder = max(disorder, late)
		}
	}
	if len(origins) != airports {
		t.Errorf("%d airports, want %d", len(origins), airports)
	}
	if disorder >= 50*time.Minute || disorder < 40*time.Minute || behind < rows/2 {
		t.Errorf("%d rows come late, by up to %v; want more than half, by 40 to 50 minutes", behind, disorder)
	}
	slices.Sort(lines)
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(lines, "\n")+"\n"))); sum != multiset {
		t.Errorf("rows have changed: %s", sum)
	}
}

func TestDataCarriesItsNotice(t *testing.T) {
	notice, err := data.ReadFile("data/LICENSE-vega-datasets")
	if err != nil || !bytes.Contains(notice, []byte("Redistribution and use in source and binary forms")) {
		t.Errorf("notice: %v", err)
	}
}
