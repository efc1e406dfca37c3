package expression

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/millstream/millstream/flow/value"
)

type (
	fromText     = func(string) string
	fromTexts    = func(string, string) string
	fromTextInt  = func(string, int) string
	textToList   = func(string, string) []any
	textToListN  = func(string, string, int) []any
	textToNumber = func(string, string) int
	textToBool   = func(string, string) bool
)

func textFunctions() []Function {
	return append(plainTextFunctions(), shapingFunctions()...)
}

// plainTextFunctions are expr's own string functions, bounded.
func plainTextFunctions() []Function {
	return []Function{
		{Name: "string", Types: []any{new(func(any) string)}, Pure: true, Doc: "A value as text: bytes as they are, lists and maps as JSON. A number beyond 64 bits is an error, since it may be another's.",
			Examples: [2]Example{{`string(1.5)`, `"1.5"`}, {`string([1, "a"])`, `"[1,\"a\"]"`}}, Impl: toText},
		{Name: "trim", Types: []any{new(fromText), new(fromTexts)}, Pure: true, Doc: "Without white space, or these characters, at both ends.",
			Examples: [2]Example{{`trim("  a ")`, `"a"`}, {`trim("__a_", "_")`, `"a"`}}, Impl: trim},
		{Name: "trimPrefix", Types: []any{new(fromTexts), new(fromText)}, Pure: true, Doc: "Without this beginning, if it has it.",
			Examples: [2]Example{{`trimPrefix("v1.2", "v")`, `"1.2"`}, {`trimPrefix("1.2", "v")`, `"1.2"`}},
			Impl:     func(_ *Call, a []any) (any, error) { return strings.TrimPrefix(a[0].(string), secondText(a)), nil }},
		{Name: "trimSuffix", Types: []any{new(fromTexts), new(fromText)}, Pure: true, Doc: "Without this end, if it has it.",
			Examples: [2]Example{{`trimSuffix("a.json", ".json")`, `"a"`}, {`trimSuffix("a", ".json")`, `"a"`}},
			Impl:     func(_ *Call, a []any) (any, error) { return strings.TrimSuffix(a[0].(string), secondText(a)), nil }},
		{Name: "upper", Types: []any{new(fromText)}, Pure: true, Doc: "In upper case.",
			Examples: [2]Example{{`upper("aé")`, `"AÉ"`}, {`upper("")`, `""`}}, Impl: mapped(strings.ToUpper)},
		{Name: "lower", Types: []any{new(fromText)}, Pure: true, Doc: "In lower case.",
			Examples: [2]Example{{`lower("AÉ")`, `"aé"`}, {`lower("a1")`, `"a1"`}}, Impl: mapped(strings.ToLower)},
		{Name: "split", Types: []any{new(textToList), new(textToListN)}, Pure: true, Doc: "The parts between separators; with a number, at most so many.",
			Examples: [2]Example{{`split("a,b,c", ",")`, `["a", "b", "c"]`}, {`split("a,b,c", ",", 2)`, `["a", "b,c"]`}}, Impl: splitWith(strings.SplitN)},
		{Name: "splitAfter", Types: []any{new(textToList), new(textToListN)}, Pure: true, Doc: "As split, each part with its separator.",
			Examples: [2]Example{{`splitAfter("a,b", ",")`, `["a,", "b"]`}, {`splitAfter("a", ",")`, `["a"]`}}, Impl: splitWith(strings.SplitAfterN)},
		{Name: "replace", Types: []any{new(func(string, string, string) string), new(func(string, string, string, int) string)}, Pure: true,
			Doc:      "With each occurrence replaced; with a number, the first so many.",
			Examples: [2]Example{{`replace("a-b-c", "-", "+")`, `"a+b+c"`}, {`replace("a-b-c", "-", "+", 1)`, `"a+b-c"`}}, Impl: replace},
		{Name: "repeat", Types: []any{new(fromTextInt)}, Pure: true, Doc: "So many times in a row.",
			Examples: [2]Example{{`repeat("ab", 2)`, `"abab"`}, {`repeat("a", 0)`, `""`}}, Impl: repeatText},
		{Name: "join", Types: []any{new(func([]any, string) string), new(func([]any) string)}, Pure: true, Doc: "The strings of a list in one, with a separator between.",
			Examples: [2]Example{{`join(["a", "b"], ", ")`, `"a, b"`}, {`join(["a", "b"])`, `"ab"`}}, Impl: joinTexts},
		{Name: "indexOf", Types: []any{new(textToNumber)}, Pure: true, Doc: "Where a part begins, counted in characters; -1 when it is not there.",
			Examples: [2]Example{{`indexOf("éab", "b")`, `2`}, {`indexOf("abc", "x")`, `-1`}}, Impl: indexWith(strings.Index)},
		{Name: "lastIndexOf", Types: []any{new(textToNumber)}, Pure: true, Doc: "Where the last such part begins; -1 when there is none.",
			Examples: [2]Example{{`lastIndexOf("abab", "b")`, `3`}, {`lastIndexOf("abc", "x")`, `-1`}}, Impl: indexWith(strings.LastIndex)},
		{Name: "hasPrefix", Types: []any{new(textToBool)}, Pure: true, Doc: "Whether a string begins so; s startsWith \"x\" says the same.",
			Examples: [2]Example{{`hasPrefix("abc", "ab")`, `true`}, {`hasPrefix("abc", "b")`, `false`}},
			Impl:     func(_ *Call, a []any) (any, error) { return strings.HasPrefix(a[0].(string), a[1].(string)), nil }},
		{Name: "hasSuffix", Types: []any{new(textToBool)}, Pure: true, Doc: "Whether a string ends so; s endsWith \"x\" says the same.",
			Examples: [2]Example{{`hasSuffix("abc", "bc")`, `true`}, {`hasSuffix("abc", "b")`, `false`}},
			Impl:     func(_ *Call, a []any) (any, error) { return strings.HasSuffix(a[0].(string), a[1].(string)), nil }},
	}
}

func shapingFunctions() []Function {
	return []Function{
		{Name: "capitalize", Types: []any{new(fromText)}, Pure: true, Doc: "With the first character in upper case.",
			Examples: [2]Example{{`capitalize("éa")`, `"Éa"`}, {`capitalize("")`, `""`}}, Impl: mapped(capitalize)},
		{Name: "padLeft", Types: []any{new(fromTextInt), new(func(string, int, string) string)}, Pure: true, Doc: "Filled on the left to so many characters.",
			Examples: [2]Example{{`padLeft("7", 3, "0")`, `"007"`}, {`padLeft("abcd", 3)`, `"abcd"`}},
			Impl:     func(c *Call, a []any) (any, error) { return pad(c, a, true) }},
		{Name: "padRight", Types: []any{new(fromTextInt), new(func(string, int, string) string)}, Pure: true, Doc: "Filled on the right to so many characters.",
			Examples: [2]Example{{`padRight("a", 3)`, `"a  "`}, {`padRight("a", 3, ".")`, `"a.."`}},
			Impl:     func(c *Call, a []any) (any, error) { return pad(c, a, false) }},
		{Name: "truncate", Types: []any{new(fromTextInt), new(func(string, int, string) string)}, Pure: true,
			Doc:      "At most so many characters; what is cut shows the third argument at its end.",
			Examples: [2]Example{{`truncate("abcdef", 3)`, `"abc"`}, {`truncate("abcdef", 3, "…")`, `"ab…"`}}, Impl: truncate},
		{Name: "slug", Types: []any{new(fromText)}, Pure: true, Doc: "Lower case letters and digits with single dashes between.",
			Examples: [2]Example{{`slug("Hello, World!")`, `"hello-world"`}, {`slug("--A  b--")`, `"a-b"`}}, Impl: mapped(func(s string) string { return cased(s, "-") })},
		{Name: "camelCase", Types: []any{new(fromText)}, Pure: true, Doc: "Words run together, each but the first with a capital.",
			Examples: [2]Example{{`camelCase("user_name")`, `"userName"`}, {`camelCase("Last seen at")`, `"lastSeenAt"`}}, Impl: mapped(camelCase)},
		{Name: "snakeCase", Types: []any{new(fromText)}, Pure: true, Doc: "Words in lower case with underscores between.",
			Examples: [2]Example{{`snakeCase("userName")`, `"user_name"`}, {`snakeCase("Last seen at")`, `"last_seen_at"`}}, Impl: mapped(func(s string) string { return cased(s, "_") })},
		{Name: "captures", Types: []any{new(func(string, string) any)}, Pure: true,
			Doc:      "What the groups of a pattern matched: a map when they have names, else a list; nil without a match.",
			Examples: [2]Example{{`captures("a-12", "^(?P<site>[a-z]+)-(?P<n>[0-9]+)$")`, `{site: "a", n: "12"}`}, {`captures("abc", "([0-9])")`, `nil`}}, Impl: captures},
		{Name: "sprintf", Types: []any{new(func(string, ...any) string)}, Pure: true, NilOK: false, Doc: "Text made of a format as in C: %s %d %.2f %x %q %v.",
			Examples: [2]Example{{`sprintf("%05.1f|%s", 3.14159, "a")`, `"003.1|a"`}, {`sprintf("%d%%", 5)`, `"5%"`}}, Impl: format},
	}
}

func mapped(f func(string) string) func(*Call, []any) (any, error) {
	return func(c *Call, a []any) (any, error) {
		s := a[0].(string)
		if err := c.made(len(s)); err != nil {
			return nil, err
		}
		return f(s), nil
	}
}

func secondText(a []any) string {
	if len(a) == 2 {
		return a[1].(string)
	}
	return " "
}

func toText(c *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case string:
		return x, nil
	case []byte:
		if !utf8.Valid(x) {
			return nil, fmt.Errorf("the bytes are not UTF-8; toHex and toBase64 show any bytes")
		}
		return string(x), c.made(len(x))
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano), nil
	case time.Duration:
		return x.String(), nil
	case float64:
		if err := tells(x); err != nil {
			return nil, err
		}
	}
	return encodeJSON(c, a[0])
}

// tells refuses a number of which JSON may have said another: beyond 64 bits many whole numbers are one float, and a text or id made of
// it would be that of its neighbours too.
func tells(f float64) error {
	if math.Abs(f) < 1<<63 {
		return nil
	}
	return errors.New("the number is beyond 64 bits, where several are read as one float: its text may be that of another; send it as a string")
}

// encodeJSON is compact JSON.
func encodeJSON(c *Call, x any) (any, error) {
	if err := c.made(weigh(x, 2*maxString)); err != nil {
		return nil, err
	}
	b, err := value.AppendJSON(nil, value.Unbox(x))
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

func trim(_ *Call, a []any) (any, error) {
	if len(a) == 1 {
		return strings.TrimSpace(a[0].(string)), nil
	}
	return strings.Trim(a[0].(string), a[1].(string)), nil
}

func splitWith(f func(s, sep string, n int) []string) func(*Call, []any) (any, error) {
	return func(c *Call, a []any) (any, error) {
		s, sep, n := a[0].(string), a[1].(string), -1
		if len(a) == 3 {
			n = a[2].(int)
		}
		parts := utf8.RuneCountInString(s)
		if sep != "" {
			parts = strings.Count(s, sep) + 1
		}
		if n >= 0 {
			parts = min(parts, n)
		}
		if err := c.listed(parts); err != nil {
			return nil, err
		}
		return texts(f(s, sep, n)), nil
	}
}

func texts(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

func replace(c *Call, a []any) (any, error) {
	s, old, with, n := a[0].(string), a[1].(string), a[2].(string), -1
	if len(a) == 4 {
		n = a[3].(int)
	}
	count := strings.Count(s, old)
	if n >= 0 {
		count = min(count, n)
	}
	if err := c.made(len(s) + count*max(0, len(with)-len(old))); err != nil {
		return nil, err
	}
	return strings.Replace(s, old, with, n), nil
}

func repeatText(c *Call, a []any) (any, error) {
	s, n := a[0].(string), a[1].(int)
	if n < 0 {
		return nil, fmt.Errorf("repeat cannot take a negative number")
	}
	if len(s) > 0 && n > maxString/len(s) {
		return nil, c.made(maxString + 1)
	}
	if err := c.made(len(s) * n); err != nil {
		return nil, err
	}
	return strings.Repeat(s, n), nil
}

func joinTexts(c *Call, a []any) (any, error) {
	list, glue := a[0].([]any), ""
	if len(a) == 2 {
		glue = a[1].(string)
	}
	size := 0
	parts := make([]string, len(list))
	for i, x := range list {
		s, ok := x.(string)
		if !ok {
			return nil, fmt.Errorf("element %d is %s and no string; map(list, string(it)) makes strings", i, article(kindName(x)))
		}
		parts[i] = s
		size += len(s) + len(glue)
		if size > maxString {
			break
		}
	}
	if err := c.made(size); err != nil {
		return nil, err
	}
	return strings.Join(parts, glue), nil
}

func indexWith(f func(s, part string) int) func(*Call, []any) (any, error) {
	return func(_ *Call, a []any) (any, error) {
		s := a[0].(string)
		at := f(s, a[1].(string))
		if at < 0 {
			return -1, nil
		}
		return utf8.RuneCountInString(s[:at]), nil
	}
}

func capitalize(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

func pad(c *Call, a []any, left bool) (any, error) {
	s, fill := a[0].(string), " "
	if len(a) == 3 {
		fill = a[2].(string)
	}
	missing := a[1].(int) - utf8.RuneCountInString(s)
	if missing <= 0 {
		return s, nil
	}
	if fill == "" {
		return nil, fmt.Errorf("the text to fill with is empty")
	}
	if missing > maxString/len(fill) {
		return nil, c.made(maxString + 1)
	}
	if err := c.made(len(s) + missing*len(fill)); err != nil {
		return nil, err
	}
	filling := []rune(strings.Repeat(fill, missing/utf8.RuneCountInString(fill)+1))[:missing]
	if left {
		return string(filling) + s, nil
	}
	return s + string(filling), nil
}

func truncate(c *Call, a []any) (any, error) {
	runes, n, end := []rune(a[0].(string)), a[1].(int), ""
	if len(a) == 3 {
		end = a[2].(string)
	}
	if n < 0 {
		return nil, fmt.Errorf("truncate cannot take a negative number")
	}
	if len(runes) <= n {
		return a[0], nil
	}
	tail := []rune(end)
	if len(tail) > n {
		tail = tail[:n]
	}
	return string(runes[:n-len(tail)]) + string(tail), c.made(n)
}

// words are the runs of letters and digits; a capital after a small letter begins one too.
func words(s string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, string(word))
			word = nil
		}
	}
	runes := []rune(s)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]) || i+1 < len(runes) && unicode.IsUpper(runes[i-1]) && unicode.IsLower(runes[i+1])):
			flush()
		}
		word = append(word, unicode.ToLower(r))
	}
	flush()
	return out
}

func cased(s, glue string) string { return strings.Join(words(s), glue) }

func camelCase(s string) string {
	parts := words(s)
	for i := 1; i < len(parts); i++ {
		parts[i] = capitalize(parts[i])
	}
	return strings.Join(parts, "")
}

func captures(c *Call, a []any) (any, error) {
	re := c.site.pattern
	match := re.FindStringSubmatchIndex(a[0].(string))
	if match == nil {
		return nil, nil
	}
	group := func(i int) any {
		if match[2*i] < 0 {
			return nil
		}
		return a[0].(string)[match[2*i]:match[2*i+1]]
	}
	var list []any
	named := map[string]any{}
	for i, name := range re.SubexpNames() {
		if name != "" {
			named[name] = group(i)
		}
		if i > 0 {
			list = append(list, group(i))
		}
	}
	switch {
	case len(named) > 0:
		return named, nil
	case len(list) == 0:
		return []any{group(0)}, nil
	}
	return list, nil
}

// format is fmt.Sprintf with the mistakes as errors and widths bounded.
func format(c *Call, a []any) (any, error) {
	f := a[0].(string)
	if mayBeWide(f) && wide.MatchString(f) {
		return nil, fmt.Errorf("a width in the format is larger than 999, or comes from an argument")
	}
	size := len(f)
	for _, x := range a[1:] {
		switch x := x.(type) {
		case string:
			size += len(x) * 4
		case []byte:
			size += len(x) * 4
		case []any, map[string]any:
			return nil, fmt.Errorf("sprintf cannot take %s; toJSON makes text of it", article(kindName(x)))
		}
	}
	if err := c.made(size); err != nil {
		return nil, err
	}
	args := make([]any, len(a)-1)
	for i, x := range a[1:] {
		args[i] = x
		if t, ok := x.(time.Time); ok {
			args[i] = t.UTC().Format(time.RFC3339Nano)
		}
	}
	out := fmt.Sprintf(f, args...)
	if i := strings.Index(out, "%!"); i >= 0 && !strings.Contains(f, "%!") {
		return nil, fmt.Errorf("the format and its arguments do not fit: %s", truncated(out[i:]))
	}
	return out, nil
}

var wide = regexp.MustCompile(`%[-+# 0]*[0-9.\[\]]*([0-9]{4,}|\*)`)

// mayBeWide is a cheap look for what wide needs: a star, or four digits in a row.
func mayBeWide(f string) bool {
	digits := 0
	for i := range len(f) {
		switch c := f[i]; {
		case c == '*':
			return true
		case c < '0' || c > '9':
			digits = 0
		default:
			if digits++; digits == 4 {
				return true
			}
		}
	}
	return false
}

func truncated(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
