package http

import (
	"net"
	"strings"
)

// address is a normal form of where requests go, for telling that a sink feeds a source; empty when the host may be any.
func address(scheme, hostPort, path string, secure bool) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil || host == "" {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		host = "localhost"
	}
	if secure {
		scheme = "https"
	}
	return scheme + "://" + strings.ToLower(host) + ":" + port + path
}
