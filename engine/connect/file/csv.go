package file

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/pagetide/pagetide/engine"
)

// CSV reads comma-separated values into a struct. The first row names the columns: a field takes the column that its
// csv tag names, else its json tag, else the field's name. Columns without a field are ignored; a column that a csv tag
// names must be there. Fields are strings, integers, floats, booleans, implement encoding.TextUnmarshaler, or point to
// one of these: an empty cell is then nil, and malformed for a plain number. Quoted cells may span lines. Otherwise it is
// as [JSONLines].
func CSV[T any](path string, o ...Option) engine.Source[T] {
	return csvSource[T](pathContent(path), o)
}

// CSVOf reads CSV from what open returns, as [JSONLinesOf] does.
func CSVOf[T any](name string, open func() (io.ReadCloser, error), o ...Option) engine.Source[T] {
	return csvSource[T](&content{name: name, open: open}, o)
}

func csvSource[T any](c *content, o []Option) engine.Source[T] {
	newFormat := func() (format[T], error) {
		t := reflect.TypeFor[T]()
		if t.Kind() != reflect.Struct {
			return nil, fmt.Errorf("CSV is read into a struct, not into %v", t)
		}
		return &csvFormat[T]{}, nil
	}
	return &source[T]{c: c, config: newConfig(o), format: newFormat}
}

// csvFormat parses row by row: the cutter knows where one ends, so that the position is ours and a malformed row does
// not take its successors with it.
type csvFormat[T any] struct {
	csvCutter
	columns []column // by position; nil until the header is read
	row     bytes.Reader
	parser  *csv.Reader // reads from row; nil after an error
}

func (f *csvFormat[T]) needsHeader() bool { return f.columns == nil }

func (f *csvFormat[T]) decode(row []byte, rec *T) (bool, error) {
	if len(bytes.Trim(row, "\r\n")) == 0 {
		return false, nil
	}
	cells, err := f.parse(row)
	switch {
	case err != nil:
		return false, f.spot(err)
	case f.columns == nil:
		return false, f.header(cells)
	case len(cells) != len(f.columns):
		return false, &spotError{column: 1, err: fmt.Errorf("%d cells, but the header has %d", len(cells), len(f.columns))}
	}
	return true, f.set(reflect.ValueOf(rec).Elem(), cells)
}

func (f *csvFormat[T]) parse(row []byte) ([]string, error) {
	f.row.Reset(row)
	if f.parser == nil {
		f.parser = csv.NewReader(&f.row)
		f.parser.FieldsPerRecord = -1
		f.parser.ReuseRecord = true
	}
	cells, err := f.parser.Read()
	if err != nil {
		f.parser = nil // it may hold on to the rest of the row
	}
	return cells, err
}

func (f *csvFormat[T]) header(names []string) error {
	columns, err := planColumns(reflect.TypeFor[T](), names)
	if err != nil {
		return &spotError{column: 1, err: fmt.Errorf("header: %w", err), fatal: true}
	}
	f.columns = columns
	return nil
}

func (f *csvFormat[T]) set(rec reflect.Value, cells []string) error {
	for i, cell := range cells {
		c := f.columns[i]
		if c.set == nil {
			continue
		}
		if err := c.set(rec.FieldByIndex(c.field), cell); err != nil {
			first, _ := f.parser.FieldPos(0)
			line, column := f.parser.FieldPos(i)
			return &spotError{line: line - first, column: column, err: fmt.Errorf("column %q: %w", c.name, err)}
		}
	}
	return nil
}

func (f *csvFormat[T]) spot(err error) error {
	at := &spotError{column: 1, err: err, fatal: f.columns == nil}
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		at.line, at.column, at.err = p.Line-p.StartLine, p.Column, p.Err
	}
	return at
}

// csvCutter ends a row at a line end outside of quotes. It agrees with encoding/csv on rows that are well formed, and
// ends a malformed one at the next line end.
type csvCutter struct{ in csvState }

type csvState byte

const (
	cellStart  csvState = 0
	plainCell  csvState = 1
	quotedCell csvState = 2
	afterQuote csvState = 3 // the cell's end, or the first of two quotes that stand for one
)

func (c *csvCutter) reset() { c.in = cellStart }

func (c *csvCutter) end(p []byte) int {
	for i, b := range p {
		switch {
		case b == '"' && (c.in == cellStart || c.in == afterQuote):
			c.in = quotedCell
		case b == '"' && c.in == quotedCell:
			c.in = afterQuote
		case c.in == quotedCell:
		case b == '\n':
			c.in = cellStart
			return i + 1
		case b == ',':
			c.in = cellStart
		default:
			c.in = plainCell
		}
	}
	return -1
}
