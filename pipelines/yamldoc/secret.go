package yamldoc

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/millstream/millstream/pipelines/diag"
)

// SecretField is implemented by TextUnmarshalers whose text must not be shown. They take secret variables, and a text that is written
// into the file itself is a warning.
type SecretField interface{ SecretField() }

// Secrets returns every text that came from a secret variable or file, or stands in a secret field, so far, for masking. Of a URL in a
// secret field it is what stands behind the user and behind the ?.
func (c *Context) Secrets() []string { return c.secrets }

// KeepSecret adds a text to Secrets, and what is secret in it when it is a URL.
func (c *Context) KeepSecret(text string) {
	c.keepSecret(text)
	c.keepOfURL(text)
}

// keepField adds what is secret in the text of a secret field.
func (c *Context) keepField(text string) {
	if !c.keepOfURL(text) {
		c.keepSecret(text)
	}
}

// keepOfURL adds what is secret in a URL, and tells whether the text is one.
func (c *Context) keepOfURL(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return false
	}
	if password, ok := passwordOf(text); ok {
		c.keepSecret(password)
		if plain, err := url.PathUnescape(password); err == nil {
			c.keepSecret(plain)
			c.keepSecret(url.QueryEscape(plain))
			c.keepSecret(url.PathEscape(plain))
		}
	}
	if _, query, ok := strings.Cut(rest, "?"); ok {
		c.keepSecret(query)
	}
	return true
}

// passwordOf is the password in a URL as it is written, also in one that cannot be read as a whole.
func passwordOf(text string) (string, bool) {
	_, rest, ok := strings.Cut(text, "://")
	at := strings.LastIndexByte(rest, '@')
	if !ok || at < 0 {
		return "", false
	}
	_, password, ok := strings.Cut(rest[:at], ":")
	return password, ok && password != ""
}

func (c *Context) keepSecret(text string) {
	if text != "" && !contains(c.secrets, text) {
		c.secrets = append(c.secrets, text)
	}
}

// warnLiteral adds a warning about a secret that is written into the file, be it as the default of a variable.
func (c *Context) warnLiteral(v *Value) {
	s := v.Scalar()
	written := variables.ReplaceAllString(s.Text, "$1")
	what := v.subject()
	switch {
	case strings.Contains(written, "://"):
		if _, ok := passwordOf(written); !ok || strings.Contains(s.Text, "://guest:guest@") {
			return // what every broker of a kind is installed with is no secret
		}
		what = "the password in " + what
	case written == "" || written != s.Text && !onlyVariable(s.Text):
		return
	}
	f := s.Whole(diag.LiteralSecret, what+" is written into the file, for everybody who reads it", "read it from the environment: ${NAME}, or from a file: ${file:path}")
	f.Severity = diag.Warning
	c.Findings.Add(f)
}

// variables are the ${…} of a text; the group is the default.
var variables = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(?::-([^{}]*)|[^{}]*)\}|\$\{[^{}]*\}`)

// KeepWritten adds to Secrets what looks like one in the text of a file, whether or not what it stands in can be decoded: what stands
// behind a key such as password, and passwords in URLs.
func (c *Context) KeepWritten(file []byte) {
	for line := range strings.Lines(string(file)) {
		if lower := strings.ToLower(line); strings.Contains(lower, "pass") || strings.Contains(lower, "secret") || strings.Contains(lower, "key") {
			c.keepBehindKeys(line)
		}
		if !strings.Contains(line, "://") {
			continue
		}
		for _, m := range secretURLs.FindAllStringSubmatch(line, -1) {
			if !strings.HasPrefix(m[1], "${") {
				c.keepSecret(m[1])
			}
		}
	}
}

func (c *Context) keepBehindKeys(line string) {
	for _, m := range secretKeys.FindAllStringSubmatch(line, -1) {
		text := strings.Trim(m[1], `"'`)
		if d := variables.FindStringSubmatch(text); d != nil {
			text = d[1]
		}
		switch text {
		case "", "true", "false":
		default:
			c.keepSecret(text)
		}
	}
}

var (
	secretKeys = regexp.MustCompile(`(?i)(?:^|[\s{,"'])(?:[a-z0-9_-]*(?:password|passwd|passphrase|secret)|api_?key|access_?key)["']?[ \t]*:[ \t]+("[^"\n]*"|'[^'\n]*'|[^\s,{}\[\]"'#|>&*!$][^\s,}\]]*|\$\{[^}\n]*\})`)
	secretURLs = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/@:"'${}]*:([^\s@"'{}]+|\$\{[^}\s]*\})@`)
)
