package config

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millstream/millstream/pipelines/yamldoc"
)

// Expression is a field that is always an expression. Build compiles it with Builder.Expression.
type Expression struct {
	// Scalar is the text with its place in the file.
	Scalar yamldoc.Scalar
	// Set tells that the field was written and has no finding yet.
	Set bool
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (e *Expression) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	e.Scalar, e.Set = c.Expression(v)
}

// Template is a field that is always a literal, in which {{ expr }} is evaluated per message. Build compiles it with
// Builder.Template.
type Template struct {
	// Text is the literal after interpolation.
	Text yamldoc.Text
	Set  bool
}

// UnmarshalYAMLDoc implements yamldoc.Unmarshaler.
func (t *Template) UnmarshalYAMLDoc(v *yamldoc.Value, c *yamldoc.Context) {
	t.Text, t.Set = c.Interpolate(v)
}

// Secret is a text that is never shown.
type Secret struct{ text string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{text} }

// UnmarshalText takes the text after interpolation.
func (s *Secret) UnmarshalText(b []byte) error {
	s.text = string(b)
	return nil
}

// SecretField implements yamldoc.SecretField.
func (s Secret) SecretField() {}

// Reveal gives the text, for the one place that needs it.
func (s Secret) Reveal() string { return s.text }

// IsZero tells that nothing was set.
func (s Secret) IsZero() bool { return s.text == "" }

// String, GoString, Format, MarshalText and LogValue all give ***.
func (s Secret) String() string { return "***" }

// GoString hides the text from %#v.
func (s Secret) GoString() string { return "***" }

// Format hides the text from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

// MarshalText hides the text from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// LogValue hides the text from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Size is a number of bytes: 512, 64KiB, 1MiB, 10MB.
type Size int64

var sizeUnits = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text, factor := string(b), 1.0
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = strings.TrimSpace(rest), u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n < 0 || n*factor > math.MaxInt64/2 || n*factor != math.Trunc(n*factor) {
		return fmt.Errorf("must be a size such as 64KiB, 1MiB or 1500")
	}
	*s = Size(n * factor)
	return nil
}

// Rate is a number of things per time: 100/s, 5/m, 1000/h.
type Rate struct {
	N   float64
	Per time.Duration
}

// UnmarshalText reads a rate.
func (r *Rate) UnmarshalText(b []byte) error {
	count, unit, ok := strings.Cut(string(b), "/")
	n, err := strconv.ParseFloat(strings.TrimSpace(count), 64)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[strings.TrimSpace(unit)]
	if !ok || err != nil || per == 0 || !(n > 0) || math.IsInf(n, 0) {
		return fmt.Errorf("must be a rate such as 100/s, 30/m or 5/h")
	}
	if gap := float64(per) / n; gap < 1 || gap > float64(longestGap) {
		return fmt.Errorf("must be between one a year and 1,000,000,000/s")
	}
	*r = Rate{N: n, Per: per}
	return nil
}

// longestGap is the most time that may be between two things at a rate.
const longestGap = 365 * 24 * time.Hour

// Interval is the time between two things at this rate.
func (r Rate) Interval() time.Duration {
	if r.N == 0 {
		return 0
	}
	return time.Duration(float64(r.Per) / r.N)
}
