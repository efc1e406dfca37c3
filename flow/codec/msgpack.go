package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// Msgpack is MessagePack. Timestamps (extension -1) are times, no other extension is read; an integer beyond int64 is an error, and so is a
// key that is no text. Of repeated keys the last counts.
func Msgpack() *Format {
	return &Format{Name: "msgpack", Kind: document.Coded, Coder: msgpackCoder{}, Media: "application/msgpack"}
}

type msgpackCoder struct{}

// msgpackReader is one payload on its way to a value.
type msgpackReader struct {
	*msgpack.Decoder
	in   *bytes.Reader
	left budget
}

func (msgpackCoder) Decode(payload []byte) (value.Value, error) {
	d := msgpack.GetDecoder()
	defer msgpack.PutDecoder(d)
	r := &msgpackReader{in: bytes.NewReader(payload), left: newBudget()}
	d.Reset(r.in)
	r.Decoder = d
	r.left-- // for the outermost value
	x, err := r.value(0)
	if err == nil && r.in.Len() > 0 {
		err = errTrailing
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errShort
		}
		return value.Value{}, fmt.Errorf("%w, at byte %d", err, len(payload)-r.in.Len())
	}
	return value.Unbox(x), nil
}

// value reads a value that has been counted.
func (r *msgpackReader) value(depth int) (any, error) {
	c, err := r.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case c == msgpcode.Nil:
		return nil, r.DecodeNil()
	case c == msgpcode.True, c == msgpcode.False:
		return r.DecodeBool()
	case c == msgpcode.Uint64:
		n, err := r.DecodeUint64()
		if err == nil && n > math.MaxInt64 {
			err = fmt.Errorf("the integer %d is larger than an int can hold", n)
		}
		return int(n), err
	case msgpcode.IsFixedNum(c), c >= msgpcode.Uint8 && c <= msgpcode.Int64:
		n, err := r.DecodeInt64()
		return int(n), err
	case c == msgpcode.Float, c == msgpcode.Double:
		return r.DecodeFloat64()
	case msgpcode.IsString(c):
		return r.text()
	case msgpcode.IsBin(c):
		return r.bytes()
	case msgpcode.IsFixedArray(c), c == msgpcode.Array16, c == msgpcode.Array32:
		return r.list(depth)
	case msgpcode.IsFixedMap(c), c == msgpcode.Map16, c == msgpcode.Map32:
		return r.mapping(depth)
	case msgpcode.IsExt(c):
		return r.extension()
	}
	return nil, fmt.Errorf("0x%x begins no value", c)
}

// bytes reads a string or binary; its length is judged before anything is made for it.
func (r *msgpackReader) bytes() ([]byte, error) {
	n, err := r.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > r.in.Len() {
		return nil, errShort
	}
	b := make([]byte, n)
	return b, r.ReadFull(b)
}

func (r *msgpackReader) text() (string, error) {
	b, err := r.bytes()
	if err == nil && !utf8.Valid(b) {
		err = errors.New("a string that is not UTF-8")
	}
	return string(b), err
}

// count judges a number of elements, each of which takes so many bytes at least. They are counted before there is memory for them: lists
// inside each other may all say that the whole payload is theirs.
func (r *msgpackReader) count(n, bytes, depth int) error {
	switch {
	case depth >= MaxDepth:
		return errTooDeep
	case n < 0 || n > r.in.Len()/bytes && n <= int(r.left):
		return errShort
	}
	return r.left.take(n)
}

func (r *msgpackReader) list(depth int) (any, error) {
	n, err := r.DecodeArrayLen()
	if err == nil {
		err = r.count(n, 1, depth)
	}
	if err != nil {
		return nil, err
	}
	l := make([]any, n)
	for i := range l {
		if l[i], err = r.value(depth + 1); err != nil {
			return nil, element(i, err)
		}
	}
	return l, nil
}

func (r *msgpackReader) mapping(depth int) (any, error) {
	n, err := r.DecodeMapLen()
	if err == nil {
		err = r.count(n, 2, depth)
	}
	if err == nil {
		err = r.left.take(mapValues)
	}
	if err != nil {
		return nil, err
	}
	m := make(map[string]any, n)
	for range n {
		c, err := r.PeekCode()
		if err == nil && !msgpcode.IsString(c) {
			err = errors.New("a key of a map is no string")
		}
		if err != nil {
			return nil, err
		}
		name, err := r.text()
		if err != nil {
			return nil, err
		}
		if m[name], err = r.value(depth + 1); err != nil {
			return nil, member(name, err)
		}
	}
	return m, nil
}

// timestamp is the extension type of times.
const timestamp = -1

func (r *msgpackReader) extension() (any, error) {
	id, n, err := r.DecodeExtHeader()
	switch {
	case err != nil:
		return nil, err
	case n < 0 || n > r.in.Len():
		return nil, errShort
	case id != timestamp:
		return nil, fmt.Errorf("the extension type %d is not known", id)
	}
	b := make([]byte, n)
	if err := r.ReadFull(b); err != nil {
		return nil, err
	}
	var seconds int64
	var nanos uint64
	switch n {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(b))
	case 8:
		bits := binary.BigEndian.Uint64(b)
		seconds, nanos = int64(bits&(1<<34-1)), bits>>34
	case 12:
		nanos = uint64(binary.BigEndian.Uint32(b))
		seconds = int64(binary.BigEndian.Uint64(b[4:]))
	default:
		return nil, fmt.Errorf("a timestamp of %d bytes", n)
	}
	if nanos > 999_999_999 {
		return nil, errors.New("a timestamp with more than a second of nanoseconds")
	}
	return time.Unix(seconds, int64(nanos)).UTC(), nil
}

func (msgpackCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	e.Reset(out)
	if err := writeMsgpack(e, v.Box(), 0); err != nil {
		return dst, err
	}
	return out.Bytes(), nil
}

func writeMsgpack(e *msgpack.Encoder, x any, depth int) error {
	switch x := x.(type) {
	case nil:
		return e.EncodeNil()
	case bool:
		return e.EncodeBool(x)
	case int:
		return e.EncodeInt(int64(x))
	case float64:
		return e.EncodeFloat64(x)
	case string:
		if !utf8.ValidString(x) {
			return errNotText
		}
		return e.EncodeString(x)
	case []byte:
		return e.EncodeBytes(x)
	case time.Time:
		return e.EncodeTime(x)
	case time.Duration:
		return e.EncodeString(x.String())
	case []any:
		return writeMsgpackList(e, x, depth)
	case map[string]any:
		return writeMsgpackMap(e, x, depth)
	}
	return fmt.Errorf("%T has no form in MessagePack", x)
}

func writeMsgpackList(e *msgpack.Encoder, l []any, depth int) error {
	if depth >= MaxDepth {
		return errTooDeep
	}
	if err := e.EncodeArrayLen(len(l)); err != nil {
		return err
	}
	for i := range l {
		if err := writeMsgpack(e, l[i], depth+1); err != nil {
			return element(i, err)
		}
	}
	return nil
}

func writeMsgpackMap(e *msgpack.Encoder, m map[string]any, depth int) error {
	if depth >= MaxDepth {
		return errTooDeep
	}
	if err := e.EncodeMapLen(len(m)); err != nil {
		return err
	}
	for _, name := range sortedKeys(m) {
		if !utf8.ValidString(name) {
			return errNotText
		}
		if err := e.EncodeString(name); err != nil {
			return err
		}
		if err := writeMsgpack(e, m[name], depth+1); err != nil {
			return member(name, err)
		}
	}
	return nil
}

var errNotText = errors.New("a string that is not UTF-8 cannot be written")
