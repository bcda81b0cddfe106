package engine

import "reflect"

// spent says what becomes of records that are no longer used: what they refer to must be free to go. Those that refer to nothing
// are left as they are.
type spent[T any] struct{ refer bool }

func newSpent[T any]() spent[T] { return spent[T]{refers(reflect.TypeFor[T]())} }

func (s spent[T]) clear(recs []T) {
	if s.refer {
		clear(recs)
	}
}

// refers says whether values of a type can refer to others.
func refers(t reflect.Type) bool {
	switch k := t.Kind(); k {
	case reflect.Array:
		return t.Len() > 0 && refers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if refers(t.Field(i).Type) {
				return true
			}
		}
		return false
	default:
		return k < reflect.Bool || k > reflect.Complex128
	}
}
