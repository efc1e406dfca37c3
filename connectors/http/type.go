package http

import "github.com/millstream/millstream/pipelines/config"

// Type is the connector http.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "http",
		Doc:       "Receives messages as HTTP requests, and sends them as such.",
		NewSource: func() config.SourceConfig { return &Source{} },
		NewSink:   func() config.SinkConfig { return &Sink{} },
	}
}
