package expression

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	syslog5424 = regexp.MustCompile(`^<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) ?((?s:.*))$`)
	syslog3164 = regexp.MustCompile(`^<(\d{1,3})>([A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}) (\S+) ([^\s:\[]+)(?:\[(\d+)\])?: ?((?s:.*))$`)
)

// parseSyslog reads the line of RFC 5424, section 6, or that of RFC 3164, section 4.1. The time of the older one has no year and stays
// text.
func parseSyslog(c *Call, a []any) (any, error) {
	line := strings.TrimRight(a[0].(string), "\r\n")
	if err := c.made(len(line)); err != nil {
		return nil, err
	}
	out := map[string]any{"host": nil, "app": nil, "process": nil, "messageID": nil, "time": nil, "structured": map[string]any{}}
	priority := ""
	if m := syslog5424.FindStringSubmatch(line); m != nil {
		priority = m[1]
		t, err := time.Parse(time.RFC3339Nano, m[2])
		switch {
		case err == nil:
			out["time"] = t.UTC()
		case m[2] != "-":
			return nil, fmt.Errorf("the time of the syslog line is not well formed")
		}
		for i, name := range []string{"host", "app", "process", "messageID"} {
			if m[i+3] != "-" {
				out[name] = m[i+3]
			}
		}
		structured, message, err := structuredData(m[7])
		if err != nil {
			return nil, err
		}
		out["structured"], out["message"] = structured, strings.TrimPrefix(message, "\ufeff")
	} else if m := syslog3164.FindStringSubmatch(line); m != nil {
		priority = m[1]
		out["time"], out["host"], out["app"], out["message"] = m[2], m[3], m[4], m[6]
		if m[5] != "" {
			out["process"] = m[5]
		}
	} else {
		return nil, fmt.Errorf("the string is no syslog line")
	}
	p, err := strconv.Atoi(priority)
	if err != nil || p > 191 {
		return nil, fmt.Errorf("the priority of the syslog line is larger than 191")
	}
	out["facility"], out["severity"] = p/8, p%8
	return out, nil
}

// structuredData reads [id name="value" …]…, or -, and gives what follows.
func structuredData(s string) (map[string]any, string, error) {
	out := map[string]any{}
	if s == "-" || strings.HasPrefix(s, "- ") {
		return out, strings.TrimPrefix(s[1:], " "), nil
	}
	for strings.HasPrefix(s, "[") {
		element, rest, err := structuredElement(s[1:])
		if err != nil {
			return nil, "", err
		}
		id, params, _ := strings.Cut(element, " ")
		values := map[string]any{}
		for _, m := range structuredParam.FindAllStringSubmatch(params, -1) {
			values[m[1]] = structuredEscape.ReplaceAllString(m[2], "$1")
		}
		out[id] = values
		s = rest
	}
	return out, strings.TrimPrefix(s, " "), nil
}

var (
	structuredParam  = regexp.MustCompile(`([^\s="\]]+)="((?:[^"\\]|\\.)*)"`)
	structuredEscape = regexp.MustCompile(`\\(["\\\]])`)
)

func structuredElement(s string) (element, rest string, err error) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ']':
			if !quoted {
				return s[:i], s[i+1:], nil
			}
		}
	}
	return "", "", fmt.Errorf("the structured data of the syslog line does not end")
}
