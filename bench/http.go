package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// httpClients is how many clients send at a time, each its next request after the answer to the last.
	httpClients  = 256
	httpPairs    = 3
	httpPatience = 10 * time.Second
)

// http are the cases with a file behind an HTTP server: with a sync before each answer, and without.
func (s *suite) http(ctx context.Context) []*comparison {
	of := func(name, product, loop string, requests int, bars ...bar) *comparison {
		contend := func(p func(address, file string) program) contender {
			return contender{messages: requests, program: func(int) program { return s.served(ctx, requests, p) }}
		}
		return &comparison{
			name: name, against: "bare net/http handler", pairs: httpPairs, byRate: true, bars: bars,
			product: contend(func(address, file string) program {
				return s.millstream("http", "LISTEN="+address, "FILE="+file, "SYNC="+product)
			}),
			other: contend(func(address, file string) program { return s.loop("http", address, file, loop) }),
		}
	}
	return []*comparison{of("http", "batch", "each", 2_000, atLeast(0.8)), of("http without sync", "none", "none", 60_000)}
}

// served is a program that listens, and the clients that it gets.
func (s *suite) served(ctx context.Context, requests int, with func(address, file string) program) program {
	address, err := freeAddress(ctx)
	file := s.path("http.out")
	p := with(address, file)
	p.before = func(context.Context) error { return errors.Join(err, ignoreMissing(os.Remove(file))) }
	p.arrived = func(ctx context.Context) (float64, error) {
		rate, err := visit(ctx, address, requests)
		if err != nil {
			return 0, err
		}
		text, err := os.ReadFile(file)
		if lines := bytes.Count(text, []byte("\n")); err == nil && lines < requests {
			err = fmt.Errorf("%d lines were written, %d requests answered", lines, requests)
		}
		return rate, err
	}
	return p
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// visit sends requests by many clients and gives how many were answered in a second.
func visit(ctx context.Context, address string, requests int) (float64, error) {
	conns, err := connectAll(ctx, address)
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	var clients sync.WaitGroup
	failed := make([]error, len(conns))
	began := time.Now()
	for i, conn := range conns {
		clients.Go(func() {
			defer conn.Close() //nolint:errcheck // all that was wanted has come
			answers := bufio.NewReader(conn)
			for n := next.Add(1); n <= int64(requests) && failed[i] == nil; n = next.Add(1) {
				failed[i] = exchange(conn, answers, address, n)
			}
		})
	}
	clients.Wait()
	return float64(requests) / time.Since(began).Seconds(), errors.Join(failed...)
}

// connectAll waits until somebody listens and opens all connections.
func connectAll(ctx context.Context, address string) ([]net.Conn, error) {
	var conns []net.Conn
	for late := time.Now().Add(httpPatience); len(conns) < httpClients; {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		switch {
		case err == nil:
			conns = append(conns, conn)
		case time.Now().After(late):
			return nil, err
		default:
			time.Sleep(10 * time.Millisecond)
		}
	}
	return conns, nil
}

// exchange sends one request and reads its answer, which has no body.
func exchange(conn net.Conn, answers *bufio.Reader, address string, n int64) error {
	body := fmt.Sprintf(`{"device":"d%d","temperature":%d,"unit":"C","note":"%s"}`, n%1000, n%100, strings.Repeat("x", 80))
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", address, len(body), body); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, err := answers.ReadSlice('\n')
		switch {
		case err != nil:
			return fmt.Errorf("read an answer: %w", errors.Join(err, io.ErrUnexpectedEOF))
		case first && !bytes.Contains(line, []byte(" 200 ")):
			return fmt.Errorf("answered %q", line)
		case len(line) == 2:
			return nil
		}
	}
}
