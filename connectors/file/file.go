// Package file reads messages from files and writes them to files, one per line or one per file. Paths are relative to the working
// directory.
package file

import (
	"path/filepath"
	"strings"

	"github.com/millstream/millstream/pipelines/config"
)

// Type is the connector file.
func Type() config.ConnectorType {
	return config.ConnectorType{
		Name:      "file",
		Doc:       "Reads messages from files and writes them to files.",
		NewSource: func() config.SourceConfig { return &Source{} },
		NewSink:   func() config.SinkConfig { return &Sink{} },
	}
}

// address is the file that a path means; empty for a pattern.
func address(path string) string {
	if strings.ContainsAny(path, "*?[") {
		return ""
	}
	whole, err := resolve(path)
	if err != nil {
		return ""
	}
	return "file:" + whole
}

// covers tells whether a pattern names the file at an address.
func covers(pattern, at string) bool {
	path, ok := strings.CutPrefix(at, "file:")
	whole, err := filepath.Abs(pattern)
	if !ok || err != nil || hidden(path) && !hidden(pattern) {
		return false
	}
	if dir, err := filepath.EvalSymlinks(fixedDir(whole)); err == nil {
		whole = dir + strings.TrimPrefix(whole, fixedDir(whole))
	}
	matches, err := filepath.Match(whole, path)
	return matches && err == nil
}

// resolve gives a path the one name that all paths of the file have in common, whether the file and directories above it are there or not.
func resolve(path string) (string, error) {
	whole, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for dir := whole; ; dir = filepath.Dir(dir) {
		if target, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(target, whole[len(dir):]), nil
		}
		if dir == filepath.Dir(dir) {
			return whole, nil
		}
	}
}

// The framings.
const (
	framingLines = "lines"
	framingWhole = "whole"
)
