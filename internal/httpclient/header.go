package httpclient

import "strings"

// Reserved tells whether a header is set by the protocol itself, so that nobody else may: the host, the length, and what speaks of one
// connection only (RFC 9110, 7.6.1).
func Reserved(name string) bool {
	switch strings.ToLower(name) {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "proxy-authenticate",
		"proxy-authorization", "te", "trailer", "upgrade", "expect":
		return true
	}
	return false
}

// ValidMethod tells whether text can be a method.
func ValidMethod(text string) bool { return isToken(text) }

// ValidHeader tells whether a header can be sent as it is: the name a token, the value without control characters but tabs, and without
// blanks at its ends, which the other side would not see (RFC 9110, 5.5).
func ValidHeader(name, value string) bool {
	if !isToken(name) || strings.Trim(value, " \t") != value {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
