package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// folder is a pub/sub as somebody may have it already: watermill's two interfaces, and nothing of millstream's.
type folder struct {
	root    string
	closing chan struct{}
	once    sync.Once
	active  sync.WaitGroup
}

func newFolder(root string) *folder { return &folder{root: root, closing: make(chan struct{})} }

// Publish implements message.Publisher.
func (f *folder) Publish(topic string, messages ...*message.Message) error {
	dir := filepath.Join(f.root, topic)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	for _, m := range messages {
		name := filepath.Join(dir, fmt.Sprintf("%020d-%s", time.Now().UnixNano(), m.UUID))
		if err := os.WriteFile(name+".part", m.Payload, 0o600); err != nil {
			return err
		}
		if err := os.Rename(name+".part", name+".msg"); err != nil {
			return err
		}
	}
	return nil
}

// Subscribe implements message.Subscriber: files are handed out in the order of their names, and removed once they are acknowledged.
func (f *folder) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	f.active.Go(func() {
		defer close(out)
		for {
			files, _ := filepath.Glob(filepath.Join(f.root, topic, "*.msg"))
			for _, file := range files {
				if !f.handOut(ctx, file, out) {
					return
				}
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return
			case <-f.closing:
				return
			}
		}
	})
	return out, nil
}

func (f *folder) handOut(ctx context.Context, file string, out chan<- *message.Message) bool {
	payload, err := os.ReadFile(file)
	if err != nil {
		return true
	}
	m := message.NewMessage(filepath.Base(file), payload)
	ctx, done := context.WithCancel(ctx)
	defer done() // tells a pipeline that stops that what it has acknowledged is removed
	m.SetContext(ctx)
	select {
	case out <- m:
	case <-ctx.Done():
		return false
	case <-f.closing:
		return false
	}
	select {
	case <-m.Acked():
		return os.Remove(file) == nil
	case <-m.Nacked():
		return true
	case <-ctx.Done():
		return false
	case <-f.closing:
		return false
	}
}

// Close implements both.
func (f *folder) Close() error {
	f.once.Do(func() { close(f.closing) })
	f.active.Wait()
	return nil
}
