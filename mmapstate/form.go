package mmapstate

import (
	"fmt"
	"reflect"
	"unsafe"
)

// Form says how values of a Go type lie in pages: flat ones in place, strings and byte slices as they are, anything else
// through a [Codec]. It is to values what a [Keyer] is to keys. Several goroutines may use it if they may use its codec.
type Form[V any] struct {
	size  int // -1 if not flat
	print string
	codec Codec[V] // nil if flat
}

// NewForm finds the form of a type; of the options, only [Encoded] matters here. The error names what is in the way: a
// codec for another type, or a type that CBOR cannot carry.
func NewForm[V any](o ...StateOption) (*Form[V], error) {
	opt, err := collect(o)
	if err != nil {
		return nil, err
	}
	return formOf[V](opt)
}

func formOf[V any](opt stateOptions) (*Form[V], error) {
	t := reflect.TypeFor[V]()
	if opt.codec != nil {
		c, ok := opt.codec.(Codec[V])
		if !ok {
			return nil, fmt.Errorf("value: %T is no codec of %s", opt.codec, t)
		}
		return &Form[V]{size: -1, print: c.Name(), codec: c}, nil
	}
	switch {
	case t.Kind() == reflect.String:
		return &Form[V]{size: -1, print: rawString, codec: rawCodec[V]{rawString}}, nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return &Form[V]{size: -1, print: rawBytes, codec: rawCodec[V]{rawBytes}}, nil
	}
	if print, err := FlatFingerprint(t); err == nil {
		return &Form[V]{size: int(t.Size()), print: print}, nil
	}
	c := CBOR[V]()
	if _, err := c.Append(nil, new(V)); err != nil {
		return nil, fmt.Errorf("value: %s cannot be encoded: %w", t, err)
	}
	if err := shown(t, t.String(), map[reflect.Type]bool{}); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	return &Form[V]{size: -1, print: c.Name(), codec: c}, nil
}

// Flat tells whether values lie in pages as they are.
func (f *Form[V]) Flat() bool { return f.size >= 0 }

// Size is the size of every value in bytes, -1 if sizes vary.
func (f *Form[V]) Size() int { return f.size }

// Fingerprint tells the value type, or the codec.
func (f *Form[V]) Fingerprint() string { return f.print }

// Bytes gives the bytes of a value: a view of a flat one, which lives as long as *v; else they are made in buf, from its
// start, so that a buffer can be reused.
func (f *Form[V]) Bytes(buf []byte, v *V) ([]byte, error) {
	if f.codec == nil {
		return f.View(v), nil
	}
	b, err := f.codec.Append(buf[:0], v)
	if err != nil {
		return buf, fmt.Errorf("encode %T: %w", *v, err)
	}
	return b, nil
}

// View gives the bytes of a flat value. It lives as long as *v.
func (f *Form[V]) View(v *V) []byte { return bytesOf(unsafe.Pointer(v), f.size) }

// Value makes a value of its bytes. Those of a flat type must be as many as its size.
func (f *Form[V]) Value(b []byte) (v V, err error) {
	if f.codec == nil {
		copy(bytesOf(unsafe.Pointer(&v), f.size), b)
		return v, nil
	}
	return f.decode(b)
}

// decode is apart because a value that a codec sees is on the heap.
func (f *Form[V]) decode(b []byte) (V, error) {
	v := new(V)
	if err := f.codec.Decode(b, v); err != nil {
		return *new(V), fmt.Errorf("decode %T: %w", *v, err)
	}
	return *v, nil
}

// must is Value for the typed states: stored bytes that do not decode are a failed access.
func (f *Form[V]) must(s *Store, b []byte) V {
	v, err := f.Value(b)
	if err != nil {
		s.fail(err)
	}
	return v
}
