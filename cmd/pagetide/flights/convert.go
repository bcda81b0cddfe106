//go:build ignore

// Convert makes data/flights.jsonl.gz of the flights-20k.json in the npm package vega-datasets 3.2.1. The original is
// perfectly sorted, so each flight is given a lag of less than 50 minutes, drawn from a fixed seed, and takes the place of
// its time plus its lag. Unpack the package somewhere and run
//
//	go run convert.go package/data/flights-20k.json data/flights.jsonl.gz
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

const (
	original = "52f0ddd892d4569284b845e17323abc9afb7d303ec8f63251634a20327a610bb"
	seed     = 2001
	disorder = 50 * time.Minute
	layout   = "2006/01/02 15:04"
)

type flight struct {
	Date        string `json:"date"`
	Delay       int    `json:"delay"`
	Distance    int    `json:"distance"`
	Origin      string `json:"origin"`
	Destination string `json:"destination"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: go run convert.go flights-20k.json flights.jsonl.gz")
	}
	packed, err := convert(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], packed, 0o644); err != nil {
		log.Fatal(err)
	}
}

func convert(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != original {
		return nil, fmt.Errorf("%s is not the original: its SHA-256 is %x", path, sum)
	}
	var flights []flight
	if err := json.Unmarshal(data, &flights); err != nil {
		return nil, err
	}
	if err := shuffle(flights); err != nil {
		return nil, err
	}
	return pack(flights)
}

// shuffle puts the flights out of order: of two that change places, the times differ by less than disorder.
func shuffle(flights []flight) error {
	chance := rand.New(rand.NewPCG(seed, 0))
	type late struct {
		flight
		at time.Time
	}
	order := make([]late, len(flights))
	for i, f := range flights {
		at, err := time.Parse(layout, f.Date)
		if err != nil {
			return err
		}
		order[i] = late{f, at.Add(time.Duration(chance.Int64N(int64(disorder))))}
	}
	slices.SortStableFunc(order, func(a, b late) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	for i, f := range order {
		flights[i] = f.flight
	}
	return nil
}

func pack(flights []flight) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression) // without a name or a time: the same bytes each time
	if err != nil {
		return nil, err
	}
	lines := json.NewEncoder(w)
	for _, f := range flights {
		if err := lines.Encode(f); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
