package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Posts is a path of HTTP that a pipeline listens at, as its source.
type Posts struct {
	addr   string
	client *http.Client
}

// posters is how many requests are under way at a time, those of one key one after another.
const posters = 16

// NewPosts picks a port.
func NewPosts(ctx context.Context) (*Posts, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Posts{
		addr:   l.Addr().String(),
		client: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: posters}},
	}, l.Close()
}

// Source implements Inlet.
func (p *Posts) Source() string { return fmt.Sprintf("{ http: { listen: %q, path: /in } }", p.addr) }

// Sink is what another pipeline sends to this one with.
func (p *Posts) Sink() string { return fmt.Sprintf("{ http: { url: \"http://%s/in\" } }", p.addr) }

// Feed implements Inlet: it posts each message until the answer is 2xx.
func (p *Posts) Feed(ctx context.Context, payloads [][]byte, keys []string) error {
	var wg sync.WaitGroup
	failed := make([]error, posters)
	for lane := range posters {
		wg.Go(func() {
			for i, key := range keys {
				h := fnv.New32a()
				_, _ = h.Write([]byte(key))
				if int(h.Sum32()%posters) == lane && failed[lane] == nil {
					failed[lane] = p.post(ctx, payloads[i])
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

func (p *Posts) post(ctx context.Context, payload []byte) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/in", bytes.NewReader(payload))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := p.client.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode/100 == 2 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close implements Inlet.
func (p *Posts) Close() { p.client.CloseIdleConnections() }
