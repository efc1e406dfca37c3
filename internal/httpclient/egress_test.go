package httpclient

import (
	"errors"
	"testing"

	"github.com/millstream/millstream/flow"
)

func TestTheEgressPolicyJudgesAddresses(t *testing.T) {
	const never, author, always = "never", "only for the author", "always"
	tests := map[string]string{
		"93.184.216.34:80": always, "[2606:2800:220:1::1]:443": always, "8.8.8.8:80": always,
		"169.254.169.254:80": never, "169.254.1.1:80": never, "[fe80::1%eth0]:80": never, "[::ffff:169.254.169.254]:80": never,
		"[fd00:ec2::254]:80": never, "100.100.100.200:80": never, "168.63.129.16:80": never, "224.0.0.1:80": never, "[ff02::1]:80": never,
		"[64:ff9b::a9fe:a9fe]:80": never, "[2002:a9fe:a9fe::1]:80": never, "[::169.254.169.254]:80": never,
		"127.0.0.1:80": author, "127.9.9.9:80": author, "[::1]:80": author, "[::ffff:127.0.0.1]:80": author, "0.0.0.0:80": author,
		"[::]:80": author, "0.1.2.3:80": author,
		"10.0.0.1:80": author, "172.16.0.1:80": author, "172.31.255.255:80": author, "192.168.1.1:80": author, "[fd12::1]:80": author,
		"100.64.0.1:80": author, "198.18.0.1:80": author, "[fec0::1]:80": author, "255.255.255.255:80": author,
		"[64:ff9b::7f00:1]:80": author, "[2002:0a00:0001::1]:80": author, "[::127.0.0.1]:80": author, "[::ffff:10.0.0.1]:80": author,
		"172.32.0.1:80": always, "192.167.0.1:80": always, "9.255.255.255:80": always, "126.0.0.1:80": always,
		"not an address": never,
	}
	for address, who := range tests {
		for _, computed := range []bool{false, true} {
			err := egress(computed)("tcp", address, nil)
			if allowed := who == always || who == author && !computed; allowed != (err == nil) {
				t.Errorf("%s, computed %v: %v", address, computed, err)
			}
			var e *flow.Error
			if err != nil && (!errors.As(err, &e) || e.Class == flow.Transient) {
				t.Errorf("%s: refused as %v", address, err)
			}
		}
	}
}

func TestAHostThatTheMessageChoseCannotReachThisMachine(t *testing.T) {
	c := New(Options{Computed: true})
	defer c.Close()
	// What names these is asked first; the policy sees the address that came of it.
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "0"} {
		_, err := c.Do(t.Context(), &Request{URL: "http://" + host + ":9/"})
		var e *flow.Error
		switch {
		case !errors.As(err, &e):
			t.Errorf("%s: %v", host, err)
		case e.Code == flow.CodeUnavailable: // a name that does not resolve
		case e.Class != flow.Permanent || e.Code != flow.CodeRefused:
			t.Errorf("%s: %s %s: %v", host, e.Class, e.Code, e)
		}
	}
}
