package file

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"reflect"

	"github.com/pagetide/pagetide/engine"
)

// CSVSink writes comma-separated values into files in dir, exactly once, as [JSONLinesSink] does: rows become visible only
// when the commit of their checkpoint renames their file, to part-*.csv. Each file begins with a row that names the
// columns: the fields that [CSV] would fill, under the same names, in the order of the struct. A nil pointer is an empty
// cell; a cell with commas, quotes or line ends is quoted. [CSV] reads it back, except that it takes a line end in a cell
// for "\n" where it was "\r\n", and an empty cell for a nil pointer.
func CSVSink[T any](dir string, o ...SinkOption) engine.Sink[T] {
	fields, err := planFields(reflect.TypeFor[T]())
	if err != nil {
		err = engine.Permanent(fmt.Errorf("output %s: %w", dir, err))
	}
	return newSink(dir, csvSuffix, err, func(w io.Writer) encoder[T] { return &csvEncoder[T]{w: w, fields: fields} }, o)
}

// csvEncoder writes rows of cells.
type csvEncoder[T any] struct {
	w      io.Writer
	fields []csvField
	row    bytes.Buffer
	cell   []byte
	cells  []string
	csv    *csv.Writer // into row
}

func (e *csvEncoder[T]) begin() error {
	e.csv = csv.NewWriter(&e.row)
	e.cells = e.cells[:0]
	for _, f := range e.fields {
		e.cells = append(e.cells, f.name)
	}
	return e.write()
}

func (e *csvEncoder[T]) encode(rec *T) error {
	v := reflect.ValueOf(rec).Elem()
	e.cells = e.cells[:0]
	for _, f := range e.fields {
		cell, err := f.append(e.cell[:0], v.FieldByIndex(f.index))
		if err != nil {
			return &valueError{fmt.Errorf("column %q: %w", f.name, err)}
		}
		e.cell = cell
		e.cells = append(e.cells, string(cell))
	}
	return e.write()
}

// write writes the cells. A row of one empty cell is quoted: readers pass over an empty line.
func (e *csvEncoder[T]) write() error {
	e.row.Reset()
	if len(e.cells) == 1 && e.cells[0] == "" {
		e.row.WriteString("\"\"\n")
	} else if err := e.csv.Write(e.cells); err != nil {
		return err
	}
	e.csv.Flush()
	_, err := e.w.Write(e.row.Bytes())
	return err
}
