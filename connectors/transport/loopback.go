package transport

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// Loopback tells whether host names this machine without asking the network.
func Loopback(host string) bool {
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return ip.IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

// HostOf is the host of host:port; an address without a port is the host.
func HostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// DialTimeout bounds how long one connection attempt may take.
const DialTimeout = 10 * time.Second

// DialLoopback dials like net.Dialer but refuses every address that is not on this machine, after names have been resolved: what a
// password in clear text may be sent to, whatever addresses a cluster advertises.
func DialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: DialTimeout, Control: func(_, resolved string, _ syscall.RawConn) error {
		if Loopback(HostOf(resolved)) {
			return nil
		}
		return fmt.Errorf("refused to send a password in clear text to %s: use TLS", resolved)
	}}
	return d.DialContext(ctx, network, address)
}
