package amqp

import (
	"encoding/base64"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// received takes the table of a delivery apart: some of its headers are other parts of the record.
type received struct {
	table amqp.Table
	// encoded are the parts that are base64 and that nobody has decoded yet.
	encoded []string
	// taken are the headers that have become other parts.
	taken [3]string
}

func receive(t amqp.Table) *received {
	r := &received{table: t}
	if names, _ := t[base64Header].(string); names != "" {
		r.encoded = strings.Split(names, ",")
	}
	return r
}

// decode gives the bytes of a part that is marked as base64. What is no base64 stays marked, and as it is.
func (r *received) decode(part, text string) ([]byte, bool) {
	i := slices.Index(r.encoded, part)
	if i < 0 {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	r.encoded = slices.Delete(r.encoded, i, i+1)
	return b, true
}

// key is the key that a header carries; nil is none.
func (r *received) key() []byte {
	switch v := r.table[keyHeader].(type) {
	case string:
		r.taken[0] = keyHeader
		if b, ok := r.decode(keyPart, v); ok {
			return b
		}
		return append([]byte{}, v...)
	case []byte:
		r.taken[0] = keyHeader
		return append([]byte{}, v...)
	}
	return nil
}

// tombstone tells whether the message stands for no payload.
func (r *received) tombstone(body []byte) bool {
	v := r.table[tombstoneHeader]
	if v != true && v != "true" || len(body) > 0 {
		return false
	}
	r.taken[1] = tombstoneHeader
	return true
}

// headers lists what is left of the table in the order of its names, since a table has none of its own.
func (r *received) headers() []flow.Header {
	if len(r.table) == 0 {
		return nil
	}
	hs := make([]flow.Header, 0, len(r.table))
	for name, v := range r.table {
		switch {
		case name == base64Header || slices.Contains(r.taken[:], name):
		case strings.HasPrefix(name, hintPrefix) && v == repeated && r.several(name[len(hintPrefix):]) != nil:
		default:
			if all := r.several(name); all != nil {
				hs = append(hs, r.apart(name, all)...)
				continue
			}
			hs = append(hs, headerOf(name, v))
		}
	}
	if v, ok := r.table[base64Header]; ok {
		if _, isText := v.(string); !isText {
			hs = append(hs, headerOf(base64Header, v))
		} else if len(r.encoded) > 0 {
			hs = append(hs, flow.TextHeader(base64Header, strings.Join(r.encoded, ",")))
		}
	}
	slices.SortStableFunc(hs, func(a, b flow.Header) int { return strings.Compare(a.Name, b.Name) })
	return hs
}

// several are the values of the headers of one name that a sink made one of; nil for another header.
func (r *received) several(name string) []any {
	text, ok := r.table[name].(string)
	if !ok || r.table[hintPrefix+name] != repeated {
		return nil
	}
	v, err := value.ParseJSON([]byte(text))
	if err != nil || v.Kind() != value.KindList || len(v.List()) < 2 {
		return nil
	}
	return v.List()
}

// apart makes headers of the values of one.
func (r *received) apart(name string, all []any) []flow.Header {
	hs := make([]flow.Header, len(all))
	part := headerPart(name)
	i := slices.Index(r.encoded, part)
	for k, x := range all {
		hs[k] = flow.Header{Name: name, Value: value.Unbox(x)}
		text, ok := x.(string)
		if !ok || i < 0 {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil { // another program marked it: the values stay as they are, and so does the mark
			return r.asTheyAre(name, all)
		}
		hs[k].Value = textOf(string(b))
	}
	if i >= 0 {
		r.encoded = slices.Delete(r.encoded, i, i+1)
	}
	return hs
}

func (*received) asTheyAre(name string, all []any) []flow.Header {
	hs := make([]flow.Header, len(all))
	for k, x := range all {
		hs[k] = flow.Header{Name: name, Value: value.Unbox(x)}
	}
	return hs
}
