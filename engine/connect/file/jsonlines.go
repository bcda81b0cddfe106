package file

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/pagetide/pagetide/engine"
)

// JSONLines reads a file that holds one JSON value per line. It may be compressed with gzip, start with a byte order
// mark, have CRLF line ends, empty lines, and no line end after the last line. Values are decoded as encoding/json does:
// unknown members are ignored, names match in any case. The path "-" is standard input, which cannot be resumed.
func JSONLines[T any](path string, o ...Option) engine.Source[T] {
	return jsonLines[T](pathContent(path), o)
}

// JSONLinesOf reads JSON Lines from what open returns, each time from its beginning. name stands for it in positions and
// errors. If the content can seek, a resumed reader does.
func JSONLinesOf[T any](name string, open func() (io.ReadCloser, error), o ...Option) engine.Source[T] {
	return jsonLines[T](&content{name: name, open: open}, o)
}

func jsonLines[T any](c *content, o []Option) engine.Source[T] {
	newFormat := func() (format[T], error) { return jsonFormat[T]{}, nil }
	return &source[T]{c: c, config: newConfig(o), format: newFormat}
}

// jsonFormat has a value in each line.
type jsonFormat[T any] struct{}

func (jsonFormat[T]) end(p []byte) int {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return i + 1
	}
	return -1
}

func (jsonFormat[T]) reset()            {}
func (jsonFormat[T]) needsHeader() bool { return false }

func (jsonFormat[T]) decode(row []byte, rec *T) (bool, error) {
	row = bytes.TrimRight(row, "\r\n")
	if len(bytes.TrimLeft(row, " \t")) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(row, rec, decodeOptions...); err != nil {
		return false, jsonSpot(err)
	}
	return true, nil
}

// Where the two differ, plain encoding/json is what people expect, except that text which is not UTF-8 is malformed.
var decodeOptions = []json.Options{
	jsontext.AllowDuplicateNames(true),
	json.MatchCaseInsensitiveNames(true),
	jsonv1.FormatDurationAsNano(true),
}

// jsonSpot puts a decoder's error into words that are the same each time, and turns its offset into a column.
func jsonSpot(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		why := syntax.Err
		if errors.Is(why, io.ErrUnexpectedEOF) { // of the row: the file goes on
			why = errCutOff
		}
		return &spotError{column: int(syntax.ByteOffset) + 1, err: fmt.Errorf("%w%s", why, member(syntax.JSONPointer))}
	}
	meaning, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return &spotError{column: 1, err: err}
	}
	want, have := jsonWant(meaning.GoType), jsonKind(meaning)
	why := fmt.Errorf("want %s, have %s%s", want, have, member(meaning.JSONPointer))
	if want == have { // the right kind of value, which the type itself did not like
		why = fmt.Errorf("cannot take %s%s", have, member(meaning.JSONPointer))
	}
	if meaning.Err != nil {
		why = fmt.Errorf("%w: %w", why, meaning.Err)
	}
	return &spotError{column: int(meaning.ByteOffset) + 1, err: why}
}

var errCutOff = errors.New("row ends in the middle of its value")

// jsonWant names what a Go type takes in JSON's own words, as far as they say as much.
func jsonWant(t reflect.Type) string {
	switch {
	case t == nil:
		return "a value"
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "a string"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	}
	return t.String()
}

func member(p jsontext.Pointer) string {
	if p == "" {
		return ""
	}
	return fmt.Sprintf(" at %.100s", p)
}

func jsonKind(e *json.SemanticError) string {
	if v := e.JSONValue; len(v) > 0 && len(v) < 50 {
		return string(v)
	}
	switch e.JSONKind {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{', '}':
		return "an object"
	case '[', ']':
		return "an array"
	}
	return "something else"
}
