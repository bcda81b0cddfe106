package mmapstate

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// viewKey is a key type that was parsed back from its fingerprint.
type viewKey struct {
	shape KeyShape
	flat  *shape // nil for strings, and for what is not known
}

func parseViewKey(print string) viewKey {
	k := viewKey{shape: KeyShape{Fingerprint: print}}
	if sh, err := parseShape(print); err == nil && sh.size > 0 {
		k.flat, k.shape.Fixed = sh, int(sh.size)
	}
	return k
}

func (k viewKey) known() bool { return k.flat != nil || k.shape.Fingerprint == rawString }

// text appends the JSON of a key.
func (k viewKey) text(text, key []byte) []byte {
	if k.flat == nil {
		return stringText(text, key)
	}
	return k.flat.text(text, key)
}

// name is the JSON of a field as the name of an object's member.
func (k viewKey) name(field []byte) []byte { return nameText(nil, k.text(nil, field)) }

// parse makes the bytes of a key that a person has typed: JSON, a string without quotes, or the bytes of an array.
func (k viewKey) parse(typed string) ([]byte, error) {
	switch {
	case !k.known():
		return nil, fmt.Errorf("only the program knows the type %q", readable(k.shape.Fingerprint))
	case k.flat == nil:
		return parseString(typed)
	case k.flat.isBytes() && len(typed) == int(k.flat.count) && !strings.HasPrefix(typed, "["):
		return []byte(typed), nil
	}
	b := make([]byte, k.flat.size)
	v, err := parseJSON(typed)
	if err == nil {
		err = k.flat.put(b, v)
	}
	if err != nil {
		return nil, fmt.Errorf("%q is no %s: %w", typed, k.flat, err)
	}
	return b, nil
}

// parseString takes a string as it is, in JSON, or as the object that stands for one that is not UTF-8.
func parseString(typed string) ([]byte, error) {
	if typed == "" || typed[0] != '"' && typed[0] != '{' {
		return []byte(typed), nil
	}
	var s string
	if json.Unmarshal([]byte(typed), &s) == nil {
		return []byte(s), nil
	}
	var raw struct {
		Base64 *string `json:"base64"`
	}
	if json.Unmarshal([]byte(typed), &raw) == nil && raw.Base64 != nil {
		return base64.StdEncoding.DecodeString(*raw.Base64)
	}
	return []byte(typed), nil
}

func parseJSON(typed string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(typed))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("not JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

func (s *shape) isBytes() bool { return s.kind == shapeArray && s.elem.name == "uint8" }

// put stores a value of the type in b. Fields that the value lacks are zero.
func (s *shape) put(b []byte, v any) error {
	switch s.kind {
	case shapeStruct:
		return s.putFields(b, v)
	case shapeArray:
		all, ok := v.([]any)
		if !ok || len(all) != int(s.count) {
			return fmt.Errorf("want an array of %d", s.count)
		}
		for i, v := range all {
			if err := s.elem.put(b[i*int(s.elem.size):][:s.elem.size], v); err != nil {
				return err
			}
		}
		return nil
	}
	return s.putPlain(b, v)
}

func (s *shape) putFields(b []byte, v any) error {
	all, ok := v.(map[string]any)
	if !ok {
		return errors.New("want an object")
	}
	known := 0
	for _, f := range s.fields {
		if v, ok := all[f.name]; ok {
			known++
			if err := f.shape.put(b[f.off:][:f.shape.size], v); err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	if known != len(all) {
		return fmt.Errorf("it has fields that %s has not", s)
	}
	return nil
}

// putPlain stores a bool or an integer: keys have no floats.
func (s *shape) putPlain(b []byte, v any) error {
	if v, ok := v.(bool); ok && s.name == "bool" {
		if v {
			b[0] = 1
		}
		return nil
	}
	number, ok := v.(json.Number)
	n, isInt := new(big.Int).SetString(number.String(), 10)
	if !ok || !isInt || s.name == "bool" {
		return fmt.Errorf("want %s", s)
	}
	low, high := big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), uint(8*s.size))
	if s.name[0] == 'i' {
		high.Rsh(high, 1)
		low.Neg(high)
	}
	if n.Cmp(low) < 0 || n.Cmp(high) >= 0 {
		return fmt.Errorf("%s is out of range", n)
	}
	w := n.Uint64()
	if n.Sign() < 0 {
		w = uint64(n.Int64())
	}
	copy(b, binary.LittleEndian.AppendUint64(nil, w))
	return nil
}
