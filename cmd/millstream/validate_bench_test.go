package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// BenchmarkValidate1000 is validate over a directory of 1,000 pipelines: small ones, and copies of the largest example.
func BenchmarkValidate1000(b *testing.B) {
	for _, size := range []struct{ name, file, pipeline string }{
		{"small", "kafka-to-rabbitmq.yaml", "kafka-to-rabbitmq"}, {"large", "openstack.yaml", "openstack"},
	} {
		b.Run(size.name, func(b *testing.B) {
			text, err := os.ReadFile(filepath.Join("../../pipelines/examples", size.file))
			if err != nil {
				b.Fatal(err)
			}
			dir := b.TempDir()
			for i := range 1000 {
				name := size.pipeline + "-" + strconv.Itoa(i)
				one := bytes.Replace(text, []byte("name: "+size.pipeline), []byte("name: "+name), 1)
				if err := os.WriteFile(filepath.Join(dir, name+".yaml"), one, 0o600); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				s := &streams{in: bytes.NewReader(nil), out: io.Discard, err: io.Discard}
				programs, findings, err := s.load([]string{dir}, &loadFlags{}, true)
				if err != nil || findings.HasErrors() || len(programs) != 1000 {
					b.Fatal(len(programs), err, findings.All())
				}
			}
		})
	}
}
