package kafka

import (
	"encoding/base64"
	"errors"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/flow/value"
)

// hinted is a header's value as text, and the hint that says what it was. A list or a map is JSON, and the hint also tells what within it
// JSON has no type for: "map /seen=time /parts/0=bytes". Names in it are escaped as in queries; bytes are base64.
// An error is about what JSON cannot say at all: text or a name that is no UTF-8.
func hinted(v value.Value) (text, hint string, err error) {
	hint = v.Kind().String()
	if k := v.Kind(); k != value.KindList && k != value.KindMap {
		return flow.Header{Value: v}.Text(), hint, nil
	}
	var leaves []string
	b, err := value.AppendJSON(nil, value.Unbox(sayable(v.Box(), "", &leaves)))
	if err != nil {
		return "", "", err
	}
	for _, leaf := range leaves {
		hint += " " + leaf
	}
	return string(b), hint, nil
}

// sayable is x in types that JSON has; leaves notes the others by their places.
func sayable(x any, at string, leaves *[]string) any {
	note := func(k value.Kind) { *leaves = append(*leaves, at+"="+k.String()) }
	switch x := x.(type) {
	case []byte:
		note(value.KindBytes)
		return base64.StdEncoding.EncodeToString(x)
	case time.Time:
		note(value.KindTime)
		return x.UTC().Format(time.RFC3339Nano)
	case float64:
		switch {
		case math.IsNaN(x) || math.IsInf(x, 0) || x == 0 && math.Signbit(x):
			note(value.KindFloat)
			return strconv.FormatFloat(x, 'g', -1, 64)
		case x == math.Trunc(x):
			note(value.KindFloat)
		}
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = sayable(e, at+"/"+strconv.Itoa(i), leaves)
		}
		return l
	case map[string]any:
		m := make(map[string]any, len(x))
		for _, name := range slices.Sorted(maps.Keys(x)) {
			m[name] = sayable(x[name], at+"/"+url.QueryEscape(name), leaves)
		}
		return m
	}
	return x
}

var errNoSuchLeaf = errors.New("the hint is about something else")

// parseTree reads what hinted has written.
func parseTree(text []byte, leaves string) (value.Value, error) {
	v, err := value.ParseJSON(text)
	if err != nil {
		return v, err
	}
	tree := v.Box()
	for leaf := range strings.FieldsSeq(leaves) {
		at, kind, _ := strings.Cut(leaf, "=")
		way := strings.Split(at, "/")
		if tree, err = retype(tree, way[1:], kind); err != nil {
			return value.Value{}, err
		}
	}
	return value.Unbox(tree), nil
}

// retype gives the part of a tree at the end of a way its type again.
func retype(x any, way []string, kind string) (any, error) {
	if len(way) == 0 {
		return leafOf(x, kind)
	}
	switch x := x.(type) {
	case []any:
		i, err := strconv.Atoi(way[0])
		if err != nil || i < 0 || i >= len(x) {
			return nil, errNoSuchLeaf
		}
		x[i], err = retype(x[i], way[1:], kind)
		return x, err
	case map[string]any:
		name, err := url.QueryUnescape(way[0])
		if err != nil {
			return nil, err
		}
		e, ok := x[name]
		if !ok {
			return nil, errNoSuchLeaf
		}
		x[name], err = retype(e, way[1:], kind)
		return x, err
	}
	return nil, errNoSuchLeaf
}

func leafOf(x any, kind string) (any, error) {
	text, isText := x.(string)
	n, isInt := x.(int)
	switch {
	case kind == value.KindFloat.String() && isInt:
		return float64(n), nil
	case kind == value.KindFloat.String() && isText:
		return strconv.ParseFloat(text, 64)
	case kind == value.KindFloat.String():
		return x, nil
	case kind == value.KindBytes.String() && isText:
		return base64.StdEncoding.DecodeString(text)
	case kind == value.KindTime.String() && isText:
		return time.Parse(time.RFC3339Nano, text)
	}
	return nil, errNoSuchLeaf
}
