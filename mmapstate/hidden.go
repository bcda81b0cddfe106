package mmapstate

import (
	"fmt"
	"reflect"
	"slices"
)

// shown refuses a type of which [CBOR] would keep nothing where there is something: a struct that has fields and none that
// is exported. Structs that encode themselves, as times do, have none either. The error says where in the type it is.
func shown(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	if seen[t] {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Map:
		if err := shown(t.Key(), path+"'s key", seen); err != nil {
			return err
		}
		return shown(t.Elem(), path+"[]", seen)
	case reflect.Slice, reflect.Array:
		return shown(t.Elem(), path+"[]", seen)
	case reflect.Pointer:
		return shown(t.Elem(), path, seen)
	case reflect.Struct:
		return shownStruct(t, path, seen)
	}
	return nil
}

func shownStruct(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	fields := slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return !f.IsExported() })
	if len(fields) == 0 && t.NumField() > 0 && encodesToNothing(t) {
		return fmt.Errorf("%s is a %s, which has no exported field: CBOR would keep nothing of it", path, t)
	}
	for _, f := range fields {
		if f.Anonymous || f.Tag.Get("cbor") == "-" || f.Tag.Get("json") == "-" {
			continue
		}
		if err := shown(f.Type, path+"."+f.Name, seen); err != nil {
			return err
		}
	}
	return nil
}

// encodesToNothing says that a value of the type is an empty map in CBOR.
func encodesToNothing(t reflect.Type) bool {
	const emptyMap = 0xa0
	b, err := cborEncoder.Marshal(reflect.New(t).Interface())
	return err == nil && len(b) == 1 && b[0] == emptyMap
}
