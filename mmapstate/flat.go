package mmapstate

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// FlatFingerprint describes the memory image of a flat type, one without pointers and of fixed size: byte order, and of
// each field its name, kind, offset and size. Types with equal fingerprints read each other's pages. A field that has
// another name than in older checkpoints says so in its tag, `pagetide:"was=Old"`. The error names the field that is not
// flat.
func FlatFingerprint(t reflect.Type) (string, error) {
	if t.Size() > maxInline {
		return "", fmt.Errorf("%s takes %d bytes, a value in place at most %d: use a codec state for larger values", t, t.Size(), maxInline)
	}
	var b strings.Builder
	b.WriteString(littleEndian)
	if err := flatType(&b, t, t.String()); err != nil {
		return "", err
	}
	return b.String(), nil
}

func flatType(b *strings.Builder, t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16,
		reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		b.WriteString(t.Kind().String())
		return nil
	case reflect.Int, reflect.Uint, reflect.Uintptr: // counts with its size
		fmt.Fprintf(b, "%s%d", strings.TrimSuffix(t.Kind().String(), "ptr"), 8*t.Size())
		return nil
	case reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		return flatType(b, t.Elem(), path+"[]")
	case reflect.Struct:
		return flatStruct(b, t, path)
	}
	return fmt.Errorf("%s is a %s, which is not flat: state in pages holds no pointers", path, t)
}

func flatStruct(b *strings.Builder, t reflect.Type, path string) error {
	if t.PkgPath() == "time" && t.Name() == "Time" {
		return fmt.Errorf("%s is a time.Time, which holds a pointer: use engine.Time", path)
	}
	fmt.Fprintf(b, "{%d", t.Size())
	for i := range t.NumField() {
		f := t.Field(i)
		was, err := alias(f)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", path, f.Name, err)
		}
		fmt.Fprintf(b, ";%s%s@%d+%d:", f.Name, was, f.Offset, f.Type.Size())
		if err := flatType(b, f.Type, path+"."+f.Name); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// alias gives the older name of a field for its fingerprint, if it has one.
func alias(f reflect.StructField) (string, error) {
	tag, ok := f.Tag.Lookup("pagetide")
	if !ok {
		return "", nil
	}
	old, ok := strings.CutPrefix(tag, "was=")
	if !ok || old == "" || strings.ContainsFunc(old, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		return "", fmt.Errorf("tag `pagetide:%q`: want `pagetide:\"was=Name\"`", tag)
	}
	return "=" + old, nil
}

// flatKey admits a type as a fixed-size key: flat, and equal exactly when its bytes are. It returns the type's
// fingerprint.
func flatKey(t reflect.Type) (string, error) {
	if t.Size() == 0 {
		return "", fmt.Errorf("key %s has no bytes", t)
	}
	if err := comparesByBytes(t, t.String()); err != nil {
		return "", fmt.Errorf("key: %w", err)
	}
	print, err := FlatFingerprint(t)
	return canonical(print), err // keys do not change, so they have no older names
}

func comparesByBytes(t reflect.Type, path string) error {
	switch t.Kind() {
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return fmt.Errorf("%s is a %s: equal floats can have different bytes; use an integer", path, t)
	case reflect.Array:
		return comparesByBytes(t.Elem(), path+"[]")
	case reflect.Struct:
		return noGaps(t, path)
	}
	return nil // what is not flat is refused by FlatFingerprint
}

// noGaps refuses padding, whose bytes a program does not control, and says which field would fill it.
func noGaps(t reflect.Type, path string) error {
	end, last := uintptr(0), "the start"
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Offset != end {
			return gap(path, last, f.Offset-end)
		}
		if f.Name == "_" {
			return fmt.Errorf("%s has a blank field, whose bytes do not count when Go compares: name it", path)
		}
		if err := comparesByBytes(f.Type, path+"."+f.Name); err != nil {
			return err
		}
		end, last = f.Offset+f.Type.Size(), f.Name
	}
	if end != t.Size() {
		return gap(path, last, t.Size()-end)
	}
	return nil
}

func gap(path, after string, n uintptr) error {
	return fmt.Errorf("%s has %d bytes of padding after %s: add a field `Pad [%d]byte` there", path, n, after, n)
}
