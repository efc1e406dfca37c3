package document_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millstream/millstream/flow/document"
	"github.com/millstream/millstream/flow/value"
)

// telemetry writes lines as vehicles send them, of about 233 bytes.
func telemetry(count int) [][]byte {
	r := rand.New(rand.NewPCG(7, 7))
	kinds := []string{"telemetry", "telemetry", "telemetry", "alert", "heartbeat"}
	pool := []string{"fleet-a", "fleet-b", "diesel", "electric", "truck", "van", "eu-west", "us-east", "night", "cold-chain"}
	lines := make([][]byte, count)
	for i := range lines {
		tags := r.Perm(len(pool))
		lines[i] = fmt.Appendf(nil, `{"device_id":"veh-%05d","seq":%d,"ts":%d,"type":"%s","temperature":%.2f,"speed":%.1f,"fuel":%.3f,`+
			`"location":{"lat":%.6f,"lon":%.6f},"tags":["%s","%s","%s"],"fw":"v2.%d.%d","status":"ok"}`,
			r.IntN(5000), i, 1760000000000+i*7, kinds[r.IntN(len(kinds))], r.Float64()*130-20, r.Float64()*120, r.Float64(),
			r.Float64()*25+35, r.Float64()*40-10, pool[tags[0]], pool[tags[1]], pool[tags[2]], r.IntN(10), r.IntN(40))
	}
	return lines
}

// telemetryPaths reads three members, rewrites one, deletes one and adds one.
type telemetryPaths struct {
	paths                                *document.Paths
	speed, temperature, kind, fw, status document.Slot
	fahrenheit                           document.Slot
}

func newTelemetryPaths() telemetryPaths {
	p := document.NewPaths()
	t := telemetryPaths{paths: p, speed: p.Read(name("speed")), temperature: p.Read(name("temperature")), kind: p.Read(name("type"))}
	t.fahrenheit, t.fw, t.status = p.Write(name("temp_f")), p.Write(name("fw")), p.Write(name("status"))
	p.Freeze()
	return t
}

func (p telemetryPaths) read(d *document.Document) (float64, error) {
	speed, err := d.Get(p.speed)
	if err != nil {
		return 0, err
	}
	if _, err = d.Get(p.kind); err != nil {
		return 0, err
	}
	temperature, err := d.Get(p.temperature)
	return speed.Float() + temperature.Float(), err
}

func (p telemetryPaths) write(d *document.Document, f float64) error {
	if err := d.Set(p.fahrenheit, value.Float(f)); err != nil {
		return err
	}
	if err := d.Set(p.status, value.String("hot")); err != nil {
		return err
	}
	return d.Delete(p.fw)
}

func TestScalarsAreReadAndWrittenWithoutAllocation(t *testing.T) {
	line := telemetry(1)[0]
	p := newTelemetryPaths()
	var d document.Document
	out := make([]byte, 0, 1024)
	allocations := testing.AllocsPerRun(100, func() {
		d.Reset(p.paths, line, document.JSON)
		m := d.Mark()
		f, err := p.read(&d)
		if err == nil {
			err = p.write(&d, f)
		}
		if err == nil {
			out, err = d.AppendTo(out[:0])
		}
		if err != nil {
			t.Fatal(err)
		}
		d.Rollback(m)
	})
	if allocations != 0 {
		t.Fatalf("got %v allocations", allocations)
	}
	if !json.Valid(out) || len(out) < 200 {
		t.Fatalf("wrote %s", out)
	}
}

func BenchmarkScanThreePaths(b *testing.B) {
	p := document.NewPaths()
	t := telemetryPaths{speed: p.Read(name("speed")), temperature: p.Read(name("temperature")), kind: p.Read(name("type"))}
	p.Freeze()
	lines := telemetry(1000)
	var d document.Document
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Reset(p, lines[i%len(lines)], document.JSON)
		if _, err := t.read(&d); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSplice is what writing and rendering takes on top of a scan.
func BenchmarkSplice(b *testing.B) {
	p := newTelemetryPaths()
	line := telemetry(1)[0]
	var d document.Document
	d.Reset(p.paths, line, document.JSON)
	if _, err := p.read(&d); err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		m := d.Mark()
		if err := p.write(&d, 104.5); err != nil {
			b.Fatal(err)
		}
		var err error
		if out, err = d.AppendTo(out[:0]); err != nil {
			b.Fatal(err)
		}
		d.Rollback(m)
	}
}

func BenchmarkReadWriteRender(b *testing.B) {
	p := newTelemetryPaths()
	lines := telemetry(1000)
	var d document.Document
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Reset(p.paths, lines[i%len(lines)], document.JSON)
		f, err := p.read(&d)
		if err == nil {
			err = p.write(&d, f)
		}
		if err == nil {
			out, err = d.AppendTo(out[:0])
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPassThrough(b *testing.B) {
	p := newTelemetryPaths()
	lines := telemetry(1000)
	var d document.Document
	out := make([]byte, 0, 1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Reset(p.paths, lines[i%len(lines)], document.JSON)
		out, _ = d.AppendTo(out[:0])
	}
}

func BenchmarkWholeBody(b *testing.B) {
	p := document.NewPaths()
	p.Freeze()
	lines := telemetry(1000)
	var d document.Document
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Reset(p, lines[i%len(lines)], document.JSON)
		if _, err := d.Get(document.Root); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodingJSON is the same reading, writing and rendering by the standard library.
func BenchmarkEncodingJSON(b *testing.B) {
	lines := telemetry(1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var m map[string]any
		if err := json.Unmarshal(lines[i%len(lines)], &m); err != nil {
			b.Fatal(err)
		}
		m["temp_f"] = m["speed"].(float64) + m["temperature"].(float64)
		m["status"] = "hot"
		delete(m, "fw")
		if _, err := json.Marshal(m); err != nil {
			b.Fatal(err)
		}
	}
}
