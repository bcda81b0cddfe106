package mmapstate

import (
	"bytes"
	"math"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Codec turns values into bytes and back, for types that are not flat. [CBOR] is the default; another one is given with
// [Encoded]. A codec of one state is called by the goroutine that owns the store; one that several stores share must
// stand calls from several goroutines.
type Codec[V any] interface {
	// Name goes into the state's fingerprint: a checkpoint that was written with another name is refused. So a codec
	// that can no longer read what it once wrote needs a new name.
	Name() string

	// Append appends the bytes of *v, which it neither keeps nor changes.
	Append(buf []byte, v *V) ([]byte, error)

	// Decode makes *v, which is zero, of the bytes that Append once made, maybe in an older program. It must not keep b.
	Decode(b []byte, v *V) error
}

// Encoded is a [StateOption]: values go through the codec, also those of flat types. It fits states whose values are of
// type V.
func Encoded[V any](c Codec[V]) StateOption { return encoded[V]{c} }

type encoded[V any] struct{ codec Codec[V] }

func (e encoded[V]) refine(o *stateOptions) { o.codec = e.codec }

// CBOR is the default [Codec]: self-describing, so that fields may come, which are zero in older values, and go, and
// numbers may be widened; a tool can print it without the Go type. Times keep their nanoseconds. Fields that are not exported
// are left out, as by encoding/json; a struct that has no others is refused. Several goroutines may use it.
func CBOR[V any]() Codec[V] { return cborCodec[V]{} }

type cborCodec[V any] struct{}

func (cborCodec[V]) Name() string { return "cbor " + reflect.TypeFor[V]().String() }

func (cborCodec[V]) Append(buf []byte, v *V) ([]byte, error) {
	out := cborBuffers.Get().(*bytes.Buffer)
	defer cborBuffers.Put(out)
	out.Reset()
	if err := cborEncoder.MarshalToBuffer(v, out); err != nil {
		return buf, err
	}
	return append(buf, out.Bytes()...), nil
}

func (cborCodec[V]) Decode(b []byte, v *V) error { return cborDecoder.Unmarshal(b, v) }

var cborBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

var cborEncoder = func() cbor.UserBufferEncMode {
	m, err := cbor.EncOptions{Sort: cbor.SortBytewiseLexical, Time: cbor.TimeRFC3339Nano}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// cborDecoder reads whatever the encoder writes: its limits are those of one value, not those for strangers' data.
var cborDecoder = func() cbor.DecMode {
	m, err := cbor.DecOptions{MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32, MaxNestedLevels: 256, UTF8: cbor.UTF8DecodeInvalid}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// rawCodec keeps strings and byte slices as they are.
type rawCodec[V any] struct{ print string }

func (c rawCodec[V]) Name() string { return c.print }

func (c rawCodec[V]) Append(buf []byte, v *V) ([]byte, error) {
	if c.print == rawString {
		return append(buf, *(*string)(ptr(v))...), nil
	}
	return append(buf, *(*[]byte)(ptr(v))...), nil
}

func (c rawCodec[V]) Decode(b []byte, v *V) error {
	if c.print == rawString {
		*(*string)(ptr(v)) = string(b)
	} else {
		*(*[]byte)(ptr(v)) = bytes.Clone(b)
	}
	return nil
}

const (
	rawString = "string"
	rawBytes  = "bytes"
)
