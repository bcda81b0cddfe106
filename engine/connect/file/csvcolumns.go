package file

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// column says where a cell goes.
type column struct {
	name  string
	field []int
	set   func(reflect.Value, string) error // nil: the column is ignored
}

// planColumns finds the field of each column.
func planColumns(t reflect.Type, names []string) ([]column, error) {
	columns := make([]column, len(names))
	at := map[string]int{}
	for i, name := range names {
		if _, twice := at[name]; twice {
			return nil, fmt.Errorf("column %q appears twice", name)
		}
		columns[i].name = strings.Clone(name) // names are cut out of one long string
		at[columns[i].name] = i
	}
	found := false
	for _, f := range reflect.VisibleFields(t) {
		name, must := columnName(f)
		if name == "" || throughPointer(t, f.Index) {
			continue
		}
		i, ok := at[name]
		switch {
		case !ok && must:
			return nil, fmt.Errorf("no column %q, which field %s wants", name, f.Name)
		case !ok:
			continue
		}
		set, err := setter(f.Type)
		if err != nil {
			return nil, fmt.Errorf("column %q, field %s: %w", name, f.Name, err)
		}
		columns[i].field, columns[i].set = f.Index, set
		found = true
	}
	if !found {
		return nil, fmt.Errorf("none of the columns %q is a field of %v", names, t)
	}
	return columns, nil
}

// columnName is empty for a field that takes none; must says that the column has to be there.
func columnName(f reflect.StructField) (name string, must bool) {
	if !f.IsExported() || f.Anonymous {
		return "", false
	}
	if tag, ok := f.Tag.Lookup("csv"); ok {
		if tag == "-" {
			return "", false
		}
		return cmp.Or(tag, f.Name), true
	}
	name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return "", false
	}
	return cmp.Or(name, f.Name), false
}

// throughPointer says whether a promoted field may not be there.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// setter parses a cell into a value of the type.
func setter(t reflect.Type) (func(reflect.Value, string) error, error) {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return func(v reflect.Value, s string) error {
			return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
		}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return pointerSetter(t)
	case reflect.String:
		return func(v reflect.Value, s string) error { v.SetString(s); return nil }, nil
	case reflect.Bool:
		return parsed(t, strconv.ParseBool, reflect.Value.SetBool), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		parse := func(s string) (int64, error) { return strconv.ParseInt(s, 10, t.Bits()) }
		return parsed(t, parse, reflect.Value.SetInt), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		parse := func(s string) (uint64, error) { return strconv.ParseUint(s, 10, t.Bits()) }
		return parsed(t, parse, reflect.Value.SetUint), nil
	case reflect.Float32, reflect.Float64:
		parse := func(s string) (float64, error) { return strconv.ParseFloat(s, t.Bits()) }
		return parsed(t, parse, reflect.Value.SetFloat), nil
	}
	return nil, fmt.Errorf("a CSV cell cannot be read into %v", t)
}

func parsed[V any](t reflect.Type, parse func(string) (V, error), set func(reflect.Value, V)) func(reflect.Value, string) error {
	return func(v reflect.Value, s string) error {
		x, err := parse(s)
		if err != nil {
			if number, ok := errors.AsType[*strconv.NumError](err); ok {
				err = number.Err
			}
			return fmt.Errorf("want %v, have %.50q: %w", t, s, err)
		}
		set(v, x)
		return nil
	}
}

func pointerSetter(t reflect.Type) (func(reflect.Value, string) error, error) {
	set, err := setter(t.Elem())
	if err != nil || t.Elem().Kind() == reflect.Pointer {
		return nil, fmt.Errorf("a CSV cell cannot be read into %v", t)
	}
	return func(v reflect.Value, s string) error {
		if s == "" {
			return nil
		}
		v.Set(reflect.New(t.Elem()))
		return set(v.Elem(), s)
	}, nil
}
