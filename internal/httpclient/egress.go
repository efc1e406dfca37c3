package httpclient

import (
	"net/netip"
	"syscall"

	"github.com/millstream/millstream/flow"
)

// metadata are the addresses at which clouds hand out credentials to whoever runs on a machine, where no general rule covers them.
func metadata(ip netip.Addr) bool {
	switch ip.WithZone("").String() {
	case "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16":
		return true
	}
	return false
}

// egress is the policy, asked with each address after names have been resolved: a name that suddenly means another address gets no
// further than one that always did.
func egress(computed bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		class := flow.ConfigError
		if computed {
			class = flow.Permanent
		}
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return flow.Errorf(class, flow.CodeRefused, "the address %q cannot be read", address)
		}
		for _, ip := range meant(at.Addr()) {
			if why := denied(ip, computed); why != "" {
				return flow.Errorf(class, flow.CodeRefused, "the egress policy refuses %s: %s", at.Addr(), why)
			}
		}
		return nil
	}
}

// meant are the address itself and the IPv4 address that is written inside it: mapped, translated (NAT64) or tunnelled (6to4).
func meant(ip netip.Addr) []netip.Addr {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return []netip.Addr{ip}
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip), compatible.Contains(ip) && ip != netip.IPv6Unspecified() && ip != netip.IPv6Loopback():
		return []netip.Addr{ip, netip.AddrFrom4([4]byte(b[12:16]))}
	case sixToFour.Contains(ip):
		return []netip.Addr{ip, netip.AddrFrom4([4]byte(b[2:6]))}
	}
	return []netip.Addr{ip}
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052
	compatible = netip.MustParsePrefix("::/96")         // RFC 4291, 2.5.5.1
	sixToFour  = netip.MustParsePrefix("2002::/16")     // RFC 3056
	carrier    = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	thisHost   = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122, 3.2.1.3
	benchmark  = netip.MustParsePrefix("198.18.0.0/15") // RFC 2544
	siteLocal  = netip.MustParsePrefix("fec0::/10")     // RFC 3879
	reserved   = netip.MustParsePrefix("240.0.0.0/4")   // RFC 1112, 4
)

// denied says why an address is refused; empty when it is not.
func denied(ip netip.Addr, computed bool) string {
	switch {
	case metadata(ip):
		return "a cloud's metadata service"
	case ip.IsLinkLocalUnicast():
		return "link-local, where clouds have their metadata service"
	case ip.IsMulticast():
		return "multicast"
	case !computed:
		return ""
	case ip.IsLoopback(), ip.IsUnspecified(), thisHost.Contains(ip):
		return "this machine, and the message chose the host"
	case ip.IsPrivate(), carrier.Contains(ip), benchmark.Contains(ip), siteLocal.Contains(ip), reserved.Contains(ip):
		return "a private network, and the message chose the host"
	}
	return ""
}
