package expression

import (
	"fmt"
	"math"
	"strings"
	"time"
	_ "time/tzdata" // zones by name on machines that have none
)

func timeFunctions() []Function {
	return []Function{
		{Name: "now", Types: []any{new(func() time.Time)}, Doc: "The pipeline's clock, UTC; frozen in tests.",
			Examples: [2]Example{{`type(now())`, `"time"`}, {`now() >= parseTime("2000-01-01")`, `true`}},
			Impl:     func(c *Call, _ []any) (any, error) { return c.now(), nil }},
		{Name: "duration", Types: []any{new(func(string) time.Duration)}, Pure: true, Doc: "A duration such as 1h30m, 90s or 250ms.",
			Examples: [2]Example{{`duration("1h") + duration("30m") == duration("90m")`, `true`}, {`string(duration("90s"))`, `"1m30s"`}},
			Impl:     func(_ *Call, a []any) (any, error) { return parseDuration(a[0].(string)) }},
		{Name: "date", Types: []any{new(func(string) time.Time), new(func(string, string) time.Time), new(func(string, string, string) time.Time)}, Pure: true,
			Doc:      "As parseTime; the third argument is the zone of a time that names none.",
			Examples: [2]Example{{`date("2026-01-02") == parseTime("2026-01-02T00:00:00Z")`, `true`}, {`formatTime(date("02.01.2026 10:00", "02.01.2006 15:04", "Europe/Berlin"))`, `"2026-01-02T09:00:00Z"`}}, Impl: parseDate},
		{Name: "parseTime", Types: []any{new(func(string) time.Time), new(func(string, string) time.Time)}, Pure: true,
			Doc:      "The time that a string says: RFC 3339 and the like, or a Go layout, or rfc1123, rfc822, rfc850, ansic, unix, unixMilli.",
			Examples: [2]Example{{`unix(parseTime("2026-01-02T03:04:05Z"))`, `1767323045`}, {`formatTime(parseTime("02/01/2026", "02/01/2006"))`, `"2026-01-02T00:00:00Z"`}}, Impl: parseDate},
		{Name: "formatTime", Types: []any{new(func(time.Time) string), new(func(time.Time, string) string), new(func(time.Time, string, string) string)}, Pure: true,
			Doc:      "A time as text: RFC 3339 in UTC, or a layout as in parseTime, in a zone.",
			Examples: [2]Example{{`formatTime(fromUnix(0), "2006-01-02")`, `"1970-01-01"`}, {`formatTime(fromUnix(0), "15:04", "Asia/Tokyo")`, `"09:00"`}}, Impl: formatTime},
		{Name: "unix", Types: []any{new(func(time.Time) int)}, Pure: true, Doc: "Seconds since 1970.",
			Examples: [2]Example{{`unix(parseTime("1970-01-02"))`, `86400`}, {`unix(fromUnix(5))`, `5`}},
			Impl:     func(_ *Call, a []any) (any, error) { return int(a[0].(time.Time).Unix()), nil }},
		{Name: "unixMilli", Types: []any{new(func(time.Time) int)}, Pure: true, Doc: "Milliseconds since 1970.",
			Examples: [2]Example{{`unixMilli(fromUnix(1.5))`, `1500`}, {`unixMilli(fromUnixMilli(7))`, `7`}},
			Impl:     func(_ *Call, a []any) (any, error) { return int(a[0].(time.Time).UnixMilli()), nil }},
		{Name: "fromUnix", Types: []any{new(func(int) time.Time), new(func(float64) time.Time)}, Pure: true, Doc: "The time so many seconds after 1970, UTC.",
			Examples: [2]Example{{`formatTime(fromUnix(86400))`, `"1970-01-02T00:00:00Z"`}, {`formatTime(fromUnix(0.25))`, `"1970-01-01T00:00:00.25Z"`}}, Impl: fromUnix},
		{Name: "fromUnixMilli", Types: []any{new(func(int) time.Time)}, Pure: true, Doc: "The time so many milliseconds after 1970, UTC.",
			Examples: [2]Example{{`formatTime(fromUnixMilli(1500))`, `"1970-01-01T00:00:01.5Z"`}, {`unix(fromUnixMilli(2000))`, `2`}},
			Impl:     func(_ *Call, a []any) (any, error) { return plausible(time.UnixMilli(int64(a[0].(int))).UTC()) }},
		{Name: "truncateTime", Types: []any{new(func(time.Time, string) time.Time), new(func(time.Time, time.Duration) time.Time)}, Pure: true,
			Doc:      "Rounded down to a multiple of a duration, in UTC.",
			Examples: [2]Example{{`formatTime(truncateTime(fromUnix(3700), "1h"))`, `"1970-01-01T01:00:00Z"`}, {`unix(truncateTime(fromUnix(59), "1m"))`, `0`}}, Impl: truncateTime},
		{Name: "addTime", Types: []any{new(func(time.Time, string) time.Time), new(func(time.Time, time.Duration) time.Time)}, Pure: true,
			Doc:      "Later by a duration; earlier by a negative one.",
			Examples: [2]Example{{`unix(addTime(fromUnix(0), "1m"))`, `60`}, {`unix(addTime(fromUnix(0), "-1s"))`, `-1`}}, Impl: addTime},
		{Name: "age", Types: []any{new(func(time.Time) time.Duration)}, Doc: "How long ago a time is, by the pipeline's clock.",
			Examples: [2]Example{{`age(now()) < duration("1m")`, `true`}, {`age(fromUnix(0)) > duration("1h")`, `true`}},
			Impl:     func(c *Call, a []any) (any, error) { return c.now().Sub(a[0].(time.Time)), nil }},
	}
}

func parseDuration(s string) (any, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return nil, fmt.Errorf("the string says no duration; write 1h30m, 90s or 250ms,")
	}
	return d, nil
}

// plausible keeps times inside the years that RFC 3339 can write.
func plausible(t time.Time) (any, error) {
	if y := t.Year(); y < 1 || y > 9999 {
		return nil, fmt.Errorf("the time lies outside the years 1 to 9999")
	}
	return t, nil
}

var namedLayouts = map[string]string{"rfc3339": time.RFC3339Nano, "rfc1123": time.RFC1123, "rfc1123z": time.RFC1123Z, "rfc822": time.RFC822,
	"rfc850": time.RFC850, "ansic": time.ANSIC, "unixdate": time.UnixDate, "date": time.DateOnly, "datetime": time.DateTime, "time": time.TimeOnly}

func layoutOf(name string) string {
	if l, ok := namedLayouts[strings.ToLower(name)]; ok {
		return l
	}
	return name
}

var usualLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly, time.RFC1123, time.RFC1123Z, time.RFC850, time.RFC822, time.RFC822Z, time.ANSIC}

func parseDate(c *Call, a []any) (any, error) {
	s, zone := a[0].(string), time.UTC
	if len(a) == 3 {
		var err error
		if zone, err = zoneOf(a[2].(string)); err != nil {
			return nil, err
		}
	}
	if len(a) == 1 {
		for _, layout := range usualLayouts {
			if t, err := time.ParseInLocation(layout, s, zone); err == nil {
				return plausible(t.UTC())
			}
		}
		return nil, fmt.Errorf("the string says no time; give its layout as second argument,")
	}
	switch strings.ToLower(a[1].(string)) {
	case "unix", "unixmilli":
		return parseEpoch(c, s, strings.EqualFold(a[1].(string), "unixMilli"))
	}
	t, err := time.ParseInLocation(layoutOf(a[1].(string)), s, zone)
	if err != nil {
		return nil, fmt.Errorf("the string does not follow the layout %q", a[1])
	}
	return plausible(t.UTC())
}

func parseEpoch(c *Call, s string, milli bool) (any, error) {
	x, err := toFloat(c, []any{s})
	if err != nil {
		return nil, err
	}
	if milli {
		return fromUnix(c, []any{x.(float64) / 1000})
	}
	return fromUnix(c, []any{x})
}

func zoneOf(name string) (*time.Location, error) {
	if name == "" || strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("the time zone must be named, such as UTC or Europe/Berlin")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	return zone, nil
}

func formatTime(_ *Call, a []any) (any, error) {
	t, layout := a[0].(time.Time).UTC(), time.RFC3339Nano
	if len(a) == 3 {
		zone, err := zoneOf(a[2].(string))
		if err != nil {
			return nil, err
		}
		t = t.In(zone)
	}
	if len(a) > 1 {
		switch layout = layoutOf(a[1].(string)); strings.ToLower(layout) {
		case "unix":
			return fmt.Sprint(t.Unix()), nil
		case "unixmilli":
			return fmt.Sprint(t.UnixMilli()), nil
		}
	}
	return t.Format(layout), nil
}

func fromUnix(_ *Call, a []any) (any, error) {
	switch x := a[0].(type) {
	case int:
		return plausible(time.Unix(int64(x), 0).UTC())
	case float64:
		if math.Abs(x) > 1e12 {
			return plausible(time.Time{}.AddDate(-1, 0, 0)) // int64 nanoseconds would wrap
		}
		whole, fraction := math.Modf(x)
		return plausible(time.Unix(int64(whole), int64(math.Round(fraction*1e9))).UTC())
	}
	return nil, errMismatch
}

func durationOf(x any) (time.Duration, error) {
	if d, ok := x.(time.Duration); ok {
		return d, nil
	}
	d, err := parseDuration(x.(string))
	if err != nil {
		return 0, err
	}
	return d.(time.Duration), nil
}

func truncateTime(_ *Call, a []any) (any, error) {
	d, err := durationOf(a[1])
	if err != nil {
		return nil, err
	}
	if d <= 0 {
		return nil, fmt.Errorf("the duration must be above zero")
	}
	return a[0].(time.Time).UTC().Truncate(d), nil
}

func addTime(_ *Call, a []any) (any, error) {
	d, err := durationOf(a[1])
	if err != nil {
		return nil, err
	}
	return plausible(a[0].(time.Time).Add(d).UTC())
}
