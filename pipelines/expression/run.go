package expression

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/vm"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// run is the state of one evaluation. Runs are pooled; one belongs to one goroutine at a time.
type run struct {
	message  *flow.Message
	bindings Bindings
	scope    *Scope
	steps    int
	call     Call
	env      map[string]any // {"@run": the run itself}
	machines []*vm.VM       // one for each depth of try
	depth    int
	captured []any // what the part of try that runs has been handed
}

func newRun() *run {
	r := &run{}
	r.call.run = r
	r.env = map[string]any{"@run": r}
	return r
}

var runs = sync.Pool{New: func() any { return newRun() }}

func startRun(s *Scope, m *flow.Message, b Bindings) *run {
	r := runs.Get().(*run)
	r.message, r.bindings, r.scope, r.steps, r.depth, r.captured = m, b, s, 0, 0, nil
	return r
}

func (r *run) end() {
	r.message, r.bindings, r.captured = nil, Bindings{}, nil
	runs.Put(r)
}

var errBudget = errors.New("the evaluation takes too long")

// spend takes steps out of the evaluation's budget.
func (r *run) spend(steps int) error {
	r.steps += steps
	if r.steps > maxSteps {
		return fmt.Errorf("%w: more than %d steps", errBudget, maxSteps)
	}
	return nil
}

// weigh is the size of x written out, in bytes and roughly, up to limit: values may share parts, so that a small one unfolds without end.
func weigh(x any, limit int) int {
	size := 8
	switch x := x.(type) {
	case string:
		size += len(x)
	case []byte:
		size += len(x)
	case []any:
		for i := 0; i < len(x) && size < limit; i++ {
			size += weigh(x[i], limit-size)
		}
	case map[string]any:
		for k, v := range x {
			if size >= limit {
				break
			}
			size += len(k) + weigh(v, limit-size)
		}
	}
	return size
}

// same is ==, charged for what has to be compared.
func (r *run) same(a, b any) (bool, error) {
	switch a.(type) {
	case []any, map[string]any:
		if err := r.spend(min(weigh(a, 8*maxSteps), weigh(b, 8*maxSteps))/8 + 1); err != nil {
			return false, err
		}
	}
	return same(a, b), nil
}

func (r *run) now() time.Time {
	switch {
	case r.bindings.Now != nil:
		return r.bindings.Now().UTC()
	case r.message != nil:
		return r.message.Now().UTC()
	}
	return time.Now().UTC()
}

// slot reads a body path strictly, lookup leniently.
func (r *run) slot(s document.Slot) (any, error) {
	v, err := r.message.Body.Get(s)
	if err != nil {
		return nil, readError(err)
	}
	return v.Box(), nil
}

func (r *run) lookup(s document.Slot) (any, error) {
	v, err := r.message.Body.Lookup(s)
	if err != nil {
		return nil, readError(err)
	}
	return v.Box(), nil
}

// guarded reads slots[0]; the others are the prefixes before a ?. and may be nil. The lenient read comes first: what it finds is what a
// strict one would.
func (r *run) guarded(slots []document.Slot) (value.Value, error) {
	v, err := r.message.Body.Lookup(slots[0])
	if err != nil || !v.IsNil() {
		return v, err
	}
	for _, s := range slots[1:] {
		if v, err := r.message.Body.Get(s); err != nil || v.IsNil() {
			return value.Value{}, err
		}
	}
	return r.message.Body.Get(slots[0])
}

// asText is bytes as the language sees them: text where they are UTF-8.
func asText(b []byte) any {
	if utf8.Valid(b) {
		return string(b)
	}
	return b
}

func (r *run) variable(index int) any {
	m := r.message
	switch variables[index] {
	case "raw":
		if m.Raw() != nil {
			return m.Raw()
		}
	case "meta":
		return r.metaMap()
	case "tmp":
		if m.Tmp() == nil {
			return map[string]any{}
		}
		return m.Tmp()
	case "key":
		if m.Key() != nil {
			return asText(m.Key())
		}
	case "topic":
		return m.Topic()
	case "id":
		return m.ID()
	case "time":
		return m.Time()
	case "source":
		return r.sourceMap()
	case "attempt":
		return m.Attempt()
	case "error":
		return failure(m.Failure())
	case "n":
		return int(r.bindings.N)
	case "it":
		return r.bindings.It
	}
	return nil
}

func failure(e *flow.Error) any {
	if e == nil {
		return nil
	}
	return map[string]any{"class": e.Class.String(), "code": string(e.Code), "message": e.Message, "node": e.Node}
}

func (r *run) meta(name string) any {
	if text, ok := r.message.Meta(name); ok {
		return validText(text)
	}
	return nil
}

func validText(text string) any {
	if utf8.ValidString(text) {
		return text
	}
	return []byte(text)
}

func (r *run) metaMap() map[string]any {
	headers := r.message.Headers()
	m := make(map[string]any, len(headers))
	for _, h := range headers {
		m[h.Name] = validText(h.Text())
	}
	return m
}

func (r *run) sourceMap() map[string]any {
	m := map[string]any{}
	for k, v := range r.message.SourceExtra() {
		m[k] = plainOr(v)
	}
	for _, name := range []string{"name", "connector", "partition", "offset", "redelivered", "headers"} {
		m[name] = r.source(name)
	}
	return m
}

// plainOr is what a connector gives as a value of the language; nil when it cannot be one.
func plainOr(x any) any {
	v, err := value.FromAny(x)
	if err != nil {
		return nil
	}
	return v.Box()
}

func (r *run) source(name string) any {
	m := r.message
	switch name {
	case "name":
		return m.SourceName()
	case "connector":
		return m.Connector()
	case "partition":
		if m.Record().Partition >= 0 {
			return int(m.Record().Partition)
		}
		return nil
	case "offset":
		return int(m.Record().Offset)
	case "redelivered":
		return m.Record().Redelivered
	case "headers":
		list := make([]any, 0, len(m.Record().Headers))
		for _, h := range m.Record().Headers {
			list = append(list, map[string]any{"name": h.Name, "value": h.Value.Box()})
		}
		return list
	}
	return plainOr(m.SourceExtra()[name])
}

// missing is what a chain with ?. passes on once it met nil; the end of the chain makes nil of it.
type missing struct{}

// get is base[key].
func (r *run) get(s *site, base, key any) (any, error) {
	switch b := base.(type) {
	case missing:
		return b, nil
	case nil:
		name := s.piece(s.left)
		return nil, s.fail("%s is nil; write ?. behind it, or give a default with ??,", name)
	case map[string]any:
		k, ok := key.(string)
		if !ok {
			return nil, s.fail("the keys of a map are strings, not %s,", article(kindName(key)))
		}
		return b[k], nil
	case []any:
		i, ok := key.(int)
		if !ok {
			return nil, s.fail("the index of a list is an int, not %s,", article(kindName(key)))
		}
		if i < 0 {
			i += len(b)
		}
		if i < 0 || i >= len(b) {
			if s.lenient {
				return nil, nil
			}
			return nil, s.fail("there is no element %v: the list has %d", key, len(b))
		}
		return b[i], nil
	}
	return nil, s.fail("%s is %s and has no parts", s.piece(s.left), article(kindName(base)))
}

// slice is base[from:to]: of a list its elements, of a string its characters. Bounds outside are cut.
func (r *run) slice(s *site, base, from, to any) (any, error) {
	length := 0
	var runes []rune
	switch b := base.(type) {
	case nil:
		return nil, s.fail("%s is nil", s.piece(s.left))
	case []any:
		length = len(b)
	case []byte:
		length = len(b)
	case string:
		runes = []rune(b)
		length = len(runes)
	default:
		return nil, s.fail("%s is %s and cannot be cut", s.piece(s.left), article(kindName(base)))
	}
	i, err1 := bound(s, from, 0, length)
	j, err2 := bound(s, to, length, length)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if j < i {
		j = i
	}
	if err := r.spend((j - i) / bytesAStep); err != nil {
		return nil, s.because(err)
	}
	switch b := base.(type) {
	case []any:
		return b[i:j:j], nil
	case []byte:
		return b[i:j:j], nil
	}
	return string(runes[i:j]), nil
}

func bound(s *site, x any, otherwise, length int) (int, error) {
	if x == nil {
		return otherwise, nil
	}
	i, ok := x.(int)
	if !ok {
		return 0, s.fail("a bound must be an int, not %s,", article(kindName(x)))
	}
	if i < 0 {
		i += length
	}
	return max(0, min(i, length)), nil
}
