package expression

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strings"
)

func deviceFunctions() []Function {
	return []Function{
		{Name: "inCIDR", Types: []any{new(textToBool)}, Pure: true, Doc: "Whether an IP address lies in a network.",
			Examples: [2]Example{{`inCIDR("10.1.2.3", "10.0.0.0/8")`, `true`}, {`inCIDR("2001:db8::1", "10.0.0.0/8")`, `false`}}, Impl: inCIDR},
		{Name: "topicMatch", Types: []any{new(textToBool)}, Pure: true, Doc: "Whether an MQTT topic matches a pattern with + and #.",
			Examples: [2]Example{{`topicMatch("site/1/temp", "site/+/temp")`, `true`}, {`topicMatch("site/1/temp", "site/#")`, `true`}}, Impl: topicMatch},
		{Name: "topicPart", Types: []any{new(func(string, int) any), new(func(string, int, string) any)}, Pure: true,
			Doc:      "A level of a topic, from 0, from the end when negative, nil when there is none; the third argument is the separator.",
			Examples: [2]Example{{`topicPart("site/1/temp", 1)`, `"1"`}, {`topicPart("a.b", -1, ".")`, `"b"`}}, Impl: topicPart},
		{Name: "bytesAt", Types: []any{new(func([]byte, int, string) any), new(func(string, int, string) any)}, Pure: true,
			Doc:      "The number at an offset of binary data: u8 i8, u16 i16 u32 i32 u64 i64 f32 f64, each with be or le.",
			Examples: [2]Example{{`bytesAt(b"\x01\x02", 0, "u16be")`, `258`}, {`bytesAt(b"\xff\xfe", 0, "i16be")`, `-2`}}, Impl: bytesAt},
		{Name: "geoDistance", Types: []any{new(func(float64, float64, float64, float64) float64)}, Pure: true, Doc: "Metres between two points given as latitude, longitude in degrees.",
			Examples: [2]Example{{`round(geoDistance(52.52, 13.405, 48.8566, 2.3522) / 1000)`, `877.0`}, {`geoDistance(1.0, 1.0, 1.0, 1.0)`, `0.0`}}, Impl: geoDistance},
		{Name: "crc16modbus", Types: []any{new(func(string) int), new(func([]byte) int)}, Pure: true, Doc: "The CRC-16 of Modbus, as an int.",
			Examples: [2]Example{{`crc16modbus("123456789")`, `19255`}, {`crc16modbus("")`, `65535`}},
			Impl:     func(c *Call, a []any) (any, error) { return withBytes(c, a[0], func(b []byte) any { return crc16(b) }) }},
	}
}

func inCIDR(_ *Call, a []any) (any, error) {
	ip, err := netip.ParseAddr(a[0].(string))
	if err != nil {
		return nil, fmt.Errorf("the first argument is no IP address")
	}
	network, err := netip.ParsePrefix(a[1].(string))
	if err != nil {
		return nil, fmt.Errorf("the second argument is no network such as 10.0.0.0/8")
	}
	return network.Contains(ip.Unmap().WithZone("")), nil
}

// topicMatch follows MQTT 5.0, section 4.7: wildcards do not match a first level that begins with $.
func topicMatch(_ *Call, a []any) (any, error) {
	topic, pattern := strings.Split(a[0].(string), "/"), strings.Split(a[1].(string), "/")
	if strings.HasPrefix(topic[0], "$") && (pattern[0] == "+" || pattern[0] == "#") {
		return false, nil
	}
	for i, p := range pattern {
		switch {
		case p == "#":
			if i != len(pattern)-1 {
				return nil, fmt.Errorf("# must stand last in a topic pattern")
			}
			return true, nil
		case strings.ContainsAny(p, "+#") && p != "+":
			return nil, fmt.Errorf("+ and # must stand for a whole level of a topic pattern")
		case i >= len(topic):
			return false, nil
		case p != "+" && p != topic[i]:
			return false, nil
		}
	}
	return len(topic) == len(pattern), nil
}

func topicPart(_ *Call, a []any) (any, error) {
	separator := "/"
	if len(a) == 3 {
		separator = a[2].(string)
	}
	if separator == "" {
		return nil, fmt.Errorf("the separator is empty")
	}
	return element(texts(strings.Split(a[0].(string), separator)), a[1].(int)), nil
}

func bytesAt(_ *Call, a []any) (any, error) {
	b, ok := a[0].([]byte)
	if !ok {
		b = []byte(a[0].(string))
	}
	name := a[2].(string)
	kind, size, order, err := numberLayout(name)
	if err != nil {
		return nil, err
	}
	at := a[1].(int)
	if at < 0 || at > len(b)-size {
		return nil, fmt.Errorf("there are no %d bytes at %d: there are %d", size, at, len(b))
	}
	b = b[at : at+size]
	var u uint64
	switch size {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(order.Uint16(b))
	case 4:
		u = uint64(order.Uint32(b))
	default:
		u = order.Uint64(b)
	}
	return numberOf(kind, size, u)
}

func numberLayout(name string) (kind byte, size int, order binary.ByteOrder, err error) {
	if len(name) < 2 {
		return 0, 0, nil, fmt.Errorf("bytesAt does not know %q", name)
	}
	sizes := map[string]int{"8": 1, "16": 2, "32": 4, "64": 8}
	digits := strings.TrimRight(name[1:], "bel")
	size = sizes[digits]
	switch end := name[1+len(digits):]; {
	case end == "be" || end == "" && size == 1:
		order = binary.BigEndian
	case end == "le":
		order = binary.LittleEndian
	}
	if size == 0 || order == nil || !strings.Contains("uif", name[:1]) || name[0] == 'f' && size < 4 {
		return 0, 0, nil, fmt.Errorf("bytesAt does not know %q; write u16be, i32le, f32be and the like,", name)
	}
	return name[0], size, order, nil
}

func numberOf(kind byte, size int, u uint64) (any, error) {
	switch {
	case kind == 'f' && size == 4:
		return finite(float64(math.Float32frombits(uint32(u))))
	case kind == 'f':
		return finite(math.Float64frombits(u))
	case kind == 'i':
		shift := 64 - 8*size
		return int(int64(u<<shift) >> shift), nil
	case u > math.MaxInt64:
		return nil, errOverflow
	}
	return int(u), nil
}

// geoDistance is the haversine formula on a sphere of 6,371,008.8 m, the mean radius of the Earth (IUGG).
func geoDistance(_ *Call, a []any) (any, error) {
	var r [4]float64
	for i, x := range a {
		if limit := []float64{90, 180}[i%2]; math.Abs(x.(float64)) > limit {
			return nil, fmt.Errorf("argument %d lies outside ±%v degrees", i+1, limit)
		}
		r[i] = x.(float64) * math.Pi / 180
	}
	lat, lon := math.Sin((r[2]-r[0])/2), math.Sin((r[3]-r[1])/2)
	h := lat*lat + math.Cos(r[0])*math.Cos(r[2])*lon*lon
	return finite(2 * 6371008.8 * math.Asin(math.Sqrt(min(1, h))))
}

func crc16(b []byte) int {
	crc := uint16(0xffff)
	for _, x := range b {
		crc ^= uint16(x)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xa001
			} else {
				crc >>= 1
			}
		}
	}
	return int(crc)
}
