package expression

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/millstream/millstream/flow/value"
)

func parseFunctions() []Function {
	return []Function{
		{Name: "parseJSON", Types: []any{new(func(string) any), new(func([]byte) any)}, Pure: true, Doc: "What a JSON text says.",
			Examples: [2]Example{{`parseJSON("{\"a\": 9007199254740993}").a`, `9007199254740993`}, {`parseJSON("[1, null]")`, `[1, nil]`}}, Impl: parseJSON},
		{Name: "fromJSON", Types: []any{new(func(string) any), new(func([]byte) any)}, Pure: true, Doc: "As parseJSON.",
			Examples: [2]Example{{`fromJSON("1.0")`, `1.0`}, {`fromJSON("\"a\"")`, `"a"`}}, Impl: parseJSON},
		{Name: "toJSON", Types: []any{new(func(any) string)}, Pure: true, NilOK: true, Doc: "A value as compact JSON.",
			Examples: [2]Example{{`toJSON({a: [1, nil]})`, `"{\"a\":[1,null]}"`}, {`toJSON("é")`, `"\"é\""`}},
			Impl:     func(c *Call, a []any) (any, error) { return encodeJSON(c, a[0]) }},
		{Name: "parseCSV", Types: []any{new(func(string) []any), new(textToList)}, Pure: true, Doc: "The rows of a CSV text, each a list of strings; the second argument is the separator.",
			Examples: [2]Example{{`parseCSV("a,b\n1,\"x,y\"\n")`, `[["a", "b"], ["1", "x,y"]]`}, {`parseCSV("a;b", ";")`, `[["a", "b"]]`}}, Impl: parseCSV},
		{Name: "parseURL", Types: []any{new(func(string) map[string]any)}, Pure: true, Doc: "The parts of a URL: scheme, host, port, path, query, fragment.",
			Examples: [2]Example{{`parseURL("https://example.org:8443/a?b=1").host`, `"example.org"`}, {`parseURL("https://example.org/a?b=1&b=2").query`, `{b: "2"}`}}, Impl: parseURL},
		{Name: "parseQuery", Types: []any{new(func(string) map[string]any)}, Pure: true, Doc: "The parameters of a query string; of repeated names the last.",
			Examples: [2]Example{{`parseQuery("a=1&b=x%20y")`, `{a: "1", b: "x y"}`}, {`parseQuery("?a=")`, `{a: ""}`}}, Impl: parseQuery},
		{Name: "parseKV", Types: []any{new(func(string) map[string]any), new(func(string, string, string) map[string]any)}, Pure: true,
			Doc:      "A map of key=value pairs between spaces, or between other separators.",
			Examples: [2]Example{{`parseKV("a=1 b=x")`, `{a: "1", b: "x"}`}, {`parseKV("a:1;b:2", ";", ":")`, `{a: "1", b: "2"}`}}, Impl: parseKV},
		{Name: "parseLogfmt", Types: []any{new(func(string) map[string]any)}, Pure: true, Doc: "The pairs of a logfmt line; a key alone is true.",
			Examples: [2]Example{{`parseLogfmt("level=info msg=\"a b\" done")`, `{level: "info", msg: "a b", done: true}`}, {`parseLogfmt("")`, `{}`}}, Impl: parseLogfmt},
		{Name: "parseSyslog", Types: []any{new(func(string) map[string]any)}, Pure: true, Doc: "The parts of a syslog line after RFC 5424 or RFC 3164.",
			Examples: [2]Example{
				{`parseSyslog("<34>1 2026-01-02T03:04:05Z host app 12 ID7 - it broke").message`, `"it broke"`},
				{`parseSyslog("<13>Feb  5 17:32:18 host su: failed").severity`, `5`}}, Impl: parseSyslog},
	}
}

func parseJSON(c *Call, a []any) (any, error) {
	return withParsed(c, a[0], func(b []byte) (value.Value, error) { return value.ParseJSON(b) })
}

func withParsed(c *Call, x any, f func([]byte) (value.Value, error)) (any, error) {
	var v value.Value
	var err error
	if _, spent := withBytes(c, x, func(b []byte) any { v, err = f(b); return nil }); spent != nil {
		return nil, spent
	}
	if err != nil {
		return nil, fmt.Errorf("the string is no JSON: %w", err)
	}
	return v.Box(), nil
}

func parseCSV(c *Call, a []any) (any, error) {
	if err := c.made(len(a[0].(string))); err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(a[0].(string)))
	r.FieldsPerRecord = -1
	if len(a) == 2 {
		sep := []rune(a[1].(string))
		if len(sep) != 1 {
			return nil, fmt.Errorf("the separator must be one character")
		}
		r.Comma = sep[0]
	}
	rows := []any{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the string is no CSV: %w", err)
		}
		if err := c.listed(max(len(rows)+1, len(row))); err != nil {
			return nil, err
		}
		rows = append(rows, texts(row))
	}
}

func parseURL(_ *Call, a []any) (any, error) {
	u, err := url.Parse(a[0].(string))
	if err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("the string is no absolute URL")
	}
	query, err := queryMap(u.RawQuery)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"scheme": u.Scheme, "host": u.Hostname(), "port": nil, "path": u.Path, "query": query, "fragment": u.Fragment}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		out["port"] = port
	}
	return out, nil
}

func parseQuery(_ *Call, a []any) (any, error) {
	return queryMap(strings.TrimPrefix(a[0].(string), "?"))
}

func queryMap(query string) (any, error) {
	params, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("the query string is not well formed")
	}
	out := map[string]any{}
	for name, all := range params {
		out[strings.ToValidUTF8(name, "�")] = asText([]byte(all[len(all)-1]))
	}
	return out, nil
}

func parseKV(c *Call, a []any) (any, error) {
	s, between, equals := a[0].(string), " ", "="
	if len(a) == 3 {
		between, equals = a[1].(string), a[2].(string)
	}
	if between == "" || equals == "" {
		return nil, fmt.Errorf("a separator is empty")
	}
	if err := c.listed(strings.Count(s, between) + 1); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for _, pair := range strings.Split(s, between) {
		pair = strings.TrimSpace(pair)
		if pair == "" {
			continue
		}
		k, v, ok := strings.Cut(pair, equals)
		if !ok {
			return nil, fmt.Errorf("%q has no %q", truncated(pair), equals)
		}
		out[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	return out, nil
}

func parseLogfmt(c *Call, a []any) (any, error) {
	s := strings.TrimSpace(a[0].(string))
	if err := c.made(len(s)); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for s != "" {
		end := strings.IndexAny(s, "= ")
		if end < 0 {
			out[s] = true
			break
		}
		key, rest := s[:end], s[end+1:]
		if s[end] == ' ' {
			out[key] = true
			s = strings.TrimSpace(rest)
			continue
		}
		text, after, err := logfmtValue(rest)
		if err != nil {
			return nil, err
		}
		if key == "" {
			return nil, fmt.Errorf("a pair has no key")
		}
		out[key] = text
		s = strings.TrimSpace(after)
	}
	return out, nil
}

func logfmtValue(s string) (text, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		text, rest, _ = strings.Cut(s, " ")
		return text, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("a quoted value does not end")
	}
	text, err = strconv.Unquote(quoted)
	return strings.ToValidUTF8(text, "�"), s[len(quoted):], err
}
