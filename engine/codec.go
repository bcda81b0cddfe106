package engine

import (
	"fmt"
	"math"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Values that are not flat are kept as CBOR: self-describing, so fields may come and go, and a tool can print them
// without the Go type. Times keep their nanoseconds.
var encMode = func() cbor.EncMode {
	m, err := cbor.EncOptions{Sort: cbor.SortBytewiseLexical, Time: cbor.TimeRFC3339Nano}.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()

// encodable reports a type that CBOR cannot carry at all: channels and functions.
func encodable[T any]() error {
	_, err := encMode.Marshal(*new(T))
	return err
}

func codecFingerprint[T any]() string { return "cbor " + reflect.TypeFor[T]().String() }

// encode makes the bytes of a value; a value that cannot be encoded is the user's error.
func encode[T any](op *keyedOp, v *T) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		op.fail(fmt.Errorf("encode %T: %w", *v, err))
	}
	return b
}

// decMode reads whatever encMode writes: its limits are those of one value, not those for strangers' data.
var decMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32, MaxNestedLevels: 256, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func decode[T any](op *keyedOp, b []byte, v *T) {
	if err := decMode.Unmarshal(b, v); err != nil {
		op.fail(fmt.Errorf("decode %T: %w", *v, err))
	}
}
