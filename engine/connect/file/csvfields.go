package file

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
)

// csvField is a field of a struct that a row has a cell for.
type csvField struct {
	name   string
	index  []int
	append func([]byte, reflect.Value) ([]byte, error)
}

// planFields lists the fields that make a row, in the order of the struct: those that [CSV] would fill.
func planFields(t reflect.Type) (fields []csvField, err error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("CSV is written from a struct, not from %v", t)
	}
	seen := map[string]string{}
	for _, f := range reflect.VisibleFields(t) {
		name, _ := columnName(f)
		if name == "" || throughPointer(t, f.Index) {
			continue
		}
		if other, twice := seen[name]; twice {
			return nil, fmt.Errorf("fields %s and %s of %v are both column %q", other, f.Name, t, name)
		}
		seen[name] = f.Name
		text, err := formatter(f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		fields = append(fields, csvField{name, f.Index, text})
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("%v has no field for a CSV column", t)
	}
	return fields, nil
}

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

// formatter undoes [setter]: it appends a value as a cell.
func formatter(t reflect.Type) (func([]byte, reflect.Value) ([]byte, error), error) {
	switch {
	case t.Kind() == reflect.Pointer: // before the methods: they may not be called on nil
		return pointerFormatter(t)
	case t.Implements(textMarshaler):
		return func(b []byte, v reflect.Value) ([]byte, error) { return appendText(b, v.Interface()) }, nil
	case reflect.PointerTo(t).Implements(textMarshaler):
		return func(b []byte, v reflect.Value) ([]byte, error) { return appendText(b, v.Addr().Interface()) }, nil
	}
	switch t.Kind() {
	case reflect.String:
		return func(b []byte, v reflect.Value) ([]byte, error) { return append(b, v.String()...), nil }, nil
	case reflect.Bool:
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendBool(b, v.Bool()), nil }, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendInt(b, v.Int(), 10), nil }, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(b []byte, v reflect.Value) ([]byte, error) { return strconv.AppendUint(b, v.Uint(), 10), nil }, nil
	case reflect.Float32, reflect.Float64:
		return func(b []byte, v reflect.Value) ([]byte, error) {
			return strconv.AppendFloat(b, v.Float(), 'g', -1, t.Bits()), nil
		}, nil
	}
	return nil, fmt.Errorf("a CSV cell cannot be made of %v", t)
}

func appendText(b []byte, v any) ([]byte, error) {
	text, err := v.(encoding.TextMarshaler).MarshalText()
	return append(b, text...), err
}

func pointerFormatter(t reflect.Type) (func([]byte, reflect.Value) ([]byte, error), error) {
	if t.Elem().Kind() == reflect.Pointer {
		return nil, fmt.Errorf("a CSV cell cannot be made of %v", t)
	}
	text, err := formatter(t.Elem())
	return func(b []byte, v reflect.Value) ([]byte, error) {
		if v.IsNil() {
			return b, nil
		}
		return text(b, v.Elem())
	}, err
}
