package cloudevent

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// known are the names that the specification gives a meaning of their own (CloudEvents 1.0.2, "Context Attributes"; data is reserved by
// "Naming Conventions").
var known = []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"}

// maxName is the longest name of an attribute that the specification advises.
const maxName = 20

// checkName tells what is wrong with the name of an extension; "" when nothing is.
func checkName(name string) (problem, hint string) {
	switch {
	case slices.Contains(known, name):
		return name + " is no extension: CloudEvents gives it a meaning of its own", ""
	case len(name) == 0 || len(name) > maxName:
		return "the name of an extension has 1 to 20 characters", ""
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "the name of an extension is made of lower-case letters and digits", plainName(name)
		}
	}
	return "", ""
}

// plainName is a name that may be meant.
func plainName(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	if problem, _ := checkName(plain); problem != "" {
		return ""
	}
	return "write " + plain
}

// check tells what is wrong with the value of an attribute; "" when nothing is.
func check(name, text string) string {
	switch {
	case text == "":
		return "is empty"
	case !utf8.ValidString(text):
		return "is not valid UTF-8"
	}
	for _, r := range text {
		if !allowed(r) {
			return "holds a character that CloudEvents does not allow"
		}
	}
	if name == "source" && !isReference(text) {
		return "is no URI reference"
	}
	return ""
}

// allowed tells whether a character may stand in a String (CloudEvents 1.0.2, "Type System").
func allowed(r rune) bool {
	switch {
	case r <= 0x1f, r >= 0x7f && r <= 0x9f: // controls
		return false
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe: // what Unicode calls noncharacters
		return false
	}
	return true
}

// isReference tells whether text is a URI reference (RFC 3986, section 4.1).
func isReference(text string) bool {
	const marks = "-._~:/?#[]@!$&'()*+,;=%"
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	_, err := url.Parse(text)
	return err == nil && strings.Count(text, "#") <= 1 && wellEscaped(text)
}

// wellEscaped tells whether two hexadecimal digits follow each percent sign.
func wellEscaped(text string) bool {
	for i := range len(text) {
		if text[i] == '%' && (i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2])) {
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
