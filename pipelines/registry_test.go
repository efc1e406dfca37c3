package pipelines_test

import (
	"context"
	"errors"

	"github.com/millstream/millstream/flow"
	"github.com/millstream/millstream/nodes"
	"github.com/millstream/millstream/pipelines/config"
	"github.com/millstream/millstream/pipelines/expression"
)

// registry has the real verbs, and connectors that can be configured but not opened: what is tested here ends before opening.
func registry() *config.Registry {
	return &config.Registry{
		Nodes: nodes.Types(),
		Connectors: []config.ConnectorType{
			{Name: "stdin", NewSource: func() config.SourceConfig { return &stdinSource{} }},
			{Name: "stdout", NewSink: func() config.SinkConfig { return &stdoutSink{} }},
			{
				Name: "kafka", NewSource: func() config.SourceConfig { return &kafkaSource{} },
				NewSink: func() config.SinkConfig { return &kafkaSink{} },
			},
			{Name: "file", NewSource: func() config.SourceConfig { return &fileSource{} }, NewSink: func() config.SinkConfig { return &fileSink{} }},
			{Name: "drop", NewSink: func() config.SinkConfig { return &dropSink{} }},
		},
	}
}

var errClosed = errors.New("connectors of this test cannot be opened")

func openSource(context.Context, flow.Host) (flow.Source, error) { return nil, errClosed }
func openSink(context.Context, flow.Host) (flow.Sink, error)     { return nil, errClosed }

type stdinSource struct{}

func (*stdinSource) BuildSource(*config.Builder) config.Source {
	return config.Source{Traits: flow.Traits{Finite: true, Exclusive: "stdin"}, Open: openSource}
}

type stdoutSink struct{}

func (*stdoutSink) BuildSink(*config.Builder) config.Sink {
	return config.Sink{Preparer: accepting{}, Open: openSink}
}

type dropSink struct{}

func (*dropSink) BuildSink(*config.Builder) config.Sink {
	return config.Sink{Traits: flow.Traits{Headers: true, Discards: true}, Preparer: accepting{}, Open: openSink}
}

type accepting struct{}

func (accepting) Prepare(*flow.Message, *flow.Outgoing) error { return nil }

type kafkaSource struct {
	Brokers []string `yaml:"brokers" required:"true"`
	Topics  []string `yaml:"topics" required:"true"`
	Group   string   `yaml:"group" required:"true"`
}

func (*kafkaSource) BuildSource(*config.Builder) config.Source {
	return config.Source{Traits: flow.Traits{Keyed: true, Headers: true}, Open: openSource}
}

type kafkaSink struct {
	Brokers  []string          `yaml:"brokers" required:"true"`
	Topic    config.Template   `yaml:"topic" required:"true"`
	Key      config.Expression `yaml:"key"`
	Password config.Secret     `yaml:"password"`
}

func (k *kafkaSink) BuildSink(b *config.Builder) config.Sink {
	b.Template(k.Topic)
	b.Expression(k.Key, expression.WantAny)
	return config.Sink{Traits: flow.Traits{Headers: true}, Preparer: accepting{}, Open: openSink}
}

type fileSource struct {
	Path string `yaml:"path" required:"true"`
}

func (*fileSource) BuildSource(*config.Builder) config.Source {
	return config.Source{Traits: flow.Traits{Finite: true}, Open: openSource}
}

type fileSink struct {
	Path config.Template `yaml:"path" required:"true"`
}

func (f *fileSink) BuildSink(b *config.Builder) config.Sink {
	b.Template(f.Path)
	return config.Sink{Preparer: accepting{}, Open: openSink}
}
