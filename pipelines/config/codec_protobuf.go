package config

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/millstream/millstream/flow/codec"
	"github.com/millstream/millstream/internal/textfile"
	"github.com/millstream/millstream/pipelines/diag"
	"github.com/millstream/millstream/pipelines/yamldoc"
)

type protobufConfig struct {
	// File is the .proto file, relative to the pipeline file.
	File yamldoc.Text `yaml:"file" required:"true"`
	// Message is the full name of the message in it.
	Message string `yaml:"message" required:"true"`
	// ImportPaths are the folders in which imported files are looked for, relative to the pipeline file. Left out: the one of file. What
	// comes with Protocol Buffers (google/protobuf/…) is always there.
	ImportPaths []string `yaml:"import_paths"`
}

func (c *protobufConfig) build(b *Builder, _ yamldoc.Scalar) (*codec.Format, *codec.Layer) {
	files := c.files(b)
	if _, err := textfile.Read(files.main, maxCodecFile); err != nil {
		files.missing(files.main)
		b.unreadable(&c.File, err)
		return nil, nil
	}
	f, err := codec.Protobuf(context.Background(), codec.ProtobufOptions{File: files.name, Message: c.Message, Open: files.open})
	b.Read = append(b.Read, files.sums()...)
	if err != nil {
		c.report(b, files, err)
		return nil, nil
	}
	return f, nil
}

// report points into the .proto file where that is known.
func (c *protobufConfig) report(b *Builder, files *protoFiles, err error) {
	var e *codec.ProtobufError
	path := ""
	if errors.As(err, &e) {
		path = files.pathOf(e.File)
	}
	text, known := files.read[path]
	if !known {
		b.Findings.Add(c.File.Whole(diag.BadCodec, err.Error(), "import_paths names the folders of imported files"))
		return
	}
	b.Findings.AddSource(path, text)
	b.Findings.Add(diag.Finding{Path: path, Line: e.Line, Col: e.Column, Width: 1, Code: diag.BadCodec, Message: e.Reason})
}

// protoFiles finds and reads the .proto files of one compilation; the compiler may ask from several goroutines.
type protoFiles struct {
	main, name string // where the named file is, and what imports would call it
	folders    []string
	told       func(path string, content []byte, err error)

	mu   sync.Mutex
	read map[string][]byte
}

func (c *protobufConfig) files(b *Builder) *protoFiles {
	f := &protoFiles{main: b.beside(c.File.Scalar.Text), told: b.FileRead, read: map[string][]byte{}}
	f.name = filepath.Base(f.main)
	f.folders = []string{filepath.Dir(f.main)}
	if len(c.ImportPaths) > 0 {
		f.folders = nil
	}
	for _, p := range c.ImportPaths {
		f.folders = append(f.folders, b.beside(p))
	}
	for _, folder := range f.folders {
		if below, err := filepath.Rel(folder, f.main); err == nil && filepath.IsLocal(below) {
			f.name = filepath.ToSlash(below)
			break
		}
	}
	return f
}

// pathOf is where the file that an import names is; "" when it is nowhere below the folders.
func (f *protoFiles) pathOf(imported string) string {
	if imported == f.name {
		return f.main
	}
	local := filepath.FromSlash(imported)
	if !filepath.IsLocal(local) {
		return ""
	}
	for _, folder := range f.folders {
		path := filepath.Join(folder, local)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

func (f *protoFiles) open(imported string) (io.ReadCloser, error) {
	path := f.pathOf(imported)
	if path == "" {
		for _, folder := range f.folders {
			f.missing(filepath.Join(folder, filepath.FromSlash(imported)))
		}
		return nil, fs.ErrNotExist
	}
	text, err := textfile.Read(path, maxCodecFile)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told != nil {
		f.told(path, text, err)
	}
	if err != nil {
		return nil, err
	}
	f.read[path] = text
	return io.NopCloser(bytes.NewReader(text)), nil
}

// missing tells of a file that would be read if it were there.
func (f *protoFiles) missing(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.told != nil {
		f.told(path, nil, fs.ErrNotExist)
	}
}

// sums are those of the files that were read, in the order of their paths.
func (f *protoFiles) sums() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var sums []string
	for _, path := range slices.Sorted(maps.Keys(f.read)) {
		sums = append(sums, sumOf(f.read[path]))
	}
	return sums
}
