package http

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millstream/millstream/flow"
)

// What a listener bounds for all that share it.
const (
	headerTimeout  = 10 * time.Second
	writeTimeout   = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
	maxHeaders     = 64
	maxConnections = 4096
	maxStreams     = 64   // of one HTTP/2 connection
	maxHandlers    = 8192 // requests that are being read or answered
	// closePatience is how long the last one at a listener waits for clients that still send or read.
	closePatience = 3 * time.Second
)

// server is one listener and the sources that share it.
type server struct {
	http     *nethttp.Server
	listener net.Listener
	files    files
	ended    chan struct{}
	handlers atomic.Int64

	mu     sync.Mutex
	routes map[string][]*source // by path; at most one pipeline's, the newest last
	change chan struct{}        // closed and replaced when a source joins, begins, ends or leaves
	left   map[string]time.Time // when the last source of a path has left it
	quit   chan struct{}        // closed when nobody will join any more
}

// shareServer joins the listener of an address, and opens it for the first one.
func shareServer(s *settings, host flow.Host) (*server, func() error, error) {
	shared, release, err := host.Share("http\x00"+s.listen, func() (io.Closer, error) { return listen(s, host.Logger()) })
	if err != nil {
		return nil, nil, err
	}
	srv, ok := shared.(*server)
	switch {
	case !ok:
		err = fmt.Errorf("listen at %s: something else is shared under its name", s.listen)
	case srv.files != s.tls:
		err = flow.Errorf(flow.Transient, flow.CodeUnavailable, "listen at %s: another pipeline listens there with other certificates", s.listen)
	}
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	return srv, release, nil
}

func listen(s *settings, log *slog.Logger) (*server, error) {
	settings, err := s.tls.load()
	if err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.listen)
	if err != nil {
		return nil, flow.Errorf(flow.Transient, flow.CodeUnavailable, "listen at %s: %w", s.listen, err)
	}
	srv := &server{
		listener: &bounded{Listener: l, free: make(chan struct{}, maxConnections)}, files: s.tls, ended: make(chan struct{}),
		routes: map[string][]*source{}, change: make(chan struct{}), left: map[string]time.Time{}, quit: make(chan struct{}),
	}
	srv.http = &nethttp.Server{
		Handler: srv, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, TLSConfig: settings,
		HTTP2:    &nethttp.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients that hang up are not worth more
	}
	go srv.serve(log)
	log.Info("listening", "address", l.Addr().String(), "tls", settings != nil)
	return srv, nil
}

func (s *server) serve(log *slog.Logger) {
	defer close(s.ended)
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if !errors.Is(err, nethttp.ErrServerClosed) {
		log.Error("the listener has ended", "error", err)
	}
}

// Close ends the listener after the last source has left it.
func (s *server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	close(s.quit)
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close() // who is left is slow on purpose
	}
	<-s.ended
	return err
}

// join adds a source for its path. The same part of the same pipeline may be there already: it is about to be replaced.
func (s *server) join(c *source) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.routes[c.path] {
		if other.owner != c.owner {
			return flow.Errorf(flow.ConfigError, flow.CodeInvalidName, "the path %s at %s is taken by source %q of pipeline %q", c.path, c.listen,
				other.owner.name, other.owner.pipeline)
		}
	}
	s.routes[c.path] = append(s.routes[c.path], c)
	delete(s.left, c.path)
	s.changed()
	return nil
}

func (s *server) leave(c *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(s.routes[c.path], func(other *source) bool { return other == c })
	if len(left) == 0 {
		delete(s.routes, c.path)
		s.left[c.path] = time.Now()
	} else {
		s.routes[c.path] = left
	}
	s.changed()
}

// moved notes that a source has begun or ended to read.
func (s *server) moved(c *source, to phase) {
	s.mu.Lock()
	c.phase = to
	s.changed()
	s.mu.Unlock()
}

func (s *server) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// find gives the source that reads the path now: the newest that has begun. When there is none, soon is closed when that may have changed;
// it is nil where nobody is about to begin. known tells that the path is somebody's, or was just now: a pipeline that is started anew may
// have it again in a moment.
func (s *server) find(path string) (reads *source, soon <-chan struct{}, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.routes[path]
	for _, c := range slices.Backward(all) {
		switch c.phase {
		case reading:
			return c, nil, true
		case opened, closing: // one that ends may have a successor
			soon = s.change
		}
	}
	if at, ok := s.left[path]; ok && time.Since(at) < handOver {
		return nil, s.change, true
	}
	return nil, soon, len(all) > 0
}

// phase is where a source is in its life.
type phase uint8

const (
	opened phase = iota
	reading
	closing
)
