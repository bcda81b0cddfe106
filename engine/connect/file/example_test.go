package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pagetide/pagetide/engine"
	"github.com/pagetide/pagetide/engine/connect/file"
)

type reading struct {
	Sensor  string  `json:"sensor"`
	Celsius float64 `json:"celsius"`
}

// text stands for a file.
func text(s string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }
}

// show reads a source as the engine does, and prints its records.
func show(src engine.Source[reading]) {
	ctx := context.Background()
	splits, _, err := src.Splits(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := src.Open(ctx, splits[0], "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	b := engine.NewBatch[reading]()
	for err == nil {
		err = r.Read(ctx, b)
	}
	for _, rec := range b.Records() {
		fmt.Println(rec.Sensor, rec.Celsius)
	}
	if err == io.EOF {
		fmt.Println("at", r.Position())
		return
	}
	fmt.Println(err)
}

func ExampleJSONLines() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "readings.jsonl")
	os.WriteFile(path, []byte(`{"sensor":"a","celsius":21.5}`+"\n"), 0o600)
	show(file.JSONLines[reading](path))
	// Output:
	// a 21.5
	// at offset=30,line=2
}

func ExampleJSONLinesOf() {
	show(file.JSONLinesOf[reading]("readings", text(`{"sensor":"a","celsius":"warm"}`)))
	// Output: readings line 1, column 25: want float64, have a string at /celsius
}

func ExampleOnError() {
	rows := `{"sensor":"a"` + "\n" + `{"sensor":"b","celsius":4}` + "\n"
	show(file.JSONLinesOf[reading]("readings", text(rows), file.OnError(file.Skip)))
	// Output:
	// b 4
	// at offset=41,line=3
}

func ExampleCheck() {
	named := file.Check(func(r reading) error {
		if r.Sensor == "" {
			return errors.New("reading without a sensor")
		}
		return nil
	})
	show(file.JSONLinesOf[reading]("readings", text(`{"celsius":4}`), named))
	// Output: readings line 1, column 1: reading without a sensor
}

func ExampleMaxRow() {
	show(file.JSONLinesOf[reading]("readings", text(`{"sensor":"a long name"}`), file.MaxRow(10)))
	// Output: readings line 1, column 11: row is longer than 10 bytes
}

func ExampleRate() {
	show(file.JSONLinesOf[reading]("readings", text(`{"sensor":"a","celsius":1}`), file.Rate(1000)))
	// Output:
	// a 1
	// at offset=26,line=1
}

func ExampleCSV() {
	show(file.CSV[reading]("missing.csv"))
	// Output: input missing.csv: no such file or directory
}

func ExampleCSVOf() {
	show(file.CSVOf[reading]("readings", text("celsius,note,sensor\n4,\"cold,\nvery\",b\n")))
	// Output:
	// b 4
	// at offset=37,line=4
}

func ExampleJSONLinesSink() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	sink := file.JSONLinesSink[reading](dir, file.RequireEmpty())
	task := engine.Task{JobID: 7, UID: "out", Attempt: 1, Fresh: true}
	err = sink.Recover(ctx, task, nil)
	w, err2 := sink.Open(ctx, task)
	if err = errors.Join(err, err2); err != nil {
		fmt.Println(err)
		return
	}
	defer w.Close()
	w.Write(ctx, []reading{{"a", 21.5}})
	txn, err := w.Prepare(ctx, 42) // durable, and not visible
	before, _ := file.Committed(dir)
	err = errors.Join(err, sink.Commit(ctx, txn))
	after, _ := file.Committed(dir)
	fmt.Println(len(before), len(after), err)
	content, _ := os.ReadFile(after[0])
	fmt.Printf("%s: %s", filepath.Base(after[0]), bytes.TrimSpace(content))
	// Output:
	// 0 1 <nil>
	// part-000000000042-0000-0000000000000007-out-1.jsonl: {"sensor":"a","celsius":21.5}
}

func ExampleCSVSink() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	job := engine.NewJob("export")
	warm := engine.From(job, "in", engine.SliceSource(reading{"a", 21.5}, reading{"b, upstairs", 19}))
	engine.To(warm, "out", file.CSVSink[reading](dir))
	if err := job.Run(context.Background(), engine.Options{}); err != nil {
		fmt.Println(err)
		return
	}
	parts, _ := file.Committed(dir)
	content, _ := os.ReadFile(parts[0])
	fmt.Print(string(content))
	// Output:
	// sensor,celsius
	// a,21.5
	// "b, upstairs",19
}

func ExampleCommitted() {
	_, err := file.Committed("missing")
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}
