package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/millstream/millstream/internal/faults/proxy"
)

// The brokers, as scripts/brokers names them.
const (
	Kafka  = "kafka"
	Rabbit = "rabbitmq"
)

// Link is the way from pipelines to a broker, through a proxy.
type Link struct{ *proxy.Proxy }

// link returns the address of the proxy before a broker, which it makes at first. A broker of Kafka names its own address in its answers,
// and clients go there: with advertised, the proxy puts its own in its place.
func (r *Route) link(ctx context.Context, broker, target, advertised string) (string, error) {
	if l, ok := r.brokers[broker]; ok {
		return l.Addr(), nil
	}
	p, err := proxy.New(ctx, target, 1)
	if err != nil {
		return "", err
	}
	r.brokers[broker] = &Link{Proxy: p}
	if advertised == "" {
		return p.Addr(), nil
	}
	theirs, err := spoken(advertised)
	if err != nil {
		return "", err
	}
	ours, err := spoken(p.Addr())
	if err != nil {
		return "", err
	}
	return p.Addr(), p.Replace(theirs, ours)
}

// Link is the way to a broker of a route that is proxied.
func (r *Route) Link(broker string) (*Link, error) {
	if l, ok := r.brokers[broker]; ok {
		return l, nil
	}
	return nil, fmt.Errorf("route %s has no proxy before %s", r.Name, broker)
}

// spoken is an address as the Kafka protocol says it: the host's text, and the port in 32 bits.
func spoken(addr string) ([]byte, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return binary.BigEndian.AppendUint32([]byte(host), uint32(n)), err
}

// hostOf is the host and port of a URL.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
