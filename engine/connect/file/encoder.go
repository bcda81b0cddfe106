package file

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// encoder writes the rows of one sink's writer, file after file. What its methods return is a *valueError if the value is
// to blame, else what writing met.
type encoder[T any] interface {
	begin() error // of a file
	encode(rec *T) error
}

// valueError is about a value that the format cannot say. It is the same next time.
type valueError struct{ err error }

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

var encodeOptions = []json.Options{json.Deterministic(true), jsonv1.FormatDurationAsNano(true)}

type jsonEncoder[T any] struct{ enc *jsontext.Encoder }

func newJSONEncoder[T any](w io.Writer) encoder[T] {
	return jsonEncoder[T]{jsontext.NewEncoder(w, encodeOptions...)}
}

func (jsonEncoder[T]) begin() error { return nil }

func (e jsonEncoder[T]) encode(rec *T) error {
	err := json.MarshalEncode(e.enc, rec)
	if _, ok := errors.AsType[*json.SemanticError](err); ok {
		return &valueError{err}
	}
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok { // text that is not UTF-8
		return &valueError{err}
	}
	return err
}
