package codec

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// CBOR is RFC 8949. The tags 0 and 1 are times, 2 and 3 integers as far as int64 holds them, 55799 says nothing; any other tag is an error,
// for what it says of its content would be lost. A key that is no text is an error too, and so is one that comes twice. undefined reads as
// nil. What is written is in the deterministic order of RFC 8949, section 4.2.1.
func CBOR() (*Format, error) {
	d, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: MaxDepth, MaxArrayElements: MaxValues, MaxMapPairs: MaxValues,
		IntDec: cbor.IntDecConvertSignedOrFail, DefaultMapType: reflect.TypeFor[map[string]any](), TimeTagToAny: cbor.TimeTagToTime,
		BigIntDec: cbor.BigIntDecodePointer,
	}.DecMode()
	if err != nil {
		return nil, err
	}
	o := cbor.CoreDetEncOptions()
	o.Time, o.TimeTag, o.ShortestFloat = cbor.TimeRFC3339Nano, cbor.EncTagRequired, cbor.ShortestFloatNone
	o.NaNConvert, o.InfConvert = cbor.NaNConvertNone, cbor.InfConvertNone
	e, err := o.EncMode()
	if err != nil {
		return nil, err
	}
	return &Format{Name: "cbor", Kind: document.Coded, Coder: &cborCoder{d, e}, Media: "application/cbor"}, nil
}

type cborCoder struct {
	read  cbor.DecMode
	write cbor.EncMode
}

func (c *cborCoder) Decode(payload []byte) (value.Value, error) {
	var x any
	if err := c.read.Unmarshal(payload, &x); err != nil {
		return value.Value{}, cborError(err)
	}
	left := newBudget()
	x, err := fromCBOR(x, &left)
	if err != nil {
		return value.Value{}, err
	}
	return value.Unbox(x), nil
}

// cborError says what the decoder found without the words of Go.
func cborError(err error) error {
	var e *cbor.UnmarshalTypeError
	if errors.As(err, &e) {
		_, number, overflow := strings.Cut(e.Error(), "(")
		if overflow {
			number, _, _ = strings.Cut(number, " ")
			return fmt.Errorf("the integer %s is larger than an int can hold", shortened(number))
		}
		return fmt.Errorf("a key of a map is no text but a %s", e.CBORType)
	}
	return errors.New(strings.TrimPrefix(err.Error(), "cbor: "))
}

// selfDescribed is the tag that only says that CBOR follows.
const selfDescribed = 55799

// fromCBOR makes the values of the decoder ours, in place.
func fromCBOR(x any, left *budget) (any, error) {
	if err := left.take(1); err != nil {
		return nil, err
	}
	switch x := x.(type) {
	case nil, bool, float64, []byte:
		return x, nil
	case string:
		return x, nil // the decoder has judged it
	case int64:
		return int(x), nil
	case time.Time:
		return x.UTC(), nil
	case *big.Int:
		if !x.IsInt64() {
			return nil, fmt.Errorf("the integer %s is larger than an int can hold", shortened(x.String()))
		}
		return int(x.Int64()), nil
	case []any:
		for i := range x {
			var err error
			if x[i], err = fromCBOR(x[i], left); err != nil {
				return nil, element(i, err)
			}
		}
		return x, nil
	case map[string]any:
		if err := left.take(mapValues); err != nil {
			return nil, err
		}
		for name := range x {
			var err error
			if x[name], err = fromCBOR(x[name], left); err != nil {
				return nil, member(name, err)
			}
		}
		return x, nil
	case cbor.Tag:
		if x.Number == selfDescribed {
			return fromCBOR(x.Content, left)
		}
		return nil, fmt.Errorf("the tag %d is not known", x.Number)
	case cbor.SimpleValue:
		return nil, fmt.Errorf("the simple value %d is not known", uint8(x))
	}
	return nil, fmt.Errorf("%T is not known", x)
}

func shortened(digits string) string {
	if len(digits) > 40 {
		return digits[:40] + "…"
	}
	return digits
}

func (c *cborCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	x, err := toCBOR(v.Box(), 0)
	if err != nil {
		return dst, err
	}
	out, err := c.write.Marshal(x)
	if err != nil {
		return dst, err
	}
	return append(dst, out...), nil
}

// toCBOR makes what the encoder would take for something else its own; lists and maps are copied only where that is so.
func toCBOR(x any, depth int) (any, error) {
	switch x := x.(type) {
	case string:
		if !utf8.ValidString(x) {
			return nil, errNotText
		}
	case time.Duration:
		return x.String(), nil
	case time.Time:
		if y := x.UTC().Year(); y < 0 || y > 9999 {
			return nil, errYear
		}
		return x.UTC(), nil
	case []any:
		if depth >= MaxDepth-1 {
			return nil, errTooDeep
		}
		out := make([]any, len(x))
		for i := range x {
			var err error
			if out[i], err = toCBOR(x[i], depth+1); err != nil {
				return nil, element(i, err)
			}
		}
		return out, nil
	case map[string]any:
		if depth >= MaxDepth-1 {
			return nil, errTooDeep
		}
		out := make(map[string]any, len(x))
		for name := range x {
			if !utf8.ValidString(name) {
				return nil, errNotText
			}
			var err error
			if out[name], err = toCBOR(x[name], depth+1); err != nil {
				return nil, member(name, err)
			}
		}
		return out, nil
	}
	return x, nil
}

var errYear = errors.New("a time before the year 0 or after 9999 cannot be written")
