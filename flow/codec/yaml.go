package codec

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
	"github.com/millstream/millstream/flow/value/syntax"
)

// YAML is one YAML document. Its literals are JSON's: dates are texts, and what looks like a number but is none in JSON (0x1F, 0123, 1_000,
// .inf) is an error, as are tags other than !!str and !!binary, merge keys, keys that are no text or come twice, and a second document.
// What an alias refers to counts again each time.
func YAML() *Format {
	return &Format{Name: "yaml", Kind: document.Coded, Coder: yamlCoder{}, Media: "application/yaml", Text: true}
}

type yamlCoder struct{}

func (yamlCoder) Decode(payload []byte) (v value.Value, err error) {
	defer func() {
		if r := recover(); r != nil { // the parser has been seen to panic on broken texts
			v, err = value.Value{}, fmt.Errorf("this cannot be read: %.200v", r)
		}
	}()
	if !utf8.Valid(payload) {
		return value.Value{}, errors.New("it holds bytes that are not UTF-8")
	}
	d := yaml.NewDecoder(bytes.NewReader(payload))
	var doc, second yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return value.Value{}, nil
	case err != nil:
		return value.Value{}, yamlError(err)
	}
	switch err := d.Decode(&second); {
	case err == nil:
		return value.Value{}, fmt.Errorf("line %d: a second document begins", second.Line)
	case !errors.Is(err, io.EOF):
		return value.Value{}, yamlError(err)
	}
	r := yamlReader{left: MaxMarkup}
	x, err := r.value(doc.Content[0], 0)
	if err != nil {
		return value.Value{}, err
	}
	return value.Unbox(x), nil
}

func yamlError(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "yaml: ")) }

type yamlReader struct{ left budget }

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if err := r.left.take(1); err != nil {
		return nil, err
	}
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	switch n.Kind {
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		l := make([]any, len(n.Content))
		for i, c := range n.Content {
			var err error
			if l[i], err = r.value(c, depth+1); err != nil {
				return nil, element(i, err)
			}
		}
		return l, nil
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	x, err := yamlScalar(n)
	if err != nil {
		return nil, fmt.Errorf("%w, in line %d", err, n.Line)
	}
	return x, nil
}

func (r *yamlReader) mapping(n *yaml.Node, depth int) (any, error) {
	m := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			return nil, fmt.Errorf("a merge key is not read, in line %d", key.Line)
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" && key.ShortTag() != "!!timestamp" {
			return nil, fmt.Errorf("a key that is no text (quote it), in line %d", n.Content[i].Line)
		}
		if _, twice := m[key.Value]; twice {
			return nil, fmt.Errorf("the key %q comes twice, in line %d", key.Value, n.Content[i].Line)
		}
		x, err := r.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, member(key.Value, err)
		}
		m[key.Value] = x
	}
	return m, nil
}

func yamlScalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!str", "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		text := []byte(n.Value)
		if end, _ := syntax.Number(text, 0); len(text) == 0 || end != len(text) {
			return nil, fmt.Errorf("%.40q is a number to some readers of YAML only; quote it, or write it as JSON does", n.Value)
		}
		v, err := value.ParseJSON(text)
		if err != nil {
			return nil, err
		}
		return v.Box(), nil
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, errors.New("!!binary is no base64")
		}
		return b, nil
	default:
		return nil, fmt.Errorf("the tag %.40q is not known", tag)
	}
}

func (yamlCoder) Append(dst []byte, v value.Value) ([]byte, error) {
	n, err := yamlNode(v.Box(), 0)
	if err != nil {
		return dst, err
	}
	out := bytes.NewBuffer(dst)
	e := yaml.NewEncoder(out)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return dst, err
	}
	return out.Bytes(), e.Close()
}

// yamlNode is a value as the writer takes it.
func yamlNode(x any, depth int) (*yaml.Node, error) {
	if depth > MaxDepth {
		return nil, errTooDeep
	}
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch x := x.(type) {
	case nil:
		n.Value, n.Tag = "null", "!!null"
	case bool:
		n.Value, n.Tag = strconv.FormatBool(x), "!!bool"
	case int:
		n.Value, n.Tag = strconv.Itoa(x), "!!int"
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, errors.New("a number that is not finite cannot be written as YAML")
		}
		text, err := value.AppendJSON(nil, value.Float(x))
		n.Value = string(text)
		return n, err
	case string:
		return yamlText(x)
	case []byte:
		n.Value, n.Tag = base64.StdEncoding.EncodeToString(x), "!!binary"
	case time.Time:
		text, err := value.AppendJSON(nil, value.Time(x))
		if err != nil {
			return nil, err
		}
		n.Value, n.Style = string(text[1:len(text)-1]), yaml.DoubleQuotedStyle
	case time.Duration:
		n.Value = x.String()
	case []any:
		n.Kind = yaml.SequenceNode
		for i := range x {
			c, err := yamlNode(x[i], depth+1)
			if err != nil {
				return nil, element(i, err)
			}
			n.Content = append(n.Content, c)
		}
	case map[string]any:
		n.Kind = yaml.MappingNode
		for _, name := range sortedKeys(x) {
			key, err := yamlText(name)
			if err != nil {
				return nil, err
			}
			c, err := yamlNode(x[name], depth+1)
			if err != nil {
				return nil, member(name, err)
			}
			n.Content = append(n.Content, key, c)
		}
	default:
		return nil, fmt.Errorf("%T has no form in YAML", x)
	}
	return n, nil
}

// yamlText is a text, in quotes wherever a reader might take it for something else.
func yamlText(s string) (*yaml.Node, error) {
	if !utf8.ValidString(s) {
		return nil, errNotText
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if !isPlain(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n, nil
}

// isPlain tells whether every reader of YAML takes a text without quotes for this text: words of letters that mean nothing else.
func isPlain(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		inner := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '/' || c == '.'
		if !letter && (!inner || i == 0) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	return true
}
