// Command http is the hand-written loop for the task that receives requests and appends their bodies to a file, a line each: a bare net/http
// handler that answers once the line is written and, unless it is told not to, on the disk.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

func main() {
	if err := serve(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

// serve listens at an address and appends to a file; sync is none or each.
func serve(address, path, sync string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the path is the caller's own
	if err != nil {
		return err
	}
	a := &appender{file: file, sync: sync != "none"}
	server := &http.Server{Addr: address, Handler: a, ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return file.Close()
}

type appender struct {
	mu   sync.Mutex
	file *os.File
	sync bool
}

// ServeHTTP answers 200 once the body is in the file.
func (a *appender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = a.append(append(body, '\n'))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (a *appender) append(line []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.file.Write(line); err != nil {
		return err
	}
	if a.sync {
		return a.file.Sync()
	}
	return nil
}
