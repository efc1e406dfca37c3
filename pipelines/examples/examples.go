// Package examples holds the shipped pipelines as files: to be read by people, and run by tests that keep them true. It has no code
// beside the file system that they are embedded in.
package examples

import "embed"

// FS holds the pipelines as *.yaml.
//
//go:embed *.yaml
var FS embed.FS
