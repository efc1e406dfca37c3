package transport

import "strings"

// Foreign tells whether a header must not leave its own technology: it speaks about one connection, carries credentials of another
// system, or steers a broker of another kind.
func Foreign(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
		"host", "content-length", "authorization", "cookie", "set-cookie",
		"x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason", "x-last-death-exchange",
		"x-last-death-queue", "x-last-death-reason", "x-delivery-count":
		return true
	}
	return len(name) > 5 && strings.EqualFold(name[:5], "nats-")
}
